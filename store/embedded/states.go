package embedded

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/chatstream/chatstream/engine/room"
)

// states keeps the visible states of the rooms in use. A hit costs a lookup in
// a concurrent map and an atomic load. Which rooms leave when there are too
// many is decided by a clock (second chance), because a list in order of use
// would make every reader write.
//
// A state that is here is the last one published: the syncer puts it in
// place after the view that holds its events, and before the answers.
type states struct {
	entries *xsync.MapOf[string, *stateEntry]
	limit   int

	mu    sync.Mutex
	clock []*stateEntry
	hand  int
	// loads are the rooms being read from disk. publish tells them when what
	// they read has been overtaken.
	loads map[string]*stateLoad
}

type stateEntry struct {
	roomID string
	state  atomic.Pointer[room.State]
	used   atomic.Bool
}

type stateLoad struct {
	done chan struct{}
	// newer is what was published meanwhile; guarded by states.mu.
	newer *room.State
	// state and err are set before done is closed.
	state room.State
	err   error
}

func newStates(limit int) *states {
	return &states{
		entries: xsync.NewMapOf[string, *stateEntry](),
		limit:   limit,
		loads:   make(map[string]*stateLoad),
	}
}

func (s *states) cached(roomID string) (room.State, bool) {
	e, ok := s.entries.Load(roomID)
	if !ok {
		return room.State{}, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	// The entry may be evicted by now, and then no longer be kept up; but it was
	// in the map after the caller asked, and so held all that was visible then.
	return *e.state.Load(), true
}

// get returns the room's visible state, by read if it is not in memory. Several
// callers who want the same room share one read.
func (s *states) get(
	ctx context.Context, roomID string, read func() (room.State, error),
) (state room.State, err error) {
	if state, ok := s.cached(roomID); ok {
		return state, nil
	}
	s.mu.Lock()
	if e, ok := s.entries.Load(roomID); ok {
		s.mu.Unlock()
		return *e.state.Load(), nil
	}
	if l, ok := s.loads[roomID]; ok {
		s.mu.Unlock()
		select {
		case <-l.done:
			return l.state, l.err
		case <-ctx.Done():
			return room.State{}, ctx.Err()
		}
	}
	l := &stateLoad{done: make(chan struct{}), err: errLoadPanicked}
	s.loads[roomID] = l
	s.mu.Unlock()

	// The load is known to publish before the view is taken: whatever is not in
	// that view will be published later than now, and so be found in l.newer.
	// (The committer's view is older, but it asks only for rooms that no group
	// after that view has changed.)
	defer func() {
		s.mu.Lock()
		if l.newer != nil {
			l.state, l.err = *l.newer, nil
		} else if l.err == nil && l.state.Exists() {
			s.put(roomID, l.state)
		}
		delete(s.loads, roomID)
		s.mu.Unlock()
		close(l.done)
		state, err = l.state, l.err
	}()
	l.state, l.err = read()
	return
}

// publish makes state the visible one. Only the syncer calls it, in order.
func (s *states) publish(roomID string, state room.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.loads[roomID]; ok {
		l.newer = &state
	}
	s.put(roomID, state)
}

// put is called with mu held.
func (s *states) put(roomID string, state room.State) {
	if e, ok := s.entries.Load(roomID); ok {
		e.state.Store(&state)
		return
	}
	e := &stateEntry{roomID: roomID}
	e.state.Store(&state)
	if len(s.clock) < s.limit {
		s.clock = append(s.clock, e)
	} else {
		for s.clock[s.hand].used.Swap(false) {
			s.hand = (s.hand + 1) % len(s.clock)
		}
		s.entries.Delete(s.clock[s.hand].roomID)
		s.clock[s.hand] = e
		s.hand = (s.hand + 1) % len(s.clock)
	}
	s.entries.Store(roomID, e)
}
