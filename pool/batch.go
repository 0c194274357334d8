package pool

import "github.com/chatstream/chatstream/atomics"

// batchSize bounds how many tasks wait for the others of a Batch: the first of them for about a microsecond.
const batchSize = 64

// Batch schedules many tasks of one pool at the price of one place in the run queue: they are gathered, and put into it
// together. It is for who brings news to many, a room to its members. The zero value is empty.
//
// It belongs to one goroutine, which must call Flush before it does anything else: until then the tasks gathered have no
// turn, however often they are scheduled by others. The tasks of a batch come into the queue one behind the other, in the
// order of their Schedule.
type Batch struct {
	gathered atomics.List[*Slot]
}

// Schedule is s.Schedule, but for a turn that begins after Flush. It never blocks and allocates nothing.
func (b *Batch) Schedule(s *Slot) {
	if s.pool.runners.closing.Load() || !s.schedule() {
		return
	}
	b.gathered.PushBack(&s.link)
	if b.gathered.Len() == batchSize {
		b.Flush()
	}
}

// Flush lets the tasks gathered have their turns. The batch is empty then, and may be used again.
func (b *Batch) Flush() {
	if first := b.gathered.Front(); first != nil {
		first.Owner().pool.runners.pushAll(&b.gathered)
	}
}
