package ring

import (
	"errors"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// groupOf is a group of so many events, each with a body of so many bytes.
func groupOf(events, body int) store.Batch {
	group := make([]room.Event, events)
	for i := range group {
		group[i].Body = make([]byte, body)
	}
	return store.Batch{Events: group}
}

func TestRingIsBounded(t *testing.T) {
	r := New(10, 10_000)
	held := func() int { return int(r.next - r.first) }
	check := func() {
		t.Helper()
		events, bytes := 0, 0
		for n := r.first; n < r.next; n++ {
			events, bytes = events+r.slot(n).size(), bytes+r.slot(n).bytes
		}
		if events != r.events || bytes != r.bytes {
			t.Errorf("counted %d events, %d bytes; are %d, %d", r.events, r.bytes, events, bytes)
		}
	}
	for _, n := range []int{4, 4, 2, 1, 100, 3, 7, 1} {
		r.Add(groupOf(n, 0))
		if held() > 1 && r.events > 10 {
			t.Errorf("%d events in %d groups", r.events, held())
		}
		check()
	}
	if held() != 2 || r.events != 8 || r.first != 7 || r.next != 9 {
		t.Errorf("%d groups with %d events, from %d to before %d", held(), r.events, r.first, r.next)
	}
	if r.Add(groupOf(1, 20_000)); held() != 1 || r.bytes < 20_000 {
		t.Errorf("%d groups with %d bytes after a large one, want it alone", held(), r.bytes)
	}
	if r.Add(groupOf(1, 0)); held() != 1 || r.bytes > 10_000 {
		t.Errorf("%d groups with %d bytes, want the large one gone", held(), r.bytes)
	}
	check()

	// Claims and sessions count as events do.
	for range 8 {
		r.Add(store.Batch{Claims: make([]store.Claim, 2), Sessions: make([]string, 1)})
	}
	if held() != 3 || r.events != 9 {
		t.Errorf("%d groups with %d claims and sessions, want 3 of 3", held(), r.events)
	}
	check()
	next := r.next
	if r.Add(store.Batch{}); r.next != next {
		t.Error("a group of nothing was added")
	}
}

// What is gone is let go of, and the slots do not grow with what has come.
func TestSlotsAreUsedAgain(t *testing.T) {
	r := New(100, 1<<20)
	for range 1000 {
		r.Add(groupOf(1, 1))
	}
	if len(r.slots) != 128 {
		t.Errorf("%d slots for 100 groups", len(r.slots))
	}
	used := 0
	for _, g := range r.slots {
		if g.Events != nil {
			used++
		}
	}
	if used != 100 {
		t.Errorf("%d slots have events, want 100", used)
	}
}

func TestRingAfter(t *testing.T) {
	r := New(100, 1<<20)
	for n := range 150 {
		group := groupOf(1, 0)
		group.Events[0].Seq = uint64(n) + 1
		r.Add(group)
	}
	after := func(number uint64, held bool, groups int) {
		t.Helper()
		got, wake, err := r.after(place{r.epoch, number}, nil)
		if (err == nil) != held || len(got) != groups || (wake != nil) != (held && groups == 0) {
			t.Errorf("after %d: %d groups, %v, wait %v; want %d, %v", number, len(got), err, wake != nil, groups, held)
		}
		if err != nil && !errors.Is(err, store.ErrHistoryLost) {
			t.Errorf("after %d: %v", number, err)
		}
		for i, b := range got {
			if want := number + uint64(i) + 1; len(b.Events) != 1 || b.Events[0].Seq != want {
				t.Errorf("after %d: group %d is %+v", number, i, b.Events)
			}
		}
	}
	for _, tt := range []struct {
		number uint64
		held   bool
		groups int
	}{
		{0, false, 0}, {49, false, 0}, {50, true, step}, {100, true, 50}, {149, true, 1}, {150, true, 0},
		{151, false, 0}, // nobody was given that
	} {
		after(tt.number, tt.held, tt.groups)
	}
	if _, _, err := r.after(place{"another", 100}, nil); !errors.Is(err, store.ErrHistoryLost) {
		t.Errorf("of another epoch: %v", err)
	}
	if now, want := r.Now(), (place{r.epoch, 150}).position(); now != want || r.Position(150) != want {
		t.Errorf("now is %q, after 150 %q; want %q", now, r.Position(150), want)
	}

	// Reads may show the next group before it is here, so a position may be behind
	// it, but no further.
	if n := r.Expect(); n != 151 {
		t.Errorf("expected is %d, want 151", n)
	}
	after(150, true, 0)
	after(151, true, 0)
	after(152, false, 0)
	group := groupOf(1, 0)
	group.Events[0].Seq = 151
	r.Add(group)
	after(150, true, 1)
	after(151, true, 0)
	after(152, false, 0)

	end := errors.New("end")
	r.Finish(func() error { return end })
	r.Finish(func() error { return errors.New("later") })
	if groups, _, err := r.after(place{r.epoch, 150}, nil); err != nil || len(groups) != 1 {
		t.Errorf("what is left at the end: %d groups, %v", len(groups), err)
	}
	if _, _, err := r.after(place{r.epoch, 151}, nil); !errors.Is(err, end) {
		t.Errorf("at the end: got %v, want %v", err, end)
	}
}
