package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

func commands() []section {
	return []section{
		{"13", "Room commands", []rule{
			{"uuid_makes_a_command_happen_once", happensOnce},
			{"uuid_of_another_command_is_lg_error", uuidTaken},
			{"what_is_not_served_says_so", notServed},
		}},
		{"13.1", "CreateChatRoom", []rule{
			{"room_as_asked_for_and_everything_twice", created},
			{"creator_is_admin_and_first_after_the_cap", createdHistory},
			{"name_of_more_than_1023_bytes_is_invalid", createRefused},
		}},
		{"13.2", "JoinChatRoom", []rule{
			{"refusals_in_order", joinRefusals},
			{"download", joinDownload},
			{"rejoin_after_leave_and_kick", joinAgain},
			{"first_in_an_empty_room_is_admin", joinEmpty},
			{"first_response_is_one_primer", joinPrimer},
		}},
		{"13.3", "LeaveChatRoom", []rule{
			{"illegal_id_is_invalid", leaveInvalid},
			{"not_in_the_room_is_success_now", leaveNotIn},
			{"admin_leaves_to_the_first_in_the_room", leaveAdmin},
			{"who_has_left_is_not_in_the_room", leaveDone},
		}},
		{"13.4", "RemoveFromChatRoom", []rule{
			{"refusals", removeRefusals},
			{"kick_lets_come_back_ban_does_not", removeEffects},
			{"twice_is_once", removeTwice},
			{"removing_is_activity_and_observes", removingIsActivity},
		}},
	}
}

// The uuid of a message makes it happen once: sent again, also at once, it is
// answered with the first one's time.
func happensOnce(t *testing.T, h *harness) {
	a := h.dial(t)
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	v.join(t, r)
	s := v.openLive(t)
	id := uuid.NewString()
	times := make([]int64, 16)
	var group sync.WaitGroup
	for i := range times {
		group.Go(func() {
			x, err := u.trySay(t.Context(), r, "once", id)
			if err != nil {
				t.Error(err)
			}
			times[i] = x.time
		})
	}
	group.Wait()
	if again := u.sayAs(t, r, "once", id); slices.Min(times) <= 0 || slices.Min(times) != slices.Max(times) || again.time != times[0] {
		t.Errorf("one message, stored at %v and %d", times, again.time)
	}
	last := u.say(t, r, "last")
	if m := s.message(); m.GetMessageUuid() != id || viewOf(m).text != "once" {
		t.Errorf("got %v", m)
	}
	s.wantText(last)
	if got := texts(u.history(t, r)); !slices.Equal(got, []string{"once", "last"}) {
		t.Errorf("the room holds %q", got)
	}
}

// A uuid that stands for another command of the room, of another kind, of
// somebody else, or (replaced, it looks like success) with another text, is
// LG_ERROR; in another room it is free.
func uuidTaken(t *testing.T, h *harness) {
	a := h.dial(t)
	u, v := a.signUp(t), a.signUp(t)
	r, other := u.create(t, "hall"), u.create(t, "yard")
	v.join(t, r)
	id := uuid.NewString()
	u.sayAs(t, r, "once", id)
	if resp, err := u.post(t, r.id, id, textBody("once, but said differently")); err != nil || resp.GetReturnStatus() != lgError {
		t.Errorf("another text: %v, %v", resp, err)
	}
	if resp, err := v.post(t, r.id, id, textBody("once")); err != nil || resp.GetReturnStatus() != lgError {
		t.Errorf("somebody else: %v, %v", resp, err)
	}
	if got := u.remove(t, r, kick, v.id, id); got.GetReturnStatus() != lgError {
		t.Errorf("a kick with the uuid of a text: %v", got)
	}
	kicked := uuid.NewString()
	if got := u.remove(t, r, kick, v.id, kicked); got.GetReturnStatus() != success || got.GetOperationFailed() {
		t.Fatalf("kick: %v", got)
	}
	if resp, err := u.post(t, r.id, kicked, textBody("x")); err != nil || resp.GetReturnStatus() != lgError {
		t.Errorf("a text with the uuid of a kick: %v, %v", resp, err)
	}
	u.sayAs(t, other, "elsewhere", id)
	if got := texts(u.history(t, r)); !slices.Equal(got, []string{"once"}) {
		t.Errorf("the room holds %q", got)
	}
	if got := texts(u.history(t, other)); !slices.Equal(got, []string{"elsewhere"}) {
		t.Errorf("the other room holds %q", got)
	}
}

// What of the protocol is not served answers UNIMPLEMENTED, the one gRPC status
// that is not OK.
func notServed(t *testing.T, h *harness) {
	a := h.dial(t)
	ctx, c := soon(t), a.commands
	for name, call := range map[string]func() error{
		"UnMatch": func() error { _, err := c.UnMatchRPC(ctx, &commandspb.UnMatchRequest{}); return err },
		"BlockAndReport": func() error {
			_, err := c.BlockAndReportChatRoomRPC(ctx, &commandspb.BlockAndReportChatRoomRequest{})
			return err
		},
		"Unblock": func() error { _, err := c.UnblockOtherUserRPC(ctx, &commandspb.UnblockOtherUserRequest{}); return err },
		"Promote": func() error { _, err := c.PromoteNewAdminRPC(ctx, &commandspb.PromoteNewAdminRequest{}); return err },
		"UpdateRoomInfo": func() error {
			_, err := c.UpdateChatRoomInfoRPC(ctx, &commandspb.UpdateChatRoomInfoRequest{})
			return err
		},
		"SetPinned": func() error {
			_, err := c.SetPinnedLocationRPC(ctx, &commandspb.SetPinnedLocationRequest{})
			return err
		},
		"UpdateMember": func() error {
			_, err := c.UpdateSingleChatRoomMemberRPC(ctx, &commandspb.UpdateSingleChatRoomMemberRequest{})
			return err
		},
		"UpdateRoom": func() error {
			s, err := c.UpdateChatRoomRPC(ctx, &commandspb.UpdateChatRoomRequest{})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		},
		"RequestServerShutdown": func() error {
			return a.conn.Invoke(ctx, "/manage_server_commands.ManageServerCommandsService/RequestServerShutdownRPC", &commandspb.UnMatchRequest{}, &commandspb.UnMatchResponse{})
		},
		"GetSingleMessage": func() error {
			return a.conn.Invoke(ctx, "/admin_chat_commands.AdminChatRoomCommandsService/GetSingleMessageRPC", &commandspb.UnMatchRequest{}, &commandspb.UnMatchResponse{})
		},
	} {
		if err := call(); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A room has the name that was asked for, or "<name>'s chat room", an id of 7 or
// 8 and a password of 3 letters and digits; the answer says everything twice.
func created(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
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
		first, join := viewOf(r.GetChatRoomCapMessage()), viewOf(r.GetCurrentUserJoinedChatMessage())
		if first.kind != kindCap || first.room != r.GetChatRoomId() || first.from != u.id || first.amount != skeleton || !first.onlyStore || first.uuid == "" || first.time < before {
			t.Errorf("the cap is %+v", first)
		}
		if join.kind != kindJoined || join.room != r.GetChatRoomId() || join.from != u.id || join.amount != skeleton || !join.onlyStore || join.uuid == "" || join.time <= first.time {
			t.Errorf("the join is %+v, after %+v", join, first)
		}
		if got := specificsOf(r.GetCurrentUserJoinedChatMessage()).GetDifferentUserJoinedMessage().GetMemberInfo().GetAccountState(); got != isAdmin {
			t.Errorf("the creator is %v", got)
		}
		if r.GetLastActivityTimeTimestamp() != join.time {
			t.Errorf("last active at %d, joined at %d", r.GetLastActivityTimeTimestamp(), join.time)
		}
	}
}

// The room's first message is its cap, then comes the join of its creator, who
// is its admin; they are stored as they were answered.
func createdHistory(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login()})
	if err != nil {
		t.Fatal(err)
	}
	list := u.history(t, chatRoom{id: r.GetChatRoomId()})
	wantEvents(t, "the room", eventsOf(list), eventsOf([]*chatpb.ChatMessageToClient{r.GetChatRoomCapMessage(), r.GetCurrentUserJoinedChatMessage()}))
	if got := kindsOf(list); !slices.Equal(got, []string{kindCap, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// A name of more than 1023 bytes is invalid, and no room is made.
func createRefused(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	for _, name := range []string{strings.Repeat("x", 1024), strings.Repeat("é", 512)} {
		r, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: name})
		if err != nil || r.GetReturnStatus() != invalidParameter || r.GetChatRoomId() != "" {
			t.Errorf("a name of %d bytes: %v, %v", len(name), r, err)
		}
	}
	if got := u.open(t).initial(); len(got) > 0 {
		t.Errorf("the user is in %v", got)
	}
}

// A join is refused by the first of: illegal id, password too long, no such
// room, wrong password, banned, already in; each is SUCCESS with that status,
// and nothing else.
func joinRefusals(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u, banned := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	banned.join(t, r)
	admin.expel(t, r, ban, banned)
	long := strings.Repeat("x", 1024)
	for _, tt := range []struct {
		name string
		who  *user
		room chatRoom
		want commandspb.ChatRoomStatus
	}{
		{"id too short", u, chatRoom{"abcdef", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"id too long", u, chatRoom{"abcdefghi", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"id in capitals", u, chatRoom{"ABCDEFGH", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"no id", u, chatRoom{"", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"id before password", u, chatRoom{"", "", long}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"long password", u, chatRoom{r.id, "", long}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"password before existence", u, chatRoom{"zzzzzzzz", "", long}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"no such room", u, chatRoom{"zzzzzzzz", "", r.password}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID},
		{"wrong password", u, chatRoom{r.id, "", r.password + "x"}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"no password", u, chatRoom{r.id, "", ""}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"banned", banned, r, commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED},
		{"banned, wrong password", banned, chatRoom{r.id, "", "x"}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
		{"already in", admin, r, commandspb.ChatRoomStatus_ALREADY_IN_CHAT_ROOM},
		{"already in, wrong password", admin, chatRoom{r.id, "", "x"}, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD},
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

// described is a room with a history, of which who joins is told.
type described struct {
	admin, gone *user
	r           chatRoom
	all         []sent
}

func newDescribed(t *testing.T, a *api, n int) *described {
	t.Helper()
	d := &described{admin: a.signUp(t), gone: a.signUp(t)}
	d.r = d.admin.create(t, "hall")
	d.gone.join(t, d.r)
	d.gone.leave(t, d.r)
	for i := range n {
		d.all = append(d.all, d.admin.say(t, d.r, fmt.Sprint(i, strings.Repeat(" long", 200))))
	}
	return d
}

// check holds what u downloaded against the room; since are the kinds of the
// messages between the texts and the own join.
func (d *described) check(t *testing.T, u *user, j joined, state chatpb.AccountStateInChatRoom, since ...string) {
	t.Helper()
	want := []string{kindStart, kindMember, kindMember, kindCap, kindJoined, kindJoined, kindLeft}
	for range d.all {
		want = append(want, kindText)
	}
	want = append(append(want, since...), kindJoined, kindFinished)
	if kinds := kindsOf(j.messages); !slices.Equal(kinds, want) {
		t.Fatalf("got %v, want %v", kinds, want)
	}
	info := specificsOf(j.messages[0]).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
	if info.GetChatRoomId() != d.r.id || info.GetChatRoomName() != d.r.name || info.GetChatRoomPassword() != d.r.password || info.GetAccountState() != state || info.GetTimeJoined() != j.time() {
		t.Errorf("the room is described as %v", info)
	}
	stored := j.messages[3 : len(j.messages)-1]
	last := int64(0)
	for i, m := range stored {
		v := viewOf(m)
		if v.time <= last || !v.onlyStore || v.keepState || v.uuid == "" || v.room != d.r.id || m.GetReturnStatus() != 0 {
			t.Errorf("message %d is %+v", i, v)
		}
		last = v.time
	}
	for i, m := range stored[4 : 4+len(d.all)] {
		v := viewOf(m)
		fromEnd := len(stored) - 1 - (4 + i) // the own join is not counted
		text, amount := "", skeleton
		if fromEnd <= 10 {
			text, amount = d.all[i].text, completed
		}
		if v.uuid != d.all[i].uuid || v.time != d.all[i].time || v.text != text || v.amount != amount || v.complete != (amount == completed) {
			t.Errorf("text %d is %+v, want %v of it", i, v, amount)
		}
	}
	if own := viewOf(stored[len(stored)-1]); own.from != u.id || own.amount != skeleton {
		t.Errorf("the own join is %+v", own)
	}
	if v := viewOf(j.messages[len(j.messages)-1]); v.uuid != "" || v.time != 0 || v.from != u.id {
		t.Errorf("the end is %+v", v)
	}
}

// Who joins is told the room, the other accounts, everything up to the join
// (the last ten messages in full, the others as skeletons), the own join, the
// end.
func joinDownload(t *testing.T, h *harness) {
	a := h.dial(t)
	for _, n := range []int{0, 3, 15} {
		d := newDescribed(t, a, n)
		u := a.signUp(t)
		d.check(t, u, u.join(t, d.r), inRoom)
	}
}

// Who left or was kicked may join again, and is told the room anew, in the old
// place among the members.
func joinAgain(t *testing.T, h *harness) {
	a := h.dial(t)
	d := newDescribed(t, a, 12)
	u := a.signUp(t)
	u.join(t, d.r)
	u.leave(t, d.r)
	d.check(t, u, u.join(t, d.r), inRoom, kindJoined, kindLeft)
	d.admin.expel(t, d.r, kick, u)
	d.check(t, u, u.join(t, d.r), inRoom, kindJoined, kindLeft, kindJoined, kindKicked)
	d.gone.join(t, d.r) // was there before u, and is again
	list := d.admin.open(t).initial()
	if first := specificsOf(list[1]).GetThisUserJoinedChatRoomMemberMessage().GetMemberInfo(); first.GetUserInfo().GetAccountOid() != d.gone.id || first.GetAccountState() != inRoom {
		t.Errorf("the first member is %v", first)
	}
}

// Empty rooms stay, and who comes first into one is its admin.
func joinEmpty(t *testing.T, h *harness) {
	a := h.dial(t)
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	u.leave(t, r)
	j := v.join(t, r)
	if got := specificsOf(j.messages[0]).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo().GetAccountState(); got != isAdmin {
		t.Errorf("the first one in an empty room is %v", got)
	}
	u.join(t, r)
	if got := v.remove(t, r, kick, u.id, uuid.NewString()); got.GetOperationFailed() {
		t.Errorf("it cannot kick: %v", got)
	}
}

// The first response has one message, the primer with the status; no other
// primer follows, whatever happens (the original sends two after a failed login).
func joinPrimer(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	wrong := *u
	wrong.token = someOID()
	if j, err := wrong.tryJoin(soon(t), r); err != nil || j.status != wrongToken || j.primers != 1 || len(j.messages) > 0 {
		t.Errorf("%+v, %v", j, err)
	}
	rpc, err := u.commands.JoinChatRoomRPC(soon(t), &commandspb.JoinChatRoomRequest{LoginInfo: u.login(), ChatRoomId: r.id, ChatRoomPassword: r.password})
	if err != nil {
		t.Fatal(err)
	}
	first, err := rpc.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if list := first.GetMessagesList(); len(list) != 1 || !list[0].GetPrimer() || list[0].GetReturnStatus() != success || first.GetChatRoomStatus() != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED {
		t.Errorf("the first response is %v", first)
	}
	for {
		part, err := rpc.Recv()
		if err != nil {
			break
		}
		for _, m := range part.GetMessagesList() {
			if m.GetPrimer() || m.GetReturnStatus() != 0 {
				t.Errorf("another primer, or a status: %v", m)
			}
		}
	}
}

// An illegal room id is invalid, and the time is -2.
func leaveInvalid(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	for _, id := range []string{"", "abcdef", "abcdefghi", "ABCDEFGH"} {
		resp, err := u.commands.LeaveChatRoomRPC(soon(t), &commandspb.LeaveChatRoomRequest{LoginInfo: u.login(), ChatRoomId: id})
		if err != nil || resp.GetReturnStatus() != invalidParameter || resp.GetTimestampStored() != -2 {
			t.Errorf("leave %q: %v, %v", id, resp, err)
		}
	}
}

// To leave a room that one is not in, or that is not there, is a success, now.
func leaveNotIn(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	before := time.Now().UnixMilli()
	for _, other := range []chatRoom{r, {id: "zzzzzzzz"}} {
		if at := u.leave(t, other); at < before || at > time.Now().UnixMilli() {
			t.Errorf("left %s at %d, now is %d", other.id, at, time.Now().UnixMilli())
		}
	}
	if got := kindsOf(admin.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// When the admin leaves, the first account that is in the room, in the order of
// their coming, is admin; when somebody else leaves, nobody is.
func leaveAdmin(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, gone, u, v := a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	for _, who := range []*user{gone, u, v} {
		who.join(t, r)
	}
	gone.leave(t, r)
	heir := func() string {
		list := v.history(t, r)
		return specificsOf(list[len(list)-1]).GetDifferentUserLeftMessage().GetNewAdminAccountOid()
	}
	if got := heir(); got != "" {
		t.Errorf("%s is admin when a member leaves", got)
	}
	at := admin.leave(t, r)
	if got := heir(); got != u.id {
		t.Errorf("%s is admin, want %s", got, u.id)
	}
	list := v.history(t, r)
	last := list[len(list)-1]
	wantView(t, last, view{kind: kindLeft, uuid: last.GetMessageUuid(), from: admin.id, room: r.id, time: at, complete: true, keepState: true, force: true})
	if got := u.remove(t, r, kick, v.id, uuid.NewString()); got.GetReturnStatus() != success || got.GetOperationFailed() {
		t.Errorf("the new admin kicks: %v", got)
	}
}

// Who has left is not in the room: it cannot send, and its rooms lack it.
func leaveDone(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	u.leave(t, r)
	if resp, err := u.post(t, r.id, uuid.NewString(), textBody("x")); err != nil || resp.GetReturnStatus() != success || !resp.GetUserNotInChatRoom() || resp.GetTimestampStored() != -1 {
		t.Errorf("%v, %v", resp, err)
	}
	if got := u.open(t).initial(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// What cannot be understood is invalid, -2; oneself is success without effect;
// who is no admin, and whom an admin cannot remove, is operation_failed.
func removeRefusals(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u, v, stranger := a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	v.join(t, r)
	id := uuid.NewString
	for _, tt := range []struct {
		name   string
		by     *user
		room   chatRoom
		kind   commandspb.RemoveFromChatRoomRequest_KickOrBan
		target string
		uuid   string
		status chatpb.ReturnStatus
		failed bool
	}{
		{"bad room", admin, chatRoom{id: "x"}, kick, u.id, id(), invalidParameter, false},
		{"bad account", admin, r, kick, "x", id(), invalidParameter, false},
		{"bad uuid", admin, r, kick, u.id, "x", invalidParameter, false},
		{"no uuid", admin, r, kick, u.id, "", invalidParameter, false},
		{"bad kind", admin, r, 7, u.id, id(), invalidParameter, false},
		{"itself", admin, r, ban, admin.id, id(), success, false},
		{"itself, by a member", u, r, kick, u.id, id(), success, false},
		{"by a member", u, r, kick, v.id, id(), success, true},
		{"the admin, by a member", u, r, ban, admin.id, id(), success, true},
		{"by a stranger", stranger, r, kick, v.id, id(), success, true},
		{"a stranger", admin, r, ban, stranger.id, id(), success, true},
		{"nobody", admin, r, kick, someOID(), id(), success, true},
		{"room that is not there", admin, chatRoom{id: "zzzzzzzz"}, kick, v.id, id(), success, true},
	} {
		got := tt.by.remove(t, tt.room, tt.kind, tt.target, tt.uuid)
		if got.GetReturnStatus() != tt.status || got.GetOperationFailed() != tt.failed || tt.status == invalidParameter && got.GetTimestampStored() != -2 || got.GetTimestampStored() > 0 {
			t.Errorf("%s: %v, want %v, failed %v", tt.name, got, tt.status, tt.failed)
		}
	}
	if got := kindsOf(admin.history(t, r)); !slices.Equal(got, []string{kindCap, kindJoined, kindJoined, kindJoined}) {
		t.Errorf("the room holds %v", got)
	}
}

// A kick takes out who may come back, a ban who may not; either takes the room
// from the account's rooms.
func removeEffects(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	out := func() {
		t.Helper()
		if got := u.open(t).initial(); len(got) > 0 {
			t.Errorf("got %v", got)
		}
		if resp, err := u.post(t, r.id, uuid.NewString(), textBody("x")); err != nil || !resp.GetUserNotInChatRoom() {
			t.Errorf("%v, %v", resp, err)
		}
	}
	u.join(t, r)
	admin.expel(t, r, kick, u)
	out()
	u.join(t, r)
	admin.expel(t, r, ban, u)
	out()
	if j, err := u.tryJoin(soon(t), r); err != nil || j.outcome != commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED {
		t.Errorf("%+v, %v", j, err)
	}
}

// A removal sent again is answered as it was; another one of the same account
// has failed.
func removeTwice(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
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
	u.join(t, r) // the repetition must not take effect now
	admin.remove(t, r, kick, u.id, once)
	u.say(t, r, "still here")
}

// A removal is the room's and the admin's last activity, and the admin has
// observed the room with it.
func removingIsActivity(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	for _, how := range []commandspb.RemoveFromChatRoomRequest_KickOrBan{kick, ban} {
		r := admin.create(t, "hall")
		u.join(t, r)
		before := time.Now().UnixMilli()
		at := admin.expel(t, r, how, u)
		for _, m := range admin.open(t).initial() {
			info := specificsOf(m).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
			if info.GetChatRoomId() == r.id && (info.GetUserLastActivityTime() != at || info.GetChatRoomLastActivityTime() != at || info.GetChatRoomLastObservedTime() < before) {
				t.Errorf("%v at %d: %v", how, at, info)
			}
		}
	}
}
