package pool

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// held is a pool of one runner, which is in a turn until let is closed.
func held(t *testing.T) (p *Pool, let chan struct{}) {
	t.Helper()
	p = newPool(t, Config{Runners: 1})
	let = make(chan struct{})
	inTurn := make(chan struct{})
	newTask(p, func() { close(inTurn); <-let }).Schedule()
	received(t, "the runner's turn", inTurn)
	return p, let
}

func TestBatchComesAtFlushAndInItsOrder(t *testing.T) {
	p, let := held(t)
	var turns []int
	tasks := make([]*task, 5)
	for i := range tasks {
		tasks[i] = newTask(p, func() { turns = append(turns, i) })
	}
	tasks[3].Schedule() // queued already: it keeps its place
	var b Batch
	for _, x := range tasks[:4] {
		b.Schedule(&x.Slot)
		b.Schedule(&x.Slot)
	}
	tasks[1].Schedule() // it is in the batch: that does not bring it forward
	if n := p.Stats().QueuedTasks; n != 1 {
		t.Errorf("%d tasks are queued before Flush, want 1", n)
	}
	tasks[4].Schedule()
	b.Flush()
	b.Flush()
	if n := p.Stats().QueuedTasks; n != 5 {
		t.Errorf("%d tasks are queued after Flush, want 5", n)
	}
	close(let)
	closePool(t, p)
	if want := []int{3, 4, 0, 1, 2}; !slices.Equal(turns, want) {
		t.Errorf("turns of %v, want %v", turns, want)
	}
}

func TestFullBatchIsFlushed(t *testing.T) {
	p, let := held(t)
	defer close(let)
	var b Batch
	for n := range batchSize + 1 {
		if queued := p.Stats().QueuedTasks; queued != 0 {
			t.Fatalf("%d tasks are queued when %d are in the batch", queued, n)
		}
		if n == batchSize-1 {
			break
		}
		b.Schedule(&newTask(p, func() {}).Slot)
	}
	b.Schedule(&newTask(p, func() {}).Slot)
	if queued := p.Stats().QueuedTasks; queued != batchSize {
		t.Errorf("%d tasks are queued, want %d", queued, batchSize)
	}
}

// Each task waits for the others within its turn: all three runners must come.
func TestBatchWakesARunnerForEachTask(t *testing.T) {
	const runners = 3
	for range 200 {
		p := newPool(t, Config{Runners: runners})
		eventually(t, "all runners sleep", func() bool { return p.Stats().Sleeping == runners })
		var inside atomic.Int32
		var b Batch
		for range runners {
			b.Schedule(&newTask(p, func() {
				inside.Add(1)
				eventually(t, "all have their turn at once", func() bool { return inside.Load() == runners })
			}).Slot)
		}
		b.Flush()
		eventually(t, "all have had their turn", func() bool { return inside.Load() == runners })
		closePool(t, p)
	}
}

// As with Schedule: what was put down before it is picked up by a turn that begins after Flush. Others schedule the same
// tasks meanwhile, by themselves or in batches of their own.
func TestEveryScheduleOfABatchIsFollowedByATurn(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const schedulers, tasks, rounds = 3, 5, 1_000
		p := newPool(t, Config{Runners: 2})
		var put, taken [schedulers][tasks]atomic.Int64
		var all [tasks]*task
		for k := range all {
			all[k] = newTask(p, func() {
				for i := range put {
					taken[i][k].Store(put[i][k].Load())
				}
			})
		}
		together(schedulers, func(i int) {
			var b Batch
			for n := range int64(rounds) {
				for k, x := range all {
					put[i][k].Store(n)
					if i == 0 {
						x.Schedule()
					} else {
						b.Schedule(&x.Slot)
					}
				}
				b.Flush()
				for k := range all {
					eventually(t, "what was put down is taken", func() bool { return taken[i][k].Load() == n })
				}
			}
		})
	})
}

func TestBatchAfterCloseDoesNothing(t *testing.T) {
	p := newPool(t, Config{})
	x := newTask(p, func() { t.Error("a turn after Close") })
	closePool(t, p)
	var b Batch
	b.Schedule(&x.Slot)
	b.Flush()
	if n := p.Stats().QueuedTasks; n != 0 {
		t.Errorf("%d tasks are queued", n)
	}
}

func TestBatchAllocatesNothing(t *testing.T) {
	p := newPool(t, Config{Runners: 1})
	x := newTask(p, func() {})
	var before int64
	if n := testing.AllocsPerRun(200, func() {
		before++
		var b Batch
		b.Schedule(&x.Slot)
		b.Flush()
		for x.turns.Load() < before {
			runtime.Gosched()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
