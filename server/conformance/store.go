package conformance

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// tapped is a store whose calls a rule may hold up, or let fail, and of which
// the tree knows what its servers have been shown.
type tapped struct {
	store.Store
	hook atomic.Pointer[func(call string) error]
	// holes has every room's log look as if nothing were in it.
	holes atomic.Bool
	// held keeps what is stored from being shown to servers.
	held atomic.Bool
	// mute has servers hear nothing of others.
	mute atomic.Bool

	mu      sync.Mutex
	acked   map[string]uint64          // the last acknowledged event of each room
	watches map[*map[string]uint64]any // what each server has been shown of it
}

func tap(s store.Store) *tapped {
	return &tapped{Store: s, acked: map[string]uint64{}, watches: map[*map[string]uint64]any{}}
}

// asShared is s, as a store.Shared if what it taps is one.
func (s *tapped) asShared() store.Store {
	if shared, ok := s.Store.(store.Shared); ok {
		return tappedShared{s, shared}
	}
	return s
}

type tappedShared struct {
	*tapped
	store.Shared
}

// Heard is a very long time ago if a rule has the store say nothing.
func (s tappedShared) Heard() time.Time {
	if s.mute.Load() {
		return time.Time{}
	}
	return s.Shared.Heard()
}

func (s tappedShared) RecentAccount(ctx context.Context, id string) (store.Account, error) {
	if err := s.before("Account"); err != nil {
		return store.Account{}, err
	}
	return s.Shared.RecentAccount(ctx, id)
}

// errOdd is a failure that means nothing to anybody.
var errOdd = errors.New("a failure that nobody knows")

// on has f called before every call of those below, with its name; an error is
// what the call returns. f may be called from many goroutines, and may wait.
func (s *tapped) on(f func(call string) error) { s.hook.Store(&f) }

// failing lets the named call fail with err.
func (s *tapped) failing(err error, call string) {
	s.on(func(c string) error {
		if c == call {
			return err
		}
		return nil
	})
}

// off lets all calls through.
func (s *tapped) off() { s.hook.Store(nil) }

func (s *tapped) before(call string) error {
	if f := s.hook.Load(); f != nil {
		return (*f)(call)
	}
	return nil
}

// hold keeps what is stored from being shown to servers until the returned
// function is called: they know it only by reading.
func (s *tapped) hold(t *testing.T) (release func()) {
	s.held.Store(true)
	release = func() { s.held.Store(false) }
	t.Cleanup(release)
	return release
}

// settle waits until every server has been shown what is acknowledged: in a
// stream that opens now this is in the initialization, not live behind it.
func (s *tapped) settle(t testing.TB) {
	t.Helper()
	if s.held.Load() {
		return
	}
	s.mu.Lock()
	acked := make(map[string]uint64, len(s.acked))
	for id, seq := range s.acked {
		acked[id] = seq
	}
	s.mu.Unlock()
	eventually(t, "the servers are shown what is stored", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for shown := range s.watches {
			for id, seq := range acked {
				if (*shown)[id] < seq {
					return false
				}
			}
		}
		return true
	})
}

func (s *tapped) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		s.mu.Lock()
		shown := make(map[string]uint64, len(s.acked))
		for id, seq := range s.acked { // a server that starts now reads it
			shown[id] = seq
		}
		s.watches[&shown] = nil
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.watches, &shown)
		}()
		for batch, err := range s.Store.Watch(ctx, pos) {
			for s.held.Load() && ctx.Err() == nil {
				time.Sleep(time.Millisecond) // a slow store
			}
			if !yield(batch, err) {
				return
			}
			s.mu.Lock()
			for _, e := range batch.Events {
				shown[e.Room] = max(shown[e.Room], e.Seq)
			}
			s.mu.Unlock()
		}
	}
}

func (s *tapped) Append(ctx context.Context, id string, op store.Op) (store.Appended, error) {
	if err := s.before("Append"); err != nil {
		return store.Appended{}, err
	}
	appended, err := s.Store.Append(ctx, id, op)
	if n := len(appended.Events); err == nil && n > 0 {
		s.mu.Lock()
		s.acked[id] = max(s.acked[id], appended.Events[n-1].Seq)
		s.mu.Unlock()
	}
	return appended, err
}

func (s *tapped) State(ctx context.Context, id string) (room.State, error) {
	if err := s.before("State"); err != nil {
		return room.State{}, err
	}
	return s.Store.State(ctx, id)
}

func (s *tapped) Events(ctx context.Context, id string, after uint64, page store.Page) ([]room.Event, error) {
	if err := s.before("Events"); err != nil {
		return nil, err
	}
	if s.holes.Load() {
		return nil, nil
	}
	return s.Store.Events(ctx, id, after, page)
}

func (s *tapped) Event(ctx context.Context, id, uuid string) (room.Event, error) {
	if err := s.before("Event"); err != nil {
		return room.Event{}, err
	}
	return s.Store.Event(ctx, id, uuid)
}

func (s *tapped) RoomsOf(ctx context.Context, account string) ([]string, error) {
	if err := s.before("RoomsOf"); err != nil {
		return nil, err
	}
	return s.Store.RoomsOf(ctx, account)
}

func (s *tapped) Account(ctx context.Context, id string) (store.Account, error) {
	if err := s.before("Account"); err != nil {
		return store.Account{}, err
	}
	return s.Store.Account(ctx, id)
}
