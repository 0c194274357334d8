package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server"
)

func running() []section {
	return []section{
		{"5.1", "Reading", []rule{
			{"pipelined_requests_are_answered_in_order", pipelined},
			{"one_request_for_messages_at_a_time", oneLookup},
			{"busy_answer_leaves_the_first_busy", stillBusy},
			{"lookups_do_not_hold_up_live_messages", lookupsAndLive},
			{"lookups_and_live_do_not_disturb_each_other", lookupsBesideLive},
			{"empty_request_is_not_answered", emptyRequest},
			{"testing_time_is_ignored", testingTime},
		}},
		{"5.2", "Writing", []rule{
			{"order_of_a_room_is_kept", liveInOrder},
			{"own_messages_come_as_update_times", ownMessages},
			{"own_join_comes_as_update_time_and_connects", ownJoin},
			{"client_that_does_not_read_is_ended", stalledClient},
			{"client_that_does_not_read_hurts_nobody", stalledHurtsNobody},
		}},
		{"5.3", "Refresh and time-out", []rule{
			{"stream_times_out", timeOut},
			{"refresh_prolongs_and_tells_what_is_left", refreshed},
			{"two_refreshes_at_once_both_succeed", refreshedTwice},
			{"late_refresh_fails_and_tells_what_is_left", lateRefresh},
		}},
	}
}

// However many requests a client sends at once, each is answered, in their
// order, and live messages go on.
func pipelined(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	x := u.say(t, r, "hello")
	s := u.open(t)
	const n = 200
	var sender sync.WaitGroup
	sender.Go(func() { // the server stops reading while too many answers wait
		for i := range n {
			request := fullRequest(r.id, entry{x.uuid, completed}, entry{fmt.Sprint("request ", i), completed})
			if i%3 == 2 {
				request = refreshRequest()
			}
			if err := s.rpc.Send(request); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer sender.Wait()
	s.initial()
	for i := range n {
		if i%3 == 2 {
			if f := s.next(); !f.GetRefreshChatStreamResponse().GetSuccessfullyRefreshedTime() {
				t.Fatalf("the answer to refresh %d is %v", i, f)
			}
			continue
		}
		got, id := s.answer(), fmt.Sprint("request ", i)
		switch {
		case got.status == finalList && len(got.entries) == 2 && got.entries[0].GetReturnStatus() == success && got.entries[1].GetMessageUuid() == id:
		case got.status == processing && got.room == r.id && slices.Equal(got.errors, []string{x.uuid, id}):
		default:
			t.Fatalf("the answer to request %d is %+v", i, got)
		}
	}
	s.wantText(other.say(t, r, "and live goes on"))
}

// heldLookups has u ask for x n times while the first lookup is held up, and
// returns the answers. The server reads the requests within wait, or the answers
// are those of requests that came later.
func heldLookups(t *testing.T, st *tapped, s *stream, r chatRoom, x sent, n int, wait time.Duration) []answer {
	t.Helper()
	held := make(chan struct{})
	var first sync.Once
	entered := make(chan struct{})
	st.on(func(call string) error {
		if call == "Event" {
			first.Do(func() {
				close(entered)
				<-held
			})
		}
		return nil
	})
	defer st.off()
	s.send(fullRequest(r.id, entry{x.uuid, completed}))
	select {
	case <-entered:
	case <-time.After(patience):
		t.Fatal("nothing is looked up")
	}
	for range n - 1 {
		s.send(fullRequest(r.id, entry{x.uuid, completed}, entry{"another", completed}))
	}
	time.AfterFunc(wait, func() { close(held) })
	var answers []answer
	for range n {
		answers = append(answers, s.answer())
	}
	return answers
}

// wantHeld repeats heldLookups until the server was quick enough to read all
// requests while the first was held up, and they were answered so.
func wantHeld(t *testing.T, h *harness, n int) (*stream, chatRoom, sent) {
	t.Helper()
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	r := u.create(t, "hall")
	x := u.say(t, r, "hello")
	s := u.openLive(t)
	for wait := 50 * time.Millisecond; wait < patience; wait *= 2 {
		answers := heldLookups(t, st, s, r, x, n, wait)
		if got := answers[0]; got.status != finalList || got.room != r.id || len(got.entries) != 1 || got.entries[0].GetReturnStatus() != success {
			t.Fatalf("the first answer is %+v", got)
		}
		busy := 0
		for _, got := range answers[1:] {
			switch {
			case got.status == processing && got.room == r.id && slices.Equal(got.errors, []string{x.uuid, "another"}) && len(got.entries) == 0:
				busy++
			case got.status == finalList && len(got.entries) == 2:
			default:
				t.Fatalf("got %+v", got)
			}
		}
		if busy == n-1 {
			return s, r, x
		}
	}
	t.Fatal("requests are not refused while one is looked up")
	return nil, chatRoom{}, sent{}
}

// A request for full messages that comes while another is looked up is answered
// with CURRENTLY_PROCESSING_UPDATE_REQUEST, all its uuids and the room, after
// the other's answer.
func oneLookup(t *testing.T, h *harness) { wantHeld(t, h, 2) }

// Not copied, a busy answer clears the busy flag: however many requests come
// while one is looked up, all of them are refused, and one that comes after its
// answer is not.
func stillBusy(t *testing.T, h *harness) {
	s, r, x := wantHeld(t, h, 4)
	s.send(fullRequest(r.id, entry{x.uuid, completed}))
	if got := s.answer(); got.status != finalList {
		t.Errorf("got %+v", got)
	}
}

// Replaced, a lookup holds up the live messages of its stream: it does not.
func lookupsAndLive(t *testing.T, h *harness) {
	st := h.store(t)
	a := serveOn(t, st).dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	x := u.say(t, r, "hello")
	s := u.openLive(t)
	held := make(chan struct{})
	st.on(func(call string) error {
		if call == "Event" {
			<-held
		}
		return nil
	})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	s.send(fullRequest(r.id, entry{x.uuid, completed}))
	s.send(refreshRequest())
	s.wantText(other.say(t, r, "not held up"))
	release()
	if got := s.answer(); got.status != finalList {
		t.Errorf("got %+v", got)
	}
	if f := s.next(); f.GetRefreshChatStreamResponse() == nil {
		t.Errorf("got %v", f)
	}
}

// With lookups and live messages at once every request has its answer, and
// every message comes once, in order.
func lookupsBesideLive(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	x := other.say(t, r, strings.Repeat("x", 10_000))
	s := u.openLive(t)
	const n = 96
	var writers sync.WaitGroup
	writers.Go(func() {
		for range n {
			if err := s.rpc.Send(fullRequest(r.id, entry{x.uuid, completed})); err != nil {
				t.Error(err)
				return
			}
		}
	})
	writers.Go(func() { flood(t, other, r, n) })
	defer writers.Wait()
	answers, live, last := 0, 0, int64(0)
	for answers < n || live < n {
		f := s.next()
		switch {
		case f.GetRequestFullMessageInfoResponse() != nil:
			answers++
		case f.GetReturnNewChatMessage() != nil:
			for _, m := range f.GetReturnNewChatMessage().GetMessagesList() {
				if m.GetTimestampStored() <= last {
					t.Errorf("%d after %d", m.GetTimestampStored(), last)
				}
				last = m.GetTimestampStored()
				live++
			}
		default:
			t.Fatalf("got %v", f)
		}
	}
	if answers != n || live != n {
		t.Errorf("%d answers, %d live messages, want %d of each", answers, live, n)
	}
}

// A request that asks nothing is not answered, and the stream goes on.
func emptyRequest(t *testing.T, h *harness) {
	s := h.dial(t).signUp(t).openLive(t)
	for range 100 {
		s.send(&streampb.ChatToServerRequest{})
	}
	s.send(refreshRequest())
	if f := s.next(); f.GetRefreshChatStreamResponse() == nil {
		t.Errorf("got %v", f)
	}
}

// A client cannot have a request take long: the time that it may ask for is
// honoured in test builds of the original only.
func testingTime(t *testing.T, h *harness) {
	s := h.dial(t).signUp(t).openLive(t)
	for _, request := range []*streampb.ChatToServerRequest{refreshRequest(), fullRequest("x")} {
		request.TestingTimeForRequestToRunInMillis = 2 * patience.Milliseconds()
		s.send(request)
		s.next()
	}
}

// What is stored in a room reaches its streams in the order of the room's log,
// each event once.
func liveInOrder(t *testing.T, h *harness) {
	a := h.dial(t)
	admin := a.signUp(t)
	r := admin.create(t, "hall")
	var streams []*stream
	users := []*user{a.signUp(t), a.signUp(t), a.signUp(t)}
	for _, u := range users {
		u.join(t, r)
	}
	for _, u := range users {
		streams = append(streams, u.openLive(t))
	}
	sAdmin := admin.openLive(t)
	const n = 200
	flood(t, admin, r, n)
	var first []event
	for i, s := range append(streams, sAdmin) {
		var got []event
		for range n {
			got = append(got, eventOf(s.message()))
		}
		if i == 0 {
			first = got
		}
		wantEvents(t, fmt.Sprint("stream ", i), got, first)
	}
	all := eventsOf(admin.history(t, r))
	wantEvents(t, "the streams", first, all[len(all)-n:])
}

// A user's own message comes to its stream as new_update_time, with the time
// and the uuid of the message, nothing else.
func ownMessages(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	s := u.openLive(t)
	for range 3 {
		x := u.say(t, r, "mine")
		m := s.message()
		wantUpdateTime(t, m, r, x.uuid, x.time)
		if v := viewOf(m); v.keepState || v.onlyStore || v.force {
			t.Errorf("got %+v", v)
		}
	}
}

// A user's own join comes to its stream as new_update_time, and from there on
// the stream brings what happens in the room.
func ownJoin(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	admin.say(t, r, "before")
	s := u.openLive(t)
	j := u.join(t, r)
	var own string
	for _, m := range j.messages {
		if m.GetTimestampStored() == j.time() {
			own = m.GetMessageUuid()
		}
	}
	wantUpdateTime(t, s.message(), r, own, j.time())
	s.wantText(admin.say(t, r, "after"))
}

// smallWindows has a client take little that it has not read.
func smallWindows() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithInitialWindowSize(65535), grpc.WithInitialConnWindowSize(65535)}
}

// stall opens a stream that is never read. The returned function reads to its
// end.
func (u *user) stall(t *testing.T) (end func() error) {
	t.Helper()
	rpc := u.openRaw(t)
	return func() error {
		for {
			if _, err := rpc.Recv(); err != nil {
				return err
			}
		}
	}
}

// stalledRoom is a room with a member that does not read, and one that does.
func stalledRoom(t *testing.T, v *served) (admin *user, s *stream, r chatRoom, end func() error) {
	t.Helper()
	admin = v.dial(t).signUp(t)
	u, stuck := v.dial(t).signUp(t), v.dial(t, smallWindows()...).signUp(t)
	r = admin.create(t, "hall")
	since := u.join(t, r).time()
	stuck.join(t, r)
	s = u.openLive(t, position{room: r.id, updated: since, viewed: never})
	end = stuck.stall(t)
	v.awaitStreams(t, 2)
	return admin, s, r, end
}

// Replaced, a queue without bound: a client that leaves its stream unread for
// too long (2 minutes; here less) is ended, and only that one.
func stalledClient(t *testing.T, h *harness) {
	v := h.serve(t, func(c *server.Config) { c.Engine.StallPatience = time.Second })
	admin, s, r, end := stalledRoom(t, v)
	const n = 640
	flood(t, admin, r, n)
	for range n {
		s.message()
	}
	v.awaitStreams(t, 1)
	s.wantText(admin.say(t, r, "still here"))
	if err := end(); err == nil {
		t.Error("the stream of the client that does not read goes on")
	}
}

// A client that leaves its stream unread does not hold up others.
func stalledHurtsNobody(t *testing.T, h *harness) {
	v := h.serve(t)
	admin, s, r, end := stalledRoom(t, v)
	const n = 640
	flood(t, admin, r, n)
	last := int64(0)
	for range n {
		m := s.message()
		if m.GetTimestampStored() <= last || !strings.HasPrefix(viewOf(m).text, m.GetMessageUuid()) {
			t.Fatalf("after %d: %v", last, m)
		}
		last = m.GetTimestampStored()
	}
	v.awaitStreams(t, 2)
	t.Cleanup(func() { _ = end() }) // after it has been cancelled
}

// life is how long the streams of the rules of this section live.
const life = time.Second

func short(c *server.Config) {
	c.Engine.StreamLifetime = life
	c.Engine.BookmarkEvery = life / 10 // for those who would ask for bookmarks
}

// A stream that is not refreshed ends with reason 2 when its time is over.
func timeOut(t *testing.T, h *harness) {
	s := h.serve(t, short).dial(t).signUp(t).open(t)
	if got := s.next().GetInitialConnectionPrimerResponse().GetTimeUntilChatStreamExpiresInMillis(); got != life.Milliseconds() {
		t.Errorf("the primer says %d ms", got)
	}
	began := time.Now()
	s.wantEnd(timedOut())
	if since := time.Since(began); since < life*9/10 {
		t.Errorf("timed out after %v", since)
	}
}

// A refresh gives the stream its full time again, as often as it is asked for
// in time, and tells what is left.
func refreshed(t *testing.T, h *harness) {
	u := h.serve(t, short).dial(t).signUp(t)
	for range 10 { // a busy machine may be too late
		if livesOn(t, u.openLive(t)) {
			return
		}
	}
	t.Error("no stream lived longer than without a refresh")
}

// livesOn refreshes s until it has lived for longer than it would have, and
// reports whether all refreshes were in time.
func livesOn(t *testing.T, s *stream) bool {
	t.Helper()
	began := time.Now()
	var last time.Time
	for time.Since(began) < life*3/2 {
		last = time.Now()
		_ = s.rpc.Send(refreshRequest()) // the stream may have ended
		f := s.next()
		if f == nil || !f.GetRefreshChatStreamResponse().GetSuccessfullyRefreshedTime() && time.Since(began) > life/2 {
			s.cancel()
			return false
		}
		r := f.GetRefreshChatStreamResponse()
		if left := r.GetTimeUntilChatStreamExpiresInMillis(); !r.GetSuccessfullyRefreshedTime() || left < 1 || left > life.Milliseconds() {
			t.Errorf("after %v: %v", time.Since(began), f)
		}
		time.Sleep(life / 5) // a client refreshes now and then, well before the limit
	}
	s.wantEnd(timedOut())
	if since := time.Since(last); since < life*9/10 {
		t.Errorf("timed out %v after the last refresh", since)
	}
	return true
}

// Not copied, a second refresh right after the first fails: both are answered,
// and both succeed.
func refreshedTwice(t *testing.T, h *harness) {
	s := h.dial(t).signUp(t).openLive(t)
	for range 20 {
		s.send(refreshRequest())
	}
	for range 20 {
		if f := s.next(); !f.GetRefreshChatStreamResponse().GetSuccessfullyRefreshedTime() {
			t.Errorf("got %v", f)
		}
	}
}

// A refresh that comes after 95 % of the time fails, tells what is left, at
// least 1 ms, and the stream times out when it would have.
func lateRefresh(t *testing.T, h *harness) {
	u := h.serve(t, short).dial(t).signUp(t)
	for range 10 { // the moment can be missed on a busy machine
		s := u.openLive(t)
		time.Sleep(life*95/100 + 10*time.Millisecond) // the server began before we did
		for range 2 {
			_ = s.rpc.Send(refreshRequest()) // the stream may have ended
		}
		f := s.next()
		if f == nil {
			continue
		}
		r := f.GetRefreshChatStreamResponse()
		if left := r.GetTimeUntilChatStreamExpiresInMillis(); r.GetSuccessfullyRefreshedTime() || left < 1 || left > life.Milliseconds()/20 {
			t.Errorf("a refresh after 95 %% of the time: %v", f)
		}
		got, before := s.rest()
		if got != timedOut() || len(before) > 1 || len(before) == 1 && before[0].GetRefreshChatStreamResponse().GetSuccessfullyRefreshedTime() {
			t.Errorf("then %v, and the end %+v", before, got)
		}
		return
	}
	t.Error("the stream never lived up to its end")
}
