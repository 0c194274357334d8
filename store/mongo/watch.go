package mongo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// ring holds the last groups of what this process has shown, for watchers.
// Any number of watchers read, and none can hold up who adds: one that falls
// behind finds its place gone and must read the logs again.
//
// Groups are numbered from 1. A position is the epoch and the number of the last
// group seen. Nothing of it is in the database, so a position of another process
// is not held, and says so; and neither is one of an earlier epoch. An epoch ends
// when what follows it may lack events (feed.go).
type ring struct {
	maxEvents, maxBytes int

	mu     sync.Mutex
	epoch  string
	groups []group
	// first is the number of groups[0]; next is that of the group to come.
	first, next   uint64
	events, bytes int
	// wake is closed when a group is added or the ring ends. It is nil while
	// nobody waits.
	wake chan struct{}
	// end is why nothing is added any more.
	end error
}

// group is what became visible together.
type group struct {
	events   []room.Event
	claims   []store.Claim
	sessions []string
	bytes    int
}

// size is what a group counts against the ring's bound of events.
func (g *group) size() int { return len(g.events) + len(g.claims) + len(g.sessions) }

func newRing(maxEvents, maxBytes int) *ring {
	r := &ring{maxEvents: maxEvents, maxBytes: maxBytes}
	r.begin()
	return r
}

// begin begins an epoch.
func (r *ring) begin() {
	var epoch [8]byte
	_, _ = rand.Read(epoch[:]) // never fails
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = hex.EncodeToString(epoch[:])
	r.groups, r.events, r.bytes, r.first, r.next = nil, 0, 0, 1, 1
	r.wakeAll()
}

// finish ends the ring: watchers get what is in it, and then err.
func (r *ring) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == nil {
		r.end = err
	}
	r.wakeAll()
}

// wakeAll is called with mu held.
func (r *ring) wakeAll() {
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

func (r *ring) add(g group) {
	if g.size() == 0 {
		return
	}
	for i := range g.events {
		g.bytes += g.events[i].Size()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups = append(r.groups, g)
	r.next++
	r.events += g.size()
	r.bytes += g.bytes
	for len(r.groups) > 1 && (r.events > r.maxEvents || r.bytes > r.maxBytes) {
		r.events -= r.groups[0].size()
		r.bytes -= r.groups[0].bytes
		r.groups[0] = group{}
		r.groups = r.groups[1:]
		r.first++
	}
	r.wakeAll()
}

// place is a position taken apart.
type place struct {
	epoch  string
	number uint64
}

func (p place) position() store.Position {
	return store.Position(p.epoch + ":" + strconv.FormatUint(p.number, 36))
}

func placeOf(pos store.Position) (place, bool) {
	epoch, text, ok := strings.Cut(string(pos), ":")
	if !ok {
		return place{}, false
	}
	n, err := strconv.ParseUint(text, 36, 64)
	return place{epoch, n}, err == nil
}

func (r *ring) now() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{r.epoch, r.next - 1}
}

// watchStep is how many groups a watcher takes at a time, so that it holds the
// lock briefly.
const watchStep = 64

// after appends to groups those that follow p, at most watchStep. If there are
// none yet it returns a channel that is closed when there may be, or why there
// will be none. An error of store.ErrHistoryLost says that some are gone, or that
// nobody was ever given p.
func (r *ring) after(p place, groups []group) (_ []group, wake <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case p.epoch != r.epoch || p.number+1 < r.first || p.number >= r.next:
		return groups, nil, store.ErrHistoryLost
	case p.number+1 < r.next:
		from := p.number + 1 - r.first
		n := min(uint64(len(r.groups))-from, watchStep)
		return append(groups, r.groups[from:from+n]...), nil, nil
	case r.end != nil:
		return groups, nil, r.end
	}
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return groups, r.wake, nil
}

// Now implements store.Log. Who has the position reads afterwards, from the
// states in memory or from the database, which both have all that was shown
// (S10): nothing between is left out (S7).
func (s *Store) Now(ctx context.Context) (store.Position, error) {
	if err := s.usable(ctx); err != nil {
		return "", fmt.Errorf("store: position: %w", err)
	}
	return s.ring.now().position(), nil
}

// Watch implements store.Log. It needs no goroutine and holds nothing while the
// caller looks at a batch.
func (s *Store) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		at, ok := placeOf(pos)
		if !ok {
			yield(store.Batch{}, fmt.Errorf("store: watch from %q: %w", pos, store.ErrHistoryLost))
			return
		}
		var groups []group
		for {
			if ctx.Err() != nil {
				return
			}
			var wake <-chan struct{}
			var err error
			if groups, wake, err = s.ring.after(at, groups[:0]); err != nil {
				yield(store.Batch{}, fmt.Errorf("store: watch from %q: %w", at.position(), err))
				return
			}
			for _, g := range groups {
				at.number++
				if !yield(store.Batch{
					Events: slices.Clone(g.events), Claims: g.claims, Sessions: g.sessions, After: at.position(),
				}, nil) {
					return
				}
				if ctx.Err() != nil {
					return
				}
			}
			if len(groups) > 0 {
				clear(groups)
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}
}
