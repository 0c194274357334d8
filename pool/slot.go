package pool

import (
	"sync/atomic"

	"github.com/chatstream/chatstream/atomics"
)

// Task is something that is given turns: a stream, a room. It has one turn at a time. Turn never waits for anything: not
// for a client, a database, a lock that is held for long, a channel. What it cannot finish within a bounded amount of
// work it leaves, calls Schedule, and goes on in its next turn.
type Task interface{ Turn() }

// The state of a slot is two bits, "wanted" and "running", hence four states:
//
//	state           bits              in the run queue   meaning
//	idle            -                 no                 nothing to do
//	queued          wanted            yes                waits for its turn
//	running         running           no                 has its turn
//	running, again  running|wanted    no                 has its turn, and was scheduled during it
//
// Every transition is one atomic read-modify-write; there are three of them.
//
//	schedule  Or(wanted)       idle           -> queued           the caller puts the slot into the queue
//	                           queued         -> queued
//	                           running        -> running, again
//	                           running, again -> running, again
//	begin     Swap(running)    queued         -> running          by the runner that popped it
//	end       And(wanted)      running        -> idle             by the same runner
//	                           running, again -> queued           the runner puts the slot into the queue
//
// At most one turn: only idle -> queued and running,again -> queued put the slot into the queue, each is seen by one
// caller only, and from both on until end nobody else gets to see them. Nothing lost: a schedule that changes no bit finds
// wanted set, so a begin is still to come.
//
// Why schedule writes even if it changes nothing, and why begin swaps instead of storing: "the turn that follows sees what
// was written before Schedule" needs a write on the one side and a read of it on the other. With a mere load in schedule,
// the caller's data may still be in its processor's store buffer when the turn, begun a moment later, looks at it: the
// message would be missed. TestTurnSeesWhatWasWrittenBeforeSchedule fails with either.
const (
	wanted  uint32 = 1 << 0
	running uint32 = 1 << 1

	idle uint32 = 0
)

// Slot is embedded in a Task. It makes sure that at most one turn of its task runs or is queued, and that a Schedule
// during a turn leads to one more turn afterwards, at the back of the queue. It must not be copied after first use.
//
// Memory order: a Schedule is synchronized before a turn that begins after it (the one that begins next, unless one began
// between); the end of a turn is synchronized before the beginning of the same task's next turn. So what only turns touch
// needs no lock.
//
// Cost: three atomic operations per turn and one per Schedule, beside the queue's; allocates nothing.
type Slot struct {
	state atomic.Uint32
	pool  *Pool
	task  Task
	link  atomics.Link[*Slot]
}

// Init tells the slot where its turns come from and whose they are. To be called once, before first use.
func (s *Slot) Init(p *Pool, t Task) {
	s.pool = p
	s.task = t
	s.link.Init(s)
}

// Schedule asks for a turn that begins after this call. Any number of calls before that turn begins lead to that one
// turn; a call during a turn leads to one more.
//
// It is safe for concurrent use, never blocks and allocates nothing, so it may be called from anywhere: inside Turn,
// under a lock, within grpc-go's callbacks. After Close it does nothing.
func (s *Slot) Schedule() {
	if s.pool.runners.closing.Load() {
		return
	}
	if s.schedule() {
		s.pool.runners.push(s)
	}
}

// schedule reports whether the caller has to put s into the run queue.
func (s *Slot) schedule() bool {
	return s.state.Or(wanted) == idle
}

// begin is called by the runner that took s out of the run queue.
func (s *Slot) begin() {
	s.state.Swap(running)
}

// end is called by that runner after the turn, and reports whether it has to put s back into the run queue.
func (s *Slot) end() bool {
	return s.state.And(wanted)&wanted != 0
}
