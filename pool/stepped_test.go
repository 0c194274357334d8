//go:build stepping

package pool

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/bench/stepped"
)

// Tests of the pool in which each atomic operation waits for its turn, which a seed
// decides. `go run ./bench/step` runs them.

type steppedTask struct {
	Slot
	inside, turns atomic.Int32
	again         int // turns that it asks for itself
	t             *testing.T
}

func (k *steppedTask) Turn() {
	if k.inside.Add(1) != 1 {
		k.t.Error("two turns at once")
	}
	k.turns.Add(1)
	if k.again > 0 {
		k.again--
		k.Schedule()
	}
	k.inside.Add(-1)
}

// Tasks are scheduled, jobs are submitted, Quiet is asked and the pool is closed, in
// any order: what was scheduled before Close has its turn, jobs are never more than may
// be, each one taken is run, and Quiet is not said while something is known to go on.
func TestSteppedPoolLosesNothing(t *testing.T) {
	seeds := 3000
	if s, err := strconv.Atoi(os.Getenv("ENGINE_SEEDS")); err == nil {
		seeds = s
	}
	for seed := 1; seed <= seeds && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			p, err := New(Config{Runners: 1 + seed%3, Workers: 2, Waiting: 1})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			scheduler := stepped.On(uint64(seed))
			defer scheduler.Off()
			var acting sync.WaitGroup
			var done, goingOn, taken, run, at, most atomic.Int32
			act := func(f func()) {
				acting.Go(func() {
					defer done.Add(1)
					f()
				})
			}
			var tasks []*steppedTask
			for i := range 3 {
				k := &steppedTask{t: t, again: i}
				k.Init(p, k)
				tasks = append(tasks, k)
				act(func() {
					for range 3 {
						before := k.turns.Load()
						k.Schedule()
						for range 2 { // each of these may be a turn later
							if p.Quiet() && k.turns.Load() == before {
								t.Error("quiet, and a task that was scheduled has had no turn")
							}
						}
					}
				})
			}
			for range 4 {
				act(func() {
					before := run.Load()
					err := p.Submit(func() {
						goingOn.Add(1)
						n := at.Add(1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
						time.Sleep(time.Duration(seed%2) * time.Millisecond)
						at.Add(-1)
						goingOn.Add(-1)
						run.Add(1)
					})
					if err == nil {
						taken.Add(1)
						if p.Quiet() && run.Load() == before {
							t.Error("quiet, and a job that was submitted has not run")
						}
					}
				})
			}
			total := int32(7)
			scheduler.Run(func() bool { return done.Load() == total }, 5*time.Millisecond)
			for i, k := range tasks {
				if k.turns.Load() < int32(i)+1 {
					t.Errorf("task %d has had %d turns", i, k.turns.Load())
				}
			}
			if most.Load() > 2 {
				t.Errorf("%d jobs ran at once", most.Load())
			}
			if taken.Load() > 4 || run.Load() != taken.Load() {
				t.Errorf("%d jobs were taken, %d have run", taken.Load(), run.Load())
			}
			// Close, against tasks that are scheduled just before.
			var before [3]int32
			act(func() {
				for i, k := range tasks {
					before[i] = k.turns.Load()
					k.Schedule()
				}
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			total++
			scheduler.Run(func() bool { return done.Load() == total }, 5*time.Millisecond)
			acting.Wait()
			for i, k := range tasks {
				if k.turns.Load() == before[i] {
					t.Errorf("task %d was scheduled before Close and has had no turn", i)
				}
			}
			if n := p.workers.outstanding.Peek(); n != 0 {
				t.Error(fmt.Sprint(n, " jobs are counted and there are none"))
			}
		})
	}
}

// chain always has something going on, a turn or a job, until it has come to its end.
type chain struct {
	Slot
	p    *Pool
	left int
	over atomic.Bool
}

func (c *chain) Turn() {
	if c.left--; c.left < 0 {
		c.over.Store(true)
		return
	}
	if c.p.Submit(c.Schedule) != nil {
		c.Schedule()
	}
}

func TestSteppedQuietIsNotSaidOfAChain(t *testing.T) {
	for seed := 1; seed <= 2000 && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			p, err := New(Config{Runners: 1 + seed%2, Workers: 1, Waiting: 1})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			scheduler := stepped.On(uint64(seed))
			defer scheduler.Off()
			c := &chain{p: p, left: 6}
			c.Init(p, c)
			var done atomic.Int32
			go func() {
				defer done.Add(1)
				c.Schedule()
				for range 20 {
					if p.Quiet() && !c.over.Load() {
						t.Error("quiet, and the chain goes on")
						return
					}
				}
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			scheduler.Run(func() bool { return done.Load() == 1 }, 5*time.Millisecond)
			scheduler.Off()
			if t.Failed() {
				_ = p.Close(context.Background())
			}
		})
	}
}
