package main_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

const (
	kick      = commandspb.RemoveFromChatRoomRequest_KICK
	ban       = commandspb.RemoveFromChatRoomRequest_BAN
	inRoom    = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
	isAdmin   = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IS_ADMIN
	enough    = chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE
	completed = chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO
	skeleton  = chatpb.AmountOfMessage_ONLY_SKELETON
)

// history is what a room holds, as a member without anything gets it.
func (u *user) history(t testing.TB, r room) []*chatpb.ChatMessageToClient {
	t.Helper()
	s := u.open(t, position{room: r.id, updated: -1, viewed: time.Now().Add(time.Hour).UnixMilli()})
	defer s.cancel()
	var list []*chatpb.ChatMessageToClient
	for _, m := range s.initial() {
		if viewOf(m).room == r.id {
			list = append(list, m)
		}
	}
	return list
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

// until reads live messages up to one of the kind, and returns it; what comes
// before it in the same room has to be catching up.
func (s *stream) until(kind string) *chatpb.ChatMessageToClient {
	s.t.Helper()
	for {
		m := s.message()
		if kindOf(m) == kind {
			return m
		}
		if v := viewOf(m); !v.keepState {
			s.t.Errorf("%+v before a %s", v, kind)
		}
	}
}

// ---------------------------------------------------------------- create

func TestCreateChatRoom(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	u := dial(t, p.addr).signUp(t)
	s := u.open(t)
	s.initial()
	for _, tt := range []struct{ name, stored string }{
		{"hall", "hall"},
		{"", u.name + "'s chat room"},
		{strings.Repeat("x", 1023), strings.Repeat("x", 1023)},
		{strings.Repeat("é", 511), strings.Repeat("é", 511)},
		{"日本語 🙂", "日本語 🙂"},
	} {
		before := time.Now().UnixMilli()
		r, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: tt.name})
		if err != nil {
			t.Fatal(err)
		}
		if r.GetReturnStatus() != success || r.GetChatRoomName() != tt.stored ||
			!regexp.MustCompile(`^[0-9a-z]{7,8}$`).MatchString(r.GetChatRoomId()) || !regexp.MustCompile(`^[0-9a-z]{3}$`).MatchString(r.GetChatRoomPassword()) {
			t.Fatalf("created %v", r)
		}
		again := r.GetChatRoomInfo()
		if again.GetChatRoomId() != r.GetChatRoomId() || again.GetChatRoomName() != r.GetChatRoomName() || again.GetChatRoomPassword() != r.GetChatRoomPassword() ||
			again.GetLastActivityTimeTimestamp() != r.GetLastActivityTimeTimestamp() ||
			!proto.Equal(again.GetChatRoomCapMessage(), r.GetChatRoomCapMessage()) || !proto.Equal(again.GetCurrentUserJoinedChatMessage(), r.GetCurrentUserJoinedChatMessage()) {
			t.Errorf("created %v, repeated as %v", r, again)
		}
		first, joined := viewOf(r.GetChatRoomCapMessage()), viewOf(r.GetCurrentUserJoinedChatMessage())
		if first.kind != kindCap || first.room != r.GetChatRoomId() || first.from != u.id || first.amount != skeleton || !first.onlyStore || first.uuid == "" || first.time < before {
			t.Errorf("the cap is %+v", first)
		}
		if joined.kind != kindJoined || joined.room != r.GetChatRoomId() || joined.from != u.id || joined.amount != skeleton || !joined.onlyStore || joined.uuid == "" || joined.time <= first.time {
			t.Errorf("the join is %+v, after %+v", joined, first)
		}
		if got := r.GetCurrentUserJoinedChatMessage().GetMessage().GetMessageSpecifics().GetDifferentUserJoinedMessage().GetMemberInfo().GetAccountState(); got != isAdmin {
			t.Errorf("the creator is %v", got)
		}
		if r.GetLastActivityTimeTimestamp() != joined.time {
			t.Errorf("last active at %d, joined at %d", r.GetLastActivityTimeTimestamp(), joined.time)
		}
		// The creator's stream is connected to the room.
		for {
			m := s.message()
			if id := m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage().GetRepresentedMessageUuid(); id == joined.uuid {
				wantUpdateTime(t, m, room{id: r.GetChatRoomId()}, joined.uuid, joined.time)
				break
			} else if id != first.uuid && m.GetMessageUuid() != first.uuid {
				t.Fatalf("got %v", m)
			}
		}
		x := u.say(t, room{id: r.GetChatRoomId()}, "mine")
		wantUpdateTime(t, s.message(), room{id: r.GetChatRoomId()}, x.uuid, x.time)
	}
	for _, name := range []string{strings.Repeat("x", 1024), strings.Repeat("é", 512)} {
		r, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: name})
		if err != nil || r.GetReturnStatus() != invalidParameter || r.GetChatRoomId() != "" {
			t.Errorf("a name of %d bytes: %v, %v", len(name), r, err)
		}
	}
}

// TestCommandLogin: every command judges the login in the same way, and stores
// nothing when it is wrong.
func TestCommandLogin(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	v.join(t, r)
	before := len(u.history(t, r))
	someOID := strings.Repeat("ab", 12)
	type login = chatpb.LoginToServerBasicInfo
	commands := map[string]func(l *login) (chatpb.ReturnStatus, error){
		"create": func(l *login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: l, ChatRoomName: "x"})
			return resp.GetReturnStatus(), err
		},
		"join": func(l *login) (chatpb.ReturnStatus, error) {
			other := *u
			rpc, err := other.commands.JoinChatRoomRPC(soon(t), &commandspb.JoinChatRoomRequest{LoginInfo: l, ChatRoomId: r.id, ChatRoomPassword: r.password})
			if err != nil {
				return 0, err
			}
			first, err := rpc.Recv()
			if err != nil {
				return 0, err
			}
			if len(first.GetMessagesList()) != 1 || !first.GetMessagesList()[0].GetPrimer() || first.GetChatRoomStatus() != 0 {
				t.Errorf("join: the first response is %v", first)
			}
			if second, err := rpc.Recv(); err == nil {
				t.Errorf("join: a second response: %v", second)
			}
			return first.GetMessagesList()[0].GetReturnStatus(), nil
		},
		"leave": func(l *login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.LeaveChatRoomRPC(soon(t), &commandspb.LeaveChatRoomRequest{LoginInfo: l, ChatRoomId: r.id})
			return resp.GetReturnStatus(), err
		},
		"remove": func(l *login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.RemoveFromChatRoomRPC(soon(t), &commandspb.RemoveFromChatRoomRequest{
				LoginInfo: l, MessageUuid: uuid.NewString(), ChatRoomId: r.id, AccountIdToRemove: v.id,
			})
			return resp.GetReturnStatus(), err
		},
		"text": func(l *login) (chatpb.ReturnStatus, error) {
			req := u.textRequest(r, "x", uuid.NewString())
			req.LoginInfo = l
			resp, err := u.commands.ClientMessageToServerRPC(soon(t), req)
			return resp.GetReturnStatus(), err
		},
	}
	for _, tt := range []struct {
		name   string
		change func(*login)
		want   chatpb.ReturnStatus
	}{
		{"account", func(l *login) { l.CurrentAccountId = "x" }, invalidAccount},
		{"no account", func(l *login) { l.CurrentAccountId = "" }, invalidAccount},
		{"version", func(l *login) { l.LetsGoVersion = 2 }, outdated},
		{"token", func(l *login) { l.LoggedInToken = "x" }, invalidToken},
		{"installation", func(l *login) { l.InstallationId = "x" }, invalidInstallation},
		{"admin", func(l *login) { l.AdminInfoUsed = true }, invalidParameter},
		{"account before version", func(l *login) { l.CurrentAccountId, l.LetsGoVersion = "x", 2 }, invalidAccount},
		{"version before token", func(l *login) { l.LetsGoVersion, l.LoggedInToken = 2, "x" }, outdated},
		{"token before installation", func(l *login) { l.LoggedInToken, l.InstallationId = "x", "x" }, invalidToken},
		{"installation before admin", func(l *login) { l.InstallationId, l.AdminInfoUsed = "x", true }, invalidInstallation},
		{"wrong token", func(l *login) { l.LoggedInToken = someOID }, wrongToken},
		{"other installation", func(l *login) { l.InstallationId = uuid.NewString() }, elsewhere},
		{"unknown account", func(l *login) { l.CurrentAccountId = someOID }, noAccount},
	} {
		for name, call := range commands {
			l := u.login()
			tt.change(l)
			if got, err := call(l); err != nil || got != tt.want {
				t.Errorf("%s, %s: %v, %v, want %v", name, tt.name, got, err, tt.want)
			}
		}
	}
	for name, call := range commands {
		if got, err := call(nil); err != nil || got != invalidAccount {
			t.Errorf("%s without a login: %v, %v", name, got, err)
		}
	}
	if after := len(u.history(t, r)); after != before {
		t.Errorf("the room had %d messages, has %d", before, after)
	}
}

// ---------------------------------------------------------------- join, leave, remove

func TestJoinRefusals(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u, banned := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	banned.join(t, r)
	if resp := admin.remove(t, r, ban, banned.id, uuid.NewString()); resp.GetReturnStatus() != success || resp.GetOperationFailed() || resp.GetTimestampStored() <= 0 {
		t.Fatalf("ban: %v", resp)
	}
	long := strings.Repeat("x", 1024)
	for _, tt := range []struct {
		name string
		who  *user
		room room
		want commandspb.ChatRoomStatus
	}{
		{"id too short", u, room{"abcdef", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"id too long", u, room{"abcdefghi", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"id in capitals", u, room{strings.ToUpper("abcdefgh"), "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"no id", u, room{"", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"id before password", u, room{"", "", long}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"long password", u, room{r.id, "", long}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"password before existence", u, room{"zzzzzzzz", "", long}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"no such room", u, room{"zzzzzzzz", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"wrong password", u, room{r.id, "", r.password + "x"}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"no password", u, room{r.id, "", ""}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"banned", banned, r, commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED},
		{"banned, wrong password", banned, room{r.id, "", "x"}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"already in", admin, r, commandspb.ChatRoomStatus_ALREADY_IN_CHAT_ROOM},
		{"already in, wrong password", admin, room{r.id, "", "x"}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
	} {
		j, err := tt.who.tryJoin(soon(t), tt.room)
		if err != nil || j.status != success || j.outcome != tt.want || j.primers != 1 || len(j.messages) > 0 {
			t.Errorf("%s: %+v, %v, want SUCCESS with %v and nothing else", tt.name, j, err, tt.want)
		}
	}
	if got := kindsOf(admin.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined, kindJoined, kindBanned}) {
		t.Errorf("the room holds %v", got)
	}
}

// TestJoinDownload: what a joiner gets.
func TestJoinDownload(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u, gone := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	gone.join(t, r)
	gone.leave(t, r)
	long := strings.Repeat("long ", 200)
	var all []sent
	for i := range 15 {
		all = append(all, admin.say(t, r, fmt.Sprint(i, " ", long)))
	}
	first := u.join(t, r)
	check := func(j joined, state chatpb.AccountStateInChatRoom, others []string) {
		t.Helper()
		kinds := kindsOf(j.messages)
		want := []string{kindStart, kindMember, kindMember, kindCap, kindJoined, kindJoined, kindLeft}
		for range all {
			want = append(want, kindText)
		}
		want = append(append(want, others...), kindJoined, kindFinished)
		if !slices.Equal(kinds, want) {
			t.Fatalf("got %v, want %v", kinds, want)
		}
		if j.primers != 1 {
			t.Errorf("%d primers", j.primers)
		}
		info := j.messages[0].GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
		if info.GetChatRoomId() != r.id || info.GetChatRoomName() != r.name || info.GetChatRoomPassword() != r.password || info.GetAccountState() != state || info.GetTimeJoined() != j.time() {
			t.Errorf("the room is described as %v", info)
		}
		stored := j.messages[3 : len(j.messages)-1]
		last := int64(0)
		for i, m := range stored {
			v := viewOf(m)
			if v.time <= last || !v.onlyStore || v.keepState || v.uuid == "" || v.room != r.id {
				t.Errorf("message %d is %+v", i, v)
			}
			last = v.time
		}
		for i, m := range stored[4 : 4+len(all)] {
			v := viewOf(m)
			fromEnd := len(stored) - 1 - (4 + i) // the own join is not counted
			wantText, wantAmount := "", skeleton
			if fromEnd <= 10 {
				wantText, wantAmount = strings.TrimSpace(all[i].text), completed
			}
			if v.uuid != all[i].uuid || v.time != all[i].time || v.text != wantText || v.amount != wantAmount || v.complete != (wantAmount == completed) {
				t.Errorf("text %d is %+v, want %v of it", i, v, wantAmount)
			}
		}
		own := viewOf(stored[len(stored)-1])
		if own.from != u.id || own.amount != skeleton {
			t.Errorf("the own join is %+v", own)
		}
		if v := viewOf(j.messages[len(j.messages)-1]); v.uuid != "" || v.time != 0 || v.from != u.id {
			t.Errorf("the end is %+v", v)
		}
	}
	check(first, inRoom, nil)

	// Coming back after leaving and after a kick.
	u.leave(t, r)
	check(u.join(t, r), inRoom, []string{kindJoined, kindLeft})
	if resp := admin.remove(t, r, kick, u.id, uuid.NewString()); resp.GetReturnStatus() != success || resp.GetOperationFailed() {
		t.Fatalf("kick: %v", resp)
	}
	check(u.join(t, r), inRoom, []string{kindJoined, kindLeft, kindJoined, kindKicked})

	// A room without members has no admin; who comes next is.
	u.leave(t, r)
	admin.leave(t, r)
	j := u.join(t, r)
	info := j.messages[0].GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
	if info.GetAccountState() != isAdmin {
		t.Errorf("the first one in an empty room is %v", info.GetAccountState())
	}
}

func TestLeaveChatRoom(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u, v := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	for _, id := range []string{"", "abcdef", "abcdefghi", "ABCDEFGH"} {
		resp, err := u.commands.LeaveChatRoomRPC(soon(t), &commandspb.LeaveChatRoomRequest{LoginInfo: u.login(), ChatRoomId: id})
		if err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
			t.Errorf("leave %q: %v, %v", id, resp, err)
		}
	}
	before := time.Now().UnixMilli()
	for _, other := range []room{r, {id: "zzzzzzzz"}} { // not in it
		if at := u.leave(t, other); at < before || at > time.Now().UnixMilli() {
			t.Errorf("left %s at %d, which it was not in, now is %d", other.id, at, time.Now().UnixMilli())
		}
	}
	u.join(t, r)
	v.join(t, r)
	at := admin.leave(t, r) // the first of the others becomes admin
	list := u.history(t, r)
	last := list[len(list)-1]
	if got := last.GetMessage().GetMessageSpecifics().GetDifferentUserLeftMessage().GetNewAdminAccountOid(); kindOf(last) != kindLeft || got != u.id || last.GetTimestampStored() != at || last.GetSentByAccountId() != admin.id {
		t.Errorf("the last message is %v, want that %s left at %d and %s is admin", last, admin.id, at, u.id)
	}
	v.leave(t, r)
	list = u.history(t, r)
	if got := list[len(list)-1].GetMessage().GetMessageSpecifics().GetDifferentUserLeftMessage().GetNewAdminAccountOid(); got != "" {
		t.Errorf("%s became admin when a member left", got)
	}
	resp, err := v.commands.ClientMessageToServerRPC(soon(t), v.textRequest(r, "x", uuid.NewString()))
	if err != nil || resp.GetReturnStatus() != success || !resp.GetUserNotInChatRoom() || resp.GetTimestampStored() != -1 {
		t.Errorf("a text to a room that was left: %v, %v", resp, err)
	}
}

func TestRemoveFromChatRoom(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u, v, stranger := a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	v.join(t, r)
	id := uuid.NewString
	for _, tt := range []struct {
		name   string
		by     *user
		room   room
		kind   commandspb.RemoveFromChatRoomRequest_KickOrBan
		target string
		uuid   string
		status chatpb.ReturnStatus
		failed bool
		time   int64 // 0: not checked
	}{
		{"bad room", admin, room{id: "x"}, kick, u.id, id(), invalidParameter, false, -2},
		{"bad account", admin, r, kick, "x", id(), invalidParameter, false, -2},
		{"bad uuid", admin, r, kick, u.id, "x", invalidParameter, false, -2},
		{"no uuid", admin, r, kick, u.id, "", invalidParameter, false, -2},
		{"bad kind", admin, r, 7, u.id, id(), invalidParameter, false, -2},
		{"itself", admin, r, ban, admin.id, id(), success, false, 0},
		{"itself, by a member", u, r, kick, u.id, id(), success, false, 0},
		{"by a member", u, r, kick, v.id, id(), success, true, 0},
		{"the admin, by a member", u, r, ban, admin.id, id(), success, true, 0},
		{"by a stranger", stranger, r, kick, v.id, id(), success, true, 0},
		{"a stranger", admin, r, ban, stranger.id, id(), success, true, 0},
		{"room that is not there", admin, room{id: "zzzzzzzz"}, kick, v.id, id(), success, true, 0},
	} {
		got := tt.by.remove(t, tt.room, tt.kind, tt.target, tt.uuid)
		if got.GetReturnStatus() != tt.status || tt.status == success && got.GetOperationFailed() != tt.failed || tt.time != 0 && got.GetTimestampStored() != tt.time {
			t.Errorf("%s: %v, want %v, failed %v, time %d", tt.name, got, tt.status, tt.failed, tt.time)
		}
	}
	if got := kindsOf(admin.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined, kindJoined, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}

	// The uuid makes it idempotent.
	once := uuid.NewString()
	first := admin.remove(t, r, kick, u.id, once)
	if first.GetReturnStatus() != success || first.GetOperationFailed() || first.GetTimestampStored() <= 0 {
		t.Fatalf("kick: %v", first)
	}
	for range 2 {
		if again := admin.remove(t, r, kick, u.id, once); !proto.Equal(again, first) {
			t.Errorf("kicked %v, again %v", first, again)
		}
	}
	if other := admin.remove(t, r, kick, u.id, uuid.NewString()); other.GetReturnStatus() != success || !other.GetOperationFailed() {
		t.Errorf("kicked twice: %v", other)
	}
	// A uuid stands for one message of one kind.
	text := admin.say(t, r, "text")
	if got := admin.remove(t, r, kick, v.id, text.uuid); got.GetReturnStatus() != lgError {
		t.Errorf("a kick with the uuid of a text: %v", got)
	}
	resp, err := admin.commands.ClientMessageToServerRPC(soon(t), admin.textRequest(r, "x", once))
	if err != nil || resp.GetReturnStatus() != lgError {
		t.Errorf("a text with the uuid of a kick: %v, %v", resp, err)
	}
	if got := kindsOf(admin.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined, kindJoined, kindJoined, kindKicked, kindText}) {
		t.Errorf("the room holds %v", got)
	}
}

// ---------------------------------------------------------------- messages

func TestSendValidation(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	text := func(s string) *chatpb.MessageSpecifics {
		return &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{TextMessage: &chatpb.TextChatMessage{MessageText: s}}}
	}
	observed := &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{}}}
	base := len(u.history(t, r))
	type result struct {
		status chatpb.ReturnStatus
		time   int64 // 0: any
		out    bool
	}
	bad := result{status: invalidParameter, time: -2}
	for _, tt := range []struct {
		name string
		by   *user
		room string
		uuid string
		body *chatpb.MessageSpecifics
		want result
	}{
		{"no room", u, "", uuid.NewString(), text("x"), bad},
		{"bad room", u, "abcdef", uuid.NewString(), text("x"), bad},
		{"room in capitals", u, "ABCDEFGH", uuid.NewString(), text("x"), bad},
		{"no uuid", u, r.id, "", text("x"), bad},
		{"short uuid", u, r.id, uuid.NewString()[1:], text("x"), bad},
		{"long uuid", u, r.id, uuid.NewString() + "0", text("x"), bad},
		{"uuid without dashes", u, r.id, strings.ReplaceAll(uuid.NewString(), "-", "0"), text("x"), bad},
		{"uuid with a blank", u, r.id, "x x45678-1234-1234-1234-123456789012", text("x"), bad},
		{"no text", u, r.id, uuid.NewString(), text(""), bad},
		{"blank text", u, r.id, uuid.NewString(), text(" \t\r\n "), bad},
		{"10 001 bytes", u, r.id, uuid.NewString(), text(strings.Repeat("x", 10_001)), bad},
		{"5 001 runes of two bytes", u, r.id, uuid.NewString(), text(strings.Repeat("é", 5_001)), bad},
		{"no body", u, r.id, uuid.NewString(), &chatpb.MessageSpecifics{}, bad},
		{"nothing", u, r.id, uuid.NewString(), nil, bad},
		{"observed in no room", u, "", "", observed, bad},
		{"observed in a bad room", u, "x", "", observed, bad},
		{"room that is not there", u, "zzzzzzzz", uuid.NewString(), text("x"), result{success, -1, true}},
		{"not in the room", other, r.id, uuid.NewString(), text("x"), result{success, -1, true}},
		{"observed, not in the room", other, r.id, "", observed, result{success, -1, true}},
		{"observed in a room that is not there", u, "zzzzzzzz", "", observed, result{success, -1, true}},
	} {
		resp, err := tt.by.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
			LoginInfo: tt.by.login(), MessageUuid: tt.uuid, Message: message(tt.room, tt.body),
		})
		if err != nil || resp.GetReturnStatus() != tt.want.status || resp.GetTimestampStored() != tt.want.time || resp.GetUserNotInChatRoom() != tt.want.out {
			t.Errorf("%s: %v, %v, want %+v", tt.name, resp, err, tt.want)
		}
	}
	if resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{LoginInfo: u.login(), MessageUuid: uuid.NewString()}); err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
		t.Errorf("no message: %v, %v", resp, err)
	}
	// Parameters are judged before the login is looked up.
	wrong := *u
	wrong.token = strings.Repeat("a", 24)
	if resp, err := u.commands.ClientMessageToServerRPC(soon(t), wrong.textRequest(r, "", uuid.NewString())); err != nil || resp.GetReturnStatus() != invalidParameter {
		t.Errorf("no text and a wrong token: %v, %v", resp, err)
	}

	// Kinds that only a server makes.
	oid := u.id
	for name, body := range map[string]*chatpb.MessageSpecifics{
		"kicked":      {MessageBody: &chatpb.MessageSpecifics_UserKickedMessage{UserKickedMessage: &chatpb.UserKickedChatMessage{KickedAccountOid: oid}}},
		"banned":      {MessageBody: &chatpb.MessageSpecifics_UserBannedMessage{UserBannedMessage: &chatpb.UserBannedChatMessage{BannedAccountOid: oid}}},
		"joined":      {MessageBody: &chatpb.MessageSpecifics_DifferentUserJoinedMessage{DifferentUserJoinedMessage: &chatpb.DifferentUserJoinedChatRoomChatMessage{}}},
		"left":        {MessageBody: &chatpb.MessageSpecifics_DifferentUserLeftMessage{DifferentUserLeftMessage: &chatpb.DifferentUserLeftChatRoomChatMessage{}}},
		"start":       {MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomStartMessage{ThisUserJoinedChatRoomStartMessage: &chatpb.ThisUserJoinedChatRoomStartChatMessage{}}},
		"member":      {MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomMemberMessage{ThisUserJoinedChatRoomMemberMessage: &chatpb.ThisUserJoinedChatRoomMemberChatMessage{}}},
		"finished":    {MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomFinishedMessage{ThisUserJoinedChatRoomFinishedMessage: &chatpb.ThisUserJoinedChatRoomFinishedChatMessage{}}},
		"this left":   {MessageBody: &chatpb.MessageSpecifics_ThisUserLeftChatRoomMessage{ThisUserLeftChatRoomMessage: &chatpb.ThisUserLeftChatRoomChatMessage{}}},
		"name":        {MessageBody: &chatpb.MessageSpecifics_ChatRoomNameUpdatedMessage{ChatRoomNameUpdatedMessage: &chatpb.ChatRoomNameUpdatedChatMessage{}}},
		"password":    {MessageBody: &chatpb.MessageSpecifics_ChatRoomPasswordUpdatedMessage{ChatRoomPasswordUpdatedMessage: &chatpb.ChatRoomPasswordUpdatedChatMessage{}}},
		"promoted":    {MessageBody: &chatpb.MessageSpecifics_NewAdminPromotedMessage{NewAdminPromotedMessage: &chatpb.NewAdminPromotedChatMessage{PromotedAccountOid: oid}}},
		"cap":         {MessageBody: &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{}}},
		"pinned":      {MessageBody: &chatpb.MessageSpecifics_NewPinnedLocationMessage{NewPinnedLocationMessage: &chatpb.NewPinnedLocationMessage{}}},
		"match":       {MessageBody: &chatpb.MessageSpecifics_MatchCanceledMessage{MatchCanceledMessage: &chatpb.MatchCanceledChatMessage{MatchedAccountOid: oid}}},
		"update time": {MessageBody: &chatpb.MessageSpecifics_NewUpdateTimeMessage{NewUpdateTimeMessage: &chatpb.NewUpdateTimeMessage{}}},
		"cleared":     {MessageBody: &chatpb.MessageSpecifics_HistoryClearedMessage{HistoryClearedMessage: &chatpb.ClientSpecificDoNotUseMessage{}}},
		"loading":     {MessageBody: &chatpb.MessageSpecifics_LoadingMessage{LoadingMessage: &chatpb.ClientSpecificDoNotUseMessage{}}},
	} {
		resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
			LoginInfo: u.login(), MessageUuid: uuid.NewString(), Message: message(r.id, body),
		})
		if err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
			t.Errorf("kind %s: %v, %v", name, resp, err)
		}
	}
	// Kinds that are not served yet.
	quoted := u.say(t, r, "a question")
	base++
	reply := text("an answer")
	reply.GetTextMessage().ActiveMessageInfo = &chatpb.ActiveMessageInfo{ReplyInfo: &chatpb.ReplyChatMessageInfo{
		ReplySpecifics: &chatpb.ReplySpecifics{ReplyBody: &chatpb.ReplySpecifics_TextReply{
			TextReply: &chatpb.TextChatReplyMessage{MessageText: quoted.text},
		}},
		ReplyIsSentFromUserOid: u.id, ReplyIsToMessageUuid: quoted.uuid,
	}}
	// The presence of the information makes a reply, not its content; one
	// without content is not valid in any case.
	empty := text("an answer to nothing")
	empty.GetTextMessage().ActiveMessageInfo = &chatpb.ActiveMessageInfo{ReplyInfo: &chatpb.ReplyChatMessageInfo{}}
	if resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
		LoginInfo: u.login(), MessageUuid: uuid.NewString(), Message: message(r.id, empty),
	}); status.Code(err) != codes.Unimplemented && resp.GetReturnStatus() != invalidParameter {
		t.Errorf("an empty reply: %v, %v", resp, err)
	}
	for name, body := range map[string]*chatpb.MessageSpecifics{
		"reply":    reply,
		"picture":  {MessageBody: &chatpb.MessageSpecifics_PictureMessage{PictureMessage: &chatpb.PictureChatMessage{PictureFileInBytes: []byte("x"), PictureFileSize: 1, ImageHeight: 1, ImageWidth: 1}}},
		"location": {MessageBody: &chatpb.MessageSpecifics_LocationMessage{LocationMessage: &chatpb.LocationChatMessage{Longitude: 1, Latitude: 1}}},
		"mime":     {MessageBody: &chatpb.MessageSpecifics_MimeTypeMessage{MimeTypeMessage: &chatpb.MimeTypeChatMessage{ImageHeight: 1, ImageWidth: 1, UrlOfDownload: "x", MimeType: "image/gif"}}},
		"invite":   {MessageBody: &chatpb.MessageSpecifics_InviteMessage{InviteMessage: &chatpb.InviteChatMessage{InvitedUserAccountOid: other.id, ChatRoomId: r.id}}},
		"edited":   {MessageBody: &chatpb.MessageSpecifics_EditedMessage{EditedMessage: &chatpb.EditedMessageChatMessage{NewMessage: "x", MessageUuid: uuid.NewString()}}},
		"deleted":  {MessageBody: &chatpb.MessageSpecifics_DeletedMessage{DeletedMessage: &chatpb.DeletedMessageChatMessage{DeleteType: chatpb.DeleteType_DELETE_FOR_ALL_USERS, MessageUuid: uuid.NewString()}}},
		"activity": {MessageBody: &chatpb.MessageSpecifics_UserActivityDetectedMessage{UserActivityDetectedMessage: &chatpb.UserActivityDetectedChatMessage{}}},
	} {
		resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
			LoginInfo: u.login(), MessageUuid: uuid.NewString(), Message: message(r.id, body),
		})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("kind %s: %v, %v", name, resp, err)
		}
	}
	if got := len(u.history(t, r)); got != base {
		t.Errorf("the room had %d messages, has %d", base, got)
	}

	// What is right is stored as it should be.
	letters := "zzzzzzzz-ZZZZ-gggg-0000-123456789xyz" // any letters and digits
	full := strings.Repeat("é", 5_000)
	for _, tt := range []struct{ text, stored, uuid string }{
		{"x", "x", letters},
		{"trailing \n\t\r ", "trailing", uuid.NewString()},
		{"  leading", "  leading", uuid.NewString()},
		{"in\nbetween", "in\nbetween", uuid.NewString()},
		{full, full, uuid.NewString()},
		{full + strings.Repeat(" ", 5_000), full, uuid.NewString()},
	} {
		x := u.sayAs(t, r, tt.text, tt.uuid)
		got := u.fullText(t, r, x.uuid)
		if got != tt.stored {
			t.Errorf("%.20q... is stored as %.20q... (%d bytes)", tt.text, got, len(got))
		}
	}
}

// fullText asks for a message in full.
func (u *user) fullText(t testing.TB, r room, id string) string {
	t.Helper()
	s := u.open(t, position{room: r.id, updated: time.Now().Add(time.Hour).UnixMilli(), viewed: time.Now().Add(time.Hour).UnixMilli()})
	defer s.cancel()
	s.initial()
	s.send(fullRequest(r.id, entry{id, completed}))
	list := s.next().GetRequestFullMessageInfoResponse().GetFullMessages().GetFullMessageList()
	if len(list) != 1 || list[0].GetReturnStatus() != success {
		t.Fatalf("the message in full: %v", list)
	}
	return viewOf(list[0]).text
}

func TestObservedTime(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	u := dial(t, p.addr).signUp(t)
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

func TestIdempotency(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, v := a.signUp(t), a.signUp(t)
	r, r2 := u.create(t, "hall"), u.create(t, "yard")
	v.join(t, r)
	s := v.open(t, position{room: r.id, updated: time.Now().Add(time.Hour).UnixMilli(), viewed: 1})
	s.initial()

	// The same message many times, one after the other and at once.
	id := uuid.NewString()
	times := make([]int64, 16)
	var group sync.WaitGroup
	for i := range times {
		group.Go(func() {
			resp, err := u.commands.ClientMessageToServerRPC(soon(t), u.textRequest(r, "once", id))
			if err != nil || resp.GetReturnStatus() != success {
				t.Errorf("send: %v, %v", resp, err)
			}
			times[i] = resp.GetTimestampStored()
		})
	}
	group.Wait()
	slices.Sort(times)
	if times[0] <= 0 || times[0] != times[len(times)-1] {
		t.Errorf("one message, stored at %v", times)
	}
	// Another text under the same uuid is refused: to answer with the first one's
	// time, as the original does, would say that a text is stored which is not.
	other, err := u.commands.ClientMessageToServerRPC(soon(t), u.textRequest(r, "once, but said differently", id))
	if err != nil || other.GetReturnStatus() != lgError {
		t.Errorf("another text under the same uuid: %v, %v", other, err)
	}
	// Somebody else cannot use the uuid in this room; in another room it is free.
	resp, err := v.commands.ClientMessageToServerRPC(soon(t), v.textRequest(r, "mine", id))
	if err != nil || resp.GetReturnStatus() != lgError {
		t.Errorf("the uuid of somebody else's message: %v, %v", resp, err)
	}
	u.sayAs(t, r2, "elsewhere", id)
	last := u.say(t, r, "last")
	if m := s.message(); m.GetMessageUuid() != id || viewOf(m).text != "once" {
		t.Errorf("got %v", m)
	}
	if m := s.message(); m.GetMessageUuid() != last.uuid {
		t.Errorf("got %v", m)
	}
	if got := texts(u.history(t, r)); !slices.Equal(got, []string{"once", "last"}) {
		t.Errorf("the room holds %q", got)
	}
	if got := texts(u.history(t, r2)); !slices.Equal(got, []string{"elsewhere"}) {
		t.Errorf("the other room holds %q", got)
	}
}

// ---------------------------------------------------------------- live

// TestLive: who gets what, in which form.
func TestLive(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u, v, stranger := a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t)
	r, quiet := admin.create(t, "hall"), admin.create(t, "yard")
	open := func(who *user) *stream {
		s := who.open(t)
		s.initial()
		return s
	}
	for _, x := range []*user{u, v} {
		x.join(t, r)
		x.join(t, quiet)
	}
	sAdmin, sU, sV, sStranger := open(admin), open(u), open(v), open(stranger)

	// A text.
	for _, tt := range []struct {
		text, shown string
		complete    bool
	}{
		{"hello", "hello", true},
		{strings.Repeat("x", 255), strings.Repeat("x", 255), true},
		{strings.Repeat("x", 256), strings.Repeat("x", 255), false},
		{strings.Repeat("é", 128), strings.Repeat("é", 127), false},
		{strings.Repeat("🙂", 2_500), strings.Repeat("🙂", 63), false},
	} {
		if !utf8.ValidString(tt.shown) || len(tt.shown) > 255 {
			t.Fatal("the test is wrong")
		}
		x := u.say(t, r, tt.text)
		for _, s := range []*stream{sAdmin, sV} {
			wantView(t, s.message(), view{kind: kindText, uuid: x.uuid, from: u.id, room: r.id, time: x.time, amount: enough, complete: tt.complete, text: tt.shown})
		}
		wantUpdateTime(t, sU.message(), r, x.uuid, x.time)
	}

	// A join, seen by the members and by the joiner.
	j := stranger.join(t, r)
	joinedLive := func(m *chatpb.ChatMessageToClient, who *user, state chatpb.AccountStateInChatRoom, at int64) {
		t.Helper()
		info := m.GetMessage().GetMessageSpecifics().GetDifferentUserJoinedMessage().GetMemberInfo()
		got := viewOf(m)
		if got.kind != kindJoined || got.from != who.id || got.time != at || got.uuid == "" || got.onlyStore || got.keepState ||
			info.GetUserInfo().GetAccountOid() != who.id || info.GetUserInfo().GetAccountName() != who.name ||
			info.GetAccountState() != state || info.GetAccountLastActivityTime() != at {
			t.Errorf("the join is shown as %v", m)
		}
	}
	for _, s := range []*stream{sAdmin, sU, sV} {
		joinedLive(s.message(), stranger, inRoom, j.time())
	}
	wantUpdateTime(t, sStranger.until(kindNewUpdate), r, "", j.time())
	x := admin.say(t, r, "welcome")
	for _, s := range []*stream{sU, sV, sStranger} {
		if m := s.message(); m.GetMessageUuid() != x.uuid {
			t.Errorf("got %v", m)
		}
	}
	wantUpdateTime(t, sAdmin.message(), r, x.uuid, x.time)

	// It leaves, and hears nothing any more.
	at := stranger.leave(t, r)
	var leftUUID string
	for _, s := range []*stream{sAdmin, sU, sV} {
		m := s.message()
		got := viewOf(m)
		if got.kind != kindLeft || got.from != stranger.id || got.time != at || got.uuid == "" || got.keepState || got.onlyStore || !got.complete {
			t.Errorf("the leave is shown as %v", m)
		}
		leftUUID = got.uuid
	}
	wantUpdateTime(t, sStranger.message(), r, leftUUID, at)
	stranger.join(t, quiet) // all of which it is shown comes after
	x = admin.say(t, r, "it has left")
	y := admin.say(t, quiet, "can you hear me?")
	sStranger.until(kindNewUpdate)
	if m := sStranger.message(); m.GetMessageUuid() != y.uuid {
		t.Errorf("after leaving: %v", m)
	}
	for _, s := range []*stream{sU, sV} {
		// Between rooms there is no order.
		var got []string
		for range 3 {
			m := s.message()
			got = append(got, kindOf(m)+" "+m.GetMessage().GetMessageSpecifics().GetTextMessage().GetMessageText())
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{kindJoined + " ", "text can you hear me?", "text it has left"}) {
			t.Errorf("got %q", got)
		}
	}
	for range 3 {
		sAdmin.message()
	}

	// A kick, seen by all and by the kicked one, which may come back.
	id := uuid.NewString()
	kicked := admin.remove(t, r, kick, u.id, id)
	for _, s := range []*stream{sU, sV} {
		m := s.message()
		wantView(t, m, view{kind: kindKicked, uuid: id, from: admin.id, room: r.id, time: kicked.GetTimestampStored(), complete: true})
		if m.GetMessage().GetMessageSpecifics().GetUserKickedMessage().GetKickedAccountOid() != u.id {
			t.Errorf("got %v", m)
		}
	}
	wantUpdateTime(t, sAdmin.message(), r, id, kicked.GetTimestampStored())
	x = v.say(t, r, "it is gone")
	y = v.say(t, quiet, "still here?")
	if m := sU.message(); m.GetMessageUuid() != y.uuid {
		t.Errorf("after a kick: %v", m)
	}
	sAdmin.message()
	sAdmin.message()
	sV.message()
	sV.message()
	j = u.join(t, r)
	wantUpdateTime(t, sU.until(kindNewUpdate), r, "", j.time())
	for _, s := range []*stream{sAdmin, sV} {
		joinedLive(s.message(), u, inRoom, j.time())
	}
	x = v.say(t, r, "back again")
	if m := sU.message(); m.GetMessageUuid() != x.uuid {
		t.Errorf("after coming back: %v", m)
	}
	sAdmin.message()
	sV.message()

	// A ban.
	id = uuid.NewString()
	banned := admin.remove(t, r, ban, u.id, id)
	for _, s := range []*stream{sU, sV} {
		m := s.message()
		wantView(t, m, view{kind: kindBanned, uuid: id, from: admin.id, room: r.id, time: banned.GetTimestampStored(), complete: true})
		if m.GetMessage().GetMessageSpecifics().GetUserBannedMessage().GetBannedAccountOid() != u.id {
			t.Errorf("got %v", m)
		}
	}
	wantUpdateTime(t, sAdmin.message(), r, id, banned.GetTimestampStored())

	// The admin leaves, and somebody else is it.
	at = admin.leave(t, r)
	m := sV.message()
	if got := m.GetMessage().GetMessageSpecifics().GetDifferentUserLeftMessage().GetNewAdminAccountOid(); kindOf(m) != kindLeft || got != v.id || m.GetTimestampStored() != at {
		t.Errorf("got %v", m)
	}
	wantUpdateTime(t, sAdmin.message(), r, m.GetMessageUuid(), at)
	v.say(t, r, "alone")
	y = v.say(t, quiet, "the end")
	for _, s := range []*stream{sAdmin, sU, sStranger} {
		for {
			m := s.message()
			if viewOf(m).room != quiet.id {
				t.Errorf("from a room that was left: %v", m)
			}
			if m.GetMessageUuid() == y.uuid {
				break
			}
		}
	}
}

// TestJoinMeetsLive: with messages stored all the time, what a joiner downloads
// and what its stream brings from then on is everything, in order.
func TestJoinMeetsLive(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin := a.signUp(t)
	r := admin.create(t, "hall")
	joiners := 12
	if testing.Short() {
		joiners = 4
	}
	var users []*user
	var streams []*stream
	for range joiners {
		u := a.signUp(t)
		s := u.open(t)
		s.initial()
		users, streams = append(users, u), append(streams, s)
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	var mu sync.Mutex
	count := 0
	grew := make(chan struct{})
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := uuid.NewString()
				if _, _, err := admin.deliver(t.Context(), r.id, textOf(id), id); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				count++
				close(grew)
				grew = make(chan struct{})
				mu.Unlock()
			}
		})
	}
	more := func(n int) { // waits until n more have been stored
		mu.Lock()
		target := count + n
		mu.Unlock()
		for {
			mu.Lock()
			now, changed := count, grew
			mu.Unlock()
			if now >= target {
				return
			}
			select {
			case <-changed:
			case <-time.After(patience):
				t.Error("nothing is stored any more")
				return
			}
		}
	}
	downloads := make([]joined, joiners)
	more(30)
	var group sync.WaitGroup
	for i, u := range users {
		group.Go(func() { downloads[i] = u.join(t, r) })
		more(20)
	}
	group.Wait()
	more(50)
	close(stop)
	senders.Wait()
	end := admin.say(t, r, "the end")
	if t.Failed() {
		return
	}

	var all []event
	for _, m := range admin.history(t, r) {
		all = append(all, event{m.GetTimestampStored(), m.GetMessageUuid()})
	}
	for i, u := range users {
		var got []event
		for _, m := range downloads[i].messages {
			if m.GetTimestampStored() > 0 {
				got = append(got, event{m.GetTimestampStored(), m.GetMessageUuid()})
			}
		}
		joinTime := downloads[i].time()
		for again := 0; ; {
			m := streams[i].message()
			e := event{m.GetTimestampStored(), m.GetMessageUuid()}
			if n := m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage(); n != nil {
				e.uuid = n.GetRepresentedMessageUuid()
			}
			if e.time <= joinTime {
				again++ // the own join, and catching up
				continue
			}
			got = append(got, e)
			if e.uuid == end.uuid {
				t.Logf("user %d: %d messages, %d of them live, %d twice", i, len(got), len(got)-len(downloads[i].messages), again)
				break
			}
		}
		if !slices.Equal(got, all) {
			for k := range all {
				if k >= len(got) || got[k] != all[k] {
					t.Errorf("%s joined at %d: has %d messages, want %d; number %d is not %v", u.name, joinTime, len(got), len(all), k, all[k])
					break
				}
			}
		}
	}
}

// TestKickRace: whoever is kicked, comes back and is kicked again while
// messages are stored sees every message that was stored while it was in, and
// none that was stored while it was not.
func TestKickRace(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	s := u.open(t)
	s.initial()
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 3 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := uuid.NewString()
				if _, _, err := admin.deliver(t.Context(), r.id, textOf(id), id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	type span struct{ from, to int64 } // times, both without
	var in []span
	for range rounds {
		from := u.join(t, r).time()
		admin.say(t, r, "you are in")
		to := admin.remove(t, r, kick, u.id, uuid.NewString()).GetTimestampStored()
		admin.say(t, r, "you are out")
		in = append(in, span{from, to})
	}
	close(stop)
	senders.Wait()
	u.join(t, r)
	end := admin.say(t, r, "the end")
	got := map[string]bool{}
	last := int64(0)
	for {
		m := s.message()
		v := viewOf(m)
		if v.uuid == end.uuid {
			break
		}
		if v.keepState {
			continue // catching up
		}
		if v.time <= last {
			t.Errorf("%+v after %d", v, last)
		}
		last = v.time
		if v.kind != kindText {
			continue
		}
		got[v.uuid] = true
		if !slices.ContainsFunc(in, func(s span) bool { return s.from < v.time && v.time < s.to }) {
			t.Errorf("got a text of %d, when it was not in the room", v.time)
		}
	}
	n := 0
	for _, m := range admin.history(t, r) {
		v := viewOf(m)
		if v.kind != kindText || !slices.ContainsFunc(in, func(s span) bool { return s.from < v.time && v.time < s.to }) {
			continue
		}
		n++
		if !got[v.uuid] {
			t.Errorf("the text of %d is missing", v.time)
		}
	}
	t.Logf("%d texts in %d stays", n, rounds)
}

// entry and fullRequest ask for messages in full.
type entry struct {
	uuid   string
	amount chatpb.AmountOfMessage
}

func fullRequest(roomID string, entries ...entry) *streampb.ChatToServerRequest {
	req := &streampb.RequestFullMessageInfoRequest{ChatRoomId: roomID}
	for _, e := range entries {
		req.MessageUuidList = append(req.MessageUuidList, &streampb.MessageUUIDWithAmountOfMessage{AmountOfMessagesToRequest: e.amount, MessageUuid: e.uuid})
	}
	return &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{RequestFullMessageInfo: req}}
}
