package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

func sending() []section {
	return []section{
		{"13.7", "ClientMessageToServer", []rule{
			{"validation", sendValidation},
			{"validation_comes_before_login", validationFirst},
			{"kinds_that_only_a_server_makes_are_invalid", serverKinds},
			{"kinds_that_are_not_served_say_so", kindsNotServed},
			{"text_is_stored_without_trailing_white_space", textStored},
			{"text_is_refused_if_too_long_never_dropped", tooLong},
			{"not_in_the_room_is_said", sendNotIn},
			{"observed_time_is_cleaned_and_not_stored", observedTime},
			{"sending_implies_observing", sendingObserves},
			{"sending_makes_sender_and_room_active", sendingIsActivity},
		}},
	}
}

// A message needs a legal room, a uuid and a body that says something; without,
// it is invalid, the time is -2, and nothing is stored.
func sendValidation(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	for name, tt := range map[string]struct {
		room, uuid string
		body       *chatpb.MessageSpecifics
	}{
		"no room":                {"", uuid.NewString(), textBody("x")},
		"bad room":               {"abcdef", uuid.NewString(), textBody("x")},
		"room in capitals":       {"ABCDEFGH", uuid.NewString(), textBody("x")},
		"no uuid":                {r.id, "", textBody("x")},
		"short uuid":             {r.id, uuid.NewString()[1:], textBody("x")},
		"long uuid":              {r.id, uuid.NewString() + "0", textBody("x")},
		"uuid without dashes":    {r.id, strings.ReplaceAll(uuid.NewString(), "-", "0"), textBody("x")},
		"uuid with a blank":      {r.id, "x x45678-1234-1234-1234-123456789012", textBody("x")},
		"no text":                {r.id, uuid.NewString(), textBody("")},
		"blank text":             {r.id, uuid.NewString(), textBody(" \t\r\n ")},
		"no body":                {r.id, uuid.NewString(), &chatpb.MessageSpecifics{}},
		"nothing":                {r.id, uuid.NewString(), nil},
		"observed in no room":    {"", "", observedBody()},
		"observed in a bad room": {"x", "", observedBody()},
	} {
		if resp, err := u.post(t, tt.room, tt.uuid, tt.body); err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 || resp.GetUserNotInChatRoom() {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{LoginInfo: u.login(), MessageUuid: uuid.NewString()}); err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
		t.Errorf("no message: %v, %v", resp, err)
	}
	if got := kindsOf(u.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// What was sent is judged before the login.
func validationFirst(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	wrong := *u
	wrong.token = someOID()
	if resp, err := wrong.post(t, r.id, uuid.NewString(), textBody("")); err != nil || resp.GetReturnStatus() != invalidParameter {
		t.Errorf("no text and a wrong token: %v, %v", resp, err)
	}
	if resp, err := wrong.post(t, r.id, uuid.NewString(), textBody("x")); err != nil || resp.GetReturnStatus() != wrongToken {
		t.Errorf("a text and a wrong token: %v, %v", resp, err)
	}
}

// Kinds of messages that only a server makes are invalid.
func serverKinds(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	for name, body := range map[string]*chatpb.MessageSpecifics{
		"kicked":      {MessageBody: &chatpb.MessageSpecifics_UserKickedMessage{UserKickedMessage: &chatpb.UserKickedChatMessage{KickedAccountOid: u.id}}},
		"banned":      {MessageBody: &chatpb.MessageSpecifics_UserBannedMessage{UserBannedMessage: &chatpb.UserBannedChatMessage{BannedAccountOid: u.id}}},
		"joined":      {MessageBody: &chatpb.MessageSpecifics_DifferentUserJoinedMessage{DifferentUserJoinedMessage: &chatpb.DifferentUserJoinedChatRoomChatMessage{}}},
		"left":        {MessageBody: &chatpb.MessageSpecifics_DifferentUserLeftMessage{DifferentUserLeftMessage: &chatpb.DifferentUserLeftChatRoomChatMessage{}}},
		"start":       {MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomStartMessage{ThisUserJoinedChatRoomStartMessage: &chatpb.ThisUserJoinedChatRoomStartChatMessage{}}},
		"member":      {MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomMemberMessage{ThisUserJoinedChatRoomMemberMessage: &chatpb.ThisUserJoinedChatRoomMemberChatMessage{}}},
		"finished":    {MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomFinishedMessage{ThisUserJoinedChatRoomFinishedMessage: &chatpb.ThisUserJoinedChatRoomFinishedChatMessage{}}},
		"this left":   {MessageBody: &chatpb.MessageSpecifics_ThisUserLeftChatRoomMessage{ThisUserLeftChatRoomMessage: &chatpb.ThisUserLeftChatRoomChatMessage{}}},
		"name":        {MessageBody: &chatpb.MessageSpecifics_ChatRoomNameUpdatedMessage{ChatRoomNameUpdatedMessage: &chatpb.ChatRoomNameUpdatedChatMessage{}}},
		"password":    {MessageBody: &chatpb.MessageSpecifics_ChatRoomPasswordUpdatedMessage{ChatRoomPasswordUpdatedMessage: &chatpb.ChatRoomPasswordUpdatedChatMessage{}}},
		"promoted":    {MessageBody: &chatpb.MessageSpecifics_NewAdminPromotedMessage{NewAdminPromotedMessage: &chatpb.NewAdminPromotedChatMessage{PromotedAccountOid: u.id}}},
		"cap":         {MessageBody: &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{}}},
		"pinned":      {MessageBody: &chatpb.MessageSpecifics_NewPinnedLocationMessage{NewPinnedLocationMessage: &chatpb.NewPinnedLocationMessage{}}},
		"match":       {MessageBody: &chatpb.MessageSpecifics_MatchCanceledMessage{MatchCanceledMessage: &chatpb.MatchCanceledChatMessage{MatchedAccountOid: u.id}}},
		"update time": {MessageBody: &chatpb.MessageSpecifics_NewUpdateTimeMessage{NewUpdateTimeMessage: &chatpb.NewUpdateTimeMessage{}}},
		"cleared":     {MessageBody: &chatpb.MessageSpecifics_HistoryClearedMessage{HistoryClearedMessage: &chatpb.ClientSpecificDoNotUseMessage{}}},
		"loading":     {MessageBody: &chatpb.MessageSpecifics_LoadingMessage{LoadingMessage: &chatpb.ClientSpecificDoNotUseMessage{}}},
	} {
		if resp, err := u.post(t, r.id, uuid.NewString(), body); err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
			t.Errorf("kind %s: %v, %v", name, resp, err)
		}
	}
	if got := kindsOf(u.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// Kinds of messages that are not served yet, and replies, answer UNIMPLEMENTED
// and are not stored.
func kindsNotServed(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	quoted := u.say(t, r, "a question")
	reply, empty := textBody("an answer"), textBody("an answer to nothing")
	reply.GetTextMessage().ActiveMessageInfo = &chatpb.ActiveMessageInfo{ReplyInfo: &chatpb.ReplyChatMessageInfo{
		ReplySpecifics: &chatpb.ReplySpecifics{ReplyBody: &chatpb.ReplySpecifics_TextReply{
			TextReply: &chatpb.TextChatReplyMessage{MessageText: quoted.text},
		}},
		ReplyIsSentFromUserOid: u.id, ReplyIsToMessageUuid: quoted.uuid,
	}}
	// The presence of the information makes a reply, not its content.
	empty.GetTextMessage().ActiveMessageInfo = &chatpb.ActiveMessageInfo{ReplyInfo: &chatpb.ReplyChatMessageInfo{}}
	for name, body := range map[string]*chatpb.MessageSpecifics{
		"reply":       reply,
		"empty reply": empty,
		"picture":     {MessageBody: &chatpb.MessageSpecifics_PictureMessage{PictureMessage: &chatpb.PictureChatMessage{PictureFileInBytes: []byte("x"), PictureFileSize: 1, ImageHeight: 1, ImageWidth: 1}}},
		"location":    {MessageBody: &chatpb.MessageSpecifics_LocationMessage{LocationMessage: &chatpb.LocationChatMessage{Longitude: 1, Latitude: 1}}},
		"mime":        {MessageBody: &chatpb.MessageSpecifics_MimeTypeMessage{MimeTypeMessage: &chatpb.MimeTypeChatMessage{ImageHeight: 1, ImageWidth: 1, UrlOfDownload: "x", MimeType: "image/gif"}}},
		"invite":      {MessageBody: &chatpb.MessageSpecifics_InviteMessage{InviteMessage: &chatpb.InviteChatMessage{InvitedUserAccountOid: someOID(), ChatRoomId: r.id}}},
		"edited":      {MessageBody: &chatpb.MessageSpecifics_EditedMessage{EditedMessage: &chatpb.EditedMessageChatMessage{NewMessage: "x", MessageUuid: uuid.NewString()}}},
		"deleted":     {MessageBody: &chatpb.MessageSpecifics_DeletedMessage{DeletedMessage: &chatpb.DeletedMessageChatMessage{DeleteType: chatpb.DeleteType_DELETE_FOR_ALL_USERS, MessageUuid: uuid.NewString()}}},
		"activity":    {MessageBody: &chatpb.MessageSpecifics_UserActivityDetectedMessage{UserActivityDetectedMessage: &chatpb.UserActivityDetectedChatMessage{}}},
	} {
		if resp, err := u.post(t, r.id, uuid.NewString(), body); status.Code(err) != codes.Unimplemented {
			t.Errorf("kind %s: %v, %v", name, resp, err)
		}
	}
	if got := texts(u.history(t, r)); !slices.Equal(got, []string{quoted.text}) {
		t.Errorf("the room holds %v", got)
	}
}

// A text of 1 to 10 000 bytes, after trailing white space has been removed, is
// stored as it is; its uuid may have any letters and digits.
func textStored(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	full := strings.Repeat("é", 5_000)
	s := u.openLive(t)
	for _, tt := range []struct{ text, stored, uuid string }{
		{"x", "x", "zzzzzzzz-ZZZZ-gggg-0000-123456789xyz"},
		{"trailing \n\t\r ", "trailing", uuid.NewString()},
		{"  leading", "  leading", uuid.NewString()},
		{"in\nbetween", "in\nbetween", uuid.NewString()},
		{full, full, uuid.NewString()},
		{full + strings.Repeat(" ", 5_000), full, uuid.NewString()},
	} {
		x := u.sayAs(t, r, tt.text, tt.uuid)
		s.message()
		s.send(fullRequest(r.id, entry{x.uuid, completed}))
		got := s.answer()
		if len(got.entries) != 1 || viewOf(got.entries[0]).text != tt.stored {
			t.Errorf("%.20q... is stored as %.100v", tt.text, got)
		}
	}
}

// Not copied, a message too large for a stream is dropped silently: a text of
// more than 10 000 bytes is refused when it is sent, and never stored.
func tooLong(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	for name, text := range map[string]string{
		"10 001 bytes": strings.Repeat("x", 10_001), "5 001 runes of two bytes": strings.Repeat("é", 5_001), "a megabyte": strings.Repeat("x", 1<<20),
	} {
		if resp, err := u.post(t, r.id, uuid.NewString(), textBody(text)); err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if got := texts(u.history(t, r)); len(got) > 0 {
		t.Errorf("the room holds %d texts", len(got))
	}
}

// Who is not in the room, or names one that is not there, gets SUCCESS,
// user_not_in_chat_room and -1.
func sendNotIn(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	for name, tt := range map[string]struct {
		room string
		uuid string
		body *chatpb.MessageSpecifics
	}{
		"a text":                             {r.id, uuid.NewString(), textBody("x")},
		"a text to a room that is not there": {"zzzzzzzz", uuid.NewString(), textBody("x")},
		"observed":                           {r.id, "", observedBody()},
		"observed a room that is not there":  {"zzzzzzzz", "", observedBody()},
	} {
		if resp, err := other.post(t, tt.room, tt.uuid, tt.body); err != nil || resp.GetReturnStatus() != success || !resp.GetUserNotInChatRoom() || resp.GetTimestampStored() != -1 {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if got := kindsOf(u.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// An observed time between 2021 and now is answered as it is, any other as now;
// nothing is stored in the room.
func observedTime(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	oldest := int64(51 * 365 * 24 * 3600 * 1000)
	for _, at := range []int64{oldest + 1, time.Now().UnixMilli() - 1000, time.Now().UnixMilli()} {
		if resp := u.observe(t, r, at); resp.GetReturnStatus() != success || resp.GetTimestampStored() != at || resp.GetUserNotInChatRoom() {
			t.Errorf("observed at %d: %v", at, resp)
		}
	}
	for _, at := range []int64{0, -1, 1, oldest - 1, time.Now().Add(time.Hour).UnixMilli(), 1 << 62} {
		before := time.Now().UnixMilli()
		resp := u.observe(t, r, at)
		if got := resp.GetTimestampStored(); resp.GetReturnStatus() != success || got < before || got > time.Now().UnixMilli() {
			t.Errorf("observed at %d: %v, want now", at, resp)
		}
	}
	if got := kindsOf(u.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// Whoever sends a message has observed the room, as late as it says, or now.
func sendingObserves(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	first := observedTold(t, u, r, -1)
	eventually(t, "a later time", func() bool { return time.Now().UnixMilli() > first+1 })
	request := u.textRequest(r, "x", uuid.NewString())
	request.TimestampObserved = first + 1
	if resp, err := u.commands.ClientMessageToServerRPC(soon(t), request); err != nil || resp.GetReturnStatus() != success {
		t.Fatalf("%v, %v", resp, err)
	}
	if got := observedTold(t, u, r, -1); got != first+1 {
		t.Errorf("observed at %d, want %d", got, first+1)
	}
	before := time.Now().UnixMilli()
	u.say(t, r, "y")
	if got := observedTold(t, u, r, -1); got < before {
		t.Errorf("observed at %d, sent at %d", got, before)
	}
}

// A message is its sender's last activity and the room's.
func sendingIsActivity(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	x := u.say(t, r, "x")
	y := admin.say(t, r, "y")
	list := admin.open(t).initial()
	info := specificsOf(list[0]).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
	member := specificsOf(list[1]).GetThisUserJoinedChatRoomMemberMessage().GetMemberInfo()
	if info.GetUserLastActivityTime() != y.time || info.GetChatRoomLastActivityTime() != y.time || member.GetAccountLastActivityTime() != x.time {
		t.Errorf("sent at %d and %d: %v, %v", x.time, y.time, info, member)
	}
}
