package peers

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/result"
)

var (
	subscribers = flag.Int("peers.subscribers", 1000, "subscribers of each server, on a connection each")
	idle        = flag.Int("peers.idle", 10_000, "idle connections of each server")
	turn        = flag.Duration("peers.turn", 2*time.Second, "how long each server works in a pair")
	scratch     = flag.String("peers.dir", "", "where the servers keep their files; a temporary directory if empty")
)

// programDir is where the programs are, from TestMain on.
var programDir string

// built are the programs, built once, for the first benchmark.
var built = sync.OnceValues(func() (*programs, error) { return build(context.Background(), programDir) })

func TestMain(m *testing.M) {
	if err := result.BeginBenchmarks(context.Background()); err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// files is where a server keeps its files for as long as the test runs.
func files(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(*scratch, "peers")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// openFor opens a stand for as long as the test runs.
func (k kind) openFor(tb testing.TB, n int) *stand {
	tb.Helper()
	p, err := built()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := k.open(tb.Context(), p, files(tb), n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.stop)
	return s
}

// eachPeer runs a benchmark of ours against each of the others.
func eachPeer(b *testing.B, others []kind, run func(b *testing.B, other kind)) {
	for _, k := range others {
		b.Run("peer="+k.name, func(b *testing.B) { run(b, k) })
	}
}

// goals are the ratios that we want to stay below, by the name of the other
// server.
type goals map[string]float64

// pairs collects what pairs have shown, number by number.
type pairs map[string][]float64

func (p pairs) add(metric string, value float64) { p[metric] = append(p[metric], value) }

// report reports the median of each metric over all pairs, of the ratios how far
// apart they were, and the goal that is set for them, 0 if there is none.
func (p pairs) report(b *testing.B, goal float64) {
	b.ReportMetric(0, "ns/op") // of no meaning
	if goal != 0 {
		b.ReportMetric(goal, "ratio-goal")
	}
	for metric, values := range p {
		slices.Sort(values)
		b.ReportMetric(median(values), metric)
		if metric == "ratio" && len(values) > 1 {
			b.ReportMetric(values[0], "ratio-min")
			b.ReportMetric(values[len(values)-1], "ratio-max")
		}
	}
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// inTurns calls run for ours and for theirs, in an order that alternates: i is
// the number of the pair.
func inTurns(b *testing.B, i int, ours, theirs *stand, run func(s *stand) (cost, error)) (our, their cost) {
	b.Helper()
	first, second := ours, theirs
	if i%2 == 1 {
		first, second = second, first
	}
	a, err := run(first)
	if err != nil {
		b.Fatal(err)
	}
	c, err := run(second)
	if err != nil {
		b.Fatal(err)
	}
	if first == ours {
		return a, c
	}
	return c, a
}

// saturated compares the processor time of a delivery with so many messages
// under way.
func saturated(b *testing.B, window int, goals goals) {
	eachPeer(b, others, func(b *testing.B, other kind) {
		ours, theirs := kindChatstream.openFor(b, *subscribers), other.openFor(b, *subscribers)
		run := func(s *stand) (cost, error) { return s.saturate(b.Context(), window, *turn) }
		inTurns(b, 0, ours, theirs, run) // warm
		found := pairs{}
		for i := 0; b.Loop(); i++ {
			a, c := inTurns(b, i, ours, theirs, run)
			found.add("ours-us/delivery", a.perDelivery())
			found.add(other.name+"-us/delivery", c.perDelivery())
			found.add("ours-messages/s", a.rate())
			found.add(other.name+"-messages/s", c.rate())
			found.add("ratio", a.perDelivery()/c.perDelivery())
			b.Logf("%s, pair %d: ours %.2f, theirs %.2f us/delivery, ratio %.3f",
				other.name, i+1, a.perDelivery(), c.perDelivery(), a.perDelivery()/c.perDelivery())
		}
		found.report(b, goals[other.name])
	})
}

// What a delivery costs the server when there is always more to send: up to 16
// messages on their way.
func BenchmarkPeerBacklog(b *testing.B) {
	saturated(b, 16, goals{kindCentrifugo.name: 0.25, kindCentrifugoAPI.name: 0.25})
}

// The same, one message at a time: the next is sent when everybody has the last.
func BenchmarkPeerOneAtATime(b *testing.B) {
	saturated(b, 1, goals{kindCentrifugo.name: 0.90, kindCentrifugoAPI.name: 0.90})
}

// How long a delivery takes, from when its message was due to be sent, at half
// of what each server can do: ours at half of ours, theirs at half of theirs. So
// the rates are beside it. Where a server stores, the disk is part of it.
func BenchmarkPeerLatency(b *testing.B) {
	eachPeer(b, others, func(b *testing.B, other kind) {
		ours, theirs := kindChatstream.openFor(b, *subscribers), other.openFor(b, *subscribers)
		half := map[*stand]float64{}
		for _, s := range []*stand{ours, theirs} {
			c, err := s.saturate(b.Context(), 16, *turn)
			if err != nil {
				b.Fatal(err)
			}
			half[s] = c.rate() / 2
		}
		found := pairs{}
		for i := 0; b.Loop(); i++ {
			a, c := inTurns(b, i, ours, theirs, func(s *stand) (cost, error) { return s.pace(b.Context(), half[s], *turn) })
			ms := func(c cost, quantile float64) float64 {
				return float64(c.Latency.ValueAtQuantile(quantile)) / float64(time.Millisecond)
			}
			found.add("ours-messages/s", a.rate())
			found.add(other.name+"-messages/s", c.rate())
			found.add("ours-p50-ms", ms(a, 50))
			found.add(other.name+"-p50-ms", ms(c, 50))
			found.add("ours-p99-ms", ms(a, 99))
			found.add(other.name+"-p99-ms", ms(c, 99))
			found.add("ours-us/delivery", a.perDelivery())
			found.add(other.name+"-us/delivery", c.perDelivery())
			found.add("ratio", ms(a, 99)/ms(c, 99))
			b.Logf("%s, pair %d: ours p50 %.2f p99 %.2f, theirs p50 %.2f p99 %.2f ms", other.name, i+1, ms(a, 50), ms(a, 99), ms(c, 50), ms(c, 99))
		}
		found.report(b, 0)
	})
}

// What an idle connection weighs in the server's memory, after it has been sent
// one message and garbage has been collected. Each server is measured alone: a
// pair is two new servers, one after the other.
func BenchmarkPeerIdle(b *testing.B) {
	programs, err := built()
	if err != nil {
		b.Fatal(err)
	}
	weigh := func(b *testing.B, k kind) float64 {
		grown, err := k.weigh(b.Context(), programs, files(b), *idle)
		if err != nil {
			b.Fatal(err)
		}
		return float64(grown) / 1024 / float64(*idle)
	}
	eachPeer(b, othersIdle, func(b *testing.B, other kind) {
		found := pairs{}
		for b.Loop() {
			a, c := weigh(b, kindChatstream), weigh(b, other)
			found.add("ours-KB/connection", a)
			found.add(other.name+"-KB/connection", c)
			found.add("ratio", a/c)
			b.Logf("%s: ours %.1f, theirs %.1f KB for each connection, ratio %.3f", other.name, a, c, a/c)
		}
		found.report(b, goals{kindCentrifugo.name: 1.2}[other.name])
	})
}
