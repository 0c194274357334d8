package atomics

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// atProcs runs f with one processor (only preemption and Gosched interleave), two, and eight (more threads than cores: the
// operating system preempts in the middle of anything).
func atProcs(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
			before := runtime.GOMAXPROCS(procs)
			defer runtime.GOMAXPROCS(before)
			f(t)
		})
	}
}

// together runs f n times at once and returns when all have returned.
func together(n int, f func(i int)) {
	var start, end sync.WaitGroup
	start.Add(1)
	for i := range n {
		end.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	end.Wait()
}

// panicked reports whether f panics.
func panicked(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}
