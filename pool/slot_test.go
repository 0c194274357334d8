package pool

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// Several schedulers, several runners. The flag and the counter are plain: turns of one task follow each other, and each
// sees what the one before wrote.
func TestNeverTwoTurnsAtOnce(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const schedulers, each = 4, 10_000
		p := newPool(t, Config{Runners: 4})
		var (
			inside bool
			turns  int
		)
		x := newTask(p, nil)
		x.turn = func() {
			if inside {
				t.Error("two turns at once")
			}
			inside = true
			turns++
			if turns%8 == 0 {
				runtime.Gosched()
			}
			if turns%16 == 0 {
				x.Schedule()
			}
			inside = false
		}
		together(schedulers, func(int) {
			for n := range each {
				x.Schedule()
				if n%32 == 0 {
					runtime.Gosched()
				}
			}
		})
		closePool(t, p) // is after all turns
		if turns == 0 || int64(turns) != x.turns.Load() {
			t.Errorf("%d turns counted, %d ended", turns, x.turns.Load())
		}
	})
}

// Each scheduler puts down a number, schedules, and waits until a turn has picked it up. Nothing else schedules the task
// once all wait, so one lost Schedule and it stays.
func TestEveryScheduleIsFollowedByATurn(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const schedulers, each = 3, 3_000
		p := newPool(t, Config{Runners: 2})
		var put, taken [schedulers]atomic.Int64
		x := newTask(p, func() {
			for i := range put {
				taken[i].Store(put[i].Load())
			}
		})
		together(schedulers, func(i int) {
			for n := range int64(each) {
				put[i].Store(n + 1)
				x.Schedule()
				for spins := 0; taken[i].Load() != n+1; spins++ {
					if spins > 1<<22 {
						t.Errorf("scheduler %d: no turn after number %d", i, n+1)
						return
					}
					runtime.Gosched()
				}
			}
		})
	})
}

// gate opens without the race detector's knowledge: what orders the plain data of the next test must be Schedule alone.
type gate struct{ open bool }

//go:norace
func (g *gate) release() { g.open = true }

//go:norace
func (g *gate) released() bool { return g.open }

func (g *gate) wait() {
	for !g.released() {
		runtime.Gosched()
	}
}

// What is written before Schedule is seen by the turn, also when the task was queued already, and when it was running, so
// that Schedule changes little or nothing. The only runner stands at a gate meanwhile, so the case is certain; the data is
// plain, so the race detector fails the test if nothing orders it.
func TestTurnSeesWhatWasWrittenBeforeSchedule(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(x *task, blocker *task, inTurn chan struct{}) // brings x into its state, with the runner at the gate
	}{
		{"idle", func(_, blocker *task, inTurn chan struct{}) {
			blocker.Schedule()
			<-inTurn
		}},
		{"queued", func(x, blocker *task, inTurn chan struct{}) {
			blocker.Schedule()
			<-inTurn
			x.Schedule()
		}},
		{"running", func(x, _ *task, inTurn chan struct{}) {
			x.Schedule()
			<-inTurn
		}},
		{"running, again", func(x, _ *task, inTurn chan struct{}) {
			x.Schedule()
			<-inTurn
			x.Schedule()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			atProcs(t, func(t *testing.T) {
				for range 20 {
					p := newPool(t, Config{Runners: 1})
					var (
						data   int
						seen   int
						g      gate
						inTurn = make(chan struct{}, 2)
					)
					blocker := newTask(p, func() {
						inTurn <- struct{}{}
						g.wait()
					})
					x := newTask(p, nil)
					x.turn = func() {
						if x.turns.Load() == 0 && (c.name == "running" || c.name == "running, again") {
							inTurn <- struct{}{}
							g.wait()
							return
						}
						seen = data
					}
					c.first(x, blocker, inTurn)
					written := make(chan struct{})
					go func() {
						data = 1
						x.Schedule()
						g.release()
						close(written)
					}()
					<-written
					closePool(t, p)
					if seen != 1 {
						t.Fatalf("the turn saw %d", seen)
					}
				}
			})
		})
	}
}

// A fan-out schedules a task many times before it gets its turn: that is one turn.
func TestManySchedulesAreOneTurn(t *testing.T) {
	p := newPool(t, Config{Runners: 1})
	var g gate
	inTurn := make(chan struct{})
	blocker := newTask(p, func() {
		inTurn <- struct{}{}
		g.wait()
	})
	blocker.Schedule()
	<-inTurn
	x := newTask(p, func() {})
	for range 1_000 {
		x.Schedule()
	}
	if n := p.Stats().QueuedTasks; n != 1 {
		t.Errorf("%d tasks are queued", n)
	}
	g.release()
	closePool(t, p)
	if n := x.turns.Load(); n != 1 {
		t.Errorf("%d turns", n)
	}
}

func TestScheduleAndTurnAllocateNothing(t *testing.T) {
	p := newPool(t, Config{Runners: 1})
	x := newTask(p, func() {})
	again := 0
	x.turn = func() {
		if again++; again%2 == 1 {
			x.Schedule()
		}
	}
	n := testing.AllocsPerRun(200, func() {
		before := x.turns.Load()
		x.Schedule()
		for x.turns.Load() < before+2 {
			runtime.Gosched()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
