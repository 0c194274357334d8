package ring

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"github.com/chatstream/chatstream/store"
)

// Ring holds the last groups. Make one with New. All methods are safe for
// concurrent use, and hold the ring's mutex briefly; nothing is waited for with it
// held.
type Ring struct {
	maxEvents, maxBytes int

	mu    sync.Mutex
	epoch string
	// slots has the groups from first to before next: that with number n in slot n,
	// counted round. There are a power of two of them.
	slots       []group
	first, next uint64
	// expected is the number that Expect has given last.
	expected      uint64
	events, bytes int
	// wake is closed when there may be something new. It is nil while nobody waits.
	wake chan struct{}
	// end says why nothing is added any more. It is nil until then.
	end func() error
}

// group has no position in its batch: that is made for those who watch.
type group struct {
	store.Batch
	bytes int
}

// size is what a group counts against the bound of events.
func (g *group) size() int { return len(g.Events) + len(g.Claims) + len(g.Sessions) }

// New returns an empty ring, in its first epoch. It keeps as many groups as have no
// more than maxEvents events, claims and sessions, and no more than maxBytes bytes
// of events (room.Event.Size); but always the last one.
func New(maxEvents, maxBytes int) *Ring {
	r := &Ring{maxEvents: maxEvents, maxBytes: maxBytes}
	r.Begin()
	return r
}

// Begin begins an epoch: the ring is empty, and every position of before is lost.
func (r *Ring) Begin() {
	var epoch [8]byte
	_, _ = rand.Read(epoch[:]) // never fails
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = hex.EncodeToString(epoch[:])
	r.slots, r.first, r.next, r.expected, r.events, r.bytes = nil, 1, 1, 0, 0, 0
	r.wakeAll()
}

// Add adds what has become visible together, unless that is nothing, and wakes who
// waits for it. The slices belong to the ring from then on; b.After is not used.
func (r *Ring) Add(b store.Batch) {
	g := group{Batch: b}
	if g.size() == 0 {
		return
	}
	for i := range b.Events {
		g.bytes += b.Events[i].Size()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events += g.size()
	r.bytes += g.bytes
	for r.first < r.next && (r.events > r.maxEvents || r.bytes > r.maxBytes) {
		oldest := r.slot(r.first)
		r.events -= oldest.size()
		r.bytes -= oldest.bytes
		*oldest = group{}
		r.first++
	}
	if r.next-r.first == uint64(len(r.slots)) {
		r.grow()
	}
	*r.slot(r.next) = g
	r.next++
	r.wakeAll()
}

func (r *Ring) slot(n uint64) *group { return &r.slots[n&uint64(len(r.slots)-1)] }

func (r *Ring) grow() {
	slots := make([]group, max(16, 2*len(r.slots)))
	for n := r.first; n < r.next; n++ {
		slots[n&uint64(len(slots)-1)] = *r.slot(n)
	}
	r.slots = slots
}

// Expect returns the number of the group that is added next. The position behind it
// is held from now on, so what lets that group be read may be published with it,
// before the group is added. It is called by who adds.
func (r *Ring) Expect() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = r.next
	return r.expected
}

// Position is the position behind group number of this epoch; 0: before the first.
func (r *Ring) Position(number uint64) store.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{r.epoch, number}.position()
}

// Now is the position behind the group that was added last.
func (r *Ring) Now() store.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{r.epoch, r.next - 1}.position()
}

// Finish ends the ring: watchers get what is in it, and then what why says, which
// is asked each time, since a store that was closed may fail yet. It is called with
// the ring's mutex held. Only the first Finish counts.
func (r *Ring) Finish(why func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == nil {
		r.end = why
	}
	r.wakeAll()
}

// Hold stops the ring at now: who adds and who watches is held up until release is
// called. It is for tests of what a store does before it adds.
func (r *Ring) Hold() (now store.Position, release func()) {
	r.mu.Lock()
	return place{r.epoch, r.next - 1}.position(), r.mu.Unlock
}

// wakeAll is called with mu held.
func (r *Ring) wakeAll() {
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

// step is how many groups a watcher takes at a time, so that it holds the mutex
// briefly.
const step = 64

// after appends to batches those that follow p, at most step. If there are none yet
// it returns a channel that is closed when there may be, or why there will be none.
// An error of store.ErrHistoryLost says that some are gone, or that nobody was ever
// given p.
func (r *Ring) after(p place, batches []store.Batch) (_ []store.Batch, wake <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case p.epoch != r.epoch || p.number+1 < r.first || p.number >= r.next && p.number > r.expected:
		return batches, nil, store.ErrHistoryLost
	case p.number+1 < r.next:
		for n := p.number + 1; n < min(r.next, p.number+1+step); n++ {
			batches = append(batches, r.slot(n).Batch)
		}
		return batches, nil, nil
	case r.end != nil:
		return batches, nil, r.end()
	}
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return batches, r.wake, nil
}
