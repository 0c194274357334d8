package measure

import (
	"slices"
	"testing"
	"time"
)

// Tail is a number of waits, of which the worst are what matters. Its owner appends to it.
type Tail []time.Duration

// At returns the wait that a share q of all do not exceed: At(0.5) is the median, At(1) the longest. 0 of none. It puts t in
// order.
func (t Tail) At(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	slices.Sort(t)
	return t[min(len(t)-1, int(q*float64(len(t))))]
}

// Report reports the middle and the end of t as p50-name, p99-name, p99.9-name and max-name, in nanoseconds.
func (t Tail) Report(b *testing.B, name string) {
	b.Helper()
	for _, at := range []struct {
		q    float64
		what string
	}{{0.5, "p50"}, {0.99, "p99"}, {0.999, "p99.9"}, {1, "max"}} {
		b.ReportMetric(float64(t.At(at.q).Nanoseconds()), at.what+"-"+name+"-ns")
	}
}
