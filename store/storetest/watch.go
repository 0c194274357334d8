package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// watched collects what Watch shows from pos until enough says so, and returns
// the position behind it.
func watched(
	ctx context.Context, s store.Store, pos store.Position, enough func([]room.Event) bool,
) ([]room.Event, store.Position, error) {
	var events []room.Event
	for batch, err := range s.Watch(ctx, pos) {
		if err != nil {
			return events, pos, err
		}
		if len(batch.Events)+len(batch.Claims)+len(batch.Sessions) == 0 {
			return events, pos, errors.New("a batch without anything")
		}
		events, pos = append(events, batch.Events...), batch.After
		if enough(events) {
			return events, pos, nil
		}
	}
	return events, pos, fmt.Errorf("watch ended without an error: %w", context.Cause(ctx))
}

func count(n int) func([]room.Event) bool {
	return func(events []room.Event) bool { return len(events) >= n }
}

// byRoom sorts events into rooms, keeping their order.
func byRoom(events []room.Event) map[string][]room.Event {
	rooms := make(map[string][]room.Event)
	for _, e := range events {
		rooms[e.Room] = append(rooms[e.Room], e)
	}
	return rooms
}

func now(t testing.TB, s store.Store) store.Position {
	t.Helper()
	pos, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

func testWatchOrder(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	const rooms, each = 6, 60
	created(t, s, RoomID(rooms), Account(0)) // before the watch: not shown
	start := now(t, s)
	total := rooms * (each + 2)

	var wg sync.WaitGroup
	for i := range rooms {
		wg.Go(func() {
			r := created(t, s, RoomID(i), Account(0))
			for n := range each {
				r.Post(t, Account(0), fmt.Sprint(n))
			}
		})
	}
	seen := make([][]room.Event, 4)
	for w := range seen {
		wg.Go(func() {
			// Some look at it in one piece, some in several.
			step := total
			if w%2 == 1 {
				step = total / 7
			}
			pos := start
			for len(seen[w]) < total {
				events, after, err := watched(ctx, s, pos, count(min(step, total-len(seen[w]))))
				if err != nil {
					t.Error(err)
					return
				}
				seen[w], pos = append(seen[w], events...), after
			}
			if pos != now(t, s) && ctx.Err() == nil && len(seen[w]) > total {
				t.Errorf("more was shown than stored: %d events", len(seen[w]))
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i := range rooms {
		log := CheckRoom(ctx, t, s, RoomID(i))
		for w := range seen {
			if got := byRoom(seen[w])[RoomID(i)]; !slices.EqualFunc(got, log, Equal) {
				t.Errorf("S4, S5: watcher %d was shown %d events of room %d, in another way than its log of %d",
					w, len(got), i, len(log))
			}
		}
	}
	if got := byRoom(seen[0])[RoomID(rooms)]; len(got) > 0 {
		t.Errorf("shown what was there before: %+v", got)
	}
}

func testWatchSeesAcknowledged(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	pos := now(t, s)
	for i := range 30 {
		var early []room.Event
		var err error
		var wg sync.WaitGroup
		if i%2 == 0 { // one that waits already
			wg.Go(func() { early, _, err = watched(ctx, s, pos, count(1)) })
		}
		e := r.Post(t, Account(0), fmt.Sprint(i))
		wg.Wait()
		late, after, lateErr := watched(ctx, s, pos, count(1))
		if err != nil || lateErr != nil {
			t.Fatal(err, lateErr)
		}
		if i%2 == 0 && (len(early) != 1 || !Equal(early[0], e)) {
			t.Fatalf("a watch that was waiting was shown %+v, acknowledged was %+v", early, e)
		}
		if len(late) != 1 || !Equal(late[0], e) {
			t.Fatalf("a watch from before was shown %+v, acknowledged was %+v", late, e)
		}
		pos = after
	}
}

// testNowEventsWatch: pos := Now(); Events; Watch(pos) leaves nothing out, with
// appends all the while.
func testNowEventsWatch(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	const rooms = 3
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range rooms {
		r := created(t, s, RoomID(i), Account(0))
		wg.Go(func() {
			for !stop.Load() {
				r.Post(t, Account(0), "x")
			}
		})
	}
	defer wg.Wait()
	defer stop.Store(true)
	var readers sync.WaitGroup
	for i := range rooms {
		readers.Go(func() {
			id := RoomID(i)
			var after uint64
			for range 150 {
				pos := now(t, s)
				state, err := s.State(ctx, id)
				if err != nil {
					t.Error(err)
					return
				}
				events, err := s.Events(ctx, id, after, store.Page{})
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range events {
					if e.Seq != after+1 {
						t.Errorf("S1: read event %d after %d", e.Seq, after)
						return
					}
					after = e.Seq
				}
				first, _, err := watched(ctx, s, pos, func(events []room.Event) bool {
					return slices.ContainsFunc(events, func(e room.Event) bool { return e.Room == id })
				})
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range byRoom(first)[id] {
					if e.Seq > after+1 {
						t.Errorf("S7: read up to %d, then shown %d", after, e.Seq)
						return
					}
					if e.Seq > state.Seq+1 && e.Seq > after+1 {
						t.Errorf("S7: the state was of %d, then shown %d", state.Seq, e.Seq)
						return
					}
					after = max(after, e.Seq)
				}
			}
		})
	}
	readers.Wait()
}

func testHistoryLost(t *testing.T, h Harness) {
	s := h.Open(t, nil)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	old := now(t, s)
	r.Post(t, Account(0), "after the position")
	lost := func(s store.Store, pos store.Position) bool {
		t.Helper()
		n := 0
		var last error
		for batch, err := range s.Watch(ctx, pos) {
			n++
			if last = err; err == nil || len(batch.Events) > 0 || batch.After != "" {
				break
			}
		}
		return n == 1 && errors.Is(last, store.ErrHistoryLost)
	}
	for _, pos := range []store.Position{"", "nonsense", old + "0000000", "x" + old} {
		if !lost(s, pos) {
			t.Errorf("watch from %q: want exactly one yield, of %v", pos, store.ErrHistoryLost)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Another process may go on from there, or must say that it cannot; either
	// way nothing is lost.
	s = opened(t, h)
	if !lost(s, old) {
		events, _, err := watched(ctx, s, old, count(1))
		if err != nil || events[0].Seq != 3 {
			t.Errorf("after a restart: shown %+v, %v; want event 3 or %v", events, err, store.ErrHistoryLost)
		}
	}
	pos := now(t, s)
	events, err := s.Events(ctx, r.ID, 2, store.Page{})
	if err != nil || len(events) != 1 {
		t.Errorf("S9: got %+v, %v; want event 3", events, err)
	}
	again := &Room{Store: s, ID: r.ID, next: 1000}
	e := again.Post(t, Account(0), "new")
	if events, _, err = watched(ctx, s, pos, count(1)); err != nil || !Equal(events[0], e) {
		t.Errorf("watch from now: shown %+v, %v; want %+v", events, err, e)
	}
}

// testReadsIncludeShown: whoever was told of an event, by an acknowledgement or
// by Watch, finds it in everything he reads afterwards.
func testReadsIncludeShown(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	const rooms, each = 4, 60
	check := func(by string, e room.Event) error {
		state, err := s.State(ctx, e.Room)
		if err != nil {
			return err
		}
		if state.Seq < e.Seq {
			return fmt.Errorf("S10: %s showed event %d, State is of %d", by, e.Seq, state.Seq)
		}
		events, err := s.Events(ctx, e.Room, e.Seq-1, store.Page{Events: 1})
		if err != nil {
			return err
		}
		if len(events) != 1 || !Equal(events[0], e) {
			return fmt.Errorf("S10: %s showed event %d, Events shows %+v", by, e.Seq, events)
		}
		got, err := s.Event(ctx, e.Room, e.UUID)
		if err != nil || !Equal(got, e) {
			return fmt.Errorf("S10: %s showed event %d, Event shows %+v, %v", by, e.Seq, got, err)
		}
		if seq, err := s.SeqAt(ctx, e.Room, e.Time); err != nil || seq != e.Seq {
			return fmt.Errorf("S10: %s showed event %d, at its time SeqAt shows %d, %v", by, e.Seq, seq, err)
		}
		if seen, err := s.SeenBy(ctx, e.Sender, []string{e.Room}); err != nil || seen[e.Room].Activity < e.Time {
			return fmt.Errorf("S10: %s showed event %d, its sender is seen at %d, %v", by, e.Seq, seen[e.Room].Activity, err)
		}
		// Nobody leaves in this test but those who wait for their own leave.
		if e.Action == room.Add && by == "watch" && e.Target >= Account(1000) {
			in, err := s.RoomsOf(ctx, e.Target)
			if err != nil || !slices.Contains(in, e.Room) {
				return fmt.Errorf("S10: %s showed %s joining, RoomsOf shows %v, %v", by, e.Target, in, err)
			}
		}
		return nil
	}
	start := now(t, s)
	var wg sync.WaitGroup
	total := rooms * (2 + 4*each)
	for range 2 {
		wg.Go(func() {
			n := 0
			for batch, err := range s.Watch(ctx, start) {
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range batch.Events {
					if err := check("watch", e); err != nil {
						t.Error(err)
						return
					}
				}
				if n += len(batch.Events); n >= total {
					return
				}
			}
			t.Errorf("watch ended after %d of %d events", n, total)
		})
	}
	for i := range rooms {
		wg.Go(func() {
			r := created(t, s, RoomID(i), Account(0))
			passer := Account(1 + i)
			for n := range each {
				for _, e := range []room.Event{
					r.Join(t, Account(1000+i*each+n)),
					r.Join(t, passer),
					r.Post(t, passer, "passing"),
					r.Leave(t, passer),
				} {
					if err := check("the acknowledgement", e); err != nil {
						t.Error(err)
						return
					}
				}
				// The passer is out again, by the last acknowledgement.
				in, err := s.RoomsOf(ctx, passer)
				if err != nil || slices.Contains(in, r.ID) {
					t.Errorf("S10: %s has left, RoomsOf shows %v, %v", passer, in, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testWatchEnds(t *testing.T, h Harness) {
	s := h.Open(t, nil)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	pos := now(t, s)

	// By its context, while it waits and while it has something to show.
	waiting, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for batch, err := range s.Watch(waiting, pos) {
			t.Errorf("shown %+v, %v", batch, err)
		}
	}()
	cancel()
	<-ended
	r.Post(t, Account(0), "1")
	r.Post(t, Account(0), "2")
	showing, cancel := context.WithCancel(ctx)
	n := 0
	for _, err := range s.Watch(showing, pos) {
		if n++; err != nil {
			t.Error(err)
		}
		cancel()
	}
	cancel()
	if n != 1 {
		t.Errorf("%d batches after the context ended, want none after the first", n)
	}

	// By the store's end, which comes last.
	pos = now(t, s)
	const watchers = 5
	errs := make([]error, watchers)
	started := make(chan struct{}, watchers)
	var wg sync.WaitGroup
	for w := range watchers {
		wg.Go(func() {
			for _, err := range s.Watch(ctx, pos) {
				if errs[w] != nil {
					t.Errorf("shown something after %v", errs[w])
				}
				if errs[w] = err; err == nil {
					started <- struct{}{}
				}
			}
		})
	}
	r.Post(t, Account(0), "3")
	for range watchers {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for w, err := range errs {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("watcher %d ended with %v, want %v", w, err, store.ErrClosed)
		}
	}
}

// calls is every method, with arguments that work in a store that has
// Account(0) and RoomID(0).
func calls(s store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error {
			return second(s.Append(ctx, RoomID(0), drafts(draft(UUID(1<<20, 0)))))
		},
		"State": func(ctx context.Context) error { return second(s.State(ctx, RoomID(0))) },
		"Events": func(ctx context.Context) error {
			return second(s.Events(ctx, RoomID(0), 0, store.Page{}))
		},
		"Event":   func(ctx context.Context) error { return second(s.Event(ctx, RoomID(0), UUID(1, 0))) },
		"SeqAt":   func(ctx context.Context) error { return second(s.SeqAt(ctx, RoomID(0), 0)) },
		"RoomsOf": func(ctx context.Context) error { return second(s.RoomsOf(ctx, Account(0))) },
		"Seen":    func(ctx context.Context) error { return second(s.Seen(ctx, RoomID(0))) },
		"SeenBy":  func(ctx context.Context) error { return second(s.SeenBy(ctx, Account(0), []string{RoomID(0)})) },
		"RaiseViewed": func(ctx context.Context) error {
			return s.RaiseViewed(ctx, Account(0), map[string]int64{RoomID(0): 1 << 50})
		},
		"Now":           func(ctx context.Context) error { return second(s.Now(ctx)) },
		"CreateAccount": func(ctx context.Context) error { return s.CreateAccount(ctx, account(7, "new")) },
		"Account":       func(ctx context.Context) error { return second(s.Account(ctx, Account(0))) },
		"AccountByName": func(ctx context.Context) error { return second(s.AccountByName(ctx, "alice")) },
		"UpdateSession": func(ctx context.Context) error {
			return s.UpdateSession(ctx, Account(0), func(store.Account) (store.Session, error) {
				return store.Session{Expires: 1}, nil
			})
		},
	}
}

func testContextEnds(t *testing.T, h Harness) {
	s := opened(t, h)
	created(t, s, RoomID(0), Account(0))
	if err := s.CreateAccount(bounded(t), account(0, "alice")); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(bounded(t))
	cancel()
	for name, call := range calls(s) {
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", name, err)
		}
	}
	for name, call := range calls(s) {
		if err := call(bounded(t)); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

func testClosed(t *testing.T, h Harness) {
	s := h.Open(t, nil)
	created(t, s, RoomID(0), Account(0))
	if err := s.CreateAccount(bounded(t), account(0, "alice")); err != nil {
		t.Fatal(err)
	}
	pos := now(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(s) {
		if err := call(bounded(t)); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: got %v, want %v", name, err, store.ErrClosed)
		}
	}
	for _, err := range s.Watch(bounded(t), pos) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("Watch after Close: got %v, want %v", err, store.ErrClosed)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	select {
	case <-s.Failed():
		t.Error("a closed store says that it failed")
	default:
	}
	if err := s.Err(); err != nil {
		t.Errorf("a closed store says that it failed: %v", err)
	}
}
