package goals

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/load"
)

const (
	streams  = 1000
	textSize = 200
	// window is how many messages are under way in a saturated run.
	window   = 16
	duration = 2 * time.Second
	warmUp   = 500 * time.Millisecond
)

// side is one of the two that are compared.
type side struct {
	server
	*load.Fanout
}

// pair is ours and the reference, each with its streams.
func pair(b *testing.B, n, conns int) (ours, bare side) {
	b.Helper()
	sides := make([]side, 2)
	for i, s := range []server{startServer(b), startBaseline(b)} {
		f, err := load.OpenFanout(b.Context(), s.Target, n, conns, nil)
		if err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		b.Cleanup(f.Close)
		sides[i] = side{s, f}
	}
	return sides[0], sides[1]
}

// cost runs load and returns the server's processor time per delivery.
func (s side) cost(b *testing.B, run func(context.Context) (load.Sample, error)) (time.Duration, load.Sample) {
	b.Helper()
	before, err := s.CPU()
	if err != nil {
		b.Fatal(err)
	}
	sample, err := run(b.Context())
	if err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	if err := sample.Check(); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	after, err := s.CPU()
	if err != nil {
		b.Fatal(err)
	}
	return (after - before) / time.Duration(sample.Deliveries), sample
}

// saturated measures the cost of a delivery on both sides, in turns, with so
// many messages under way.
func saturated(b *testing.B, window int) {
	ours, bare := pair(b, streams, 0)
	run := func(s side, d time.Duration) (time.Duration, load.Sample) {
		return s.cost(b, func(ctx context.Context) (load.Sample, error) { return s.Backlog(ctx, window, textSize, d) })
	}
	run(ours, warmUp)
	run(bare, warmUp)
	var a, c time.Duration
	var rateA, rateC float64
	for b.Loop() {
		for _, s := range []side{ours, bare, bare, ours} {
			cost, sample := run(s, duration/2)
			rate := float64(sample.Deliveries) / sample.Elapsed.Seconds()
			if s == ours {
				a, rateA = a+cost, rateA+rate
			} else {
				c, rateC = c+cost, rateC+rate
			}
		}
	}
	n := float64(2 * b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(a.Nanoseconds())/1e3/n, "ours-us/delivery")
	b.ReportMetric(float64(c.Nanoseconds())/1e3/n, "bare-us/delivery")
	b.ReportMetric(rateA/n, "ours-deliveries/s")
	b.ReportMetric(rateC/n, "bare-deliveries/s")
	b.ReportMetric(float64(a)/float64(c), "ratio")
}

// What a delivery costs the server's process when there is always more to send:
// up to 16 messages under way to 1 000 streams on 1 000 connections.
func BenchmarkBacklog(b *testing.B) { saturated(b, window) }

// The same, one message at a time: the next is sent when everybody has the last.
func BenchmarkOneAtATime(b *testing.B) { saturated(b, 1) }

var _ = fmt.Sprint
var _ = os.Stderr
