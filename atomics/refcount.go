package atomics

import "sync/atomic"

// closedBit is the flag; the 63 bits below it are the count.
const closedBit = 1 << 63

// RefCount answers two questions about an object that many use and one ends: may I come in, and was I the last to leave.
// The zero value is open with no reference. It must not be copied after first use.
//
// Flag and count live in ONE word. The original had two (service_completed and run_writer_atomic), counted up first and
// looked at the flag afterwards; between the two steps lies a window in which somebody is counted who will not enter, and
// in which the end can be seen too early or twice. With one word there is no between.
//
// Contract:
//
//   - after Close, Acquire returns false, for ever;
//   - the end, "closed and no reference held", is reported exactly once: by the Close that found no reference, or else by
//     the Release that dropped the last one. Whoever is told owns the object alone;
//   - a Release without an Acquire panics and changes nothing.
//
// All methods are safe for concurrent use. Acquire and Release are lock-free (an attempt fails only because another one
// succeeded), Close is a single step.
//
// Memory order: each Acquire that succeeds, each Release and each Close changes the same word, and each observes those
// before it. So everything done before a Release is seen by the one that is told of the end; everything done before
// Close is seen by whoever gets false from Acquire or true from Closed.
//
// Cost: one load and one CompareAndSwap, uncontended some 8 ns. All holders of one object share a cache line: do not put one RefCount
// in front of something every core enters a million times a second. Not for memory either: Go has a garbage collector;
// count uses that must end, not pointers.
//
// Source: the "weak reference, lock if not expired" of std::weak_ptr, with the count of the flag folded in; the same
// shape as fdMutex in Go's internal/poll.
type RefCount struct {
	word atomic.Uint64
}

// The decisions are pure functions of the word, so that the model test drives the very same ones through every
// interleaving of load and CompareAndSwap.

// acquired is the word with one reference more; ok is false when the word says closed.
func acquired(word uint64) (next uint64, ok bool) {
	if word&closedBit != 0 {
		return word, false
	}
	return word + 1, true
}

// released is the word with one reference less; last is true when this was the last one of a closed count.
func released(word uint64) (next uint64, last bool) {
	if word&^closedBit == 0 {
		panic("atomics: Release of a RefCount that holds no reference")
	}
	next = word - 1
	return next, next == closedBit
}

// closed tells a Close from the word it found.
func closed(before uint64) (first, drained bool) {
	return before&closedBit == 0, before == 0
}

// Acquire takes a reference and returns true, or returns false if r is closed; then it will be false for ever. Each true
// must be paired with one Release.
func (r *RefCount) Acquire() bool {
	for {
		word := r.word.Load()
		next, ok := acquired(word)
		if !ok {
			return false
		}
		if r.word.CompareAndSwap(word, next) {
			return true
		}
	}
}

// Release gives a reference back. It returns true for exactly one caller: the one that dropped the last reference after
// Close. It panics when no reference is held.
func (r *RefCount) Release() bool {
	for {
		word := r.word.Load()
		next, last := released(word)
		if r.word.CompareAndSwap(word, next) {
			return last
		}
	}
}

// Close lets nobody in any more. first is true for the one call that closed r. drained is true if that call found no
// reference held: then there will be no Release that returns true. Close never waits.
func (r *RefCount) Close() (first, drained bool) {
	return closed(r.word.Or(closedBit))
}

// Closed reports whether r is closed.
func (r *RefCount) Closed() bool {
	return r.word.Load()&closedBit != 0
}

// Count is the number of references held at this moment; for diagnostics, as it may have changed before it is looked at.
func (r *RefCount) Count() int {
	return int(r.word.Load() &^ closedBit)
}
