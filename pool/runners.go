package pool

import (
	"context"
	"runtime/pprof"
	"sync/atomic"

	"github.com/chatstream/chatstream/atomics"
)

// cacheLine keeps what one runner counts away from what the others do.
const cacheLine = 64

// runners is the run queue and those who work it off.
type runners struct {
	queue atomics.Queue[*Slot] // padded: what follows is not dragged along with it

	parking parking
	// closing makes Schedule a no-op and lets each runner end when the queue is empty. Written once, read by every Schedule.
	closing atomic.Bool

	live atomic.Int32  // runners that have not ended
	done chan struct{} // closed by the last one

	each   []runner
	start  func(func()) error // takes a goroutine from ants
	caught func(s *Slot, v any)
	panics atomic.Uint64
}

// runner holds the counters of one runner. They are its own, on their own cache line, so that counting turns costs no
// traffic between processors. (The allocator aligns a slice of these to their size.)
type runner struct {
	turns    atomic.Uint64 // turns begun
	requeues atomic.Uint64
	_        [cacheLine - 16]byte
}

func (r *runners) init(n int, start func(func()) error, caught func(s *Slot, v any)) error {
	r.parking = newParking(n)
	r.done = make(chan struct{})
	r.each = make([]runner, n)
	r.start = start
	r.caught = caught
	r.live.Store(int32(n))
	for i := range r.each {
		if err := r.launch(&r.each[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *runners) launch(self *runner) error {
	return r.start(func() {
		pprof.Do(context.Background(), pprof.Labels("role", "runner"), func(context.Context) { r.run(self) })
	})
}

// push puts a slot that has become queued into the run queue, and sees to it that a runner comes.
func (r *runners) push(s *Slot) {
	r.queue.Push(&s.link)
	r.parking.wakeOne()
}

// pushAll is push for all of slots, and leaves that empty. As many runners as there is work for are woken.
func (r *runners) pushAll(slots *atomics.List[*Slot]) {
	n := slots.Len()
	r.queue.PushAll(slots)
	for range n {
		if !r.parking.wakeOne() {
			return
		}
	}
}

// pushBack is push for the runner that has just ended a turn of s. As it is about to pop, nobody needs to be woken for s
// itself; but if something else is in the queue then this runner takes that, and s should not wait for it while another
// runner sleeps.
func (r *runners) pushBack(s *Slot) {
	r.queue.Push(&s.link)
	if r.queue.Len() > 1 {
		r.parking.wakeOne()
	}
}

func (r *runners) run(self *runner) {
	ended := false
	defer func() {
		if !ended {
			// A turn called runtime.Goexit, and this goroutine cannot be saved. Another one takes its place.
			if r.launch(self) == nil {
				return
			}
		}
		if r.live.Add(-1) == 0 {
			close(r.done)
		}
	}()
	for {
		// Read before the queue: what was scheduled before Close is in the queue by the time closing is seen, so "closing,
		// then empty" means that all of it has had its turn. The other way round, it could have come in between.
		closing := r.closing.Load()
		if l := r.queue.Pop(); l != nil {
			r.turn(self, l.Owner())
			continue
		}
		if closing {
			ended = true
			return
		}
		r.park()
	}
}

// park returns when there may be something to do.
func (r *runners) park() {
	r.parking.announce()
	// Only a look, no Pop: a runner that is announced holds no task, which is what Quiet relies on.
	if (r.queue.Len() > 0 || r.closing.Load()) && r.parking.withdraw() {
		return
	}
	r.parking.take()
}

// turn gives s its turn. Whatever happens in there, s is usable afterwards.
func (r *runners) turn(self *runner, s *Slot) {
	self.turns.Add(1)
	s.begin()
	defer r.endTurn(self, s) // deferred by itself: even a runtime.Goexit within OnPanic must not leave s running for ever
	returned := false
	defer func() {
		if !returned {
			v := recover()
			if v == nil {
				v = ErrExited // recover returns nil for Goexit only: panic(nil) has a value since Go 1.21
			}
			r.panics.Add(1)
			r.caught(s, v) // still within the turn: nobody else touches the task
		}
	}()
	s.task.Turn()
	returned = true
}

func (r *runners) endTurn(self *runner, s *Slot) {
	if s.end() {
		self.requeues.Add(1)
		r.pushBack(s)
	}
}

// close lets the runners work off what is queued and end. It may be called any number of times.
func (r *runners) close() {
	r.closing.Store(true)
	for r.parking.wakeOne() {
	}
}

func (r *runners) turns() (n uint64) {
	for i := range r.each {
		n += r.each[i].turns.Load()
	}
	return n
}

func (r *runners) requeues() (n uint64) {
	for i := range r.each {
		n += r.each[i].requeues.Load()
	}
	return n
}

// asleep reports whether every runner that lives has announced itself.
func (r *runners) asleep() bool {
	return r.parking.sleepers.Load() == r.live.Load()
}
