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
// each. The accounts are made by an earlier process, so that nothing of that is in
// the server's heap. The ratio is that of what is resident when garbage has been
// collected and what is free has been given back to the operating system; -collected
// is before it is given back, which depends on when the last collection was.
func BenchmarkIdle(b *testing.B) {
	for _, c := range idleConnections {
		b.Run("connections="+c.name, func(b *testing.B) {
			compareWeight(b, c.n, func(dir string) server { return ours(b, dir) }, func(string) server { return bare(b) })
		})
	}
}

// idleConnections are on how many the idle streams are.
var idleConnections = []struct {
	name string
	n    int
}{{"each", idle}, {"shared", idle / 100}}

// compareWeight weighs two servers one after the other, on that many connections,
// and reports the first one by the other. Each is started with a directory for
// its data, again and again.
func compareWeight(b *testing.B, conns int, first, other func(dir string) server) {
	b.Helper()
	starts := []func(string) server{first, other}
	var names [2]string
	var sum [2]weight
	for b.Loop() {
		for i, start := range starts {
			dir := dataDir(b)
			sum[i].add(weigh(b, func() server {
				s := start(dir)
				names[i] = s.name
				return s
			}, conns))
		}
	}
	n := float64(b.N) * 1024
	b.ReportMetric(0, "ns/op")
	for i, name := range names {
		b.ReportMetric(sum[i].returned/n, name+"-KB/stream")
		b.ReportMetric(sum[i].collected/n, name+"-collected-KB/stream")
	}
	b.ReportMetric(sum[0].returned/sum[1].returned, "ratio")
}

// weight is how many bytes a stream weighs.
type weight struct{ collected, returned float64 }

func (w *weight) add(other weight) {
	w.collected += other.collected
	w.returned += other.returned
}

// weigh measures the server that start starts.
func weigh(b *testing.B, start func() server, conns int) weight {
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
	_, before := s.memory(b)
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
	collected, returned := s.memory(b)
	return weight{float64(collected-before) / idle, float64(returned-before) / idle}
}
