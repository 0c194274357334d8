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
