//go:build stepping

package server

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/bench/stepped"
)

// A turn that sends as long as there is credit, and parks, against the connection's
// writer, which passes on what it was given: each atomic operation waits for its turn,
// which a seed decides. Whatever the order, all is sent in the end, never beyond the
// quota, and what is known to have passed never goes back. `go run ./bench/step` runs
// it.
func TestSteppedCreditIsNotLost(t *testing.T) {
	const responses, size = 12, writeQuota / 2
	for seed := uint64(1); seed <= 3000 && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			scheduler := stepped.On(seed)
			defer scheduler.Off()
			c := &conn{}
			woken := make(chan struct{}, responses)
			onItsWay := make(chan *mark, responses)
			c.Bind(func() { woken <- struct{}{} })
			var done atomic.Int32
			stop := make(chan struct{})
			go func() { // the turn
				defer done.Add(1)
				defer close(onItsWay)
				for sent := 0; sent < responses; {
					if !c.Credit() {
						select {
						case <-woken:
						case <-stop:
							return
						}
						continue
					}
					if c.sent-c.completed.Peek() >= writeQuota {
						t.Error("credit, and the quota is used up")
					}
					c.sent += size
					onItsWay <- &mark{conn: c, upTo: c.sent}
					sent++
				}
			}()
			for range 2 { // the writer: two, so that a completion may be late
				go func() {
					defer done.Add(1)
					for m := range onItsWay {
						m.Put(nil)
						if passed := c.Passed(); passed < m.upTo {
							t.Errorf("%d have passed, and then only %d", m.upTo, passed)
						}
					}
				}()
			}
			began := time.Now()
			scheduler.Run(func() bool { return done.Load() == 3 || time.Since(began) > time.Second }, time.Millisecond)
			if done.Load() != 3 {
				t.Error("the stream is parked for ever")
			}
			scheduler.Off()
			close(stop)
			synctest.Wait()
		})
	}
}
