package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of latencies that are told apart: 1 us to 10 minutes, at 3 digits.
const (
	minLatency = int64(time.Microsecond)
	maxLatency = int64(10 * time.Minute)
	digits     = 3
)

// NewHistogram makes a histogram of latencies in nanoseconds, like those of a
// Sample.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(minLatency, maxLatency, digits) }

// meter counts what a run's streams are given. Streams count into lanes, so that
// they do not wait for one another.
type meter struct {
	lanes []lane

	total     atomic.Int64 // deliveries
	responses atomic.Int64 // that they came in
	// want is the total that somebody waits for, reached says that it is there.
	want    atomic.Int64
	reached chan struct{}
}

// lane is where some of the streams count. Safe for concurrent use.
type lane struct {
	meter               *meter
	duplicates, missing atomic.Int64

	mu      sync.Mutex
	current *hdrhistogram.Histogram // since it was last taken
	_       [64]byte
}

const lanes = 16

func newMeter() *meter {
	m := &meter{lanes: make([]lane, lanes), reached: make(chan struct{}, 1)}
	m.want.Store(-1)
	for i := range m.lanes {
		m.lanes[i].meter, m.lanes[i].current = m, NewHistogram()
	}
	return m
}

// lane is that of the i-th stream.
func (m *meter) lane(i int) *lane { return &m.lanes[i%len(m.lanes)] }

func (l *lane) latency(d int64) {
	l.mu.Lock()
	// Out of range cannot be: it is bounded here.
	_ = l.current.RecordValue(min(max(d, minLatency), maxLatency))
	l.mu.Unlock()
}

// delivered counts a response with n deliveries.
func (l *lane) delivered(n int64) {
	l.meter.responses.Add(1)
	total := l.meter.total.Add(n)
	if want := l.meter.want.Load(); want >= 0 && total >= want && total-n < want {
		select {
		case l.meter.reached <- struct{}{}:
		default:
		}
	}
}

// settle is how long is waited for deliveries.
const settle = 30 * time.Second

// wait returns when total deliveries have come; with ErrLost when they have not
// for so long that they will not. For one caller at a time.
func (m *meter) wait(ctx context.Context, total int64) error {
	m.want.Store(total)
	defer m.want.Store(-1)
	patience := time.NewTimer(settle)
	defer patience.Stop()
	for m.total.Load() < total {
		select {
		case <-m.reached: // or what was left of an earlier wait
		case <-patience.C:
			return fmt.Errorf("%w: %d of %d deliveries came", ErrLost, m.total.Load(), total)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take returns the latencies since it was last called, and begins anew.
func (m *meter) take() *hdrhistogram.Histogram {
	sum := NewHistogram()
	for i := range m.lanes {
		l := &m.lanes[i]
		l.mu.Lock()
		sum.Merge(l.current)
		l.current.Reset()
		l.mu.Unlock()
	}
	return sum
}

func (m *meter) judged() (duplicates, missing int64) {
	for i := range m.lanes {
		duplicates += m.lanes[i].duplicates.Load()
		missing += m.lanes[i].missing.Load()
	}
	return duplicates, missing
}
