package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// How an event is shown: section 8 of the behaviour that is to be kept, for the
// kinds of events that are stored here.

const (
	skeleton = chatpb.AmountOfMessage_ONLY_SKELETON
	enough   = chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE
)

func eventOf(t *testing.T, body *chatpb.MessageSpecifics) *room.Event {
	t.Helper()
	raw, err := proto.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return &room.Event{
		Draft: room.Draft{UUID: uuidOf(7), Kind: room.KindText, Sender: account(1), Body: raw},
		Room:  roomA, Seq: 9, Time: 1234,
	}
}

func textMessage(text string, reply bool) *chatpb.MessageSpecifics {
	info := &chatpb.ActiveMessageInfo{IsReply: reply}
	if reply {
		info.ReplyInfo = &chatpb.ReplyChatMessageInfo{}
	}
	return &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{TextMessage: &chatpb.TextChatMessage{
		ActiveMessageInfo: info, MessageText: text, IsEdited: true, EditedTime: 99,
	}}}
}

func TestEveryFormSaysWhatItAlwaysSays(t *testing.T) {
	e := eventOf(t, textMessage("hello", false))
	for _, f := range []Form{formLive, formMissed, formUnknown, HistorySkeleton, HistoryComplete} {
		m := Show(e, f)
		info := m.GetMessage().GetStandardMessageInfo()
		if m.GetMessageUuid() != e.UUID || m.GetSentByAccountId() != e.Sender || m.GetTimestampStored() != e.Time ||
			info.GetChatRoomIdMessageSentFrom() != e.Room || m.GetOnlyStoreMessage() != f.OnlyStore ||
			info.GetDoNotUpdateUserState() != f.KeepState || info.GetInternalForceSendMessageToCurrentUser() != f.Forced ||
			info.GetAmountOfMessage() != f.Amount {
			t.Errorf("%+v: %v", f, m)
		}
	}
	// What each form is for decides how it is marked.
	if formLive != (Form{Amount: enough}) || formMissed != (Form{Amount: enough, KeepState: true, Forced: true}) ||
		formUnknown != (Form{Amount: skeleton, OnlyStore: true, KeepState: true, Forced: true}) {
		t.Error("a form has changed")
	}
}

func TestTextIsShownAsFarAsItsFormSays(t *testing.T) {
	short, limit, long := "hello", strings.Repeat("x", room.MaxTrimmed), strings.Repeat("x", room.MaxTrimmed+1)
	runes := strings.Repeat("€", 100) // three bytes each: 85 fit exactly
	odd := "x" + runes                // and here 84
	for _, tc := range []struct {
		text     string
		reply    bool
		amount   chatpb.AmountOfMessage
		want     string
		complete bool
	}{
		{short, false, skeleton, "", false},
		{short, true, skeleton, "", false},
		{short, false, enough, short, true},
		{short, true, enough, short, false},
		{limit, false, enough, limit, true},
		{long, false, enough, limit, false},
		{runes, false, enough, runes[:255], false},
		{odd, false, enough, odd[:1+84*3], false},
		{"", false, enough, "", true},
		{long, false, complete, long, true},
		{long, true, complete, long, true},
	} {
		m := Show(eventOf(t, textMessage(tc.text, tc.reply)), Form{Amount: tc.amount})
		text := specificsOf(m).GetTextMessage()
		info := m.GetMessage().GetStandardMessageInfo()
		name := fmt.Sprintf("%.10q of %d bytes, reply %v, %v", tc.text, len(tc.text), tc.reply, tc.amount)
		if text.GetMessageText() != tc.want || info.GetMessageHasCompleteInfo() != tc.complete || info.GetAmountOfMessage() != tc.amount {
			t.Errorf("%s: %d bytes, complete %v", name, len(text.GetMessageText()), info.GetMessageHasCompleteInfo())
		}
		if text.GetActiveMessageInfo().GetIsReply() != tc.reply {
			t.Errorf("%s: is_reply is %v", name, text.GetActiveMessageInfo().GetIsReply())
		}
		if got, want := text.GetActiveMessageInfo().GetReplyInfo() != nil, tc.reply && tc.amount == complete; got != want {
			t.Errorf("%s: has reply_info: %v", name, got)
		}
		if got, want := text.GetIsEdited() && text.GetEditedTime() == 99, tc.amount != skeleton; got != want {
			t.Errorf("%s: says that it was edited: %v", name, got)
		}
	}
}

func TestJoinIsShownWithOrWithoutWhoJoined(t *testing.T) {
	body := func() *chatpb.MessageSpecifics {
		return &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_DifferentUserJoinedMessage{
			DifferentUserJoinedMessage: &chatpb.DifferentUserJoinedChatRoomChatMessage{MemberInfo: &chatpb.ChatRoomMemberInfoMessage{
				UserInfo: &chatpb.MemberSharedInfoMessage{AccountOid: account(1), AccountName: "bob"}, AccountState: room.In,
			}},
		}}
	}
	for _, amount := range []chatpb.AmountOfMessage{skeleton, enough, complete} {
		m := Show(eventOf(t, body()), Form{Amount: amount})
		info := specificsOf(m).GetDifferentUserJoinedMessage().GetMemberInfo()
		if info.GetAccountState() != room.In || info.GetAccountLastActivityTime() != 1234 {
			t.Errorf("%v: %v", amount, info)
		}
		if got, want := info.GetUserInfo().GetAccountName() == "bob", amount != skeleton; got != want {
			t.Errorf("%v: has the user: %v", amount, got)
		}
		wantWhole(t, m)
	}
}

// The other kinds of ours are shown whole in every form, and the cap without what
// it stores: the room's password is not everybody's.
func TestOtherKindsAreShownWhole(t *testing.T) {
	for _, tc := range []struct{ stored, shown *chatpb.MessageSpecifics }{
		{
			&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{ChatRoomName: "n", ChatRoomPassword: "secret"}}},
			&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{}}},
		},
		{stored: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UserKickedMessage{UserKickedMessage: &chatpb.UserKickedChatMessage{KickedAccountOid: account(1)}}}},
		{stored: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UserBannedMessage{UserBannedMessage: &chatpb.UserBannedChatMessage{BannedAccountOid: account(1)}}}},
		{stored: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_DifferentUserLeftMessage{DifferentUserLeftMessage: &chatpb.DifferentUserLeftChatRoomChatMessage{NewAdminAccountOid: account(2)}}}},
	} {
		if tc.shown == nil {
			tc.shown = tc.stored
		}
		for _, amount := range []chatpb.AmountOfMessage{skeleton, enough, complete} {
			m := Show(eventOf(t, tc.stored), Form{Amount: amount})
			if !proto.Equal(specificsOf(m), tc.shown) {
				t.Errorf("%v: %v", amount, m)
			}
			wantWhole(t, m)
		}
	}
}

func wantWhole(t *testing.T, m *chatpb.ChatMessageToClient) {
	t.Helper()
	if info := m.GetMessage().GetStandardMessageInfo(); info.GetAmountOfMessage() != skeleton || !info.GetMessageHasCompleteInfo() {
		t.Errorf("amount %v, complete %v", info.GetAmountOfMessage(), info.GetMessageHasCompleteInfo())
	}
}

// Whatever a body is, every form of it can be encoded, and the event itself is
// not touched: others show it, too.
func FuzzShowNeverFailsAndNeverChangesTheEvent(f *testing.F) {
	for _, text := range []string{"", "hello", strings.Repeat("€", 100), strings.Repeat("x", 300)} {
		body, _ := proto.Marshal(textMessage(text, true))
		f.Add(body)
	}
	f.Add([]byte{0xff, 1, 2})
	f.Fuzz(func(t *testing.T, body []byte) {
		e := &room.Event{Draft: room.Draft{UUID: uuidOf(1), Kind: 1, Sender: account(1), Body: slices.Clone(body)}, Room: roomA, Seq: 1, Time: 1}
		for _, form := range []Form{formLive, formMissed, formUnknown, HistorySkeleton, HistoryComplete} {
			m := Show(e, form)
			if _, err := proto.Marshal(m); err != nil {
				t.Errorf("%+v: %v", form, err)
			}
			if text := textOf(m); form.Amount == enough && (len(text) > room.MaxTrimmed || !utf8.ValidString(text)) {
				t.Errorf("%+v: text of %d bytes", form, len(text))
			}
		}
		if !bytes.Equal(e.Body, body) {
			t.Error("the event's body has changed")
		}
	})
}
