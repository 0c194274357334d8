package atomics

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var _ sync.Locker = (*SpinLock)(nil)

// The counter and the flag are plain: the race detector checks the memory order, the sum checks that nothing was lost.
func TestSpinLockExcludes(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const actors, rounds = 8, 30_000
		var (
			lock    SpinLock
			counter int
			inside  bool
		)
		together(actors, func(i int) {
			for n := range rounds {
				if n%4 == i%4 {
					for !lock.TryLock() {
						runtime.Gosched()
					}
				} else {
					lock.Lock()
				}
				if inside {
					t.Error("two goroutines hold the lock")
				}
				inside = true
				counter++
				inside = false
				lock.Unlock()
			}
		})
		if counter != actors*rounds {
			t.Errorf("counter is %d, want %d", counter, actors*rounds)
		}
	})
}

func TestTryLockFailsWhileLocked(t *testing.T) {
	var lock SpinLock
	if !lock.TryLock() {
		t.Fatal("the zero value is locked")
	}
	if lock.TryLock() {
		t.Fatal("locked twice")
	}
	lock.Unlock()
	lock.Lock()
	if lock.TryLock() {
		t.Fatal("locked twice")
	}
	lock.Unlock()
}

func TestUnlockOfAnUnlockedSpinLockPanics(t *testing.T) {
	var lock SpinLock
	if !panicked(lock.Unlock) {
		t.Fatal("no panic")
	}
	lock.Lock()
	if panicked(lock.Unlock) {
		t.Fatal("panic of the right Unlock")
	}
	if !panicked(lock.Unlock) {
		t.Fatal("no panic after use")
	}
	if !lock.TryLock() {
		t.Fatal("the panic left it locked")
	}
}

// A waiter lets the holder run: on one processor, a waiter that only spins keeps it until it is preempted after 10 ms, so
// that the rounds below take 5 seconds at least. With the yield they take a millisecond.
func TestSpinLockWaiterYieldsToTheHolder(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	const rounds = 500
	var lock SpinLock
	begin := time.Now()
	together(2, func(int) {
		for range rounds {
			lock.Lock()
			runtime.Gosched() // the other one comes and finds it locked
			lock.Unlock()
		}
	})
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("%d handovers took %v: the waiter does not yield", 2*rounds, d)
	}
}

// However many wait on one processor, all of them come to hold it: nobody's looks keep the holder from going on.
func TestSpinLockServesAllWaitersOnOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	const waiters, rounds = 64, 30
	var (
		lock SpinLock
		held [waiters]int
	)
	begin := time.Now()
	together(waiters, func(i int) {
		for range rounds {
			lock.Lock()
			held[i]++
			runtime.Gosched() // all the others look meanwhile
			lock.Unlock()
		}
	})
	for i, n := range held {
		if n != rounds {
			t.Errorf("goroutine %d held it %d times", i, n)
		}
	}
	if d := time.Since(begin); d > 10*time.Second { // if each waiter kept the processor until preempted: 20 minutes
		t.Errorf("it took %v", d)
	}
}

// The sequential specification: who holds it, 0 for nobody. Input is what client n does: n locks, -n unlocks, 10+n tries.
var spinLockModel = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		holder, n := state.(int), input.(int)
		switch {
		case n < 0:
			return holder == -n, 0
		case n < 10:
			return holder == 0, n
		case output.(bool):
			return holder == 0, n - 10
		default: // it may fail only if somebody holds it
			return holder != 0, holder
		}
	},
}

// aSpinLock is what a history of a SpinLock needs of it.
type aSpinLock interface {
	sync.Locker
	TryLock() bool
}

func recordSpinLock(h *history, lock aSpinLock) {
	together(historyClients, func(i int) {
		me := i + 1
		for n := range 8 {
			if n%2 == i%2 {
				h.record(i, me, func() any { lock.Lock(); return nil })
			} else if !h.record(i, 10+me, func() any { return lock.TryLock() }).(bool) {
				continue
			}
			h.record(i, -me, func() any { lock.Unlock(); return nil })
		}
	})
}

func TestSpinLockIsLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 500 {
			var (
				lock SpinLock
				h    history
			)
			recordSpinLock(&h, &lock)
			h.check(t, spinLockModel)
		}
	})
}

// openSpinLock looks, and then takes it.
type openSpinLock struct{ SpinLock }

func (l *openSpinLock) TryLock() bool {
	if l.state.Load() == locked {
		return false
	}
	yield()
	l.state.Store(locked)
	return true
}

func (l *openSpinLock) Unlock() { l.state.Store(unlocked) } // two may hold it

func TestWrongSpinLockIsNotLinearizable(t *testing.T) {
	caught(t, spinLockModel, func(h *history) { recordSpinLock(h, new(openSpinLock)) })
}
