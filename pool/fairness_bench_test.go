package pool

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/measure"
)

// work stands for what a turn does: some 10 ns a step.
func work(steps int) {
	x := uint32(1)
	for range steps {
		for range 10 {
			x = x*1664525 + 1013904223
		}
	}
	sink.Store(x)
}

var sink atomic.Uint32

// BenchmarkFairness shows how long a task that has more to do waits for its next turn (from Schedule, within a turn, to the
// beginning of the next), with and without a greedy one that always has more to do and whose turns are as long as a turn may
// be. Among 10 000 the wait is about that of a round of all others, and the greedy one gets a turn in each round like
// anybody else: greedy-turns is to be about the 4 that each other task has, as all are in the queue when it begins. Beside a single one it is about one turn of the
// greedy one at worst, less with a second runner.
func BenchmarkFairness(b *testing.B) {
	const (
		turns = 4   // that each task wants
		usual = 20  // steps of a turn
		long  = 640 // of the greedy one's
	)
	for _, tasks := range []int{1, 9_999} {
		for _, greedy := range []int{0, 1} {
			b.Run(fmt.Sprintf("tasks=%d/greedy=%d", tasks, greedy), func(b *testing.B) {
				b.ReportAllocs()
				p := newPool(b, Config{})
				var left atomic.Int64
				var greedyTurns int
				done := make(chan struct{}, 1)
				all := make([]*impatient, tasks)
				for i := range all {
					x := &impatient{}
					x.turn = func() {
						if x.asked != 0 {
							x.waits = append(x.waits, time.Duration(time.Since(start).Nanoseconds()-x.asked))
						}
						work(usual)
						if x.had++; x.had < turns {
							x.asked = time.Since(start).Nanoseconds()
							x.Schedule()
							return
						}
						x.asked, x.had = 0, 0
						if left.Add(-1) == 0 {
							done <- struct{}{}
						}
					}
					x.Init(p, x)
					all[i] = x
				}
				over := make(chan struct{}, 1)
				var hog *task
				hog = newTask(p, func() {
					work(long)
					if left.Load() == 0 {
						over <- struct{}{}
						return
					}
					if p.runners.queue.Len() > 0 { // not when the last of the others is in its turn and there is nobody to be fair to
						greedyTurns++
					}
					hog.Schedule()
				})
				held, release := make(chan struct{}), make(chan struct{})
				var holders []*task
				for range p.Stats().Runners {
					holders = append(holders, newTask(p, func() {
						held <- struct{}{}
						<-release // which no turn should do: the runners wait until all are in the queue
					}))
				}
				for b.Loop() {
					left.Store(int64(tasks))
					for _, h := range holders {
						h.Schedule()
						<-held
					}
					if greedy > 0 {
						hog.Schedule()
					}
					for _, x := range all {
						x.Schedule()
					}
					for range holders {
						release <- struct{}{}
					}
					<-done
					if greedy > 0 {
						<-over
					}
				}
				var waits measure.Tail
				for _, x := range all {
					waits = append(waits, x.waits...)
				}
				if want := b.N * tasks * (turns - 1); len(waits) != want {
					b.Errorf("%d turns were waited for, want %d", len(waits), want)
				}
				waits.Report(b, "requeue")
				if greedy > 0 {
					b.ReportMetric(float64(greedyTurns)/float64(b.N), "greedy-turns")
				}
			})
		}
	}
}

// start is what times are counted from.
var start = time.Now()

// impatient is a task that keeps how long it had to wait.
type impatient struct {
	Slot
	turn  func()
	had   int
	asked int64
	waits measure.Tail
}

func (x *impatient) Turn() { x.turn() }
