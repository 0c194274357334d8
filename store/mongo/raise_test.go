package mongo

import (
	"context"
	"errors"
	"maps"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// Readers are callers of RaiseViewed, each with his own account, in one room.
type readers struct {
	t       *testing.T
	s       *Store
	callers sync.WaitGroup
	// errs are by account.
	mu   sync.Mutex
	errs map[string]error
}

func newReaders(t *testing.T, s *Store) *readers {
	return &readers{t: t, s: s, errs: make(map[string]error)}
}

func (r *readers) call(ctx context.Context, account string, to int64) {
	r.callers.Go(func() {
		err := r.s.RaiseViewed(ctx, account, map[string]int64{storetest.RoomID(0): to})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs[account] = err
	})
}

// until waits until so many accounts' times wait for a write to begin.
func (r *readers) until(ctx context.Context, waiting int) {
	r.t.Helper()
	for ctx.Err() == nil {
		n := 0
		r.s.raises.mu.Lock()
		for _, g := range r.s.raises.waiting {
			n += len(g.viewed)
		}
		r.s.raises.mu.Unlock()
		if n == waiting {
			return
		}
		runtime.Gosched()
	}
	r.t.Fatal(context.Cause(ctx))
}

// begun has one write under way, which is held, and n callers behind it.
func (r *readers) begun(ctx context.Context, sent *counting, n int) (release func()) {
	r.t.Helper()
	release = sent.hold()
	r.call(ctx, storetest.Account(1000), 1)
	for ctx.Err() == nil && !sent.has(updateSeen) {
		runtime.Gosched()
	}
	for i := range n {
		r.call(ctx, storetest.Account(i), int64(i+1))
	}
	r.until(ctx, n)
	return release
}

func (c *counting) has(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[what] > 0
}

func observed(t *testing.T, d Dialer, timeout time.Duration) (*Store, *counting) {
	t.Helper()
	cfg := inTest(t)
	cfg.Timeout = timeout
	sent := newCounting(d)
	cfg.Dialer = sent
	return open(t, cfg), sent
}

// What comes while a write is under way is in the next one, whoever it is of; and
// who goes away does not take it along.
func TestRaisesShareAWrite(t *testing.T) {
	t.Parallel()
	s, sent := observed(t, &net.Dialer{}, 0)
	closing(t, s)
	ctx := bounded(t)
	r := newReaders(t, s)
	const callers = 50
	release := r.begun(ctx, sent, callers)
	leaving, leave := context.WithCancel(ctx)
	gone := make(chan error)
	go func() {
		gone <- s.RaiseViewed(leaving, storetest.Account(callers), map[string]int64{storetest.RoomID(0): callers + 1})
	}()
	r.until(ctx, callers+1)
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who no longer waits got %v", err)
	}
	release()
	r.callers.Wait()
	for account, err := range r.errs {
		if err != nil {
			t.Errorf("%s: %v", account, err)
		}
	}
	if n := sent.reset()[updateSeen]; n != 2 {
		t.Errorf("%d writes, want 2", n)
	}
	want := map[string]store.Seen{storetest.Account(1000): {Viewed: 1}}
	for i := range callers + 1 {
		want[storetest.Account(i)] = store.Seen{Viewed: int64(i + 1)}
	}
	if got, err := s.Seen(ctx, storetest.RoomID(0)); err != nil || !maps.Equal(got, want) {
		t.Errorf("seen: %v, %v; want %v", got, err, want)
	}
}

// Everybody whose times were in a write is told that it failed, and the next one is
// tried.
func TestRaisesShareAFailure(t *testing.T) {
	t.Parallel()
	replies := &losing{commands: []string{"\x02update\x00\x05\x00\x00\x00seen\x00"}}
	s, sent := observed(t, replies, 400*time.Millisecond)
	closing(t, s)
	ctx := bounded(t)
	r := newReaders(t, s)
	replies.left.Store(always)
	release := r.begun(ctx, sent, 5)
	release()
	r.callers.Wait()
	if len(r.errs) != 6 {
		t.Errorf("%d answers, want 6", len(r.errs))
	}
	for account, err := range r.errs {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", account, err, store.ErrUnavailable)
		}
	}
	replies.left.Store(0)
	if err := s.RaiseViewed(ctx, storetest.Account(0), map[string]int64{storetest.RoomID(0): 9}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Close waits for what was accepted.
func TestCloseWaitsForRaises(t *testing.T) {
	t.Parallel()
	s, sent := observed(t, &net.Dialer{}, 0)
	ctx := bounded(t)
	r := newReaders(t, s)
	release := r.begun(ctx, sent, 5)
	var closed sync.WaitGroup
	closed.Go(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	<-s.stopped // Close has begun, and has nothing else to wait for
	release()
	r.callers.Wait()
	for account, err := range r.errs {
		if err != nil {
			t.Errorf("%s: %v", account, err)
		}
	}
	closed.Wait()
	if err := s.RaiseViewed(ctx, storetest.Account(0), map[string]int64{storetest.RoomID(0): 9}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("afterwards: got %v, want %v", err, store.ErrClosed)
	}
}

// A group takes the highest of each, up to a bound; nobody joins one that is being
// written, or when nobody writes any more.
func TestRaisesAreGathered(t *testing.T) {
	r := newRaises(3)
	first := r.join(map[string]int64{"a": 5, "b": 1})
	if r.join(map[string]int64{"a": 4}) != first || r.join(map[string]int64{"b": 2}) != first {
		t.Error("they are not in one group")
	}
	if want := map[string]int64{"a": 5, "b": 2}; !maps.Equal(first.viewed, want) {
		t.Errorf("the group has %v, want %v", first.viewed, want)
	}
	second := r.join(map[string]int64{"c": 1, "d": 1})
	if second == first {
		t.Error("a group has more than it may")
	}
	if r.next(false) != first || r.next(true) != second {
		t.Error("they are not written in order")
	}
	third := r.join(map[string]int64{"c": 2, "d": 2, "e": 2, "f": 2})
	if third == nil || third == second {
		t.Error("joined a group that is being written")
	}
	if r.next(true) != third || r.next(true) != nil {
		t.Error("the last group is not written")
	}
	if r.join(map[string]int64{"a": 1}) != nil {
		t.Error("joined when nobody writes any more")
	}
}
