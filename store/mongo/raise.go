package mongo

import (
	"context"
	"fmt"
	"sync"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/store"
)

// A message that fifty people read is one insert, and each of them says up to when
// he has viewed the room. So what comes while such a write is under way is gathered
// into the next one, as the committer does with events: one write is under way at
// a time, nothing waits for company, and who has waited for a write knows that a
// majority has what he said.

// raises are what is to be raised and not yet being written. Safe for concurrent
// use.
type raises struct {
	// limit bounds a group, unless one caller alone has more.
	limit int
	wake  chan struct{}
	// stopped is closed when everybody has been answered.
	stopped chan struct{}

	mu sync.Mutex
	// waiting are the groups in the order in which they are written. Callers join
	// the last one.
	waiting []*raising
	// ended: nobody writes any more.
	ended bool
}

// raising is what is raised in one write.
type raising struct {
	// viewed is by the _id in seen.
	viewed  map[string]int64
	err     error // set before written is closed
	written chan struct{}
}

func newRaises(limit int) *raises {
	return &raises{limit: limit, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// join adds viewed, which is given away, to a group; nil when there is no other.
func (r *raises) join(viewed map[string]int64) *raising {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	if n := len(r.waiting); n > 0 && len(r.waiting[n-1].viewed)+len(viewed) <= r.limit {
		g := r.waiting[n-1]
		for id, to := range viewed {
			g.viewed[id] = max(g.viewed[id], to)
		}
		return g
	}
	g := &raising{viewed: viewed, written: make(chan struct{})}
	r.waiting = append(r.waiting, g)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return g
}

// next takes the next group, nil if there is none. It is the last one if the store
// is closing and there is none.
func (r *raises) next(closing bool) *raising {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.ended = closing
		return nil
	}
	g := r.waiting[0]
	r.waiting = r.waiting[1:]
	return g
}

// keepRaising writes what is to be raised. It ends when the store is closed and
// what was accepted is written.
func (s *Store) keepRaising(ctx context.Context) {
	defer close(s.raises.stopped)
	for {
		closing := s.isClosing()
		g := s.raises.next(closing)
		switch {
		case g != nil:
			g.err = s.writeRaising(ctx, g)
			close(g.written)
			continue
		case closing:
			return
		}
		select {
		case <-s.raises.wake:
		case <-s.closing:
		}
	}
}

func (s *Store) writeRaising(ctx context.Context, g *raising) error {
	updates := make([]driver.WriteModel, 0, len(g.viewed))
	for id, to := range g.viewed {
		updates = append(updates, raise(id, store.Seen{Viewed: to}))
	}
	return s.bulk(ctx, s.seen, updates)
}

// RaiseViewed implements store.Log. Who does not wait for it to the end takes
// nothing back.
func (s *Store) RaiseViewed(ctx context.Context, account string, viewed map[string]int64) error {
	what := "raise what " + account + " has viewed"
	if !store.StorableAccount(account) {
		return fmt.Errorf("store: %s: %w account", what, store.ErrMalformed)
	}
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	of := make(map[string]int64, len(viewed))
	for roomID, to := range viewed {
		if !store.StorableRoom(roomID) {
			return fmt.Errorf("store: %s: %w room id %q", what, store.ErrMalformed, roomID)
		}
		if to > 0 {
			of[in(roomID, account)] = to
		}
	}
	if len(of) == 0 {
		return nil
	}
	g := s.raises.join(of)
	if g == nil {
		return fmt.Errorf("store: %s: %w", what, store.ErrClosed)
	}
	var err error
	select {
	case <-g.written:
		err = g.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return nil
}
