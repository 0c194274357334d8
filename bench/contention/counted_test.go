package contention

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/bench/measure"
)

// uncountedLock is atomics.SpinLock without its counters.
type uncountedLock struct{ state atomic.Uint32 }

func (l *uncountedLock) Lock() {
	if l.state.CompareAndSwap(0, 1) {
		return
	}
	l.lockSlow()
}

func (l *uncountedLock) lockSlow() {
	for {
		for range 24 {
			if l.state.Load() == 0 && l.state.CompareAndSwap(0, 1) {
				return
			}
		}
		runtime.Gosched()
	}
}

func (l *uncountedLock) Unlock() {
	if l.state.Swap(0) == 0 {
		panic("Unlock of an unlocked lock")
	}
}

// BenchmarkCountedLock shows what the counters of a SpinLock cost, by the lock beside one without, in pairs: nothing where
// the lock is free (one goroutine), and how much where it is not. The calls are direct, not through an interface, so that
// both are inlined as they are in use.
func BenchmarkCountedLock(b *testing.B) {
	for _, goroutines := range []int{1, 2, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			const rounds = 1 << 20
			each := rounds / goroutines
			var (
				counted      atomics.SpinLock
				uncounted    uncountedLock
				ours, theirs padded
			)
			var p measure.Pairs
			p.Loop(b, func() time.Duration {
				return together(goroutines, func(int) {
					for range each {
						counted.Lock()
						ours.n++
						counted.Unlock()
					}
				})
			}, func() time.Duration {
				return together(goroutines, func(int) {
					for range each {
						uncounted.Lock()
						theirs.n++
						uncounted.Unlock()
					}
				})
			})
			if want := b.N * each * goroutines; ours.n != want || theirs.n != want {
				b.Errorf("%d and %d sections, want %d", ours.n, theirs.n, want)
			}
			if w := counted.Waits(); goroutines == 1 && w != (atomics.Waits{}) {
				b.Errorf("nobody waited, and %+v was counted", w)
			}
			p.Report(b, each*goroutines, "lock")
		})
	}
}

// padded is a number on a cache line of its own.
type padded struct {
	_ [64]byte
	n int
	_ [64]byte
}

// together runs f on n goroutines at once and returns how long it took until all were done.
func together(n int, f func(i int)) time.Duration {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	begin := time.Now()
	close(start)
	done.Wait()
	return time.Since(begin)
}
