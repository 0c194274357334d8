package embedded

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

// ring holds the last groups of events that became visible, for watchers. The
// syncer adds, any number of watchers read, and none can hold the syncer up: one
// that falls behind finds its place gone and must read the logs again.
//
// Groups are numbered from 1. A position is the epoch, drawn at random when the
// store was opened, and the number of the last group seen: nothing of it is on
// disk, so a position of an earlier process is not held, and says so.
type ring struct {
	epoch               string
	maxEvents, maxBytes int

	mu     sync.Mutex
	groups []eventGroup
	// first is the number of groups[0]; next is that of the group to come.
	first, next   uint64
	events, bytes int
	// wake is closed when a group is added. It is nil while nobody waits.
	wake chan struct{}
}

type eventGroup struct {
	events []room.Event
	bytes  int
}

func newRing(maxEvents, maxBytes int) *ring {
	var epoch [8]byte
	_, _ = rand.Read(epoch[:]) // never fails
	return &ring{
		epoch: hex.EncodeToString(epoch[:]), maxEvents: maxEvents, maxBytes: maxBytes, first: 1, next: 1,
	}
}

func (r *ring) add(events []room.Event) {
	g := eventGroup{events: events}
	for i := range events {
		g.bytes += events[i].Size()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups = append(r.groups, g)
	r.next++
	r.events += len(events)
	r.bytes += g.bytes
	for len(r.groups) > 1 && (r.events > r.maxEvents || r.bytes > r.maxBytes) {
		r.events -= len(r.groups[0].events)
		r.bytes -= r.groups[0].bytes
		r.groups[0] = eventGroup{}
		r.groups = r.groups[1:]
		r.first++
	}
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

// watchStep is how many groups a watcher takes at a time, so that it holds the
// lock briefly.
const watchStep = 64

// after appends to groups those that follow number, at most watchStep. If there
// are none yet it returns a channel that is closed when there may be. held is
// false when some of them are gone.
func (r *ring) after(number uint64, groups []eventGroup) (_ []eventGroup, wake <-chan struct{}, held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case number+1 < r.first:
		return groups, nil, false
	case number+1 < r.next:
		from := number + 1 - r.first
		n := min(uint64(len(r.groups))-from, watchStep)
		return append(groups, r.groups[from:from+n]...), nil, true
	}
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return groups, r.wake, true
}

func (r *ring) position(number uint64) store.Position {
	return store.Position(r.epoch + ":" + strconv.FormatUint(number, 36))
}

func (r *ring) number(pos store.Position) (uint64, bool) {
	text, ok := strings.CutPrefix(string(pos), r.epoch+":")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 36, 64)
	return n, err == nil
}

// Now implements store.Log. The position is part of the view, so it stands
// exactly behind the events that reads show.
func (s *Store) Now(ctx context.Context) (store.Position, error) {
	v, err := s.view(ctx)
	if err != nil {
		return "", fmt.Errorf("store: position: %w", err)
	}
	defer v.release()
	return s.ring.position(v.groups), nil
}

// Watch implements store.Log. It needs no goroutine and holds nothing while the
// caller looks at a batch. A store that has failed ends it with
// store.ErrUnavailable.
func (s *Store) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		number, ok := s.ring.number(pos)
		// Nobody was ever given a position ahead of the current view.
		if v := s.views.current.Load(); !ok || v != nil && number > v.groups {
			yield(store.Batch{}, fmt.Errorf("store: watch from %q: %w", pos, store.ErrHistoryLost))
			return
		}
		var groups []eventGroup
		for {
			if ctx.Err() != nil {
				return
			}
			var wake <-chan struct{}
			var held bool
			groups, wake, held = s.ring.after(number, groups[:0])
			if !held {
				yield(store.Batch{}, fmt.Errorf("store: watch: %w", store.ErrHistoryLost))
				return
			}
			for _, g := range groups {
				number++
				if !yield(store.Batch{Events: slices.Clone(g.events), After: s.ring.position(number)}, nil) {
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
			case <-s.failed:
				yield(store.Batch{}, fmt.Errorf("store: watch: %w", s.refusal()))
				return
			case <-s.stopped:
				// The committer has ended: nothing is added any more. But a last
				// group may have come between the look above and now.
				if _, wake, held = s.ring.after(number, nil); held && wake == nil {
					continue
				}
				yield(store.Batch{}, fmt.Errorf("store: watch: %w", s.refusal()))
				return
			}
		}
	}
}
