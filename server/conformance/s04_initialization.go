package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/store"
)

func initialization() []section {
	return []section{
		{"4", "Stream initialization", []rule{
			{"primer_messages_complete_then_live", initializationOrder},
			{"primer_carries_the_full_active_time", primerTime},
			{"primer_comes_before_anything_is_read", primerAtOnce},
			{"early_requests_are_answered_after_complete", earlyRequests},
			{"what_happens_meanwhile_comes_after_complete", liveMeanwhile},
			{"store_failure_ends_with_60", initializationStoreFailure},
			{"other_failure_ends_with_61", initializationOtherFailure},
			{"parts_are_bounded", initializationParts},
		}},
	}
}

// The first response is the primer, then come the messages, then complete, then
// what is live; the first three come once each, the messages any number of
// times, also none.
func initializationOrder(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	if got := u.open(t).initial(); len(got) > 0 { // initial checks the order
		t.Errorf("a user without rooms gets %v", got)
	}
	r := admin.create(t, "hall")
	u.join(t, r)
	s := u.open(t)
	if got := s.initial(); len(got) == 0 {
		t.Error("a user with a room gets nothing")
	}
	s.wantText(admin.say(t, r, "live"))
	s.close()
}

// The primer tells how long a stream lives in all, 30 minutes, not what is left.
func primerTime(t *testing.T, h *harness) {
	s := h.dial(t).signUp(t).open(t)
	if f := s.next(); f.GetInitialConnectionPrimerResponse().GetTimeUntilChatStreamExpiresInMillis() != 1_800_000 {
		t.Errorf("got %v", f)
	}
}

// Replaced, everything is buffered before the first write: the primer comes
// before anything is read.
func primerAtOnce(t *testing.T, h *harness) {
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	read := make(chan struct{})
	st.on(func(call string) error {
		if call == "RoomsOf" {
			<-read
		}
		return nil
	})
	defer sync.OnceFunc(func() { close(read) })()
	s := u.open(t)
	if f := s.next(); f.GetInitialConnectionPrimerResponse() == nil {
		t.Errorf("got %v", f)
	}
}

// Requests that a client sends before its initialization is over are answered
// after complete, in their order.
func earlyRequests(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	x := u.say(t, r, "hello")
	s := u.open(t)
	s.send(fullRequest(r.id, entry{x.uuid, completed}))
	s.send(refreshRequest())
	s.initial() // checks that nothing comes between
	if got := s.answer(); got.status != finalList || len(got.entries) != 1 || got.entries[0].GetMessageUuid() != x.uuid {
		t.Errorf("got %+v", got)
	}
	if f := s.next(); !f.GetRefreshChatStreamResponse().GetSuccessfullyRefreshedTime() {
		t.Errorf("got %v", f)
	}
}

// What is stored while a stream initializes is neither missed nor told twice:
// it is in the messages or comes live.
func liveMeanwhile(t *testing.T, h *harness) {
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
	var streams []*stream
	var got [][]event
	for range 10 {
		s := u.open(t, position{room: r.id, updated: since, viewed: never})
		got = append(got, eventsOf(s.initial()))
		for range 5 {
			got[len(got)-1] = append(got[len(got)-1], eventOf(s.message()))
		}
		streams = append(streams, s)
	}
	close(stop)
	sender.Wait()
	all := eventsOf(u.history(t, r))
	all = all[slices.IndexFunc(all, func(e event) bool { return e.time == since })+1:]
	for i, list := range got {
		for _, m := range streams[i].live { // of the same response
			list = append(list, eventOf(m))
		}
		wantEvents(t, fmt.Sprint("stream ", i), list, all[:len(list)])
	}
}

// An initialization that the store fails, in whatever it reads, ends with reason
// 1 and status 60. (The original leaves out what it cannot read of a room that
// the client knows.)
func initializationStoreFailure(t *testing.T, h *harness) {
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	r := u.create(t, "hall")
	for _, call := range []string{"RoomsOf", "State", "Events"} {
		st.failing(store.ErrUnavailable, call)
		for _, listed := range [][]position{nil, {{room: r.id, updated: -1}}} {
			got, before := u.open(t, listed...).rest()
			if got != refused(databaseDown) || len(before) > 1 { // the primer may be there
				t.Errorf("%s fails: got %v, and the end %+v", call, before, got)
			}
		}
		st.off()
	}
	u.openLive(t).close()
}

// An initialization that fails otherwise, on a history with a hole, ends with
// reason 1 and status 61.
func initializationOtherFailure(t *testing.T, h *harness) {
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	u.create(t, "hall")
	st.holes.Store(true)
	got, before := u.open(t).rest()
	if got != refused(lgError) || len(before) > 1 {
		t.Errorf("got %v, and the end %+v", before, got)
	}
	st.holes.Store(false)
	u.openLive(t).close()
}

// Replaced, parts of up to 12 MB: the messages come in parts that a default
// client takes, and the history is complete and in order.
func initializationParts(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	const n = 304 // more than one part
	flood(t, admin, r, n)
	s := u.open(t, position{room: r.id, updated: -1, viewed: never})
	parts, texts, last := 0, 0, int64(0)
	for s.next().GetInitialConnectionPrimerResponse() == nil {
	}
	for {
		f := s.next()
		if f.GetInitialConnectionMessagesCompleteResponse() != nil {
			break
		}
		if size := proto.Size(f); size > 256<<10+1024 {
			t.Errorf("a part of %d bytes", size)
		}
		parts++
		for _, m := range f.GetInitialConnectionMessagesResponse().GetMessagesList() {
			if m.GetTimestampStored() <= last {
				t.Fatalf("%d after %d", m.GetTimestampStored(), last)
			}
			last = m.GetTimestampStored()
			if kindOf(m) == kindText {
				texts++
			}
		}
	}
	if texts != n || parts < 2 {
		t.Errorf("%d texts in %d parts", texts, parts)
	}
}

// flood sends n texts, some at a time.
func flood(t *testing.T, u *user, r chatRoom, n int) {
	t.Helper()
	ctx := soon(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range (n + 7) / 8 {
				id := uuid.NewString()
				if _, err := u.trySay(ctx, r, id+strings.Repeat(" and so on", 22), id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
