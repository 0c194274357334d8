package pool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// One task schedules itself in every turn, a thousand others are scheduled once. With FIFO each of these has its turn
// within the first round: the greedy one gets no second turn before all have had theirs.
func TestGreedyTaskTakesNobodysTurn(t *testing.T) {
	const others = 1_000
	p := newPool(t, Config{Runners: 1})
	var (
		g      gate
		inTurn = make(chan struct{})
		stop   atomic.Bool
		greedy *task
	)
	greedy = newTask(p, func() {
		if greedy.turns.Load() == 0 {
			close(inTurn)
			g.wait()
		}
		if !stop.Load() {
			greedy.Schedule()
		}
	})
	greedy.Schedule()
	<-inTurn
	var done atomic.Int64
	var late atomic.Int64
	for range others {
		newTask(p, func() {
			if greedy.turns.Load() > 1 {
				late.Add(1)
			}
			done.Add(1)
		}).Schedule()
	}
	g.release()
	eventually(t, "all others have had their turn", func() bool { return done.Load() == others })
	stop.Store(true)
	if n := late.Load(); n != 0 {
		t.Errorf("%d of %d waited more than one round", n, others)
	}
}

// Everybody is greedy: all get the same number of turns, at any time, up to one.
func TestGreedyTasksShareEvenly(t *testing.T) {
	const tasks, rounds = 50, 200
	p := newPool(t, Config{Runners: 1})
	var all [tasks]*task
	var uneven atomic.Int64
	for i := range all {
		all[i] = newTask(p, nil)
		all[i].turn = func() {
			mine := all[i].turns.Load()
			for j := range all {
				if d := all[j].turns.Load() - mine; d < -1 || d > 1 {
					uneven.Add(1)
				}
			}
			if mine < rounds-1 {
				all[i].Schedule()
			}
		}
	}
	var g gate
	inTurn := make(chan struct{})
	blocker := newTask(p, func() {
		close(inTurn)
		g.wait()
	})
	blocker.Schedule()
	<-inTurn
	for _, x := range all {
		x.Schedule()
	}
	g.release()
	closePool(t, p)
	if n := uneven.Load(); n != 0 {
		t.Errorf("%d times somebody was ahead by more than one turn", n)
	}
}

// Runners sleep and are woken again and again: tasks are scheduled when most of them have nothing to do. A lost wake-up
// leaves a task in the queue with everybody asleep, and the round does not end.
func TestParkedRunnersAreWoken(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const rounds = 4_000
		for _, runners := range []int{1, 3} {
			p := newPool(t, Config{Runners: runners})
			var x [3]*task
			for i := range x {
				x[i] = newTask(p, func() {})
			}
			for n := range int64(rounds) {
				for i := range x {
					x[i].Schedule()
				}
				eventually(t, fmt.Sprintf("round %d is over", n), func() bool {
					return x[0].turns.Load() > n && x[1].turns.Load() > n && x[2].turns.Load() > n
				})
			}
		}
	})
}

// bare is a pool of runners without ants: cheap enough to be made by the ten thousand.
func bare(n int) *Pool {
	p := new(Pool)
	start := func(f func()) error {
		go f()
		return nil
	}
	if err := p.runners.init(n, start, p.turnPanicked); err != nil {
		panic(err)
	}
	return p
}

// spin passes about n nanoseconds without giving the processor away.
//
//go:noinline
func spin(n int) {
	x := 0
	for i := range n {
		x ^= i
	}
	runtime.KeepAlive(x)
}

// The next task is scheduled at the moment at which the only runner finds the queue empty and goes to sleep: the delay is
// swept over that moment, as it is a few instructions wide.
func TestRunnerThatIsAboutToSleepIsWoken(t *testing.T) {
	for _, procs := range []int{2, 8} {
		t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
			before := runtime.GOMAXPROCS(procs)
			defer runtime.GOMAXPROCS(before)
			p := newPool(t, Config{Runners: 1})
			var x [2]*task
			for i := range x {
				x[i] = newTask(p, func() {})
			}
			for n := range 8_000 {
				me := x[n%2]
				want := me.turns.Load() + 1
				me.Schedule()
				for spins := 0; me.turns.Load() < want; spins++ {
					if spins > 1_000 {
						eventually(t, fmt.Sprintf("round %d is over", n), func() bool { return me.turns.Load() == want })
					}
				}
				spin(n / 2 % 512)
			}
		})
	}
}

// The steps of park one by one, with what others do meanwhile already done.
func TestParkLooksAgainBeforeItSleeps(t *testing.T) {
	parks := func(t *testing.T, r *runners) {
		t.Helper()
		parked := make(chan struct{})
		go func() {
			r.park()
			close(parked)
		}()
		received(t, "park has returned", parked)
	}
	t.Run("work has come", func(t *testing.T) {
		r := runners{parking: newParking(1)}
		var s Slot
		s.link.Init(&s)
		r.queue.Push(&s.link) // by somebody who saw no sleeper
		parks(t, &r)
		if n := r.parking.sleepers.Load(); n != 0 {
			t.Errorf("%d sleepers", n)
		}
	})
	t.Run("the pool is being closed", func(t *testing.T) {
		r := runners{parking: newParking(1)}
		r.closing.Store(true)
		parks(t, &r)
	})
	t.Run("it has been claimed", func(t *testing.T) {
		r := runners{parking: newParking(1)}
		var s Slot
		s.link.Init(&s)
		r.parking.sleepers.Store(-1) // as the claim will have made it when it wants to withdraw
		r.queue.Push(&s.link)
		r.parking.put()
		parks(t, &r)
		if n, tokens := r.parking.sleepers.Load(), len(r.parking.wake); n != 0 || tokens != 0 {
			t.Errorf("%d sleepers, %d tokens are left", n, tokens)
		}
	})
}

// A task is scheduled and the pool closed at the moment at which the runner finds the queue empty; the delay is swept over
// that moment. What was scheduled before Close has its turn.
func TestWhatIsScheduledJustBeforeCloseHasItsTurn(t *testing.T) {
	for _, procs := range []int{2, 8} {
		t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
			before := runtime.GOMAXPROCS(procs)
			defer runtime.GOMAXPROCS(before)
			for n := range 6_000 {
				p := bare(1)
				first, last := newTask(p, func() {}), newTask(p, func() {})
				first.Schedule()
				for spins := 0; first.turns.Load() == 0; spins++ {
					if spins > 100 {
						runtime.Gosched()
					}
				}
				spin(n % 512)
				last.Schedule()
				p.runners.close()
				received(t, "the runner has ended", p.runners.done)
				if last.turns.Load() != 1 {
					t.Fatalf("round %d: no turn", n)
				}
			}
		})
	}
}

// A task that goes to the back of the queue while another waits there does not wait for that one's turn if a runner
// sleeps: both have their turns at once. Each turn waits for the other here, which no turn should, to prove it.
func TestRequeuedTaskDoesNotWaitWhileARunnerSleeps(t *testing.T) {
	p := newPool(t, Config{Runners: 2})
	var g gate
	meet := make(chan struct{})
	both := func() {
		select {
		case meet <- struct{}{}:
		case <-meet:
		}
	}
	inTurn := make(chan struct{}, 2)
	var a, b *task
	b = newTask(p, both)
	a = newTask(p, func() {
		if a.turns.Load() > 0 {
			both()
			return
		}
		inTurn <- struct{}{}
		g.wait()
		// The other runner sleeps. Put b into the queue without waking it, as if it had looked for sleepers a moment before
		// this runner's colleague announced itself and lost the race for the queue.
		b.state.Store(wanted)
		p.runners.queue.Push(&b.link)
		a.Schedule()
	})
	a.Schedule()
	<-inTurn
	eventually(t, "the other runner sleeps", func() bool { return p.Stats().Sleeping == 1 })
	g.release()
	eventually(t, "both have met", func() bool { return a.turns.Load() == 2 && b.turns.Load() == 1 })
}

type panicReport struct {
	task  Task
	value any
	stack string
}

func TestPanicEndsOnlyItsTurn(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func()
		check func(v any) bool
	}{
		{"value", func() { panic("broken") }, func(v any) bool { return v == "broken" }},
		{"runtime error", func() { var s []int; _ = s[len(s)] }, func(v any) bool { _, ok := v.(runtime.Error); return ok }},
		{"nil", func() { panic(any(nil)) }, func(v any) bool { _, ok := v.(*runtime.PanicNilError); return ok }},
		{"Goexit", runtime.Goexit, func(v any) bool { return v == ErrExited }},
	} {
		t.Run(c.name, func(t *testing.T) {
			reports := make(chan panicReport, 1)
			var inside bool
			p := newPool(t, Config{Runners: 1, OnPanic: func(broken Task, v any, stack []byte) {
				if x := broken.(*task); !inside || x.state.Load()&running == 0 {
					t.Error("OnPanic is not called within the turn")
				}
				inside = false
				reports <- panicReport{broken, v, string(stack)}
			}})
			var x *task
			x = newTask(p, func() {
				switch x.turns.Load() {
				case 0:
					inside = true
					x.Schedule() // during the turn that panics: leads to a turn all the same
					c.fault()
				case 1:
					if inside {
						t.Error("the next turn began before OnPanic returned")
					}
				}
			})
			x.Schedule()
			r := received(t, "OnPanic was called", reports)
			if r.task != Task(x) || !c.check(r.value) || !strings.Contains(r.stack, "TestPanicEndsOnlyItsTurn") {
				t.Errorf("reported %T, %v, stack:\n%s", r.task, r.value, r.stack)
			}
			eventually(t, "the next turn", func() bool { return x.turns.Load() == 2 })
			x.Schedule()
			y := newTask(p, func() {})
			y.Schedule()
			eventually(t, "turns after the panic", func() bool { return x.turns.Load() == 3 && y.turns.Load() == 1 })
			if s := p.Stats(); s.TurnPanics != 1 || s.Runners != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestPanicOfOnPanicEndsNothingElse(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func()
	}{{"panic", func() { panic("second") }}, {"Goexit", runtime.Goexit}} {
		t.Run(c.name, func(t *testing.T) {
			var log syncBuffer
			p := newPool(t, Config{
				Runners: 1,
				OnPanic: func(Task, any, []byte) { c.fault() },
				Logger:  slog.New(slog.NewTextHandler(&log, nil)),
			})
			var x *task
			x = newTask(p, func() {
				if x.turns.Load() == 0 {
					panic("first")
				}
			})
			x.Schedule()
			eventually(t, "the first turn", func() bool { return x.turns.Load() == 1 })
			eventually(t, "a turn after it", func() bool {
				x.Schedule()
				return x.turns.Load() > 1
			})
			if !strings.Contains(log.String(), "first") {
				t.Errorf("the log does not tell: %s", log.String())
			}
		})
	}
}

func TestPanicWithoutOnPanicIsLogged(t *testing.T) {
	var log syncBuffer
	p := newPool(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	newTask(p, func() { panic(errors.New("out of order")) }).Schedule()
	closePool(t, p)
	for _, want := range []string{"out of order", "pool.task", "runners_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not contain %q: %s", want, log.String())
		}
	}
}

// syncBuffer is a buffer for a logger.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// What a fan-out to 1 000 idle tasks costs until all have had an empty turn.
func BenchmarkFanOut(b *testing.B) {
	const tasks = 1_000
	var wg sync.WaitGroup
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tasks, "ns/turn")
	}
	b.Run("Schedule", func(b *testing.B) {
		b.ReportAllocs()
		p := newPool(b, Config{})
		all := make([]*task, tasks)
		for i := range all {
			all[i] = newTask(p, wg.Done)
		}
		for b.Loop() {
			wg.Add(tasks)
			for _, x := range all {
				x.Schedule()
			}
			wg.Wait()
		}
		report(b)
	})
	b.Run("ants", func(b *testing.B) {
		b.ReportAllocs()
		p := newPool(b, Config{})
		for b.Loop() {
			wg.Add(tasks)
			for range tasks {
				_ = p.ants.Submit(wg.Done)
			}
			wg.Wait()
		}
		report(b)
	})
	b.Run("go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wg.Add(tasks)
			for range tasks {
				go wg.Done()
			}
			wg.Wait()
		}
		report(b)
	})
	b.Run("channel", func(b *testing.B) { // a goroutine per stream, woken by its channel
		b.ReportAllocs()
		all := make([]chan struct{}, tasks)
		for i := range all {
			c := make(chan struct{}, 1)
			all[i] = c
			go func() {
				for range c {
					wg.Done()
				}
			}()
		}
		for b.Loop() {
			wg.Add(tasks)
			for _, c := range all {
				c <- struct{}{}
			}
			wg.Wait()
		}
		for _, c := range all {
			close(c)
		}
		report(b)
	})
}

// One task that goes to the back of an empty queue, again and again.
func BenchmarkRequeue(b *testing.B) {
	b.ReportAllocs()
	p := newPool(b, Config{})
	done := make(chan struct{})
	left := 0
	var x *task
	x = newTask(p, func() {
		if left--; left == 0 {
			done <- struct{}{}
			return
		}
		x.Schedule()
	})
	for b.Loop() {
		left = 1_000
		x.Schedule()
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1_000, "ns/turn")
}
