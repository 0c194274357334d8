package result

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is how long something took, as a distribution. All times are in
// nanoseconds. What a histogram rounds to three digits is rounded here as well.
type Latency struct {
	Name  string `json:"name"` // what began and what ended, such as "due to received"
	Count int64  `json:"count"`
	P50   int64  `json:"p50_ns"`
	P90   int64  `json:"p90_ns"`
	P99   int64  `json:"p99_ns"`
	P999  int64  `json:"p99.9_ns"`
	Max   int64  `json:"max_ns"`

	// Histogram is all of it: HdrHistogram, V2 compressed, base64.
	Histogram string `json:"histogram"`
}

// NewLatency is the distribution in h, in nanoseconds. It keeps nothing of h.
func NewLatency(name string, h *hdrhistogram.Histogram) (Latency, error) {
	encoded, err := h.EncodeV2()
	if err != nil {
		return Latency{}, fmt.Errorf("cannot encode the histogram of %q: %w", name, err)
	}
	l := summary(h)
	l.Name, l.Histogram = name, string(encoded)
	return l, nil
}

// Decode is the histogram.
func (l Latency) Decode() (*hdrhistogram.Histogram, error) {
	h, err := hdrhistogram.Decode([]byte(l.Histogram))
	if err != nil {
		return nil, fmt.Errorf("the histogram cannot be decoded: %w", err)
	}
	return h, nil
}

// Validate says what is wrong with l: a histogram that cannot be read, or figures
// beside it that are not its own.
func (l Latency) Validate() error {
	h, err := l.Decode()
	if err != nil {
		return err
	}
	want := summary(h)
	want.Name, want.Histogram = l.Name, l.Histogram
	if l != want {
		return fmt.Errorf("p50, p90, p99, p99.9, max are %d, %d, %d, %d, %d of %d, and its histogram has %d, %d, %d, %d, %d of %d",
			l.P50, l.P90, l.P99, l.P999, l.Max, l.Count, want.P50, want.P90, want.P99, want.P999, want.Max, want.Count)
	}
	return nil
}

func summary(h *hdrhistogram.Histogram) Latency {
	return Latency{
		Count: h.TotalCount(),
		P50:   h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
		Max: h.Max(),
	}
}
