package pool

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// IgnoreCurrent is for the two goroutines of ants' default pool, which exist from its import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

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

// patience bounds what would otherwise hang; nothing waits for as long unless it has failed.
const patience = 20 * time.Second

// newPool returns a pool that is closed when the test ends.
func newPool(t testing.TB, c Config) *Pool {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, p) })
	return p
}

func closePool(t testing.TB, p *Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Errorf("Close: %v; %+v", err, p.Stats())
	}
}

// eventually waits until ok, with Gosched between the looks.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// received waits for a channel.
func received[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("still not: %s", what)
		panic("unreachable")
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

// task is a Task made of a function.
type task struct {
	Slot
	turn  func()
	turns atomic.Int64 // turns ended
}

func newTask(p *Pool, turn func()) *task {
	x := &task{turn: turn}
	x.Init(p, x)
	return x
}

func (x *task) Turn() {
	defer x.turns.Add(1)
	x.turn()
}
