package atomics

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestFreeSpinLockCountsNothing(t *testing.T) {
	var lock SpinLock
	for range 100 {
		lock.Lock()
		if lock.TryLock() {
			t.Fatal("locked twice")
		}
		lock.Unlock()
	}
	if w := lock.Waits(); w != (Waits{}) {
		t.Errorf("nobody waited, and %+v was counted", w)
	}
}

// On one processor who finds the lock taken must yield, and does so for as long as it is held.
func TestWaitIsCountedAndTimed(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	const held = 2 * time.Millisecond
	var (
		lock   SpinLock
		coming atomic.Bool
		had    bool
	)
	begin := time.Now()
	together(2, func(i int) {
		if i == 0 {
			lock.Lock()
			for !coming.Load() || time.Since(begin) < held {
				runtime.Gosched()
			}
			for range 100 { // whoever comes has looked by then
				runtime.Gosched()
			}
			lock.Unlock()
			return
		}
		for lock.TryLock() { // until the other one has it
			lock.Unlock()
			runtime.Gosched()
		}
		coming.Store(true)
		lock.Lock()
		had = true
		lock.Unlock()
	})
	elapsed := time.Since(begin)
	w := lock.Waits()
	if !had || w.Waited != 1 || w.Yields == 0 || w.Spins < activeSpins*w.Yields {
		t.Errorf("one wait, and %+v was counted", w)
	}
	if w.Longest <= 0 || w.Longest > elapsed {
		t.Errorf("the wait took %v of %v", w.Longest, elapsed)
	}
}

// However many wait at once, no count is lost, and each yield has its looks.
func TestWaitsAddUpUnderContention(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const actors, rounds = 8, 2_000
		var lock SpinLock
		had := 0
		together(actors, func(int) {
			for n := range rounds {
				lock.Lock()
				if had++; n%64 == 0 {
					runtime.Gosched() // somebody has to wait, on one processor too
				}
				lock.Unlock()
			}
		})
		w := lock.Waits()
		if had != actors*rounds || w.Waited == 0 || w.Waited > uint64(had) {
			t.Errorf("%+v of %d", w, had)
		}
		if w.Spins < activeSpins*w.Yields {
			t.Errorf("fewer looks than there must have been: %+v", w)
		}
		if w.Yields == 0 && w.Longest != 0 {
			t.Errorf("nobody yielded, and one did so for %v", w.Longest)
		}
	})
}
