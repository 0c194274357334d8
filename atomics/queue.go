package atomics

import "sync/atomic"

// cacheLine is the size of what processors hand to each other: 64 bytes on amd64 and on most of arm64.
const cacheLine = 64

// Queue is an intrusive first-in-first-out queue of many producers and many consumers: links guarded by a [SpinLock]
// that is held for one splice and nothing else. The zero value is empty. It must not be copied after first
// use.
//
// All methods are safe for concurrent use and none blocks, allocates or calls out, so Push may be called from anywhere,
// callbacks of a foreign library included. Strictly FIFO, and linearizable: each call takes effect at its change, or its
// load, of the length.
//
// Why not one of the known lock-free queues: those without allocation are bounded (a ring: what to do when it is full?),
// those that are unbounded allocate a node per push or need hazard pointers to reuse them (Michael and Scott), because an
// intrusive link that is pushed again while a slow Pop still looks at it is the ABA problem itself. Eight instructions
// under a spin lock cost what one contended CompareAndSwap loop costs, and are right at a glance.
//
// Memory order: a Push is synchronized before the Pop that returns its link, and Pushes and Pops that changed the queue
// before those that did so later. A Pop that returns nil, or a Len, has observed the last change of the length; so
// "push, then look who sleeps" on one side and "announce sleep, then look at Len" on the other cannot both miss.
//
// Cost: uncontended some 20 ns for Push, the same for Pop, one load for Pop of an empty queue. BenchmarkQueue of
// bench/contention compares: a bounded ring (xsync.MPMCQueueOf) and a list under a sync.Mutex are as fast or faster, the
// mutex above all where goroutines do nothing else, as it then lets one go on and parks the others; a buffered channel is
// about as fast. What is bought by the difference, some 10 ns, is that Push never parks its caller.
//
// When not: one consumer that can take all at once ([Inbox] is cheaper, and gives the batch); thousands of goroutines
// that do nothing but push and pop (shard).
type Queue[T any] struct {
	first, last *Link[T]
	// length is changed under the lock and read without it. It shares the line of the lock on purpose: whoever changes it
	// has the line already.
	length atomic.Int64
	lock   SpinLock // last, as what it counts is seldom touched
	// A queue is written by every core, and what lies behind it (flags that are only read, other counters) must not be
	// dragged to and fro with it. A whole line, as Go aligns to words only; what lies before is for who embeds it.
	_ [cacheLine]byte
}

// Push adds l as the last one.
func (q *Queue[T]) Push(l *Link[T]) {
	l.mustBeFree()
	l.precede(nil)
	q.splice(l, l, 1)
}

// PushAll adds everything in l, in its order, and leaves l empty: one splice, however many they are. The list is the
// caller's, the links are q's from then on. It takes effect at once: nothing comes between them.
func (q *Queue[T]) PushAll(l *List[T]) {
	if l.first == nil {
		return
	}
	first, last, length := l.first, l.last, l.length
	l.first, l.last, l.length = nil, nil, 0
	q.splice(first, last, length)
}

// splice adds a chain of so many links.
func (q *Queue[T]) splice(first, last *Link[T], length int) {
	q.lock.Lock()
	if q.last == nil {
		q.first = first
	} else {
		q.last.next = first
	}
	q.last = last
	q.length.Add(int64(length))
	q.lock.Unlock()
}

// Pop takes the oldest link out; nil if there is none.
func (q *Queue[T]) Pop() *Link[T] {
	if q.length.Load() == 0 {
		return nil // spares idle consumers the lock
	}
	q.lock.Lock()
	l := q.first
	if l != nil {
		q.first = l.TakeNext()
		if q.first == nil {
			q.last = nil
		}
		q.length.Add(-1)
	}
	q.lock.Unlock()
	return l
}

// Waits is what waiting for q's lock has cost so far. It takes the lock: for a page that is looked at now and then.
func (q *Queue[T]) Waits() Waits {
	return q.lock.Waits()
}

// Len is the number of links in q at this moment: one load.
func (q *Queue[T]) Len() int {
	return int(q.length.Load())
}
