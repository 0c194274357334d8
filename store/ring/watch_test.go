package ring

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/chatstream/chatstream/store"
)

// A watcher that waits polls nothing; a group wakes it, and so does the end, be it
// its own or the ring's.
func TestWatchInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(100, 1<<20)
		ctx, cancel := context.WithCancel(t.Context())
		pos := r.Now()
		var shown [20]int
		var ends [20]error
		for w := range shown {
			watching := ctx
			if w%2 == 1 {
				watching = t.Context()
			}
			go func() {
				for batch, err := range r.Watch(watching, pos) {
					shown[w] += len(batch.Events)
					ends[w] = err
				}
				shown[w] += 1000
			}()
		}
		synctest.Wait()
		r.Add(groupOf(2, 0))
		synctest.Wait()
		r.Add(groupOf(1, 0))
		synctest.Wait()
		for w, n := range shown {
			if n != 3 {
				t.Errorf("watcher %d was shown %d events, want 3", w, n)
			}
		}
		cancel()
		synctest.Wait()
		for w, n := range shown {
			if ended := n == 1003 && ends[w] == nil; ended != (w%2 == 0) {
				t.Errorf("watcher %d: %d, %v; its own context has ended: %v", w, n, ends[w], w%2 == 0)
			}
		}
		r.Finish(func() error { return store.ErrClosed })
		synctest.Wait()
		for w, n := range shown {
			if n != 1003 || errors.Is(ends[w], store.ErrClosed) != (w%2 == 1) {
				t.Errorf("watcher %d: %d, %v", w, n, ends[w])
			}
		}
	})
}

// An epoch that ends wakes those who wait, and loses every position.
func TestBeginEndsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(100, 1<<20)
		r.Add(groupOf(1, 0))
		pos := r.Now()
		var end error
		go func() {
			for _, err := range r.Watch(t.Context(), pos) {
				end = err
			}
		}()
		synctest.Wait()
		r.Begin()
		synctest.Wait()
		if !errors.Is(end, store.ErrHistoryLost) {
			t.Errorf("got %v, want %v", end, store.ErrHistoryLost)
		}
		if r.Now() == pos || r.events != 0 {
			t.Errorf("now is %q, was %q; %d events", r.Now(), pos, r.events)
		}
	})
}

// A batch is what was added, with a position from which the rest is shown; what a
// caller does with its slice of events is nobody else's affair.
func TestWatchShowsWhatWasAdded(t *testing.T) {
	r := New(1000, 1<<20)
	from := r.Now()
	const groups = step + 10
	for n := range groups {
		b := groupOf(1, 0)
		b.Events[0].Seq = uint64(n) + 1
		b.Claims, b.Sessions = []store.Claim{{Generation: uint64(n)}}, []string{"someone"}
		r.Add(b)
	}
	r.Finish(func() error { return store.ErrClosed })
	for begin := range uint64(groups) {
		seq := begin
		var end error
		for b, err := range r.Watch(t.Context(), from) {
			if end = err; err != nil {
				continue
			}
			if seq++; len(b.Events) != 1 || b.Events[0].Seq != seq || len(b.Claims) != 1 || b.Claims[0].Generation != seq-1 || !slices.Equal(b.Sessions, []string{"someone"}) {
				t.Fatalf("from %d: %+v, want group %d", begin, b, seq)
			}
			b.Events[0].Seq = 0
			if seq == begin+1 {
				from = b.After
			}
		}
		if seq != groups || !errors.Is(end, store.ErrClosed) {
			t.Errorf("from %d: ended after %d with %v", begin, seq, end)
		}
	}
	for _, pos := range []store.Position{"", "nonsense", "a:b:c", "another:1", from + "0"} {
		n := 0
		for b, err := range r.Watch(t.Context(), pos) {
			if n++; !errors.Is(err, store.ErrHistoryLost) || b.After != "" {
				t.Errorf("from %q: %+v, %v", pos, b, err)
			}
		}
		if n != 1 {
			t.Errorf("from %q: %d yields, want one", pos, n)
		}
	}
}
