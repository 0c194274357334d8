package compare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/chatstream/chatstream/bench/result"
)

// benchmarks are result lines read back from a file.
func benchmarks(t *testing.T, lines ...string) *result.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.txt")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := result.ReadFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// lines are six lines of one benchmark: each of format's values times one of
// 0.99 .. 1.01.
func lines(format string, values ...float64) []string {
	var all []string
	for _, f := range []float64{0.99, 0.995, 1, 1.003, 1.006, 1.01} {
		args := make([]any, len(values))
		for i, v := range values {
			args[i] = v * f
		}
		all = append(all, fmt.Sprintf(format, args...))
	}
	return all
}

func verdicts(t *testing.T, before, after *result.Set) map[string]Verdict {
	t.Helper()
	table, err := Compare(before, after, 10)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]Verdict)
	for _, r := range table.Rows {
		all[r.Name+" "+r.Unit] = r.Verdict
	}
	return all
}

func TestChangeIsJudgedByItsDirection(t *testing.T) {
	for _, c := range []struct {
		unit   string
		factor float64
		want   Verdict
	}{
		{"ns/op", 1.2, Worse},
		{"ns/op", 0.8, Better},
		{"ns/op", 1.05, Same},
		{"ns/op", 1, Same},
		{"allocs/op", 1.5, Worse},
		{"ratio", 1.2, Worse},
		{"p99-ratio", 1.2, Worse},
		{"rate-ratio", 0.8, Worse},
		{"rate-ratio", 1.2, Better},
		{"sends/s", 0.8, Worse},
		{"MB/s", 0.8, Worse},
		{"p99-wait-ns", 1.3, Worse},
		{"rate-loss-%%", 1.5, Same},  // from 2 % to 3 %
		{"rate-loss-%%", 7.0, Worse}, // to 14 %
	} {
		got := verdicts(t, benchmarks(t, lines("BenchmarkA-2 1 %f "+c.unit, 2)...), benchmarks(t, lines("BenchmarkA-2 1 %f "+c.unit, 2*c.factor)...))
		if v, ok := got["A "+strings.ReplaceAll(c.unit, "%%", "%")]; !ok || v != c.want {
			t.Errorf("%s x %v: %v, want %d", c.unit, c.factor, got, c.want)
		}
	}
}

func TestUnitLineOverrulesTheDirection(t *testing.T) {
	unit := "Unit hits better=higher"
	got := verdicts(t, benchmarks(t, append([]string{unit}, lines("BenchmarkA-2 1 %f hits", 5)...)...),
		benchmarks(t, append([]string{unit}, lines("BenchmarkA-2 1 %f hits", 3)...)...))
	if got["A hits"] != Worse {
		t.Errorf("%v", got)
	}
}

func TestPairIsJudgedByItsRatio(t *testing.T) {
	const format = "BenchmarkA-2 1 %f ours-us/delivery %f bare-us/delivery %f ratio"
	// A slow day: both took twice as long.
	got := verdicts(t, benchmarks(t, lines(format, 2, 1, 2)...), benchmarks(t, lines(format, 4, 2, 2)...))
	if got["A ours-us/delivery"] != Shown || got["A bare-us/delivery"] != Shown || got["A ratio"] != Same {
		t.Errorf("%v", got)
	}
}

func TestChangeThatFewRunsShowIsNoVerdict(t *testing.T) {
	before, after := benchmarks(t, lines("BenchmarkA-2 1 %f ns/op", 2)[:3]...), benchmarks(t, lines("BenchmarkA-2 1 %f ns/op", 4)[:3]...)
	table, err := Compare(before, after, 10)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	if table.Rows[0].Verdict != Same || !strings.Contains(out.String(), "~") || !strings.Contains(out.String(), "too few") {
		t.Errorf("%s", out.String())
	}
}

func TestAllocationWhereThereWasNoneIsWorse(t *testing.T) {
	if got := verdicts(t, benchmarks(t, lines("BenchmarkA-2 1 %f allocs/op", 0)...), benchmarks(t, lines("BenchmarkA-2 1 %f allocs/op", 1)...)); got["A allocs/op"] != Worse {
		t.Errorf("%v", got)
	}
}

func TestSetIsNotWorseThanItself(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []string
		for i, v := range rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 20).Draw(rt, "values") {
			unit := rapid.SampledFrom([]string{"ns/op", "B/op", "x/s", "ratio", "loss-%"}).Draw(rt, "unit")
			all = append(all, fmt.Sprintf("Benchmark%d-2 1 %f %s", i%3, v, unit))
		}
		set := benchmarks(t, all...)
		table, err := Compare(set, set, 0)
		if err != nil {
			rt.Fatal(err)
		}
		if worse := table.Worse(); len(worse) > 0 {
			rt.Fatalf("%v", worse)
		}
	})
}

// runs are six runs of a scenario, their CPU per delivery about this.
func runs(t *testing.T, cpu float64, missing int64) *result.Set {
	t.Helper()
	set := new(result.Set)
	for i := range 6 {
		h := hdrhistogram.New(1, int64(time.Minute), 3)
		if err := h.RecordValue(1e6 + int64(i)); err != nil {
			t.Fatal(err)
		}
		l, err := result.NewLatency("due to received", h)
		if err != nil {
			t.Fatal(err)
		}
		c := result.Counts{Deliveries: 1000, Missing: missing}
		set.Runs = append(set.Runs, result.File[*result.Run]{Result: &result.Run{
			Schema: result.Schema, Scenario: "fanout", Server: result.ServerChatstream, Seconds: 10,
			Counts: c, Rates: c.Over(10), Latencies: []result.Latency{l},
			Use: &result.ServerUse{CPUPerDelivery: cpu * (1 + float64(i)/1000)},
		}})
		missing = 0
	}
	return set
}

func TestRunsAreSamplesOfTheirScenario(t *testing.T) {
	got := verdicts(t, runs(t, 2, 0), runs(t, 3, 0))
	const name = "fanout chatstream "
	if got[name+"cpu-us/delivery"] != Worse || got[name+"deliveries/s"] != Same || got[name+"due to received p99-ns"] != Same || got[name+"missing"] != Same {
		t.Errorf("%v", got)
	}
}

func TestOneMissingDeliveryIsWorse(t *testing.T) {
	if got := verdicts(t, runs(t, 2, 0), runs(t, 2, 1)); got["fanout chatstream missing"] != Worse {
		t.Errorf("%v", got)
	}
}

func TestNothingInCommonIsAnError(t *testing.T) {
	_, err := Compare(benchmarks(t, "BenchmarkA-2 1 2 ns/op"), benchmarks(t, "BenchmarkB-2 1 2 ns/op"), 10)
	if !errors.Is(err, ErrNothing) {
		t.Errorf("%v", err)
	}
}

func TestWhatOnlyOneSetHasIsNamed(t *testing.T) {
	table, err := Compare(benchmarks(t, "BenchmarkA-2 1 2 ns/op", "BenchmarkB-2 1 2 ns/op"), benchmarks(t, "BenchmarkA-2 1 2 ns/op", "BenchmarkC-2 1 2 ns/op"), 10)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"only in old: B ns/op", "only in new: C ns/op"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
