package conformance

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/server"
)

func routing() []section {
	return []section{
		{"9.2", "Ordering", []rule{
			{"messages_come_at_once", atOnce},
			{"time_increases_with_every_message", timeIncreases},
			{"one_room_does_not_wait_for_another", roomsAreApart},
		}},
		{"9.3", "Membership", []rule{
			{"joiner_hears_from_its_join_on", joinerHears},
			{"who_leaves_hears_it_and_nothing_after", leaverHears},
			{"who_is_kicked_hears_it_and_nothing_after", kickedHears},
			{"who_is_banned_hears_it_and_nothing_after", bannedHears},
			{"stays_have_exact_ends", exactStays},
		}},
		{"9.4", "Who receives what", []rule{
			{"text_to_all_members", textToAll},
			{"join_to_all_members", joinToAll},
			{"leave_to_all_members", leaveToAll},
			{"kick_and_ban_to_all_members", removalToAll},
			{"observed_time_to_nobody", observedToNobody},
			{"create_connects_the_creator", createConnects},
			{"members_of_other_rooms_hear_nothing", othersHearNothing},
		}},
		{"9.5", "Join catch-up", []rule{
			{"download_and_stream_meet_without_hole_or_overlap", downloadMeetsStream},
			{"cold_cache_makes_no_hole", coldCache},
		}},
	}
}

// Replaced, every message is held for a second: it is there at once.
func atOnce(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	s := other.openLive(t)
	best := time.Hour
	for range 10 { // this machine may be busy with other rules
		began := time.Now()
		x := u.say(t, r, "hello")
		s.wantText(x)
		best = min(best, time.Since(began))
	}
	if best > 500*time.Millisecond {
		t.Errorf("the quickest message took %v", best)
	}
}

// Replaced, the time is the database's clock: it strictly increases with every
// message of a room, so that a client's last time is an exact place.
func timeIncreases(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	flood(t, u, r, 200)
	last := int64(0)
	for _, m := range u.history(t, r) {
		if m.GetTimestampStored() <= last {
			t.Fatalf("%d after %d", m.GetTimestampStored(), last)
		}
		last = m.GetTimestampStored()
	}
}

// Replaced, a late message holds up all rooms: order is promised within a room,
// and no room waits for another.
func roomsAreApart(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	rooms := []chatRoom{u.create(t, "1"), u.create(t, "2"), u.create(t, "3")}
	for _, r := range rooms {
		other.join(t, r)
	}
	s := other.openLive(t)
	const each = 60
	var senders sync.WaitGroup
	for _, r := range rooms {
		senders.Go(func() {
			for i := range each {
				if _, err := u.trySay(t.Context(), r, fmt.Sprint(i), uuid.NewString()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[string]int{}
	for range each * len(rooms) {
		v := viewOf(s.message())
		if v.text != fmt.Sprint(next[v.room]) {
			t.Fatalf("got %+v, want text %d", v, next[v.room])
		}
		next[v.room]++
	}
	senders.Wait()
}

// A joiner is among the receivers of its own join, and of all that follows it.
func joinerHears(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	s := u.openLive(t)
	for range 5 {
		j := u.join(t, r)
		wantUpdateTime(t, s.message(), r, "", j.time())
		s.wantText(admin.say(t, r, "welcome"))
		at := u.leave(t, r)
		wantUpdateTime(t, s.message(), r, "", at)
		admin.say(t, r, "not for you")
	}
}

// pair is a room with a member who hears it and also another room, which shows
// what has come before.
type pair struct {
	admin, u *user
	r, quiet chatRoom
	s        *stream
}

func newPair(t *testing.T, h *harness) *pair {
	t.Helper()
	a := h.dial(t)
	p := &pair{admin: a.signUp(t), u: a.signUp(t)}
	p.r, p.quiet = p.admin.create(t, "hall"), p.admin.create(t, "yard")
	p.u.join(t, p.r)
	p.u.join(t, p.quiet)
	p.s = p.u.openLive(t)
	return p
}

// wantSilence checks that the room says nothing to the one who is no longer in.
func (p *pair) wantSilence(t *testing.T) {
	t.Helper()
	for range 3 {
		p.admin.say(t, p.r, "not for you")
	}
	p.s.wantText(p.admin.say(t, p.quiet, "for you"))
}

// wantBack checks that the one who was out can come back, has missed what was
// said meanwhile, and hears the rest.
func (p *pair) wantBack(t *testing.T) {
	t.Helper()
	j := p.u.join(t, p.r)
	wantUpdateTime(t, p.s.message(), p.r, "", j.time())
	p.s.wantText(p.admin.say(t, p.r, "for you again"))
}

// Who leaves hears of it, as of every own message, and nothing that comes after.
func leaverHears(t *testing.T, h *harness) {
	p := newPair(t, h)
	at := p.u.leave(t, p.r)
	wantUpdateTime(t, p.s.message(), p.r, "", at)
	p.wantSilence(t)
	p.wantBack(t)
}

// Who is kicked hears of it, and nothing that comes after.
func kickedHears(t *testing.T, h *harness) {
	p := newPair(t, h)
	at := p.admin.expel(t, p.r, kick, p.u)
	m := p.s.message()
	wantView(t, m, view{kind: kindKicked, uuid: m.GetMessageUuid(), from: p.admin.id, room: p.r.id, time: at, complete: true})
	p.wantSilence(t)
	p.wantBack(t)
}

// Who is banned hears of it, and nothing that comes after.
func bannedHears(t *testing.T, h *harness) {
	p := newPair(t, h)
	at := p.admin.expel(t, p.r, ban, p.u)
	m := p.s.message()
	wantView(t, m, view{kind: kindBanned, uuid: m.GetMessageUuid(), from: p.admin.id, room: p.r.id, time: at, complete: true})
	p.wantSilence(t)
	if j, err := p.u.tryJoin(soon(t), p.r); err != nil || j.outcome != commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED {
		t.Errorf("joining: %+v, %v", j, err)
	}
}

// Who is kicked, comes back and is kicked again while messages are stored hears
// every message that was stored while it was in, and none that was not.
func exactStays(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	s := u.openLive(t)
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
				if _, err := admin.trySay(t.Context(), r, "text", uuid.NewString()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	type span struct{ from, to int64 } // times, both without
	var in []span
	within := func(at int64) bool {
		return slices.ContainsFunc(in, func(s span) bool { return s.from < at && at < s.to })
	}
	for range 10 {
		from := u.join(t, r).time()
		admin.say(t, r, "you are in")
		to := admin.expel(t, r, kick, u)
		admin.say(t, r, "you are out")
		in = append(in, span{from, to})
	}
	close(stop)
	senders.Wait()
	u.join(t, r)
	finish := admin.say(t, r, "the end")
	var got []event
	last := int64(0)
	for {
		m := s.message()
		v := viewOf(m)
		if v.uuid == finish.uuid {
			break
		}
		if v.time <= last {
			t.Errorf("%+v after %d", v, last)
		}
		last = v.time
		if v.kind == kindText {
			got = append(got, eventOf(m))
		}
	}
	var want []event
	for _, m := range admin.history(t, r) {
		if kindOf(m) == kindText && within(m.GetTimestampStored()) {
			want = append(want, eventOf(m))
		}
	}
	wantEvents(t, "who came and went", got, want)
}

// trio is a room with three members who hear it.
func trio(t *testing.T, h *harness) (r chatRoom, users []*user, streams []*stream) {
	t.Helper()
	a := h.dial(t)
	for range 3 {
		users = append(users, a.signUp(t))
	}
	r = users[0].create(t, "hall")
	for _, u := range users[1:] {
		u.join(t, r)
	}
	for _, u := range users {
		streams = append(streams, u.openLive(t))
	}
	return r, users, streams
}

// A text comes to every member as it is, to its sender as new_update_time.
func textToAll(t *testing.T, h *harness) {
	r, users, streams := trio(t, h)
	for i, sender := range users {
		x := sender.say(t, r, "hello")
		for k, s := range streams {
			if m := s.message(); k == i {
				wantUpdateTime(t, m, r, x.uuid, x.time)
			} else {
				wantView(t, m, view{kind: kindText, uuid: x.uuid, from: sender.id, room: r.id, time: x.time, amount: enough, complete: true, text: "hello"})
			}
		}
	}
}

// A join comes to every member with who joined, to act upon.
func joinToAll(t *testing.T, h *harness) {
	r, _, streams := trio(t, h)
	u := h.dial(t).signUp(t)
	j := u.join(t, r)
	var id string
	for _, s := range streams {
		m := s.message()
		info := specificsOf(m).GetDifferentUserJoinedMessage().GetMemberInfo()
		wantView(t, m, view{kind: kindJoined, uuid: m.GetMessageUuid(), from: u.id, room: r.id, time: j.time(), complete: true})
		if info.GetUserInfo().GetAccountOid() != u.id || info.GetUserInfo().GetAccountName() != u.name || info.GetAccountState() != inRoom || info.GetAccountLastActivityTime() != j.time() {
			t.Errorf("got %v", m)
		}
		if id != "" && m.GetMessageUuid() != id {
			t.Errorf("one join has the uuids %s and %s", id, m.GetMessageUuid())
		}
		id = m.GetMessageUuid()
	}
}

// A leave comes to every member, with the new admin if there is one, and to the
// one who leaves as new_update_time.
func leaveToAll(t *testing.T, h *harness) {
	r, users, streams := trio(t, h)
	at := users[0].leave(t, r) // the admin
	var id string
	for _, s := range streams[1:] {
		m := s.message()
		id = m.GetMessageUuid()
		wantView(t, m, view{kind: kindLeft, uuid: id, from: users[0].id, room: r.id, time: at, complete: true})
		if got := specificsOf(m).GetDifferentUserLeftMessage().GetNewAdminAccountOid(); got != users[1].id {
			t.Errorf("the new admin is %q", got)
		}
	}
	wantUpdateTime(t, streams[0].message(), r, id, at)
	users[2].leave(t, r) // somebody
	if m := streams[1].message(); kindOf(m) != kindLeft || specificsOf(m).GetDifferentUserLeftMessage().GetNewAdminAccountOid() != "" {
		t.Errorf("got %v", m)
	}
}

// A kick or a ban comes to every member and to who is removed, as it is, and to
// the admin as new_update_time.
func removalToAll(t *testing.T, h *harness) {
	r, users, streams := trio(t, h)
	for i, tt := range []struct {
		how    commandspb.RemoveFromChatRoomRequest_KickOrBan
		kind   string
		target func(*chatpb.ChatMessageToClient) string
	}{
		{kick, kindKicked, func(m *chatpb.ChatMessageToClient) string {
			return specificsOf(m).GetUserKickedMessage().GetKickedAccountOid()
		}},
		{ban, kindBanned, func(m *chatpb.ChatMessageToClient) string {
			return specificsOf(m).GetUserBannedMessage().GetBannedAccountOid()
		}},
	} {
		target, id := users[1+i], uuid.NewString()
		resp := users[0].remove(t, r, tt.how, target.id, id)
		for _, s := range streams[1+i:] { // who was kicked before hears nothing
			m := s.message()
			wantView(t, m, view{kind: tt.kind, uuid: id, from: users[0].id, room: r.id, time: resp.GetTimestampStored(), complete: true})
			if got := tt.target(m); got != target.id {
				t.Errorf("got %v", m)
			}
		}
		wantUpdateTime(t, streams[0].message(), r, id, resp.GetTimestampStored())
	}
}

// An observed time is neither stored nor told to any stream.
func observedToNobody(t *testing.T, h *harness) {
	r, users, streams := trio(t, h)
	users[1].observe(t, r, time.Now().UnixMilli())
	x := users[0].say(t, r, "the next thing")
	for _, s := range streams[1:] {
		s.wantText(x)
	}
	wantUpdateTime(t, streams[0].message(), r, x.uuid, x.time)
}

// Who creates a room hears it from then on, over the stream that it has open.
func createConnects(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	s := u.openLive(t)
	resp, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: "hall"})
	if err != nil {
		t.Fatal(err)
	}
	r := chatRoom{id: resp.GetChatRoomId()}
	join := resp.GetCurrentUserJoinedChatMessage()
	wantUpdateTime(t, s.message(), r, join.GetMessageUuid(), join.GetTimestampStored())
	x := u.say(t, r, "mine")
	wantUpdateTime(t, s.message(), r, x.uuid, x.time)
}

// Who is not in a room hears nothing of it.
func othersHearNothing(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r, theirs := u.create(t, "hall"), other.create(t, "yard")
	s := other.openLive(t)
	u.say(t, r, "not for you")
	u.leave(t, r)
	x := other.say(t, theirs, "mine")
	wantUpdateTime(t, s.message(), theirs, x.uuid, x.time)
}

// Replaced, 20 s of cached messages after every join: what a joiner downloads
// and what its stream brings from the join on is everything, once, in order.
func downloadMeetsStream(t *testing.T, h *harness) {
	wantDownloadMeetsStream(t, h.dial(t))
}

// Replaced, what is no longer in the cache is missed: it is read from the
// store, also in the middle of all this. (No cache at all, here.)
func coldCache(t *testing.T, h *harness) {
	wantDownloadMeetsStream(t, h.serve(t, func(c *server.Config) { c.Engine.TailBytes = 1 }).dial(t))
}

func wantDownloadMeetsStream(t *testing.T, a *api) {
	t.Helper()
	admin := a.signUp(t)
	r := admin.create(t, "hall")
	const joiners = 4
	var users []*user
	var streams []*stream
	for range joiners {
		u := a.signUp(t)
		users, streams = append(users, u), append(streams, u.openLive(t))
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := admin.trySay(t.Context(), r, "text", uuid.NewString()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	downloads := make([]joined, joiners)
	var joining sync.WaitGroup
	for i, u := range users {
		admin.say(t, r, "another one comes")
		joining.Go(func() {
			var err error
			if downloads[i], err = u.tryJoin(soon(t), r); err != nil || downloads[i].status != success || downloads[i].outcome != 0 {
				t.Errorf("join: %v, %v, %v", downloads[i].status, downloads[i].outcome, err)
			}
		})
		admin.say(t, r, "it is coming")
	}
	joining.Wait()
	admin.say(t, r, "all are here")
	close(stop)
	senders.Wait()
	finish := admin.say(t, r, "the end")
	if t.Failed() {
		return
	}
	all := eventsOf(admin.history(t, r))
	for i, s := range streams {
		got := eventsOf(downloads[i].messages)
		for e := (event{}); e.uuid != finish.uuid; {
			e = eventOf(s.message())
			if e.time != downloads[i].time() { // the own join, which was downloaded
				got = append(got, e)
			}
		}
		wantEvents(t, fmt.Sprint("joiner ", i), got, all)
	}
}
