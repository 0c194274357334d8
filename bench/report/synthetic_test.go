package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/chatstream/chatstream/bench/result"
)

// synthetic writes results that nobody has measured into a folder: pairs of every
// goal's benchmark, whose measure is the goal's limit times worse (the other way round
// where more is better), contended locks, and a run of each scenario.
func synthetic(tb testing.TB, dir string, worse float64) {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString("commit: 0123456789abcdef\ncommand: go test ./bench/goals -bench=.\nmachine: a machine of a test\ngoos: linux\n")
	for _, g := range Goals {
		for range 6 {
			v := g.Limit * worse
			if g.Compare == ">=" {
				v = g.Limit / worse
			}
			v *= 0.98 + 0.04*rnd.Float64()
			fmt.Fprintf(&b, "%s-2 1 1000000 ns/op %.4f %s", g.Benchmark, v, g.Metric)
			base := 0.95 + 0.1*rnd.Float64()
			switch g.Benchmark {
			case "BenchmarkBacklog":
				fmt.Fprintf(&b, " %.4f ours-us/delivery %.4f bare-us/delivery", 1.5*base*v, 1.5*base)
			case "BenchmarkOneAtATime":
				fmt.Fprintf(&b, " %.4f ours-us/delivery %.4f bare-us/delivery", 7.8*base*v, 7.8*base)
			case "BenchmarkLatency":
				for i, p := range []string{"p50", "p90", "p99", "p99.9"} {
					fmt.Fprintf(&b, " %.4f ours-%s-us %.4f bare-%s-us", 200*base*float64(i*i+1)*v, p, 200*base*float64(i*i+1), p)
				}
			case "BenchmarkIdle/connections=each":
				fmt.Fprintf(&b, " %.4f ours-KB/stream %.4f bare-KB/stream", 66*v, 66.0)
			case "BenchmarkIdle/connections=shared":
				fmt.Fprintf(&b, " %.4f ours-KB/stream %.4f bare-KB/stream", 24*v, 24.0)
			case "BenchmarkPeerBacklog/peer=centrifugo":
				fmt.Fprintf(&b, " %.4f ours-us/delivery %.4f centrifugo-us/delivery", 7.2*base*v, 7.2*base)
			case "BenchmarkPeerOneAtATime/peer=centrifugo":
				fmt.Fprintf(&b, " %.4f ours-us/delivery %.4f centrifugo-us/delivery", 9.2*base*v, 9.2*base)
			case "BenchmarkPeerIdle/peer=centrifugo":
				fmt.Fprintf(&b, " %.4f ours-KB/connection %.4f centrifugo-KB/connection", 58*v, 58.0)
			}
			b.WriteString("\n")
		}
	}
	for _, peer := range []string{"centrifugo", "nats"} { // of which no goal is
		for range 6 {
			base := 0.95 + 0.1*rnd.Float64()
			fmt.Fprintf(&b, "BenchmarkPeerLatency/peer=%s-2 1 %.4f ours-p99-ms %.4f %s-p99-ms %.4f ours-p50-ms %.4f %s-p50-ms\n",
				peer, 80*base, 60*base, peer, 20*base, 15*base, peer)
		}
	}
	for _, section := range []time.Duration{20, 200, 2000} {
		for i, lock := range []string{"SpinLock", "Mutex", "RWMutex", "RBMutex"} {
			for _, n := range []float64{1, 2, 8, 64, 1024} {
				mean := (float64(section) + 20*float64(i+1)) * math.Pow(n, 0.2)
				fmt.Fprintf(&b, "BenchmarkLock/%s/section=%s/goroutines=%.0f-2 1000 %.1f ns/op %.1f p99-wait-ns\n", lock, section, n, mean, mean*n*(2+0.3*float64(i)))
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "goals.txt"), []byte(b.String()), 0o644); err != nil {
		tb.Fatal(err)
	}
	for i, scenario := range scenarios {
		for j, server := range []string{result.ServerChatstream, result.ServerBaseline} {
			h := hdrhistogram.New(1, int64(time.Minute), 3)
			for range 50_000 {
				if err := h.RecordValue(int64(2e5 + rnd.ExpFloat64()*4e5*(1+0.2*float64(1-j)))); err != nil {
					tb.Fatal(err)
				}
			}
			l, err := result.NewLatency("due to received", h)
			if err != nil {
				tb.Fatal(err)
			}
			c := result.Counts{Sent: 6_000, Acknowledged: 6_000, Deliveries: 600_000}
			r := &result.Run{
				Schema: result.Schema, Scenario: scenario.name, Server: server,
				Config:  []result.Setting{result.NewSetting("streams", 100), result.NewSetting("rate", 100)},
				Command: "chatstream bench " + scenario.name, Commit: "0123456789abcdef",
				Started: time.Date(2020, 1, 2, 3, 4, i, 0, time.UTC), Seconds: 60, Machine: result.ThisMachine(),
				Counts: c, Rates: c.Over(60), Latencies: []result.Latency{l},
				Use: &result.ServerUse{CPUSeconds: 1.2, CPUPerDelivery: 2, RSSEnd: 60 << 20, RSSPeak: 61 << 20, Goroutines: 230},
			}
			for s := range 60 {
				r.Series = append(r.Series, result.Sample{At: float64(s + 1), Deliveries: 10_000 + 300*rnd.NormFloat64(),
					P99: int64(2e6 + 1e5*rnd.NormFloat64()), CPU: 0.02, RSS: 50<<20 + int64(s)<<16})
			}
			if err := result.Write(filepath.Join(dir, r.FileName()), r); err != nil {
				tb.Fatal(err)
			}
		}
	}
}
