package conformance

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
)

func ending() []section {
	return []section{
		{"6.1", "Reasons", []rule{
			{"half_close_is_unknown_reason", halfClose},
			{"half_close_at_once_is_unknown_reason", halfCloseAtOnce},
			{"cancel_and_deadline_have_no_trailing_metadata", cancelled},
			{"status_is_attached_to_reason_1_only", statusAttached},
			{"first_reason_counts", firstReason},
		}},
		{"6.2", "Finish", []rule{
			{"every_end_is_counted_down", everyEndCounted},
			{"lost_connection_ends_its_streams", lostConnection},
		}},
		{"6.3", "Cleanup", []rule{
			{"late_cleanup_spares_the_newer_stream", lateCleanup},
			{"ended_stream_leaves_nothing_behind", nothingBehind},
		}},
		{"6.4", "Replacement", []rule{
			{"newer_stream_ends_the_older_with_3_and_who", replaced},
			{"same_device_replaces_itself", replacedBySame},
			{"newest_of_many_stays", newestStays},
			{"replaced_while_initializing", replacedWhileInitializing},
			{"catch_up_covers_what_the_old_one_did_not_write", replacementMissesNothing},
		}},
	}
}

// A client that ends its sending side ends the stream: status OK, reason 0.
func halfClose(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	u.create(t, "hall")
	u.openLive(t).close()
}

// So it is when it does so before it has been answered; answers that wait are
// dropped.
func halfCloseAtOnce(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	for range 10 {
		s := u.open(t)
		s.send(fullRequest(r.id, entry{uuid.NewString(), completed}))
		s.close()
	}
}

// A client that cancels, or whose deadline passes, sees that, and no trailing
// metadata.
func cancelled(t *testing.T, h *harness) {
	v := h.serve(t)
	u := v.dial(t).signUp(t)
	s := u.openLive(t)
	s.cancel()
	s.wantEnd(end{code: codes.Canceled})
	v.awaitStreams(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	s = u.openIn(t, ctx, u.metadata())
	s.wantEnd(end{code: codes.DeadlineExceeded})
	v.awaitStreams(t, 0)
}

// return_status is there with reason 1 and only then, optional_info_cancel with
// reason 3 and only then. (The ends themselves are checked where they belong:
// 44 and logins in 3 and 4, 60 and 61 in 4, 2 in 5.3, 3 in 6.4, 4 in 14.)
func statusAttached(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	for name, bring := range map[string]func(s *stream){
		"0": func(s *stream) { _ = s.rpc.CloseSend() },
		"1": func(*stream) { u.elsewhere().logIn(t); u.logIn(t) },
		"3": func(*stream) { u.openLive(t) },
	} {
		s := u.openLive(t)
		bring(s)
		got, _ := s.rest()
		if got.code != codes.OK || got.reason != name || (got.status != "") != (name == "1") || (got.cancelInfo != "") != (name == "3") {
			t.Errorf("reason %s: %+v", name, got)
		}
	}
}

// Replaced, a later reason overwrites an earlier one: the first one counts.
func firstReason(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	s := u.openLive(t)
	other := u.elsewhere()
	other.logIn(t) // ends the stream
	other.openLive(t)
	s.wantEnd(refused(elsewhere)) // not replaced
}

// Every stream that has begun is counted down once, however it ends.
func everyEndCounted(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	u := a.signUp(t)
	u.create(t, "hall")
	var streams []*stream
	for i := range 60 {
		s := u.open(t) // replaces the one before, if that is left
		streams = append(streams, s)
		switch i % 4 {
		case 0:
			s.cancel()
		case 1:
			_ = s.rpc.CloseSend()
		case 2:
			s.next() // the primer, or it has been replaced
			s.cancel()
		}
	}
	for _, s := range streams {
		s.cancel()
	}
	v.awaitStreams(t, 0)
	eventually(t, "all streams have ended", func() bool {
		s := v.Stats().Engine
		return s.StreamsOpened == s.StreamsFinished
	})
}

// A client whose connection breaks is gone, and its account can come back.
func lostConnection(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	lost := v.dial(t)
	u.at(lost).openLive(t)
	v.awaitStreams(t, 1)
	if err := lost.conn.Close(); err != nil {
		t.Fatal(err)
	}
	v.awaitStreams(t, 0)
	s := u.openLive(t)
	x := u.say(t, r, "back")
	wantUpdateTime(t, s.message(), r, x.uuid, x.time)
}

// When a stream is replaced, what is left of it to take apart does not touch
// the newer one: that goes on hearing every room.
func lateCleanup(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	var rooms []chatRoom
	var listed []position
	for i := range 5 {
		r := admin.create(t, fmt.Sprint("room ", i))
		u.join(t, r)
		rooms, listed = append(rooms, r), append(listed, position{room: r.id, updated: never, viewed: never})
	}
	var s *stream
	for range 20 {
		s = u.open(t, listed...)
		s.next() // it is the newest
	}
	for s.next().GetInitialConnectionMessagesCompleteResponse() == nil {
	}
	for range 3 {
		for _, r := range rooms {
			s.wantText(admin.say(t, r, "do you hear me?"))
		}
	}
}

// When a stream has ended, no room knows it any more, also if it had joined
// while it was open and was never told; and a room that nobody hears is gone.
// (In the original rooms stay in the map for ever.)
func nothingBehind(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	for range 5 {
		r := admin.create(t, "hall")
		s := u.open(t)
		var ending sync.WaitGroup
		ending.Go(s.cancel)
		u.join(t, r)
		ending.Wait()
		admin.say(t, r, "x")
	}
	v.awaitStreams(t, 0)
	eventually(t, "no room is left in the server", func() bool { return v.Stats().Engine.Rooms == 0 })
	s := u.openLive(t)
	r := admin.create(t, "one more")
	j := u.join(t, r)
	wantUpdateTime(t, s.message(), r, "", j.time())
}

// A newer stream of the same account ends the older one with reason 3 and the
// installation of the newer one; other accounts' streams go on.
func replaced(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	sAdmin := admin.openLive(t)
	pos := position{room: r.id, updated: since, viewed: never}
	s := u.openLive(t, pos)
	second := u.at(h.dial(t)).openLive(t, pos) // over another connection
	s.wantEnd(replacedBy(u))
	second.wantText(admin.say(t, r, "who gets this?"))
	if m := sAdmin.message(); kindOf(m) != kindNewUpdate {
		t.Errorf("got %v", m)
	}
}

// A device that connects again replaces its own stream.
func replacedBySame(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	s := u.openLive(t)
	for range 20 {
		second := u.openLive(t)
		s.wantEnd(replacedBy(u))
		s = second
	}
	s.close()
}

// Of many streams of one account at once one stays, and every other is told.
func newestStays(t *testing.T, h *harness) {
	v := h.serve(t)
	u := v.dial(t).signUp(t)
	u.create(t, "hall")
	const many = 30
	var streams []*stream
	for range many {
		streams = append(streams, u.open(t))
	}
	ends := make(chan end, many)
	for _, s := range streams {
		go func() {
			for range s.frames { // to its end
			}
			ends <- endOf(s.rpc, s.err)
		}()
	}
	for range many - 1 {
		select {
		case e := <-ends:
			if e != replacedBy(u) {
				t.Errorf("a stream ended with %+v", e)
			}
		case <-time.After(patience):
			t.Fatal("more than one stream is left")
		}
	}
	v.awaitStreams(t, 1)
	for _, s := range streams {
		_ = s.rpc.CloseSend()
	}
	if e := <-ends; e != unknownEnd() {
		t.Errorf("the last one ended with %+v", e)
	}
	v.awaitStreams(t, 0)
}

// A stream that is replaced while it initializes ends with reason 3, and tells
// no messages of rooms. (The primer may be there: it comes first here.)
func replacedWhileInitializing(t *testing.T, h *harness) {
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	u.create(t, "hall")
	held := make(chan struct{})
	var first sync.Once
	st.on(func(call string) error {
		if call == "RoomsOf" {
			first.Do(func() { <-held })
		}
		return nil
	})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	s := u.open(t)
	if f := s.next(); f.GetInitialConnectionPrimerResponse() == nil {
		t.Fatalf("got %v", f)
	}
	second := u.open(t)
	second.next() // the older one has been told
	release()
	got, before := s.rest()
	if got != replacedBy(u) || len(before) > 0 {
		t.Errorf("got %v, and the end %+v", before, got)
	}
}

// What a replaced stream did not write the newer one is told: going from stream
// to stream, a client misses nothing and gets nothing twice.
func replacementMissesNothing(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	stop, sender := make(chan struct{}), sync.WaitGroup{}
	sender.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := admin.trySay(t.Context(), r, "more", uuid.NewString()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var got []event
	last := since
	take := func(e event) {
		if e.time > 0 {
			got, last = append(got, e), e.time
		}
	}
	s := u.open(t, position{room: r.id, updated: last, viewed: never})
	for range 20 {
		for _, m := range s.initial() {
			take(eventOf(m))
		}
		for range 3 {
			take(eventOf(s.message()))
		}
		for _, m := range s.live {
			take(eventOf(m))
		}
		// What the old stream says from here on is lost, for the client has
		// another position by now.
		s = u.open(t, position{room: r.id, updated: last, viewed: never})
	}
	close(stop)
	sender.Wait()
	finish := admin.say(t, r, "the end")
	for _, m := range s.initial() {
		take(eventOf(m))
	}
	for last < finish.time {
		take(eventOf(s.message()))
	}
	all := eventsOf(u.history(t, r))
	for i, e := range all {
		if e.time == since {
			wantEvents(t, "the client", got, all[i+1:])
		}
	}
}
