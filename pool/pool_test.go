package pool

import (
	"bytes"
	"context"
	"errors"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"
)

func TestNewTellsEverythingThatIsWrong(t *testing.T) {
	p, err := New(Config{Runners: -1, Workers: -2, Waiting: -3})
	if p != nil || err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Runners is -1", "Workers is -2", "Waiting is -3"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// What Close finds queued has its turn, what it finds waiting runs, and what the jobs schedule has its turn as well. Then
// nothing is left.
func TestCloseLetsEverythingFinishAndLeavesNoGoroutine(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 50 {
			before := goleak.IgnoreCurrent()
			p, err := New(Config{Runners: 2, Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			const tasks, jobs = 200, 100
			var turns, ran atomic.Int64
			for range tasks {
				newTask(p, func() { turns.Add(1) }).Schedule()
			}
			for range jobs {
				byJob := newTask(p, func() { turns.Add(1) })
				if err := p.Submit(func() {
					ran.Add(1)
					byJob.Schedule()
				}); err != nil {
					t.Fatal(err)
				}
			}
			closePool(t, p)
			if turns.Load() != tasks+jobs || ran.Load() != jobs {
				t.Fatalf("%d turns and %d jobs, want %d and %d", turns.Load(), ran.Load(), tasks+jobs, jobs)
			}
			if s := p.Stats(); s.Runners != 0 || s.Workers != 0 || !p.Quiet() {
				t.Fatalf("Quiet %v, %+v", p.Quiet(), s)
			}
			goleak.VerifyNone(t, before)
		}
	})
}

func TestAfterCloseNothingIsTaken(t *testing.T) {
	p := newPool(t, Config{})
	x := newTask(p, func() { t.Error("a turn after Close") })
	closePool(t, p)
	x.Schedule()
	if err := p.Submit(func() { t.Error("a job after Close") }); !errors.Is(err, ErrClosed) {
		t.Errorf("Submit returned %v", err)
	}
	if !p.Quiet() {
		t.Error("not quiet")
	}
	closePool(t, p)
}

func TestCloseManyTimesAtOnce(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 50 {
			p := newPool(t, Config{Runners: 2})
			var turns atomic.Int64
			for range 20 {
				newTask(p, func() { turns.Add(1) }).Schedule()
			}
			together(4, func(int) {
				closePool(t, p)
				if turns.Load() != 20 {
					t.Error("Close returned before all turns were over")
				}
			})
		}
	})
}

// Close races with Submit: each job either was refused or runs before Close returns.
func TestCloseRunsEveryJobThatWasTaken(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 300 {
			p := newPool(t, Config{Runners: 1, Workers: 2})
			var taken, ran atomic.Int64
			together(3, func(i int) {
				if i == 0 {
					closePool(t, p)
					return
				}
				for range 20 {
					switch err := p.Submit(func() { ran.Add(1) }); {
					case err == nil:
						taken.Add(1)
					case !errors.Is(err, ErrClosed):
						t.Error(err)
					}
				}
			})
			if taken.Load() != ran.Load() {
				t.Fatalf("%d jobs taken, %d run", taken.Load(), ran.Load())
			}
		}
	})
}

// A task that schedules itself for ever does not keep the pool from closing.
func TestGreedyTaskDoesNotHoldUpClose(t *testing.T) {
	p := newPool(t, Config{Runners: 2})
	var x *task
	x = newTask(p, func() { x.Schedule() })
	x.Schedule()
	eventually(t, "it is going", func() bool { return x.turns.Load() > 10 })
	closePool(t, p)
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	for _, c := range []struct {
		name  string
		stall func(p *Pool, wait func()) error
	}{
		{"a job does not end", func(p *Pool, wait func()) error { return p.Submit(wait) }},
		{"a turn does not end", func(p *Pool, wait func()) error { newTask(p, wait).Schedule(); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := New(Config{Runners: 1, Workers: 1})
				if err != nil {
					t.Fatal(err)
				}
				hold := make(chan struct{})
				if err := c.stall(p, func() { <-hold }); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Close returned %v", err)
				}
				if d := time.Since(begin); d != time.Minute {
					t.Errorf("Close returned after %v", d)
				}
				newTask(p, func() { t.Error("a turn after Close") }).Schedule()
				close(hold)
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("second Close returned %v", err)
				}
			})
		})
	}
}

// In a bubble Wait returns only when every goroutine is durably blocked: so idle runners and workers do not spin, and
// none of their waiting is on anything outside. Time is virtual; a day passes at once.
func TestPoolWorksInABubbleAndIdlesWithoutSpinning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{Runners: 3, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := p.Stats(); s.Sleeping != 3 || !p.Quiet() {
			t.Errorf("Quiet %v, %+v", p.Quiet(), s)
		}

		turns := 0
		alarmed := make(chan struct{}, 2)
		x := newTask(p, func() {
			turns++
			alarmed <- struct{}{}
		})
		x.Schedule()
		synctest.Wait()
		if turns != 1 {
			t.Errorf("%d turns", turns)
		}
		<-alarmed

		alarm := time.AfterFunc(24*time.Hour, x.Schedule)
		defer alarm.Stop()
		begin := time.Now()
		waited := make(chan time.Duration)
		if err := p.Submit(func() {
			time.Sleep(23 * time.Hour)
			waited <- time.Since(begin)
		}); err != nil {
			t.Fatal(err)
		}
		if d := <-waited; d != 23*time.Hour {
			t.Errorf("the job waited for %v", d)
		}
		<-alarmed
		if d := time.Since(begin); turns != 2 || d != 24*time.Hour {
			t.Errorf("%d turns, %v after the alarm was set", turns, d)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A ball is thrown from turn to turn and to job; at every instant something is queued, waits or runs. So Quiet must not be
// true until the ball has come to rest.
func TestQuietIsNeverTrueWhileSomethingIsGoingOn(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const throws = 5_000
		p := newPool(t, Config{Runners: 2, Workers: 2})
		var (
			rest   atomic.Bool
			thrown int // plain: the ball is handed over
			a, b   *task
		)
		a = newTask(p, func() { b.Schedule() })
		b = newTask(p, func() {
			if thrown++; thrown == throws {
				rest.Store(true)
				return
			}
			if thrown%3 == 0 {
				if err := p.Submit(a.Schedule); err != nil {
					t.Error(err)
					rest.Store(true)
				}
			} else {
				a.Schedule()
			}
		})
		a.Schedule()
		together(2, func(int) {
			for {
				if p.Quiet() {
					if !rest.Load() {
						t.Error("quiet, with the ball in the air")
					}
					return
				}
			}
		})
	})
}

func TestGoroutinesAreLabelled(t *testing.T) {
	p := newPool(t, Config{Runners: 1})
	hold, inside := make(chan struct{}), make(chan struct{}, 2)
	defer close(hold)
	wait := func() {
		inside <- struct{}{}
		<-hold
	}
	newTask(p, wait).Schedule()
	if err := p.Submit(wait); err != nil {
		t.Fatal(err)
	}
	<-inside
	<-inside
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"role":"runner"`, `"role":"worker"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no goroutine has the label %s:\n%s", want, b.String())
		}
	}
}

// The counters of two runners share no cache line.
func TestRunnerIsOneCacheLine(t *testing.T) {
	if n := unsafe.Sizeof(runner{}); n != cacheLine {
		t.Errorf("%d bytes", n)
	}
}
