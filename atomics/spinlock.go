package atomics

import (
	"runtime"
	"sync/atomic"
	"time"
)

// activeSpins is how often a waiter looks at the lock before it yields its processor. The sections are some 20 ns, a look
// at a word in the own cache about 1 ns: if the holder is running, the lock is free within these looks; if it is not,
// only Gosched helps.
const activeSpins = 24

const (
	unlocked = 0
	locked   = 1
)

// SpinLock is a mutual exclusion lock that never parks: test-and-test-and-set, a few active spins, then
// [runtime.Gosched] between looks. The zero value is unlocked. It must not be copied after first use. It implements
// [sync.Locker].
//
// Use it around a bounded handful of instructions: the splice of a list, the swap of two pointers. Under it nothing may
// block, allocate without bound, log, encode, call a function one does not know, or take another lock.
//
// Do not use it for anything longer. A waiter burns its time slice, nothing is fair, and the runtime does not know that
// anybody waits: with a section of 1 us and 64 goroutines the mean is that of a sync.Mutex and the p99 of the wait is
// 20 times worse (2 ms against 40). If in doubt, use sync.Mutex.
//
// Memory order: the n-th Unlock is synchronized before the return of the (n+1)-th Lock or successful TryLock. A failed
// TryLock orders nothing that may be relied on.
//
// Cost: uncontended one CompareAndSwap to lock and one Swap to unlock; what it counts ([SpinLock.Waits]) is counted by
// those who had to wait. 40 bytes, of which the last 32 are touched by waiters only.
//
// Source: Rudolph and Segall, "Dynamic decentralized cache schemes for MIMD parallel processors" (1984), for
// test-and-test-and-set; the yield is that of the original's CoroutineSpinlock.
type SpinLock struct {
	state atomic.Uint32
	waits Waits // changed by the holder alone, before it goes on
}

// Lock locks l. It returns when l is held by the caller.
func (l *SpinLock) Lock() {
	if l.state.CompareAndSwap(unlocked, locked) {
		return
	}
	l.lockSlow()
}

func (l *SpinLock) lockSlow() {
	var (
		spins, yields uint64
		began         time.Time
	)
	for {
		for range activeSpins {
			// Look first: a failing CompareAndSwap takes the cache line away from the holder, a load does not.
			if l.state.Load() == unlocked && l.state.CompareAndSwap(unlocked, locked) {
				l.waits.count(spins, yields, began)
				return
			}
			spins++
		}
		if yields == 0 {
			began = time.Now() // not before: reading the clock takes longer than most waits
		}
		yields++
		runtime.Gosched()
	}
}

// TryLock locks l if it is free, and reports whether it did. It never waits.
func (l *SpinLock) TryLock() bool {
	return l.state.Load() == unlocked && l.state.CompareAndSwap(unlocked, locked)
}

// Unlock unlocks l. It panics if l is not locked. As with a sync.Mutex, another goroutine than the one that locked may
// unlock.
func (l *SpinLock) Unlock() {
	if l.state.Swap(unlocked) == unlocked {
		panic("atomics: Unlock of an unlocked SpinLock")
	}
}

// Waits is what waiting for l has cost so far. It takes the lock for the time of copying a few words, so it is for a page
// that is looked at now and then, and not to be called by the holder.
func (l *SpinLock) Waits() Waits {
	l.Lock()
	w := l.waits
	l.Unlock()
	return w
}
