package engine

import (
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/engine/room"
)

// entry is an event as streams need it: encoded once per form, for everybody.
type entry struct {
	seq    uint64
	time   int64
	sender string
	whose  audience
	// shown goes to every member but the sender, who gets own.
	shown, own *Element
	at         time.Time // when it came here, for eviction by age
	bytes      int64
}

// encode makes the entry of e. An event that cannot be encoded would leave a
// hole in every stream of the room, so the caller must treat an error as one of
// the room's; since a store checks bodies before it writes them, none is
// expected.
func encode(e *room.Event, now time.Time, box func([]byte) any) (*entry, error) {
	shown, err := element(Show(e, formLive), box)
	if err != nil {
		return nil, err
	}
	own, err := element(showUpdateTime(e), box)
	if err != nil {
		return nil, err
	}
	const overhead = 256
	return &entry{
		seq: e.Seq, time: e.Time, sender: e.Sender, whose: audienceOf(e), shown: shown, own: own, at: now,
		bytes: int64(len(shown.Bytes) + len(own.Bytes) + overhead),
	}, nil
}

// forAccount is the element that account gets, nil if the event is not for it.
func (e *entry) forAccount(account string) *Element {
	switch {
	case e.sender == account:
		return e.own
	case !e.whose.has(account):
		return nil
	}
	return e.shown
}

// tail holds the recent events of one room, encoded. The room's turn alone
// changes it; any number of streams read it at the same time.
//
// Memory order: a slot is stored before the room's head is, and a stream loads
// head before it loads a slot, so it finds there the entry of that number, a
// later one that took the place, or nil. The entry's own number tells.
type tail struct {
	ring atomic.Pointer[ring]
	// low and next bound what is held: low <= seq < next. The writer's own.
	low, next uint64
	bytes     int64
	total     *atomic.Int64 // bytes in all rooms
}

type ring struct {
	mask  uint64
	slots []atomic.Pointer[entry]
}

const (
	minTail = 8
	maxTail = 4096 // events a room keeps at most; must be a power of two
)

// get returns the entry of seq, or nil if it is not held. Safe for concurrent
// use.
func (t *tail) get(seq uint64) *entry {
	r := t.ring.Load()
	if r == nil {
		return nil
	}
	if e := r.slots[seq&r.mask].Load(); e != nil && e.seq == seq {
		return e
	}
	return nil
}

// append adds e, whose seq follows the last one's unless the tail is empty.
func (t *tail) append(e *entry) {
	r := t.ring.Load()
	if r == nil {
		r = &ring{mask: minTail - 1, slots: make([]atomic.Pointer[entry], minTail)}
		t.ring.Store(r)
	}
	if t.low == t.next { // empty
		t.low, t.next = e.seq, e.seq
	}
	if t.next-t.low == uint64(len(r.slots)) {
		if len(r.slots) < maxTail {
			r = t.grow(r)
		} else {
			t.dropOldest(r)
		}
	}
	r.slots[e.seq&r.mask].Store(e)
	t.next = e.seq + 1
	t.bytes += e.bytes
	t.total.Add(e.bytes)
}

func (t *tail) grow(old *ring) *ring {
	n := len(old.slots) * 2
	r := &ring{mask: uint64(n - 1), slots: make([]atomic.Pointer[entry], n)}
	for seq := t.low; seq < t.next; seq++ {
		r.slots[seq&r.mask].Store(old.slots[seq&old.mask].Load())
	}
	t.ring.Store(r)
	return r
}

func (t *tail) dropOldest(r *ring) {
	slot := &r.slots[t.low&r.mask]
	if e := slot.Load(); e != nil {
		t.bytes -= e.bytes
		t.total.Add(-e.bytes)
	}
	slot.Store(nil)
	t.low++
}

// trim drops what came before oldest and, oldest first, whatever keeps the sum
// over all rooms above limit bytes, but nothing after the event numbered last.
// An empty tail gives its ring back.
func (t *tail) trim(oldest time.Time, limit int64, last uint64) {
	r := t.ring.Load()
	if r == nil {
		return
	}
	for t.low < t.next {
		if t.low > last {
			return
		}
		if e := r.slots[t.low&r.mask].Load(); e != nil && !e.at.Before(oldest) && t.total.Load() <= limit {
			return
		}
		t.dropOldest(r)
	}
	t.ring.Store(nil)
}
