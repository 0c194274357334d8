package engine

import (
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// Form is how an event is shown to a client: how much of it, and what the
// client is to do with it.
type Form struct {
	Amount chatpb.AmountOfMessage
	// OnlyStore: history, to be kept and not acted upon.
	OnlyStore bool
	// KeepState: the client must not change its own membership because of it.
	KeepState bool
	// Forced marks what a stream's initialization sends.
	Forced bool
}

// The forms in use.
var (
	// formLive is what members get when an event happens.
	formLive = Form{Amount: chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE}
	// formMissed is what a returning client gets of a room it knows.
	formMissed = Form{Amount: chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE, KeepState: true, Forced: true}
	// formUnknown is what a returning client gets of a room it does not know.
	formUnknown = Form{Amount: chatpb.AmountOfMessage_ONLY_SKELETON, OnlyStore: true, KeepState: true, Forced: true}
)

// HistorySkeleton and HistoryComplete are the forms of what JoinChatRoom and
// CreateChatRoom show of a room's past.
var (
	HistorySkeleton = Form{Amount: chatpb.AmountOfMessage_ONLY_SKELETON, OnlyStore: true}
	HistoryComplete = Form{Amount: chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO, OnlyStore: true}
)

// Show returns e as a client sees it in form f. A body that cannot be read is
// shown without content: the event keeps its place in the client's log. The
// event before it is taken to have been for the same client; where it was not,
// PreviousSeq is the caller's to set.
func Show(e *room.Event, f Form) *chatpb.ChatMessageToClient {
	body := &chatpb.MessageSpecifics{}
	if err := proto.Unmarshal(e.Body, body); err != nil {
		body = &chatpb.MessageSpecifics{}
	}
	amount, complete := chatpb.AmountOfMessage_ONLY_SKELETON, true
	switch m := body.MessageBody.(type) {
	case *chatpb.MessageSpecifics_TextMessage:
		amount, complete = f.Amount, shapeText(m.TextMessage, f.Amount)
	case *chatpb.MessageSpecifics_DifferentUserJoinedMessage:
		if info := m.DifferentUserJoinedMessage.GetMemberInfo(); info != nil {
			info.AccountLastActivityTime = e.Time
			if f.Amount == chatpb.AmountOfMessage_ONLY_SKELETON {
				info.UserInfo = nil
			}
		}
	case *chatpb.MessageSpecifics_ChatRoomCapMessage:
		m.ChatRoomCapMessage = &chatpb.ChatRoomCapMessage{} // the settings in it are the store's
	}
	return &chatpb.ChatMessageToClient{
		MessageUuid:      e.UUID,
		TimestampStored:  e.Time,
		OnlyStoreMessage: f.OnlyStore,
		SentByAccountId:  e.Sender,
		Seq:              e.Seq,
		PreviousSeq:      e.Seq - 1,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: body,
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{
				ChatRoomIdMessageSentFrom:             e.Room,
				AmountOfMessage:                       amount,
				MessageHasCompleteInfo:                complete,
				DoNotUpdateUserState:                  f.KeepState,
				InternalForceSendMessageToCurrentUser: f.Forced,
			},
		},
	}
}

// shapeText cuts t down to amount and reports whether nothing is missing.
func shapeText(t *chatpb.TextChatMessage, amount chatpb.AmountOfMessage) (complete bool) {
	switch amount {
	case chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO:
		return true
	case chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE:
		whole := false
		t.MessageText, whole = room.Cut(t.MessageText, room.MaxTrimmed)
		reply := t.GetActiveMessageInfo().GetIsReply()
		if t.ActiveMessageInfo != nil {
			t.ActiveMessageInfo.ReplyInfo = nil
		}
		return whole && !reply
	default:
		*t = chatpb.TextChatMessage{ActiveMessageInfo: &chatpb.ActiveMessageInfo{
			IsReply: t.GetActiveMessageInfo().GetIsReply(),
		}}
		return false
	}
}

// showUpdateTime is what the sender's own stream gets in place of e: how far
// the room has come, so that the client moves its position only in stream
// order, never by the answer to its send.
func showUpdateTime(e *room.Event) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{
		TimestampStored: e.Time,
		Seq:             e.Seq,
		PreviousSeq:     e.Seq - 1,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: &chatpb.MessageSpecifics{
				MessageBody: &chatpb.MessageSpecifics_NewUpdateTimeMessage{
					NewUpdateTimeMessage: &chatpb.NewUpdateTimeMessage{
						MessageTimestampStored: e.Time,
						RepresentedMessageUuid: e.UUID,
					},
				},
			},
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{
				ChatRoomIdMessageSentFrom: e.Room,
				MessageHasCompleteInfo:    true,
			},
		},
	}
}
