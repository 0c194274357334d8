package result

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// sample is a valid run.
func sample(t testing.TB) *Run {
	t.Helper()
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		if err := h.RecordValue(int64(rnd.ExpFloat64() * 1e6)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := NewLatency("due to received", h)
	if err != nil {
		t.Fatal(err)
	}
	c := Counts{Sent: 100, Acknowledged: 100, Deliveries: 10_000}
	return &Run{
		Schema: Schema, Scenario: "fanout", Server: ServerChatstream,
		Config:  []Setting{NewSetting("streams", 100), NewSetting("rate", 10.0)},
		Command: "chatstream bench fanout --streams 100", Commit: "abc",
		Started: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 10,
		Machine: ThisMachine(), Counts: c, Rates: c.Over(10), Latencies: []Latency{l},
		Use:    &ServerUse{CPUSeconds: 1, CPUPerDelivery: 100, RSSEnd: 2, RSSPeak: 3},
		Series: []Sample{{At: 1, Deliveries: 1000}, {At: 2, Deliveries: 1000, P99: 5}},
	}
}

func TestRunComesBackAsItWasWritten(t *testing.T) {
	r := sample(t)
	path := filepath.Join(t.TempDir(), "results", r.FileName())
	if err := Write(path, r); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, got) {
		t.Errorf("got  %+v\nwant %+v", got, r)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(path, got); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("writing what was read makes another file")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("besides the result there is %v", left)
	}
}

func TestHistogramComesBackWithEveryCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hdrhistogram.New(1, int64(time.Hour), 3)
		for _, v := range rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour))).Draw(t, "values") {
			if err := h.RecordValue(v); err != nil {
				t.Fatal(err)
			}
		}
		l, err := NewLatency("x", h)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := l.Decode()
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equals(h) {
			t.Fatal("not the same histogram")
		}
	})
}

func TestRunThatIsWrongIsRefusedAndSaysWhy(t *testing.T) {
	for _, c := range []struct {
		wrong  string
		change func(*Run)
	}{
		{"schema is 2", func(r *Run) { r.Schema = 2 }},
		{"scenario is missing", func(r *Run) { r.Scenario = "" }},
		{"server is missing", func(r *Run) { r.Server = "" }},
		{"command is missing", func(r *Run) { r.Command = "" }},
		{"started is missing", func(r *Run) { r.Started = time.Time{} }},
		{"seconds is 0", func(r *Run) { r.Seconds = 0 }},
		{"machine is missing", func(r *Run) { r.Machine = Machine{} }},
		{`"streams" twice`, func(r *Run) { r.Config = append(r.Config, NewSetting("streams", 2)) }},
		{"missing is -1", func(r *Run) { r.Counts.Missing = -1 }},
		{"p50, p90", func(r *Run) { r.Latencies[0].P99++ }},
		{"cannot be decoded", func(r *Run) { r.Latencies[0].Histogram = "x" + r.Latencies[0].Histogram }},
		{`"due to received" twice`, func(r *Run) { r.Latencies = append(r.Latencies, r.Latencies[0]) }},
		{"sample 1 is at", func(r *Run) { r.Series[1].At = 0.5 }},
	} {
		r := sample(t)
		c.change(r)
		path := filepath.Join(t.TempDir(), "wrong.json")
		if err := Write(path, r); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("writing: %v, want something with %q", err, c.wrong)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), path) {
			t.Errorf("reading: %v, want something with %q and %s", err, c.wrong, path)
		}
	}
}

func TestFileThatIsNoResultIsRefusedByName(t *testing.T) {
	for name, content := range map[string]string{
		"cut.json":     `{"schema": 1, "scen`,
		"two.json":     `{"schema": 1} {"schema": 1}`,
		"other.json":   `{"schema": 1, "unheard_of": 2}`,
		"empty.txt":    "",
		"failed.txt":   "BenchmarkA-2 1 5 ns/op\n--- FAIL: BenchmarkB\nFAIL\n",
		"panicked.txt": "BenchmarkA-2 1 5 ns/op\npanic: no\n",
		"broken.txt":   "BenchmarkA-2 1 five ns/op\n",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadDir(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error with its name", name, err)
		}
	}
}

const printed = `commit: abc
goos: linux
goarch: amd64
pkg: example.org/goals
cpu: Some CPU
BenchmarkBacklog
    goals_test.go:10: a line of a log
BenchmarkBacklog-2            	       1	1500000000 ns/op	         1.052 ratio
BenchmarkIdle/connections=each-2	       1	2500000000 ns/op	         0.98 ratio
PASS
ok  	example.org/goals	4.1s
`

func TestBenchmarksAreReadAndWrittenBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "goals.txt")
	if err := os.WriteFile(path, []byte(printed), 0o644); err != nil {
		t.Fatal(err)
	}
	first, err := ReadBenchmarks(path)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.txt")
	if err := WriteBenchmarks(again, first); err != nil {
		t.Fatal(err)
	}
	second, err := ReadBenchmarks(again)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*Benchmarks{first, second} {
		if len(b.Results) != 2 {
			t.Fatalf("%d results", len(b.Results))
		}
		r := b.Results[1]
		if name := BenchmarkName(r); name != "BenchmarkIdle/connections=each" {
			t.Errorf("name %q", name)
		}
		if v, ok := Metric(r, "ratio"); !ok || v != 0.98 {
			t.Errorf("ratio %v %v", v, ok)
		}
		if v, ok := Metric(r, "ns/op"); !ok || v != 2.5e9 {
			t.Errorf("ns/op %v %v", v, ok)
		}
		if c := r.GetConfig("commit"); c != "abc" {
			t.Errorf("commit %q", c)
		}
	}
}

func TestHeaderIsReadBackAsConfiguration(t *testing.T) {
	var b strings.Builder
	if err := WriteHeader(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "header.txt")
	if err := os.WriteFile(path, []byte(b.String()+printed[strings.Index(printed, "goos"):]), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadBenchmarks(path)
	if err != nil {
		t.Fatal(err)
	}
	r := got.Results[0]
	if c := r.GetConfig("command"); !strings.HasPrefix(c, "go test ./bench/result") {
		t.Errorf("command %q", c)
	}
	if m := r.GetConfig("machine"); m != ThisMachine().String() {
		t.Errorf("machine %q", m)
	}
	if r.GetConfig("commit") == "" {
		t.Error("no commit")
	}
	if _, err := time.Parse(time.RFC3339, r.GetConfig("started")); err != nil {
		t.Error(err)
	}
}

func TestCommandIsTheOneThatWasTyped(t *testing.T) {
	args := []string{"x.test", "-test.paniconexit0", "-test.timeout=10m0s", "-test.bench=^A$", "-test.count=5", "-pairs", "a b"}
	for want, of := range map[string]tested{
		"go test ./bench/result":             thisTest(),
		"go test -C bench/peers":             {module: module + "/bench/peers", pkg: module + "/bench/peers"},
		"go test -C bench/peers ./x":         {module: module + "/bench/peers", pkg: module + "/bench/peers/x"},
		"go test -tags frames ./bench/goals": {module: module, pkg: module + "/bench/goals", tags: "frames"},
		"go test":                            {},
	} {
		want += " -bench='^A$' -count=5 -pairs 'a b'"
		if got := testCommand(of, args); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
