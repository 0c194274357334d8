package pool

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/chatstream/chatstream/atomics"
)

// Whoever holds a queue up is found in its own counter.
func TestStatsTellWhichLockWasWaitedFor(t *testing.T) {
	before := runtime.GOMAXPROCS(8) // more threads than cores: a holder is preempted now and then
	defer runtime.GOMAXPROCS(before)
	for _, c := range []struct {
		name   string
		use    func(p *Pool) func()
		waited func(s Stats) (this, other atomics.Waits)
	}{
		{"run queue", func(p *Pool) func() { return newTask(p, func() {}).Schedule },
			func(s Stats) (this, other atomics.Waits) { return s.RunQueueLock, s.JobQueueLock }},
		{"job queue", func(p *Pool) func() { return func() { _ = p.Submit(func() {}) } },
			func(s Stats) (this, other atomics.Waits) { return s.JobQueueLock, s.RunQueueLock }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, Config{})
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				together(4, func(int) {
					for use := c.use(p); !stop.Load(); {
						use()
					}
				})
			}()
			eventually(t, "somebody has waited", func() bool {
				this, _ := c.waited(p.Stats())
				return this.Waited > 0 && this.Spins > 0
			})
			stop.Store(true)
			<-done
			if _, other := c.waited(p.Stats()); other != (atomics.Waits{}) {
				t.Errorf("the other lock has %+v", other)
			}
		})
	}
}
