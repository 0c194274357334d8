package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

func collection() []section {
	return []section{
		{"4.1", "Data collection", []rule{
			{"grammar_of_chat_room_values", roomValues},
			{"added_removed_updated_each_by_id", roomOrder},
			{"added_room_is_described_then_complete", addedRoom},
			{"added_room_is_observed_as_the_server_knows", addedRoomObserved},
			{"added_rooms_members_in_order_of_their_coming", addedRoomMembers},
			{"removed_room_is_said_once", removedRoom},
			{"updated_room_sends_what_is_newer", updatedRoom},
			{"observed_time_is_told_if_newer", observedTimeTold},
			{"observed_time_is_raised_never_lowered", observedTimeRaised},
			{"position_is_exact", positionExact},
			{"position_later_than_now_is_now", positionClamped},
			{"first_entry_of_a_room_counts", firstEntry},
			{"minus_one_is_the_complete_history", positionMinusOne},
			{"listed_uuids_are_left_out", listedUUIDs},
			{"place_in_the_log_is_exact", placeExact},
			{"place_of_another_log_gets_the_room_anew", placeLost},
			{"client_may_be_ahead_of_a_server", clientAhead},
			{"kick_meanwhile_is_never_hidden", kickMeanwhile},
			{"join_meanwhile_is_never_hidden", joinMeanwhile},
			{"what_only_new_clients_understand_is_not_sent", noNewThings},
		}},
	}
}

// chat_room_values is rooms with "::" between them, each id, time updated, time
// viewed, number of uuids, uuids; one delimiter at the end is allowed; illegal
// ids and repetitions are dropped; anything else is refused with 44.
func roomValues(t *testing.T, h *harness) {
	// The user is in no room, so that every room that is taken in comes back as
	// one that was left.
	u := h.dial(t).signUp(t)
	id36 := uuid.NewString()
	far := fmt.Sprint(time.Now().AddDate(20, 0, 0).UnixMilli())
	for _, tt := range []struct {
		value string
		bad   bool
		left  string // rooms
	}{
		{value: ""},
		{value: "abcdefgh::-1::-1::0", left: "abcdefgh"},
		{value: "abcdefgh::-1::-1::0::", left: "abcdefgh"},
		{value: "abcdefg::-1::-1::0::", left: "abcdefg"},
		{value: "zz345678::1::2::0::a1234567::3::4::0::", left: "a1234567 zz345678"},
		{value: "zz345678::1::2::0::a1234567::3::4::0", left: "a1234567 zz345678"},
		{value: "abcdefgh::1::2::1::" + id36, left: "abcdefgh"},
		{value: "abcdefgh::1::2::2::" + id36 + "::" + id36 + "::", left: "abcdefgh"},
		{value: "abcdefgh::1::2::1::no uuid at all", left: "abcdefgh"},
		{value: "abcdefgh::1::2::1::a:b:c", left: "abcdefgh"},
		{value: "abcdefgh::1::2::1::::", left: "abcdefgh"}, // an empty uuid
		{value: "abcdefgh::1::2::2::::x", left: "abcdefgh"},
		{value: "abcdefgh::0::0::0", left: "abcdefgh"},
		{value: "abcdefgh::00000000000001::1::0", left: "abcdefgh"},
		{value: "abcdefgh::99999999999999::99999999999999::0", left: "abcdefgh"},
		{value: "abcdefgh::" + far + "::" + far + "::0", left: "abcdefgh"},
		{value: "abcdefgh::1::1::0000000000", left: "abcdefgh"},
		{value: "abcdefgh::1::1::0000000001::x", left: "abcdefgh"},

		// Rooms that cannot exist, and repetitions, are dropped.
		{value: "abc::1::1::0::abcdefgh::1::1::0", left: "abcdefgh"},
		{value: "ABCDEFGH::1::1::0"},
		{value: "abcdefghi::1::1::0"},
		{value: "abc efgh::1::1::0"},
		{value: "::1::1::0"},
		{value: "abcdefgh::1::1::0::abcdefgh::2::2::1::x", left: "abcdefgh"},

		{value: "::", bad: true},
		{value: "::::", bad: true},
		{value: "abcdefgh", bad: true},
		{value: "abcdefgh::", bad: true},
		{value: "abcdefgh::1", bad: true},
		{value: "abcdefgh::1::", bad: true},
		{value: "abcdefgh::1::1", bad: true},
		{value: "abcdefgh::1::1::", bad: true},
		{value: "abcdefgh::1::1::0::::", bad: true}, // two delimiters at the end
		{value: "abcdefgh::1::1::0::b", bad: true},
		{value: "abcdefgh::1::1::0::bcdefghi::1::1", bad: true},
		{value: "abcdefgh::1::1::1", bad: true},
		{value: "abcdefgh::1::1::1::", bad: true}, // the delimiter makes no token
		{value: "abcdefgh::1::1::2::x", bad: true},
		{value: "abcdefgh::1::1::1::x::y", bad: true},
		{value: "abcdefgh::1::1::1::" + id36 + "0", bad: true},
		{value: "abcdefgh::::1::0", bad: true},
		{value: "abcdefgh::1::::0", bad: true},
		{value: "abcdefgh::1::1::::", bad: true},
		{value: "abcdefgh::-2::1::0", bad: true},
		{value: "abcdefgh::1::-2::0", bad: true},
		{value: "abcdefgh::-::1::0", bad: true},
		{value: "abcdefgh::--1::1::0", bad: true},
		{value: "abcdefgh::+1::1::0", bad: true},
		{value: "abcdefgh:: 1::1::0", bad: true},
		{value: "abcdefgh::1 ::1::0", bad: true},
		{value: "abcdefgh::x::1::0", bad: true},
		{value: "abcdefgh::1::x::0", bad: true},
		{value: "abcdefgh::1.5::1::0", bad: true},
		{value: "abcdefgh::123456789012345::1::0", bad: true},
		{value: "abcdefgh::1::123456789012345::0", bad: true},
		{value: "abcdefgh::000000000000001::1::0", bad: true},
		{value: "abcdefgh::1::1::-1", bad: true},
		{value: "abcdefgh::1::1::x", bad: true},
		{value: "abcdefgh::1::1::+0", bad: true},
		{value: "abcdefgh::1::1::00000000000", bad: true},
		{value: "abcdefgh::1::1::9999999999", bad: true},
		{value: "abcdefgh::1::1::4294967296::", bad: true},
		{value: "abcdefgh:1:1:0", bad: true},
	} {
		t.Run(tt.value, func(t *testing.T) {
			md := u.metadata()
			md.Set("chat_room_values", tt.value)
			status := success
			if tt.bad {
				status = invalidParameter
			}
			var left []string
			for _, m := range wantOpening(t, u, md, status) {
				if kindOf(m) != kindThisLeft {
					t.Errorf("got %v", m)
				}
				left = append(left, viewOf(m).room)
			}
			if got := strings.Join(left, " "); got != tt.left {
				t.Errorf("left %q, want %q", got, tt.left)
			}
		})
	}
}

// Rooms that the client lacks come first, then those it is no longer in, then
// those it knows; each ascending by id.
func roomOrder(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	var rooms []chatRoom
	for range 7 {
		rooms = append(rooms, admin.create(t, "room"))
	}
	slices.SortFunc(rooms, func(a, b chatRoom) int { return strings.Compare(a.id, b.id) })
	known1, added1, left, added2, kicked, known2, banned := rooms[0], rooms[1], rooms[2], rooms[3], rooms[4], rooms[5], rooms[6]
	for _, r := range rooms {
		u.join(t, r)
		admin.say(t, r, "something")
	}
	u.leave(t, left)
	admin.expel(t, kicked, kick, u)
	admin.expel(t, banned, ban, u)
	// In no order of its own.
	var list []position
	for _, id := range []string{known2.id, "zzzzzz9", banned.id, left.id, known1.id, kicked.id} {
		list = append(list, position{room: id, updated: 1, viewed: never})
	}
	var order []string
	for _, m := range u.open(t, list...).initial() {
		if id := viewOf(m).room; len(order) == 0 || order[len(order)-1] != id {
			order = append(order, id)
		}
	}
	gone := []string{left.id, kicked.id, banned.id, "zzzzzz9"}
	slices.Sort(gone)
	if want := slices.Concat([]string{added1.id, added2.id}, gone, []string{known1.id, known2.id}); !slices.Equal(order, want) {
		t.Errorf("the rooms come as %v, want %v", order, want)
	}
}

// A room that the client lacks is described (start), then its other accounts,
// then every message as a skeleton that is to be stored only, then finished.
func addedRoom(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u, third := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	third.join(t, r)
	j := u.join(t, r)
	third.leave(t, r)
	u.say(t, r, "own messages too")
	x := admin.say(t, r, "text of a room")

	list := u.open(t).initial()
	want := []string{kindStart, kindMember, kindMember, kindCap, kindJoined, kindJoined, kindJoined, kindLeft, kindText, kindText, kindFinished}
	if kinds := kindsOf(list); !slices.Equal(kinds, want) {
		t.Fatalf("got %v, want %v", kinds, want)
	}
	info := specificsOf(list[0]).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
	if info.GetChatRoomId() != r.id || info.GetChatRoomName() != r.name || info.GetChatRoomPassword() != r.password ||
		info.GetAccountState() != inRoom || info.GetTimeJoined() != j.time() || info.GetChatRoomLastActivityTime() != x.time ||
		info.GetLongitudePinnedLocation() != 181 || info.GetLatitudePinnedLocation() != 91 ||
		info.GetMatchMadeChatRoomOid() != "" || info.GetEventOid() != "" || len(info.GetQrCodeImageBytes()) > 0 || info.GetQrCodeMessage() != "" || info.GetQrCodeTimestamp() != 0 {
		t.Errorf("the room is described as %v", info)
	}
	if v := viewOf(list[0]); v.from != u.id || !v.force || v.uuid != "" || v.time != 0 || v.room != r.id {
		t.Errorf("the start is %+v", v)
	}
	last := int64(0)
	for _, m := range list[3 : len(list)-1] {
		v := viewOf(m)
		if !v.onlyStore || !v.keepState || !v.force || v.uuid == "" || v.time <= last || v.amount != skeleton || v.text != "" ||
			specificsOf(m).GetDifferentUserJoinedMessage().GetMemberInfo().GetUserInfo() != nil {
			t.Errorf("a message of the history is %v", m)
		}
		last = v.time
	}
	wantView(t, list[9], view{kind: kindText, uuid: x.uuid, from: admin.id, room: r.id, time: x.time, onlyStore: true, keepState: true, force: true})
	if v := viewOf(list[10]); !v.keepState || v.from != u.id || v.uuid != "" || v.time != 0 ||
		specificsOf(list[10]).GetThisUserJoinedChatRoomFinishedMessage().GetAutomaticJoinType() != nil {
		t.Errorf("the end is %+v", v)
	}
}

// A room that the client lacks is described with the own state, the own last
// activity and the time observed as the server has them.
func addedRoomObserved(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	x := u.say(t, r, "active")
	info := specificsOf(u.open(t).initial()[0]).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
	if info.GetAccountState() != isAdmin || info.GetUserLastActivityTime() != x.time {
		t.Errorf("the room is described as %v, last text at %d", info, x.time)
	}
	observed := max(time.Now().UnixMilli(), info.GetChatRoomLastObservedTime()+1)
	eventually(t, "a later time than the last text's", func() bool { return time.Now().UnixMilli() >= observed })
	u.observe(t, r, observed)
	info = specificsOf(u.open(t).initial()[0]).GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
	if info.GetChatRoomLastObservedTime() != observed || info.GetUserLastActivityTime() != x.time {
		t.Errorf("observed at %d: the room is described as %v", observed, info)
	}
}

// The other accounts of a room come in the order in which they came in, those
// who left and those who are banned too, with name, state and last activity.
func addedRoomMembers(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, gone, banned, u, later := a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	for _, who := range []*user{gone, banned, u, later} {
		who.join(t, r)
	}
	gone.leave(t, r)
	admin.expel(t, r, ban, banned)
	x := later.say(t, r, "active")
	list := u.open(t).initial()
	for i, want := range []struct {
		who   *user
		state chatpb.AccountStateInChatRoom
	}{{admin, isAdmin}, {gone, notInRoom}, {banned, isBanned}, {later, inRoom}} {
		m := list[1+i]
		info := specificsOf(m).GetThisUserJoinedChatRoomMemberMessage().GetMemberInfo()
		if info.GetUserInfo().GetAccountOid() != want.who.id || info.GetUserInfo().GetAccountName() != want.who.name || info.GetAccountState() != want.state ||
			info.GetUserInfo().GetAccountType() != chatpb.UserAccountType_USER_ACCOUNT_TYPE || info.GetAccountLastActivityTime() <= 0 {
			t.Errorf("member %d is %v, want %s %v", i, m, want.who.name, want.state)
		}
		if v := viewOf(m); v.from != u.id || v.uuid != "" || v.time != 0 || v.room != r.id {
			t.Errorf("member %d is %+v", i, v)
		}
		if want.who == later && info.GetAccountLastActivityTime() != x.time {
			t.Errorf("last active at %d, said something at %d", info.GetAccountLastActivityTime(), x.time)
		}
	}
	if kindOf(list[5]) != kindCap {
		t.Errorf("a fifth member: %v", list[5])
	}
}

// A room that the client lists and the account is not in, left, kicked, banned
// or never there, is one this_user_left.
func removedRoom(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	left, kicked, banned, foreign := admin.create(t, "1"), admin.create(t, "2"), admin.create(t, "3"), admin.create(t, "4")
	for _, r := range []chatRoom{left, kicked, banned} {
		u.join(t, r)
	}
	u.leave(t, left)
	admin.expel(t, kicked, kick, u)
	admin.expel(t, banned, ban, u)
	var list []position
	want := map[string]bool{}
	for _, id := range []string{left.id, kicked.id, banned.id, foreign.id, "zzzzzz9"} {
		list, want[id] = append(list, position{room: id, updated: -1, viewed: -1}), true
	}
	for _, m := range u.open(t, list...).initial() {
		id := viewOf(m).room
		if !want[id] {
			t.Errorf("twice, or unexpected: %v", m)
		}
		delete(want, id)
		wantView(t, m, view{kind: kindThisLeft, from: u.id, room: id, complete: true, force: true})
	}
	if len(want) > 0 {
		t.Errorf("nothing of %v", want)
	}
}

// A room that the client knows sends what is newer, enough of it to display,
// joins with who it is; the client acts on it, but not on its own membership.
func updatedRoom(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u, third := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	long := strings.Repeat("é", 200) // 400 bytes
	cut := strings.Repeat("é", 127)  // 254 bytes, the 255th is half a rune
	x := []sent{admin.say(t, r, "one"), admin.say(t, r, long), u.say(t, r, "mine")}
	j := third.join(t, r)
	at := third.leave(t, r)

	list := u.open(t, position{room: r.id, updated: since, viewed: never}).initial()
	if kinds := kindsOf(list); !slices.Equal(kinds, []string{kindText, kindText, kindText, kindJoined, kindLeft}) {
		t.Fatalf("got %v", kinds)
	}
	wantView(t, list[0], view{kind: kindText, uuid: x[0].uuid, from: admin.id, room: r.id, time: x[0].time, amount: enough, complete: true, keepState: true, force: true, text: "one"})
	wantView(t, list[1], view{kind: kindText, uuid: x[1].uuid, from: admin.id, room: r.id, time: x[1].time, amount: enough, keepState: true, force: true, text: cut})
	wantView(t, list[2], view{kind: kindText, uuid: x[2].uuid, from: u.id, room: r.id, time: x[2].time, amount: enough, complete: true, keepState: true, force: true, text: "mine"})
	wantView(t, list[3], view{kind: kindJoined, uuid: list[3].GetMessageUuid(), from: third.id, room: r.id, time: j.time(), complete: true, keepState: true, force: true})
	wantView(t, list[4], view{kind: kindLeft, uuid: list[4].GetMessageUuid(), from: third.id, room: r.id, time: at, complete: true, keepState: true, force: true})
	info := specificsOf(list[3]).GetDifferentUserJoinedMessage().GetMemberInfo()
	if info.GetUserInfo().GetAccountOid() != third.id || info.GetUserInfo().GetAccountName() != third.name ||
		info.GetAccountState() != inRoom || info.GetAccountLastActivityTime() != j.time() {
		t.Errorf("the join is %v", list[3])
	}
}

// observedTold is what a stream that viewed the room then is told of the time
// observed; 0 for nothing.
func observedTold(t *testing.T, u *user, r chatRoom, viewed int64) int64 {
	t.Helper()
	s := u.open(t, position{room: r.id, updated: never, viewed: viewed})
	defer s.cancel()
	list := s.initial()
	if len(list) == 0 {
		return 0
	}
	told := specificsOf(list[0]).GetUpdateObservedTimeMessage().GetChatRoomLastObservedTime()
	wantView(t, list[0], view{kind: kindObserved, from: u.id, room: r.id, complete: true, force: true})
	if len(list) != 1 {
		t.Errorf("got %v", list)
	}
	return told
}

// In a room that the client knows the time observed comes first, if the
// server's is newer than the client's, and not otherwise.
func observedTimeTold(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	first := observedTold(t, u, r, -1)
	if first <= 0 {
		t.Fatal("nothing is told of the time observed")
	}
	for viewed, want := range map[int64]int64{0: first, 1: first, first - 1: first, first: 0} {
		if got := observedTold(t, u, r, viewed); got != want {
			t.Errorf("viewed at %d: told %d, want %d", viewed, got, want)
		}
	}
	x := u.say(t, r, "x")
	list := u.open(t, position{room: r.id, updated: x.time - 1, viewed: 1}).initial()
	if kinds := kindsOf(list); !slices.Equal(kinds, []string{kindObserved, kindText}) {
		t.Errorf("got %v", kinds)
	}
}

// What the client says that it has observed raises the time observed, up to
// now, and never lowers it.
func observedTimeRaised(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	first := observedTold(t, u, r, -1)
	eventually(t, "a later time", func() bool { return time.Now().UnixMilli() > first+1 })
	if got := observedTold(t, u, r, first+1); got != 0 {
		t.Errorf("told %d, which is what the client said", got)
	}
	if got := observedTold(t, u, r, -1); got != first+1 {
		t.Errorf("observed at %d, want %d", got, first+1)
	}
	before := time.Now().UnixMilli()
	observedTold(t, u, r, before+3_600_000)
	if got := observedTold(t, u, r, 1); got < before || got > time.Now().UnixMilli() {
		t.Errorf("an hour from now was taken as %d, now is %d", got, time.Now().UnixMilli())
	}
}

// talk is a room with ten texts, every third of which is u's.
func talk(t *testing.T, a *api) (u *user, r chatRoom, since int64, all []sent) {
	admin := a.signUp(t)
	u = a.signUp(t)
	r = admin.create(t, "hall")
	since = u.join(t, r).time()
	for i := range 10 {
		who := admin
		if i%3 == 2 {
			who = u
		}
		all = append(all, who.say(t, r, fmt.Sprint(i)))
	}
	return u, r, since, all
}

// wantMissed checks what a stream with this position of a talk is told.
func wantMissed(t *testing.T, u *user, pos position, want string) {
	t.Helper()
	pos.viewed = never
	s := u.open(t, pos)
	defer s.cancel()
	var got []string
	for _, m := range s.initial() {
		if v := viewOf(m); v.kind == kindText {
			got = append(got, v.text)
		} else {
			got = append(got, v.kind)
		}
	}
	if got := strings.Join(got, " "); got != want {
		t.Errorf("at %d without %d: %q, want %q", pos.updated, len(pos.uuids), got, want)
	}
}

// Replaced, 20 s before the client's time: exactly what is newer than it comes.
func positionExact(t *testing.T, h *harness) {
	u, r, since, all := talk(t, h.dial(t))
	for updated, want := range map[int64]string{
		since:           "0 1 2 3 4 5 6 7 8 9",
		all[0].time - 1: "0 1 2 3 4 5 6 7 8 9",
		all[0].time:     "1 2 3 4 5 6 7 8 9",
		all[8].time:     "9",
		all[9].time:     "",
	} {
		wantMissed(t, u, position{room: r.id, updated: updated}, want)
	}
}

// A time later than now is taken as now: nothing that is stored later is
// missed.
func positionClamped(t *testing.T, h *harness) {
	u, r, _, all := talk(t, h.dial(t))
	wantMissed(t, u, position{room: r.id, updated: all[9].time + 3_600_000}, "")
	s := u.openLive(t, position{room: r.id, updated: never, viewed: never})
	x := u.say(t, r, "live")
	wantUpdateTime(t, s.message(), r, x.uuid, x.time)
	s.close()
	wantMissed(t, u, position{room: r.id, updated: all[9].time}, "live")
}

// Of a room that is listed twice the first entry counts.
func firstEntry(t *testing.T, h *harness) {
	u, r, since, all := talk(t, h.dial(t))
	first, second := position{room: r.id, updated: all[8].time, viewed: never}, position{room: r.id, updated: since, viewed: never}
	if got := texts(u.open(t, first, second).initial()); !slices.Equal(got, []string{"9"}) {
		t.Errorf("got %q", got)
	}
	if got := texts(u.open(t, second, first).initial()); len(got) != len(all) {
		t.Errorf("got %q", got)
	}
}

// A time of -1 is the room's complete history, in the form of what was missed.
func positionMinusOne(t *testing.T, h *harness) {
	u, r, _, _ := talk(t, h.dial(t))
	all := "chat_room_cap different_user_joined different_user_joined 0 1 2 3 4 5 6 7 8 9"
	wantMissed(t, u, position{room: r.id, updated: -1}, all)
	wantMissed(t, u, position{room: r.id, updated: 0}, all)
	for _, m := range u.history(t, r) {
		if v := viewOf(m); v.onlyStore || !v.keepState || !v.force {
			t.Errorf("got %+v", v)
		}
	}
}

// Messages whose uuids the client lists are left out of what it missed, this
// once.
func listedUUIDs(t *testing.T, h *harness) {
	u, r, since, all := talk(t, h.dial(t))
	listed := func(updated int64, list ...int) position {
		pos := position{room: r.id, updated: updated}
		for _, i := range list {
			pos.uuids = append(pos.uuids, all[i].uuid)
		}
		return pos
	}
	wantMissed(t, u, listed(all[3].time, 0, 1, 2, 3), "4 5 6 7 8 9")
	wantMissed(t, u, listed(all[3].time, 5, 8), "4 6 7 9")
	wantMissed(t, u, listed(all[3].time, 9, 8, 7, 6, 5, 4), "")
	wantMissed(t, u, listed(since, 4), "0 1 2 3 5 6 7 8 9")
	wantMissed(t, u, listed(since), "0 1 2 3 4 5 6 7 8 9")
}

// Beyond the original, chat_room_positions: a client that names a place in the
// room's log gets exactly what follows it.
func placeExact(t *testing.T, h *harness) {
	u, r, _, all := talk(t, h.dial(t))
	log := u.history(t, r)
	for i, m := range log {
		if m.GetSeq() != uint64(i+1) {
			t.Fatalf("message %d is at %d", i, m.GetSeq())
		}
		md := u.metadata(position{room: r.id, updated: m.GetTimestampStored(), viewed: never})
		md.Set("chat_room_positions", fmt.Sprint(r.id, "::", m.GetSeq()))
		s := u.openWith(t, md)
		wantEvents(t, fmt.Sprint("at ", m.GetSeq()), eventsOf(s.initial()), eventsOf(log[i+1:]))
		s.cancel()
	}
	if last := log[len(log)-1]; last.GetMessageUuid() != all[9].uuid {
		t.Errorf("the log ends with %v", last)
	}
}

// Beyond the original: a place that is not one of the room's log gets the room
// anew, and is told that its position is lost.
func placeLost(t *testing.T, h *harness) {
	u, r, _, all := talk(t, h.dial(t))
	for name, tt := range map[string]struct {
		seq     uint64
		updated int64
	}{
		"beyond the end": {1000, all[9].time}, "of another time": {4, all[9].time - 1},
	} {
		md := u.metadata(position{room: r.id, updated: tt.updated, viewed: never})
		md.Set("chat_room_positions", fmt.Sprint(r.id, "::", tt.seq))
		s := u.openWith(t, md)
		list := s.initial()
		s.cancel()
		if start := specificsOf(list[0]).GetThisUserJoinedChatRoomStartMessage(); !start.GetPositionLost() ||
			kindOf(list[len(list)-1]) != kindFinished || len(texts(list)) != len(all) {
			t.Errorf("%s: got %v", name, kindsOf(list))
		}
	}
}

// A client may know more of a room than its server has been shown: by a join,
// or from another server. It gets what follows, nothing twice, and its place is
// not lost.
func clientAhead(t *testing.T, h *harness) {
	st := h.store(t)
	a := serveOn(t, st).dial(t)
	admin := a.signUp(t)
	sAdmin := admin.openLive(t)
	for _, exact := range []bool{false, true} {
		u := a.signUp(t)
		r := admin.create(t, "hall")
		sAdmin.message() // the server hosts the room
		release := st.hold(t)
		j := u.join(t, r)
		last := j.messages[len(j.messages)-1].GetSeq()
		md := u.metadata(position{room: r.id, updated: j.time(), viewed: never})
		if exact {
			md.Set("chat_room_positions", fmt.Sprint(r.id, "::", last))
		}
		s := u.openWith(t, md)
		if got := s.initial(); len(got) > 0 {
			t.Errorf("exact %v: told %v", exact, got)
		}
		release()
		x := admin.say(t, r, "what follows")
		s.wantText(x)
		sAdmin.message() // the join
		sAdmin.message()
	}
}

// Replaced, the initialization is run again when the rooms change: whoever is
// kicked while his stream initializes hears of it, as a room that was left or
// as a kick to act upon.
func kickMeanwhile(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	settled := admin.create(t, "yard") // says that what came before has come
	u.join(t, settled)
	for i := range 10 {
		since := u.join(t, r).time()
		var listed []position
		if i%2 == 0 {
			listed = append(listed, position{room: r.id, updated: since, viewed: never})
		}
		var kicking sync.WaitGroup
		kicking.Go(func() {
			resp, err := admin.commands.RemoveFromChatRoomRPC(soon(t), &commandspb.RemoveFromChatRoomRequest{
				LoginInfo: admin.login(), MessageUuid: uuid.NewString(), KickOrBan: kick, ChatRoomId: r.id, AccountIdToRemove: u.id,
			})
			if err != nil || resp.GetReturnStatus() != success || resp.GetOperationFailed() {
				t.Errorf("kick: %v, %v", resp, err)
			}
		})
		s := u.open(t, append(listed, position{room: settled.id, updated: never, viewed: never})...)
		member := len(listed) > 0
		for _, m := range s.initial() {
			switch kindOf(m) {
			case kindStart:
				member = true
			case kindThisLeft:
				member = false
			}
		}
		kicking.Wait()
		end := admin.say(t, settled, "settled")
		for m := s.message(); m.GetMessageUuid() != end.uuid; m = s.message() {
			if kindOf(m) == kindKicked && !viewOf(m).keepState {
				member = false
			}
		}
		if member { // between rooms there is no order: it may still come
			m := s.message()
			if kindOf(m) != kindKicked || viewOf(m).keepState {
				t.Errorf("round %d: still a member, and then %v", i, m)
			}
		}
		s.cancel()
	}
}

// Whoever joins a room while his stream initializes finds it in the
// initialization, with all that was, or hears of it live, from his join on; each
// event comes once, and then what is said in it.
func joinMeanwhile(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	for i := range 10 {
		r := admin.create(t, "hall")
		var joining sync.WaitGroup
		joining.Go(func() {
			if j, err := u.tryJoin(soon(t), r); err != nil || j.status != success || j.outcome != 0 {
				t.Errorf("join: %v, %v, %v", j.status, j.outcome, err)
			}
		})
		s := u.open(t)
		known := false
		var got []event
		for _, m := range s.initial() {
			if viewOf(m).room == r.id {
				known, got = true, append(got, eventsOf([]*chatpb.ChatMessageToClient{m})...)
			}
		}
		joining.Wait()
		x := admin.say(t, r, "welcome")
		for e := (event{}); e.uuid != x.uuid; {
			e = eventOf(s.message())
			got = append(got, e)
		}
		want := eventsOf(u.history(t, r))
		if !known {
			want = want[2:] // the cap and the join of the admin
		}
		wantEvents(t, fmt.Sprint("round ", i), got, want)
	}
}

// Beyond the original, chat_stream_features: a client that does not ask for
// bookmarks and go-aways gets none.
func noNewThings(t *testing.T, h *harness) {
	v := h.serve(t, short)
	s := v.dial(t).signUp(t).openLive(t)
	got, before := s.rest() // over idle times and the end of its life
	if got != timedOut() || len(before) > 0 {
		t.Errorf("got %v, and the end %+v", before, got)
	}
}
