package conformance

import (
	"strings"
	"testing"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// What the tree writes often, in short.
const (
	success             = chatpb.ReturnStatus_SUCCESS
	notSet              = chatpb.ReturnStatus_VALUE_NOT_SET
	unknown             = chatpb.ReturnStatus_UNKNOWN
	invalidAccount      = chatpb.ReturnStatus_INVALID_USER_OID
	invalidToken        = chatpb.ReturnStatus_INVALID_LOGIN_TOKEN
	outdated            = chatpb.ReturnStatus_OUTDATED_VERSION
	invalidInstallation = chatpb.ReturnStatus_INVALID_INSTALLATION_ID
	invalidParameter    = chatpb.ReturnStatus_INVALID_PARAMETER_PASSED
	noAccount           = chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT
	wrongToken          = chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH
	tokenExpired        = chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED
	elsewhere           = chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE
	suspended           = chatpb.ReturnStatus_ACCOUNT_SUSPENDED
	accountBanned       = chatpb.ReturnStatus_ACCOUNT_BANNED
	databaseDown        = chatpb.ReturnStatus_DATABASE_DOWN
	lgError             = chatpb.ReturnStatus_LG_ERROR

	kick      = commandspb.RemoveFromChatRoomRequest_KICK
	ban       = commandspb.RemoveFromChatRoomRequest_BAN
	inRoom    = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
	isAdmin   = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IS_ADMIN
	notInRoom = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_NOT_IN_CHAT_ROOM
	isBanned  = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_BANNED

	skeleton  = chatpb.AmountOfMessage_ONLY_SKELETON
	enough    = chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE
	completed = chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO

	finalList  = streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST
	processing = streampb.RequestFullMessageInfoResponse_CURRENTLY_PROCESSING_UPDATE_REQUEST
	lookupDown = streampb.RequestFullMessageInfoResponse_DATABASE_DOWN
	notMember  = streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM
	serverErr  = streampb.RequestFullMessageInfoResponse_LG_SERVER_ERROR
)

// Kinds of messages, as kindOf names them.
const (
	kindText      = "text"
	kindCap       = "chat_room_cap"
	kindJoined    = "different_user_joined"
	kindLeft      = "different_user_left"
	kindKicked    = "user_kicked"
	kindBanned    = "user_banned"
	kindObserved  = "update_observed_time"
	kindStart     = "this_user_joined_chat_room_start"
	kindMember    = "this_user_joined_chat_room_member"
	kindFinished  = "this_user_joined_chat_room_finished"
	kindThisLeft  = "this_user_left_chat_room"
	kindNewUpdate = "new_update_time"
)

// specificsOf is the body of a message.
func specificsOf(m *chatpb.ChatMessageToClient) *chatpb.MessageSpecifics {
	return m.GetMessage().GetMessageSpecifics()
}

// kindOf names the body of a message.
func kindOf(m *chatpb.ChatMessageToClient) string {
	specifics := specificsOf(m).ProtoReflect()
	field := specifics.WhichOneof(specifics.Descriptor().Oneofs().ByName("message_body"))
	if field == nil {
		return ""
	}
	return strings.TrimSuffix(string(field.Name()), "_message")
}

func kindsOf(list []*chatpb.ChatMessageToClient) []string {
	var kinds []string
	for _, m := range list {
		kinds = append(kinds, kindOf(m))
	}
	return kinds
}

// texts are the texts among messages.
func texts(list []*chatpb.ChatMessageToClient) (found []string) {
	for _, m := range list {
		if v := viewOf(m); v.kind == kindText {
			found = append(found, v.text)
		}
	}
	return found
}

// view is what matters of a message to most rules, comparable.
type view struct {
	kind, uuid, from, room string
	time                   int64
	amount                 chatpb.AmountOfMessage
	complete               bool
	onlyStore              bool
	keepState              bool // do_not_update_user_state
	force                  bool // internal_force_send_message_to_current_user
	text                   string
}

func viewOf(m *chatpb.ChatMessageToClient) view {
	std := m.GetMessage().GetStandardMessageInfo()
	return view{
		kind: kindOf(m), uuid: m.GetMessageUuid(), from: m.GetSentByAccountId(), room: std.GetChatRoomIdMessageSentFrom(),
		time: m.GetTimestampStored(), amount: std.GetAmountOfMessage(), complete: std.GetMessageHasCompleteInfo(),
		onlyStore: m.GetOnlyStoreMessage(), keepState: std.GetDoNotUpdateUserState(),
		force: std.GetInternalForceSendMessageToCurrentUser(),
		text:  specificsOf(m).GetTextMessage().GetMessageText(),
	}
}

// wantView compares a message with what it should be.
func wantView(t testing.TB, m *chatpb.ChatMessageToClient, v view) {
	t.Helper()
	if got := viewOf(m); got != v {
		t.Errorf("the message is\n%+v, want\n%+v", got, v)
	}
}

// wantUpdateTime checks the form in which a sender sees its own message; id may
// be "" for any.
func wantUpdateTime(t testing.TB, m *chatpb.ChatMessageToClient, r chatRoom, id string, at int64) {
	t.Helper()
	n := specificsOf(m).GetNewUpdateTimeMessage()
	if kindOf(m) != kindNewUpdate || m.GetMessageUuid() != "" || m.GetSentByAccountId() != "" || m.GetTimestampStored() != at ||
		viewOf(m).room != r.id || n.GetMessageTimestampStored() != at || n.GetRepresentedMessageUuid() == "" ||
		id != "" && n.GetRepresentedMessageUuid() != id {
		t.Errorf("the message is %v, want new_update_time of %s at %d in %s", m, id, at, r.id)
	}
}

// event is a message of a room's log, however it is shown: the sender knows it
// by what new_update_time says.
type event struct {
	time int64
	uuid string
}

// eventOf returns the event that m shows; a zero one if m is made for one client.
func eventOf(m *chatpb.ChatMessageToClient) event {
	e := event{m.GetTimestampStored(), m.GetMessageUuid()}
	if n := specificsOf(m).GetNewUpdateTimeMessage(); n != nil {
		e.uuid = n.GetRepresentedMessageUuid()
	}
	return e
}

// eventsOf are the events that messages show.
func eventsOf(list []*chatpb.ChatMessageToClient) (events []event) {
	for _, m := range list {
		if e := eventOf(m); e.time > 0 {
			events = append(events, e)
		}
	}
	return events
}

// wantEvents compares what a client has with what it should have.
func wantEvents(t testing.TB, who string, got, want []event) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s: %d events, want %d: number %d, %+v, is missing", who, len(got), len(want), i, want[i])
		case i >= len(want):
			t.Errorf("%s: %d events, want %d: number %d, %+v, is too much", who, len(got), len(want), i, got[i])
		case got[i] != want[i]:
			t.Errorf("%s: event %d is %+v, want %+v", who, i, got[i], want[i])
		default:
			continue
		}
		return
	}
}
