package goals

import (
	"context"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/load"
)

// Idle streams, and how many of them are in each room of ours.
const (
	idle    = 10_000
	inARoom = 100
)

// What an open stream on which nothing happens weighs: the growth of resident
// memory over 10 000 streams, each in one room, which have been sent one message
// each, after a collection of garbage. The accounts are made by an earlier
// process, so that nothing of that is in the server's heap.
func BenchmarkIdle(b *testing.B) {
	for name, conns := range map[string]int{"connections=each": idle, "connections=shared": idle / 100} {
		b.Run(name, func(b *testing.B) {
			var a, c float64
			for b.Loop() {
				dir := dataDir(b)
				a += weigh(b, func() server { return ours(b, dir) }, conns)
				c += weigh(b, func() server { return bare(b) }, conns)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(a/float64(b.N)/1024, "ours-KB/stream")
			b.ReportMetric(c/float64(b.N)/1024, "bare-KB/stream")
			b.ReportMetric(a/c, "ratio")
		})
	}
}

// weigh returns how many bytes a stream weighs in the server that start starts.
func weigh(b *testing.B, start func() server, conns int) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	first := start()
	crowd, err := load.OpenRooms(ctx, first.Target, idle, conns, inARoom, nil)
	if err != nil {
		b.Fatalf("%s: %v", first.name, err)
	}
	defer crowd.Close()
	first.stop()

	s := start()
	defer s.stop()
	before := s.settledMemory(b)
	if err := crowd.Connect(ctx, s.Target, conns); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	sample, err := crowd.Once(ctx, textSize)
	if err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	if err := sample.Check(); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	return float64(s.settledMemory(b)-before) / idle
}
