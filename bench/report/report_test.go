package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chatstream/chatstream/bench/result"
)

// config is a report of and in a folder.
func config(dir string) Config {
	return Config{
		Results: filepath.Join(dir, "results"), Out: filepath.Join(dir, "BENCHMARKS.md"), Charts: filepath.Join(dir, "docs", "charts"),
		Command: "the command that makes it",
	}
}

// written makes a report of synthetic results, and is its text.
func written(t *testing.T, dir string, worse float64) (string, *Written) {
	t.Helper()
	results := config(dir).Results
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	synthetic(t, results, worse)
	w, err := Write(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, config(dir).Out), w
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goalLines are the rows of the table of goals, by id.
func goalLines(text string) map[string][]string {
	rows := make(map[string][]string)
	for _, line := range strings.Split(text, "\n") {
		if m := regexp.MustCompile("^\\| `([a-z0-9-]+)` \\|").FindStringSubmatch(line); m != nil {
			rows[m[1]] = append(rows[m[1]], line)
		}
	}
	return rows
}

func TestEveryGoalIsThereOnceWithItsVerdict(t *testing.T) {
	for verdict, worse := range map[string]float64{"| met |": 0.9, "| **MISSED** |": 1.1} {
		text, w := written(t, t.TempDir(), worse)
		rows := goalLines(text)
		for _, g := range Goals {
			if len(rows[g.ID]) != 1 || !strings.HasSuffix(rows[g.ID][0], verdict) {
				t.Errorf("at %v of the limit goal %s has the rows %q, want one with %s", worse, g.ID, rows[g.ID], verdict)
			}
		}
		if len(rows) != len(Goals) {
			t.Errorf("%d goals in the report, want %d", len(rows), len(Goals))
		}
		if missed := worse > 1; missed != (len(w.Warnings) > 0) {
			t.Errorf("at %v of the limit there are the warnings %q", worse, w.Warnings)
		}
	}
}

func TestGoalsAreNotAmbiguous(t *testing.T) {
	ids, measures := make(map[string]bool), make(map[string]bool)
	for _, g := range Goals {
		if ids[g.ID] || measures[g.Benchmark+" "+g.Metric] {
			t.Errorf("goal %s is there twice, or its measure is", g.ID)
		}
		ids[g.ID], measures[g.Benchmark+" "+g.Metric] = true, true
		if g.Met(g.Limit*1.01) == g.Met(g.Limit*0.99) {
			t.Errorf("goal %s is the same on both sides of its limit", g.ID)
		}
	}
}

func TestLinksLeadToCharts(t *testing.T) {
	dir := t.TempDir()
	text, w := written(t, dir, 0.9)
	links := regexp.MustCompile(`!\[[^]]+\]\(([^)]+\.svg)\)`).FindAllStringSubmatch(text, -1)
	if len(links) != len(w.Charts) || len(links) < 12 {
		t.Errorf("%d links to %d charts", len(links), len(w.Charts))
	}
	for _, l := range links {
		well(t, read(t, filepath.Join(dir, l[1])), l[1])
	}
}

// well checks that a chart is well-formed, has text, and no number that is none.
func well(t *testing.T, svg, name string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	texts := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if element.Name.Local == "text" {
			texts++
		}
		for _, a := range element.Attr {
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s: %s is %s", name, a.Name.Local, a.Value)
			}
		}
	}
	if planned := strings.Count(svg, "textLength="); texts < 5 || planned != texts {
		t.Errorf("%s: %d of %d texts have a planned width", name, planned, texts)
	}
}

func TestSameResultsMakeTheSameReport(t *testing.T) {
	dir := t.TempDir()
	first, w := written(t, dir, 0.9)
	var charts []string
	for _, c := range w.Charts {
		charts = append(charts, read(t, c))
	}
	w, err := Write(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	if read(t, config(dir).Out) != first {
		t.Error("another text")
	}
	for i, c := range w.Charts {
		if read(t, c) != charts[i] {
			t.Errorf("another %s", c)
		}
	}
}

func TestWhatIsNotMeasuredSaysHowItIs(t *testing.T) {
	dir := t.TempDir()
	results := config(dir).Results
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(results, "other.txt"), []byte("BenchmarkOther-2 1 5 ns/op\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := Write(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, config(dir).Out)
	if len(w.Charts) != 0 || len(w.Warnings) != len(Goals) {
		t.Errorf("charts %q, warnings %q", w.Charts, w.Warnings)
	}
	if n := strings.Count(text, "| not measured |"); n != len(Goals) {
		t.Errorf("%d goals are not measured, want %d", n, len(Goals))
	}
	for _, heading := range []string{"## Cost of a delivery", "## Latency", "## Memory of an idle stream", "## Settings of grpc-go", "## Locks under contention", "## Other servers",
		"### fanout", "### rooms", "### churn", "### soak", "### latency"} {
		_, section, ok := strings.Cut(text, "\n"+heading+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		if !ok || !strings.Contains(section, "Not measured yet:\n\n```\n") || strings.Contains(section, "|---") {
			t.Errorf("%s: %q", heading, section)
		}
	}
	for _, empty := range []string{"\n\n\n", "%!", "<no value>", "| `` |"} {
		if strings.Contains(text, empty) {
			t.Errorf("the report has %q", empty)
		}
	}
}

func TestNoResultsIsAnErrorThatNamesTheCommand(t *testing.T) {
	cfg := config(t.TempDir())
	for range 2 { // without the folder, and with an empty one
		if _, err := Write(cfg); err == nil || !strings.Contains(err.Error(), cfg.Results) || !strings.Contains(err.Error(), "go test") {
			t.Errorf("%v", err)
		}
		if err := os.MkdirAll(cfg.Results, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBrokenResultLeavesTheReportAlone(t *testing.T) {
	dir := t.TempDir()
	before, _ := written(t, dir, 0.9)
	broken := filepath.Join(config(dir).Results, "broken.json")
	if err := os.WriteFile(broken, []byte(`{"schema": 1`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(config(dir)); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("%v, want an error with the name of the file", err)
	}
	if read(t, config(dir).Out) != before {
		t.Error("the report was written over")
	}
}

func TestFewRunsAreSaid(t *testing.T) {
	dir := t.TempDir()
	results := config(dir).Results
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(results, "few.txt"), []byte("BenchmarkBacklog-2 1 1.0 ratio\nBenchmarkBacklog-2 1 1.2 ratio\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(config(dir)); err != nil {
		t.Fatal(err)
	}
	if row := goalLines(read(t, config(dir).Out))["backlog"][0]; !strings.HasSuffix(row, "| 1.100 x (1.000 .. 1.200) | 2 | met, of fewer than 5 runs |") {
		t.Errorf("%s", row)
	}
}

func TestRemarksAreReadAndMistakesRefused(t *testing.T) {
	got, err := parseRemarks("# Head\n\nIntroduction.\n\n## backlog\n\nOne\ntwo.\n\nThree.\n## durable\nFour.\n")
	if err != nil || got["backlog"] != "One two. Three." || got["durable"] != "Four." || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	for _, wrong := range []string{"## unheard-of\nx", "## backlog\nx\n## backlog\ny", "## backlog\n\n## durable\nx"} {
		if _, err := parseRemarks(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	text, err := texts.ReadFile("remarks.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseRemarks(string(text)); err != nil {
		t.Error(err)
	}
}

func TestDistributionsOfTheSameAreJoined(t *testing.T) {
	dir := t.TempDir()
	synthetic(t, dir, 1)
	set, err := result.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := distributions(append(set.Runs, set.Runs...), "latency")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("%d distributions of two servers", len(all))
	}
	for _, d := range all {
		if d.runs != 2 || d.times.TotalCount() != 2*d.run.Latencies[0].Count {
			t.Errorf("%d runs, %d times", d.runs, d.times.TotalCount())
		}
	}
}

func TestMeasureFarFromItsGoalIsDrawn(t *testing.T) {
	var rows []goalRow
	for _, v := range []float64{-3, 0, 1e-9, 1e9} {
		for _, g := range Goals {
			rows = append(rows, goalRow{g, spread{v}})
		}
	}
	svg, err := drawGoals(rows)
	if err != nil {
		t.Fatal(err)
	}
	well(t, string(svg), "goals.svg")
}

func TestRunsOfTheSameShareAColumn(t *testing.T) {
	dir := t.TempDir()
	synthetic(t, dir, 1)
	set, err := result.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var runs []*result.Run
	for _, f := range set.Runs {
		if r := f.Result; r.Scenario == "fanout" && r.Server == result.ServerChatstream {
			for i := range 3 {
				again := *r
				again.Counts.Deliveries, again.Counts.Missing = int64(100*(i+1)), int64(i)
				used := *r.Use
				used.Locks = []result.LockWaits{{Name: "run queue", Waited: uint64(10 * i), Spins: uint64(1000 * i), Yields: uint64(i), Longest: int64(2000 * i)}, {Name: "job queue"}}
				again.Use = &used
				runs = append(runs, &again)
			}
		}
	}
	text := scenarioTable(runs)
	for _, want := range []string{"|  | Chatstream, median of 3 runs |\n", "| deliveries | 200 |\n", "| missing deliveries, in all | 3 |\n", "| streams | 100 |\n",
		"| waits for the lock of the run queue / looks / yields / longest since the start | 10 / 1 000 / 1 / 4 us |\n",
		"| waits for the lock of the job queue / looks / yields / longest since the start | 0 / 0 / 0 / 0 ns |\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestFiguresAreShort(t *testing.T) {
	for got, want := range map[string]string{
		figure(1234567): "1 234 567", figure(-1234): "-1 234", figure(0): "0", figure(12.345): "12.3", figure(1.2345): "1.23", figure(0.012345): "0.012",
		duration(1.5): "1.50 ns", duration(999.9): "1 us", duration(1234567): "1.23 ms", duration(2e9): "2 s",
		size(512): "512 B", size(3 << 20): "3 MiB", amount(66.14, "p99-ms"): "66.1 ms", amount(1.613, "us/delivery"): "1.61 us/delivery", amount(66.1, "KB/stream"): "66.1 KB/stream",
		measure(1.1504, "x"): "1.150 x", measure(9.963, "%"): "9.96 %",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
