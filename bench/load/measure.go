package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Sample is what one measurement has seen.
type Sample struct {
	Elapsed time.Duration
	// Sent messages were acknowledged, and should have made Expected deliveries.
	Sent, Deliveries, Expected int64
	Responses                  int64 // that the deliveries came in
	Duplicates, Missing        int64
	// Latency is from due to received, Acknowledged from due to acknowledged, in
	// nanoseconds.
	Latency, Acknowledged *hdrhistogram.Histogram
}

// Check is an error if anything was lost: what no benchmark may pass over.
func (s Sample) Check() error {
	if s.Missing != 0 || s.Deliveries != s.Expected {
		return fmt.Errorf("%w: %d of %d deliveries came, %d places were skipped", ErrLost, s.Deliveries, s.Expected, s.Missing)
	}
	return nil
}

// ErrLost is when messages did not reach streams.
var ErrLost = errors.New("messages are missing")

// Second is what has come since the Second before it.
type Second struct {
	Deliveries int64
	Latency    *hdrhistogram.Histogram
}

// sending is one message of a measurement: it returns when that is acknowledged,
// with the number of deliveries it should make.
type sending func(ctx context.Context, due int64) (deliveries int64, err error)

// measure has drive say when to send, at most atOnce calls at a time, and waits
// until everything has arrived.
func (c *Crowd) measure(ctx context.Context, atOnce int, drive func(context.Context, func(due int64, send sending)) error) (Sample, error) {
	c.meter.take()
	before, responses, began := c.meter.total.Load(), c.meter.responses.Load(), Clock()
	duplicates, missing := c.meter.judged()
	s := Sample{Latency: NewHistogram()}
	stop := c.watch(s.Latency)
	defer stop()

	acknowledged := newMeter()
	var sent, expected atomic.Int64
	group, calling := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	err := drive(calling, func(due int64, send sending) {
		group.Go(func() error {
			n, err := send(calling, due)
			if err != nil {
				return err
			}
			expected.Add(n)
			acknowledged.lane(int(sent.Add(1))).latency(Clock() - due)
			return nil
		})
	})
	if failed := group.Wait(); failed != nil {
		return Sample{}, failed
	}
	if err != nil {
		return Sample{}, err
	}
	s.Sent, s.Expected = sent.Load(), expected.Load()
	if err := c.meter.wait(ctx, before+s.Expected); err != nil && !errors.Is(err, ErrLost) {
		return Sample{}, err
	}
	s.Elapsed = time.Duration(Clock() - began)
	stop()
	s.Deliveries, s.Responses = c.meter.total.Load()-before, c.meter.responses.Load()-responses
	s.Acknowledged = acknowledged.take()
	d, m := c.meter.judged()
	s.Duplicates, s.Missing = d-duplicates, m-missing
	return s, nil
}

// watch adds the latencies of every second to sum and shows them to Observe,
// until the function it returns has been called.
func (c *Crowd) watch(sum *hdrhistogram.Histogram) (stop func()) { return c.watchMeter(c.meter, sum) }

func (c *Crowd) watchMeter(m *meter, sum *hdrhistogram.Histogram) (stop func()) {
	end := make(chan struct{})
	var watching sync.WaitGroup
	last := m.total.Load()
	step := func() {
		total, latency := m.total.Load(), m.take()
		sum.Merge(latency)
		if c.Observe != nil {
			c.Observe(Second{total - last, latency})
		}
		last = total
	}
	watching.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				step()
			case <-end:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		watching.Wait()
		sum.Merge(m.take()) // less than a second
	})
}

// maxUnderWay bounds the calls at once of a paced run. A server that leaves more
// unanswered does not keep up: the pace breaks, and latency shows it.
const maxUnderWay = 4096

// Pace calls f rate times a second for d, with the time at which each call was due,
// by Clock, and its number: late calls are made up for.
func Pace(ctx context.Context, rate float64, d time.Duration, f func(due int64, k int)) error {
	start := Clock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := 0; ; k++ {
		due := start + int64(float64(k)*float64(time.Second)/rate)
		if due-start >= int64(d) {
			return nil
		}
		if wait := due - Clock(); wait > 0 {
			timer.Reset(time.Duration(wait))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f(due, k)
	}
}
