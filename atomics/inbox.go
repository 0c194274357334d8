package atomics

import "sync/atomic"

// Inbox is an intrusive, unbounded queue of many producers whose single consumer takes everything at once, oldest first.
// The zero value is empty. It must not be copied after first use.
//
// Push puts a link on a stack by CompareAndSwap, Take swaps the whole stack out and turns it round. Nobody ever pops a
// single element, so there is no ABA: a push only needs the head to be what it has linked to, not to have been that all
// the time.
//
// Push is safe for concurrent use, also with Take. Take must not run twice at once with an order expected between the
// two (each gets a chain of its own; nothing is lost, but whose chain is older nobody can say). Push is lock-free, Take
// is wait-free up to the turning round of what it took.
//
// Order: links pushed by one goroutine come out in the order they were pushed; more generally a Push that returned before
// another began comes out first.
//
// Memory order: a Push is synchronized before the Take that returns its link, and before the Push that sees it below
// (returns wasEmpty false because of it). An Empty that returns false has observed a Push; one that returns true has
// observed the last Take, and orders nothing about pushes to come: see below.
//
// Waking the consumer: either the producer that got wasEmpty wakes it, or the consumer first announces that it sleeps and
// THEN looks at Empty, while the producer first pushes and THEN looks at the announcement. Both are sequentially
// consistent, so at least one of the two sees the other.
//
// Cost: Push one load and one CompareAndSwap, no allocation; Take one Swap and one pass over what it took, one load when
// empty. It is one word without padding because it is embedded by the thousand (each room has one): do not put it beside
// fields that others read all the time.
//
// When not: if there are several consumers ([Queue]); if the queue must be bounded (count outside).
//
// Source: R. K. Treiber, "Systems Programming: Coping with Parallelism", IBM RJ 5118 (1986), with the take-all variant.
type Inbox[T any] struct {
	newest atomic.Pointer[Link[T]]
}

// Push adds l. wasEmpty is true if there was nothing in q: of the producers since the last Take exactly one gets it.
func (q *Inbox[T]) Push(l *Link[T]) (wasEmpty bool) {
	l.mustBeFree()
	for {
		below := q.newest.Load()
		l.precede(below)
		if q.newest.CompareAndSwap(below, l) {
			return below == nil
		}
	}
}

// Take empties q and returns what was in it as a chain, the oldest first; nil if there was nothing. Walk it with
// [Link.TakeNext], or give it to [List.Append].
func (q *Inbox[T]) Take() *Link[T] {
	if q.newest.Load() == nil {
		return nil // spares the usual case, nothing new, a write to a line that producers are about to write
	}
	var chain *Link[T]
	for l := q.newest.Swap(nil); l != nil; {
		older := l.follower()
		l.precede(chain)
		chain, l = l, older
	}
	return chain
}

// Empty reports whether nothing is in q at this moment.
func (q *Inbox[T]) Empty() bool {
	return q.newest.Load() == nil
}
