package embedded

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

func groupOf(events, body int) []room.Event {
	group := make([]room.Event, events)
	for i := range group {
		group[i].Body = make([]byte, body)
	}
	return group
}

func TestRingIsBounded(t *testing.T) {
	r := newRing(10, 10_000)
	sizes := []int{4, 4, 2, 1, 100, 3, 7, 1}
	for _, n := range sizes {
		r.add(groupOf(n, 0))
		if len(r.groups) > 1 && r.events > 10 {
			t.Errorf("%d events in %d groups", r.events, len(r.groups))
		}
	}
	if len(r.groups) != 2 || r.events != 8 || r.first != 7 || r.next != 9 {
		t.Errorf("%d groups with %d events, from %d to before %d", len(r.groups), r.events, r.first, r.next)
	}
	if r.add(groupOf(1, 20_000)); len(r.groups) != 1 || r.bytes < 20_000 {
		t.Errorf("%d groups with %d bytes after a large one, want it alone", len(r.groups), r.bytes)
	}
	if r.add(groupOf(1, 0)); len(r.groups) != 1 || r.bytes > 10_000 {
		t.Errorf("%d groups with %d bytes, want the large one gone", len(r.groups), r.bytes)
	}
	events, bytes := 0, 0
	for _, g := range r.groups {
		events, bytes = events+len(g.events), bytes+g.bytes
	}
	if events != r.events || bytes != r.bytes {
		t.Errorf("counted %d events, %d bytes; are %d, %d", r.events, r.bytes, events, bytes)
	}
}

func TestRingAfter(t *testing.T) {
	r := newRing(100, 1<<20)
	for range 150 {
		r.add(groupOf(1, 0))
	}
	for _, tt := range []struct {
		number uint64
		held   bool
		groups int
	}{
		{0, false, 0}, {49, false, 0}, {50, true, watchStep}, {100, true, 50}, {149, true, 1}, {150, true, 0},
		// The view is published before the ring, so a position may be ahead of it.
		{151, true, 0},
	} {
		groups, wake, held := r.after(tt.number, nil)
		if held != tt.held || len(groups) != tt.groups || (wake != nil) != (held && len(groups) == 0) {
			t.Errorf("after %d: %d groups, held %v, wait %v; want %d, %v", tt.number, len(groups), held, wake != nil, tt.groups, tt.held)
		}
	}
}

// A watcher that falls behind is told so; it finds the rest in the logs (S9).
func TestSlowWatcherLosesHistory(t *testing.T) {
	cfg := inMemory(vfs.NewCrashableMem())
	cfg.RingEvents = 4
	s := open(t, cfg)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	pos, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	var last uint64
	var end error
	for batch, err := range s.Watch(ctx, pos) {
		if end = err; err != nil {
			continue
		}
		last = batch.Events[len(batch.Events)-1].Seq
		for i := range 6 {
			r.Post(t, storetest.Account(0), fmt.Sprint(i))
		}
	}
	if !errors.Is(end, store.ErrHistoryLost) || last != 2 {
		t.Errorf("ended after event %d with %v, want %v", last, end, store.ErrHistoryLost)
	}
	events, err := s.Events(ctx, r.ID, last, store.Page{})
	if err != nil || len(events) != 6 {
		t.Errorf("%d events after it, %v; want 6", len(events), err)
	}
}

// In a bubble of synctest a watcher that waits is blocked for good: it polls
// nothing, and an append wakes it.
func TestWatchInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, inMemory(vfs.NewMem()))
		ctx, cancel := context.WithCancel(t.Context())
		pos, err := s.Now(ctx)
		if err != nil {
			t.Fatal(err)
		}
		shown := make([]int, 20)
		for w := range shown {
			go func() {
				for batch, err := range s.Watch(ctx, pos) {
					if err != nil {
						t.Error(err)
					}
					shown[w] += len(batch.Events)
				}
				shown[w] += 1000
			}()
		}
		r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
		synctest.Wait()
		r.Create(t, storetest.Account(0))
		synctest.Wait()
		r.Post(t, storetest.Account(0), "x")
		synctest.Wait()
		for w, n := range shown {
			if n != 3 {
				t.Errorf("watcher %d was shown %d events, want 3", w, n)
			}
		}
		cancel()
		synctest.Wait()
		for w, n := range shown {
			if n != 1003 {
				t.Errorf("watcher %d has not ended", w)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
