package atomics

import "time"

// Waits is what waiting has cost at a lock.
//
// The counters are plain words that lie in the [SpinLock] and belong to whoever holds it: counting is a few instructions
// on a cache line that the waiter has just been given, and happens only after a wait. Locking a free lock counts nothing
// and costs nothing more; BenchmarkCountedLock shows both beside a lock that does not count.
//
// Memory order: that of the lock. [SpinLock.Waits] sees every wait that ended before it got the lock.
type Waits struct {
	// Waited is how often the lock was not free at once.
	Waited uint64
	// Spins is how many looks found it taken; each is a load of a word that is in the looker's cache until it changes.
	Spins uint64
	// Yields is how often a waiter gave up its processor, after a number of such looks.
	Yields uint64
	// Longest is the longest wait of those that came to yield, from the first yield on. It is 0 if there were none:
	// looks alone are over within a microsecond, unless the operating system takes the processor away.
	Longest time.Duration
}

// count adds one wait. began is the time of its first yield, if it had one.
func (w *Waits) count(spins, yields uint64, began time.Time) {
	w.Waited++
	w.Spins += spins
	if yields > 0 {
		w.Yields += yields
		w.Longest = max(w.Longest, time.Since(began))
	}
}
