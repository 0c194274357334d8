package engine

import (
	"sync"
	"sync/atomic"
	"testing"
)

// What a reader takes while the turn goes on writing is never ahead of what the
// transport had passed on. Each event is ten bytes.
func TestWatermarkIsNeverAhead(t *testing.T) {
	const events, size = 300_000, 10
	var w watermark
	var passed atomic.Int64
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			last := uint64(0)
			for !done.Load() {
				reached, _ := w.read(passed.Load())
				if p := passed.Load(); int64(reached)*size > p {
					t.Errorf("%d events have reached in %d bytes", reached, p)
					return
				}
				last = max(last, reached)
			}
			if last == 0 {
				t.Error("nothing ever reached")
			}
		})
	}
	for seq := uint64(1); seq <= events; seq++ {
		sent := int64(seq) * size
		w.sent(seq, sent, passed.Load())
		if seq%7 == 0 { // the transport lags behind by some
			passed.Store(max(0, sent-30))
		}
	}
	passed.Store(events * size)
	if reached, _ := w.read(passed.Load()); reached != events {
		t.Errorf("%d of %d have reached when all has passed", reached, events)
	}
	done.Store(true)
	readers.Wait()
}
