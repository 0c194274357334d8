package goals

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/load"
)

// How fast a stream catches up that is 10 000 messages behind: from its opening
// until it has them, beside a program that reads the same messages from a copy
// of the store, page by page, and writes them to a bare stream.
func BenchmarkBehind(b *testing.B) {
	const missed = 10_000
	dir := dataDir(b)
	first := ours(b, dir)
	late, err := load.FallBehind(b.Context(), first.Target, missed, textSize)
	if err != nil {
		b.Fatal(err)
	}
	defer late.Close()
	first.stop()
	copied := filepath.Join(dataDir(b), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	sides := []server{ours(b, dir), bare(b, "--replay="+copied)}
	took := make([]time.Duration, len(sides))
	for b.Loop() {
		for range 5 { // it takes some tens of milliseconds
			for _, i := range []int{0, 1, 1, 0} {
				s := sides[i]
				d, err := late.CatchUp(b.Context(), s.Target)
				if err != nil {
					b.Fatalf("%s: %v", s.name, err)
				}
				took[i] += d
			}
		}
	}
	rate := func(d time.Duration) float64 { return missed * 10 * float64(b.N) / d.Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate(took[0]), "ours-messages/s")
	b.ReportMetric(rate(took[1]), "bare-messages/s")
	b.ReportMetric(rate(took[0])/rate(took[1]), "rate-ratio")
}
