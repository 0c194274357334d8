//go:build frames

package goals

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/load"
)

// The experiment of package server/frames against the server as it is: one
// iteration is one pair, as everywhere here.
//
//	go test -tags frames ./bench/goals -run '^$' -bench Frames -benchtime 1x -count 5

var framesProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programDir, "frames")
	cmd := exec.Command("go", "build", "-tags=frames", "-o", path, "github.com/chatstream/chatstream/cmd/chatstream")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// direct starts the server that writes frames itself.
func direct(tb testing.TB, dir string, flags ...string) server {
	tb.Helper()
	path, err := framesProgram()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "frames", path, append([]string{"serve", "--data=" + dir, "--log-level=warn",
		"--argon2-time=1", "--argon2-memory=64", "--max-streams=1000"}, flags...)...)
}

// framesPair is the experiment and the server as it is, each with its streams.
func framesPair(b *testing.B, n, conns int) (frames, grpc side) {
	b.Helper()
	sides := make([]side, 2)
	for i, s := range []server{direct(b, dataDir(b)), ours(b, dataDir(b))} {
		f, err := load.OpenFanout(b.Context(), s.Target, n, conns, nil)
		if err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		b.Cleanup(f.Close)
		sides[i] = side{s, f}
	}
	return sides[0], sides[1]
}

// framesCost is the server's processor time per delivery, with so many messages
// under way.
func framesCost(b *testing.B, conns, window int) {
	frames, grpc := framesPair(b, streams, conns)
	run := func(s side, d time.Duration) (time.Duration, load.Sample) {
		return s.cost(b, func(ctx context.Context) (load.Sample, error) { return s.Backlog(ctx, window, textSize, d) })
	}
	run(frames, warmUp)
	run(grpc, warmUp)
	var cost, rate [2]float64
	for b.Loop() {
		for _, i := range []int{0, 1, 1, 0} {
			c, sample := run([]side{frames, grpc}[i], duration/2)
			cost[i] += float64(c.Nanoseconds()) / 1e3
			rate[i] += float64(sample.Deliveries) / sample.Elapsed.Seconds()
		}
	}
	n := float64(2 * b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cost[0]/n, "frames-us/delivery")
	b.ReportMetric(cost[1]/n, "grpc-us/delivery")
	b.ReportMetric(rate[0]/n, "frames-deliveries/s")
	b.ReportMetric(rate[1]/n, "grpc-deliveries/s")
	b.ReportMetric(cost[0]/cost[1], "ratio")
}

func BenchmarkFramesBacklog(b *testing.B)     { framesCost(b, 0, window) }
func BenchmarkFramesOneAtATime(b *testing.B)  { framesCost(b, 0, 1) }
func BenchmarkFramesSharedConns(b *testing.B) { framesCost(b, streams/100, window) }

// How long after a message is due everybody has it, at half of the rate at which
// the slower one is saturated.
func BenchmarkFramesLatency(b *testing.B) {
	frames, grpc := framesPair(b, streams, 0)
	compareLatency(b, frames, grpc, "grpc", saturation(b, frames, grpc)/2)
}

// What an idle stream weighs.
func BenchmarkFramesIdle(b *testing.B) {
	for name, conns := range map[string]int{"connections=each": idle, "connections=shared": idle / 100} {
		b.Run(name, func(b *testing.B) {
			var f, g weight
			for b.Loop() {
				dir := dataDir(b)
				f.add(weigh(b, func() server { return direct(b, dir) }, conns))
				g.add(weigh(b, func() server { return ours(b, dir) }, conns))
			}
			b.ReportMetric(0, "ns/op")
			n := float64(b.N) * 1024
			b.ReportMetric(f.returned/n, "frames-KB/stream")
			b.ReportMetric(g.returned/n, "grpc-KB/stream")
			b.ReportMetric(f.collected/n, "frames-collected-KB/stream")
			b.ReportMetric(g.collected/n, "grpc-collected-KB/stream")
			b.ReportMetric(f.returned/g.returned, "ratio")
		})
	}
}
