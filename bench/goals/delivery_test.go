package goals

import (
	"context"
	"fmt"
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

// side is one of the two that are compared. Its name is that of its metrics.
type side struct {
	server
	*load.Fanout
}

// pair is two servers, each with so many streams.
func pair(b *testing.B, n, conns int, one, two server) (first, other side) {
	b.Helper()
	sides := make([]side, 2)
	for i, s := range []server{one, two} {
		f, err := load.OpenFanout(b.Context(), s.Target, n, conns, nil)
		if err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		b.Cleanup(f.Close)
		sides[i] = side{s, f}
	}
	return sides[0], sides[1]
}

// beside is ours and the reference, each with the streams of the goals.
func beside(b *testing.B) (first, reference side) {
	b.Helper()
	return pair(b, streams, 0, ours(b, dataDir(b)), bare(b))
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

// compareCost measures the cost of a delivery on both sides, in turns, with so
// many messages under way, and reports the first one's by the other's.
func compareCost(b *testing.B, first, other side, window int) {
	b.Helper()
	run := func(s side, d time.Duration) (time.Duration, load.Sample) {
		return s.cost(b, func(ctx context.Context) (load.Sample, error) { return s.Backlog(ctx, window, textSize, d) })
	}
	sides := []side{first, other}
	var cost, rate, joined [2]float64
	for _, s := range sides {
		run(s, warmUp)
	}
	for b.Loop() {
		for _, i := range []int{0, 1, 1, 0} {
			c, sample := run(sides[i], duration/2)
			cost[i] += float64(c.Nanoseconds()) / 1e3
			rate[i] += float64(sample.Deliveries) / sample.Elapsed.Seconds()
			joined[i] += float64(sample.Deliveries) / float64(sample.Responses)
		}
	}
	n := float64(2 * b.N)
	b.ReportMetric(0, "ns/op")
	for i, s := range sides {
		b.ReportMetric(cost[i]/n, s.name+"-us/delivery")
		b.ReportMetric(rate[i]/n, s.name+"-deliveries/s")
		b.ReportMetric(joined[i]/n, s.name+"-deliveries/response")
	}
	b.ReportMetric(cost[0]/cost[1], "ratio")
}

// What a delivery costs the server's process when there is always more to send:
// up to 16 messages under way to 1 000 streams on 1 000 connections.
func BenchmarkBacklog(b *testing.B) {
	ours, bare := beside(b)
	compareCost(b, ours, bare, window)
}

// The same, one message at a time: the next is sent when everybody has the last.
func BenchmarkOneAtATime(b *testing.B) {
	ours, bare := beside(b)
	compareCost(b, ours, bare, 1)
}

// paced sends at a fixed rate for d and returns what was seen.
func (s side) paced(b *testing.B, rate float64, d time.Duration) load.Sample {
	b.Helper()
	sample, err := s.Paced(b.Context(), rate, textSize, d)
	if err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	if err := sample.Check(); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	return sample
}

// saturation is how many messages a second the slower side brings to everybody.
func saturation(b *testing.B, sides ...side) float64 {
	b.Helper()
	var slowest float64
	for _, s := range sides {
		_, sample := s.cost(b, func(ctx context.Context) (load.Sample, error) { return s.Backlog(ctx, window, textSize, time.Second) })
		rate := float64(sample.Sent) / sample.Elapsed.Seconds()
		if slowest == 0 || rate < slowest {
			slowest = rate
		}
	}
	return slowest
}

// How long after a message was due streams have it, at half of the rate at which
// the slower of the two is saturated. That includes the call that sends it and the
// generator's own work, on both sides, and on ours that it is stored durably.
func BenchmarkLatency(b *testing.B) {
	ours, bare := beside(b)
	compareLatency(b, ours, bare, saturation(b, ours, bare)/2)
}

// compareLatency measures both at rate messages a second, in turns, and reports
// the first one's p99 by the other's.
func compareLatency(b *testing.B, first, other side, rate float64) {
	b.Helper()
	first.paced(b, rate, warmUp)
	other.paced(b, rate, warmUp)
	of, oo := load.NewHistogram(), load.NewHistogram()
	for b.Loop() {
		for _, s := range []side{first, other, other, first} {
			sample := s.paced(b, rate, duration/2)
			if s.Fanout == first.Fanout {
				of.Merge(sample.Latency)
			} else {
				oo.Merge(sample.Latency)
			}
		}
	}
	ms := func(ns int64) float64 { return float64(ns) / 1e6 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate, "messages/s")
	for _, q := range []float64{50, 99, 99.9} {
		b.ReportMetric(ms(of.ValueAtQuantile(q)), fmt.Sprintf("%s-p%v-ms", first.name, q))
		b.ReportMetric(ms(oo.ValueAtQuantile(q)), fmt.Sprintf("%s-p%v-ms", other.name, q))
	}
	b.ReportMetric(float64(of.ValueAtQuantile(99))/float64(oo.ValueAtQuantile(99)), "p99-ratio")
}

// Whether clients that never read hold up those that do: the latency of 50
// streams beside 400 whose quota is full and that are parked, and beside none. At
// half of the rate at which the 50 are saturated.
func BenchmarkStalled(b *testing.B) {
	const healthy, deaf = 50, 400
	patient := func() server { return ours(b, dataDir(b), "--stall-timeout=1h") }
	beside, alone := pair(b, healthy, 0, patient(), patient().called("alone"))
	if err := beside.AddDeaf(b.Context(), deaf); err != nil {
		b.Fatal(err)
	}
	// Until their quota is full: they take 64 KiB each, and grpc-go as much.
	if _, err := beside.Backlog(b.Context(), window, textSize, duration); err != nil {
		b.Fatal(err)
	}
	compareLatency(b, beside, alone, saturation(b, alone)/2)
	if open, parked := beside.streams(b); open != healthy+deaf || parked < deaf {
		b.Errorf("of %d streams that are open %d are parked: %d were to be beside %d", open, parked, deaf, healthy)
	}
}
