package mongo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
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
	for _, n := range []int{4, 4, 2, 1, 100, 3, 7, 1} {
		r.add(group{events: groupOf(n, 0)})
		if len(r.groups) > 1 && r.events > 10 {
			t.Errorf("%d events in %d groups", r.events, len(r.groups))
		}
	}
	if len(r.groups) != 2 || r.events != 8 || r.first != 7 || r.next != 9 {
		t.Errorf("%d groups with %d events, from %d to before %d", len(r.groups), r.events, r.first, r.next)
	}
	if r.add(group{events: groupOf(1, 20_000)}); len(r.groups) != 1 || r.bytes < 20_000 {
		t.Errorf("%d groups with %d bytes after a large one, want it alone", len(r.groups), r.bytes)
	}
	if r.add(group{events: groupOf(1, 0)}); len(r.groups) != 1 || r.bytes > 10_000 {
		t.Errorf("%d groups with %d bytes, want the large one gone", len(r.groups), r.bytes)
	}
}

func TestRingAfter(t *testing.T) {
	r := newRing(100, 1<<20)
	for range 150 {
		r.add(group{events: groupOf(1, 0)})
	}
	for _, tt := range []struct {
		number uint64
		held   bool
		groups int
	}{
		{0, false, 0}, {49, false, 0}, {50, true, watchStep}, {100, true, 50}, {149, true, 1}, {150, true, 0},
		{151, false, 0}, // nobody was given that
	} {
		groups, wake, err := r.after(place{r.epoch, tt.number}, nil)
		if (err == nil) != tt.held || len(groups) != tt.groups || (wake != nil) != (tt.held && len(groups) == 0) {
			t.Errorf("after %d: %d groups, %v, wait %v; want %d, %v", tt.number, len(groups), err, wake != nil, tt.groups, tt.held)
		}
	}
	if _, _, err := r.after(place{"another", 100}, nil); !errors.Is(err, store.ErrHistoryLost) {
		t.Errorf("of another epoch: %v", err)
	}
	end := errors.New("end")
	r.finish(end)
	r.finish(errors.New("later"))
	if groups, _, err := r.after(place{r.epoch, 149}, nil); err != nil || len(groups) != 1 {
		t.Errorf("what is left at the end: %d groups, %v", len(groups), err)
	}
	if _, _, err := r.after(place{r.epoch, 150}, nil); !errors.Is(err, end) {
		t.Errorf("at the end: got %v, want %v", err, end)
	}
}

// A watcher that waits polls nothing; an event wakes it, and so does the end.
func TestWatchInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := offline()
		ctx, cancel := context.WithCancel(t.Context())
		pos, err := s.Now(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var shown [20]int
		var ends [20]error
		for w := range shown {
			go func() {
				for batch, err := range s.Watch(ctx, pos) {
					shown[w] += len(batch.Events)
					ends[w] = err
				}
				shown[w] += 1000
			}()
		}
		synctest.Wait()
		log := logOf("room000", 3, 2)
		bring(t, s, log[0], log[1])
		synctest.Wait()
		bring(t, s, log[2])
		synctest.Wait()
		for w, n := range shown {
			if n != 3 {
				t.Errorf("watcher %d was shown %d events, want 3", w, n)
			}
		}
		s.ring.finish(store.ErrClosed)
		synctest.Wait()
		cancel()
		for w, n := range shown {
			if n != 1003 || !errors.Is(ends[w], store.ErrClosed) {
				t.Errorf("watcher %d: %d, %v", w, n, ends[w])
			}
		}
	})
}
