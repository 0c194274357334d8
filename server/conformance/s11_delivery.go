package conformance

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/server"
)

func delivery() []section {
	return []section{{"11", "Delivery", []rule{
		{"who_comes_back_misses_nothing", comeBack},
		{"who_comes_back_to_another_server_misses_nothing", comeBackElsewhere},
		{"shutdown_loses_nothing_that_was_acknowledged", shutdownLosesNothing},
		{"restart_loses_nothing_that_was_acknowledged", restartLosesNothing},
		{"slow_stream_is_told_everything", slowStream},
		{"places_leave_no_hole", placesLeaveNoHole},
		{"update_time_comes_in_stream_order", updateTimeInOrder},
	}}}
}

// talking has n senders talk in a room until the returned function is called,
// which returns what was acknowledged. An error that is ok ends a sender.
func talking(t *testing.T, u *user, r chatRoom, n int, ok func(error) bool) (stop func() []sent) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var mu sync.Mutex
	var acked []sent
	var senders sync.WaitGroup
	done := make(chan struct{})
	for range n {
		senders.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				x, err := u.trySay(ctx, r, "text", uuid.NewString())
				if err != nil {
					if !ok(err) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				acked = append(acked, x)
				mu.Unlock()
			}
		})
	}
	var once sync.Once
	stop = func() []sent {
		once.Do(func() { close(done) })
		senders.Wait()
		return acked
	}
	t.Cleanup(func() { stop() })
	return stop
}

// fails is for senders that must not fail.
func fails(error) bool { return false }

// follower is a client that keeps what it gets of one room, and its place.
type follower struct {
	u    *user
	r    chatRoom
	last int64
	got  []event
}

func (f *follower) take(e event) {
	if e.time > 0 {
		f.got, f.last = append(f.got, e), e.time
	}
}

// follow opens a stream where the client is, and takes n live messages.
func (f *follower) follow(t *testing.T, n int) *stream {
	t.Helper()
	s := f.u.open(t, position{room: f.r.id, updated: f.last, viewed: never})
	for _, m := range s.initial() {
		f.take(eventOf(m))
	}
	for range n {
		f.take(eventOf(s.message()))
	}
	return s
}

// finish takes live messages up to x and compares all with the room's log.
func (f *follower) finish(t *testing.T, s *stream, x sent) {
	t.Helper()
	for f.last < x.time {
		f.take(eventOf(s.message()))
	}
	all := eventsOf(f.u.history(t, f.r))
	for len(all) > 0 && len(f.got) > 0 && all[0].time < f.got[0].time {
		all = all[1:] // before it came
	}
	wantEvents(t, f.u.name, f.got, all)
}

// A client that goes at any moment and comes back with the time of its last
// message has everything, once, in order.
func comeBack(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	f := &follower{u: u, r: r, last: u.join(t, r).time()}
	stop := talking(t, admin, r, 3, fails)
	for i := range 20 {
		s := f.follow(t, i%5)
		s.cancel()
		for _, m := range s.live { // was there already
			f.take(eventOf(m))
		}
	}
	stop()
	x := admin.say(t, r, "the end")
	f.finish(t, f.follow(t, 0), x)
}

// So it is when it comes back to another server on the same store each time.
func comeBackElsewhere(t *testing.T, h *harness) {
	st := h.store(t)
	servers := []*api{serveOn(t, st).dial(t), serveOn(t, st).dial(t)}
	admin, u := servers[0].signUp(t), servers[0].signUp(t)
	r := admin.create(t, "hall")
	f := &follower{u: u, r: r, last: u.join(t, r).time()}
	stop := talking(t, admin, r, 3, fails)
	for i := range 10 {
		f.u = u.at(servers[i%2])
		s := f.follow(t, i%5)
		s.cancel()
		for _, m := range s.live {
			f.take(eventOf(m))
		}
	}
	stop()
	x := admin.say(t, r, "the end")
	f.finish(t, f.follow(t, 0), x)
}

// Replaced, what is younger than a second is dropped at a shutdown: every
// stream that is read is told all that was acknowledged, and then the reason.
func shutdownLosesNothing(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	streams := []*stream{admin.openLive(t), u.openLive(t)}
	stop := talking(t, admin, r, 4, func(err error) bool { return status.Code(err) == codes.Unavailable })
	eventually(t, "messages are on their way", func() bool { return len(streams[0].frames) > 20 })
	stopping := make(chan struct{})
	go func() {
		v.stop()
		close(stopping)
	}()
	for i, s := range streams {
		got, frames := s.rest()
		if got != shutDown() {
			t.Errorf("stream %d ended with %+v", i, got)
		}
		heard := map[string]bool{}
		for _, f := range frames {
			for _, m := range f.GetReturnNewChatMessage().GetMessagesList() {
				heard[eventOf(m).uuid] = true
			}
		}
		for _, x := range stop() { // by now they have been refused
			if !heard[x.uuid] {
				t.Errorf("stream %d ended before %+v", i, x)
				break
			}
		}
	}
	<-stopping
}

// What was acknowledged is there after a restart, for who joined before it, for
// who comes back, and for who joins after it.
func restartLosesNothing(t *testing.T, h *harness) {
	st := h.store(t)
	one := serveOn(t, st)
	a := one.dial(t)
	admin, u, late := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	f := &follower{u: u, r: r, last: u.join(t, r).time()}
	s := f.follow(t, 0)
	var all []sent
	for i := range 20 {
		all = append(all, admin.say(t, r, fmt.Sprint(i)))
		if i < 5 {
			f.take(eventOf(s.message()))
		}
	}
	one.stop()
	b := serveOn(t, st).dial(t)
	admin, late = admin.at(b), late.at(b)
	f.u = u.at(b)
	s = f.follow(t, 0)
	if j := late.join(t, r); len(eventsOf(j.messages)) != 1+3+len(all) {
		t.Errorf("who joins gets %v", kindsOf(j.messages)) // cap, three joins, the texts
	}
	x := admin.say(t, r, "the end")
	f.finish(t, s, x)
}

// A stream that falls behind what is cached is told everything all the same:
// live, slow and coming back are one path.
func slowStream(t *testing.T, h *harness) {
	v := h.serve(t, func(c *server.Config) { c.Engine.TailBytes = 1 })
	admin, slow := v.dial(t).signUp(t), v.dial(t, smallWindows()...).signUp(t)
	r := admin.create(t, "hall")
	slow.join(t, r)
	rpc := slow.openRaw(t, position{room: r.id, updated: never, viewed: never})
	for complete := false; !complete; {
		f, err := rpc.Recv()
		if err != nil {
			t.Fatal(err)
		}
		complete = f.GetInitialConnectionMessagesCompleteResponse() != nil
	}
	const n = 640 // more than a stream takes that is not read
	flood(t, admin, r, n)
	var got []event
	for len(got) < n {
		f, err := rpc.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range f.GetReturnNewChatMessage().GetMessagesList() {
			got = append(got, eventOf(m))
		}
	}
	all := eventsOf(admin.history(t, r))
	wantEvents(t, "the slow one", got, all[len(all)-n:])
}

// Beyond the original: every message says its place in the room's log and the
// place before it that was for this user, and those are without a hole.
func placesLeaveNoHole(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u, other := a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	j := u.join(t, r)
	s := u.openLive(t)
	place := uint64(0)
	for _, m := range j.messages {
		if m.GetTimestampStored() == 0 {
			continue
		}
		if m.GetPreviousSeq() != place || m.GetSeq() <= place {
			t.Errorf("after %d: %v", place, m)
		}
		place = m.GetSeq()
	}
	other.join(t, r)
	u.say(t, r, "mine")
	admin.say(t, r, "yours")
	other.leave(t, r)
	for range 4 {
		m := s.message()
		if m.GetPreviousSeq() != place || m.GetSeq() != place+1 {
			t.Errorf("after %d: %v", place, m)
		}
		place = m.GetSeq()
	}
}

// new_update_time stands where the message stands in the room's order, so that
// a client that moves its time by it cannot skip somebody else's message.
func updateTimeInOrder(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	s := u.openLive(t)
	const n = 60
	mine, theirs := make(chan error, n), make(chan error, n)
	for who, done := range map[*user]chan error{u: mine, other: theirs} {
		go func() {
			for range n {
				_, err := who.trySay(t.Context(), r, "text", uuid.NewString())
				done <- err
			}
		}()
	}
	last := int64(0)
	for range 2 * n {
		m := s.message()
		if m.GetTimestampStored() <= last {
			t.Fatalf("after %d: %v", last, m)
		}
		last = m.GetTimestampStored()
	}
	for range n {
		if err := <-mine; err != nil {
			t.Error(err)
		}
		if err := <-theirs; err != nil {
			t.Error(err)
		}
	}
}
