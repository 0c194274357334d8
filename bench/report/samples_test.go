package report

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/bench/result"
)

// measured are the samples of lines of results.
func measured(t *testing.T, lines string) samples {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lines.txt"), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := result.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return samplesOf(set)
}

// A goal about sizes is held against the cheapest of all that were measured.
func TestSizeIsMeasuredByTheCheapest(t *testing.T) {
	s := measured(t, `BenchmarkSizes/n=10-2 1 0.5 ratio
BenchmarkSizes/n=10-2 1 0.75 ratio
BenchmarkSizes/n=10-2 1 0.9 ratio
BenchmarkSizes/n=100-2 1 1.5 ratio
BenchmarkSizes/n=100-2 1 2.25 ratio
BenchmarkSizesOfOthers/n=100-2 1 0.1 ratio
BenchmarkAbove/n=10-2 1 1.5 ratio
`)
	for _, c := range []struct {
		goal Goal
		want spread
	}{
		{Goal{Benchmark: "BenchmarkSizes/n=100", Metric: "ratio", Sizes: "BenchmarkSizes/n="}, spread{2, 3}},
		{Goal{Benchmark: "BenchmarkSizes/n=100", Metric: "ratio"}, spread{1.5, 2.25}},
		{Goal{Benchmark: "BenchmarkAbove/n=10", Metric: "ratio", Sizes: "BenchmarkAbove/n="}, spread{1.5}}, // the reference is cheaper
		{Goal{Benchmark: "BenchmarkSizes/n=7", Metric: "ratio", Sizes: "BenchmarkSizes/n="}, nil},
	} {
		if got := s.of(c.goal); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.goal.Benchmark, got, c.want)
		}
	}
}

func TestSidesOfAPairAreFoundByTheirNames(t *testing.T) {
	s := measured(t, `BenchmarkPeerBacklog/peer=centrifugo-api-2 1 2 ours-us/delivery 4 centrifugo-api-us/delivery 500 ours-messages/s 250 centrifugo-api-messages/s 0.5 ratio
BenchmarkOther-2 1 2 ours-us/delivery 4 centrifugo-api-us/delivery 1 p99-us/delivery 3 ours-p99-us/delivery
BenchmarkFramesBacklog-2 1 3 frames-us/delivery 6 grpc-us/delivery 0.5 ratio
`)
	found := s.pairs("BenchmarkPeerBacklog/peer=centrifugo-api", ours)
	if len(found) != 2 || found[1].unit != "us/delivery" || !slices.Equal(found[1].names, []string{"ours", "centrifugo-api"}) ||
		!slices.Equal(found[1].ratios["centrifugo-api"], spread{0.5}) {
		t.Errorf("of a peer whose name is of two words: %+v", found)
	}
	if found := s.pairs("BenchmarkOther", ours); len(found) != 0 {
		t.Errorf("nothing says that centrifugo-api is a side there: %+v", found)
	}
	if found := s.pairs("BenchmarkFramesBacklog", ours); len(found) != 0 {
		t.Errorf("a pair without ours: %+v", found)
	}
	if found := s.pairs("BenchmarkFramesBacklog", frames); len(found) != 1 || !slices.Equal(found[0].ratios["grpc"], spread{0.5}) {
		t.Errorf("of the experiment: %+v", found)
	}
}
