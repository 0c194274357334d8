package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the program in this process.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, stdio{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// ratios is a file of results with a benchmark whose ratio is about this.
func ratios(t *testing.T, dir string, ratio float64) string {
	t.Helper()
	var b strings.Builder
	for i := range 6 {
		fmt.Fprintf(&b, "BenchmarkBacklog-2 1 %.4f ratio\n", ratio*(1+float64(i)/1000))
	}
	path := filepath.Join(dir, "goals.txt")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBenchReportWritesWhatItSays(t *testing.T) {
	t.Chdir(t.TempDir())
	ratios(t, "bench/results", 1.1)
	code, out, errs := command(t, "bench", "report")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	paths := strings.Fields(out)
	if len(paths) != 2 || paths[0] != "BENCHMARKS.md" {
		t.Errorf("written: %q", paths)
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile("BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Made by `go run ./cmd/chatstream bench report` from", "](docs/charts/goals.svg)", "](bench/results)"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if !strings.Contains(errs, "goal durable is not measured") {
		t.Errorf("no warning in %q", errs)
	}
}

func TestBenchReportWithoutResultsIsUsage(t *testing.T) {
	dir := t.TempDir()
	code, _, errs := command(t, "bench", "report", "--results", filepath.Join(dir, "none"))
	if code != exitUsage || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestBenchCompareFailsWhenSomethingGotWorse(t *testing.T) {
	dir := t.TempDir()
	before, after := ratios(t, filepath.Join(dir, "old"), 1), ratios(t, filepath.Join(dir, "new"), 1.2)
	for _, c := range []struct {
		args []string
		code int
		want string // in the output
	}{
		{[]string{before, after}, exitFailed, "WORSE"},
		{[]string{filepath.Dir(before), filepath.Dir(after)}, exitFailed, "WORSE"},
		{[]string{after, before}, 0, "better"},
		{[]string{before, before}, 0, "~"},
		{[]string{before, after, "--worse", "25"}, 0, "+20"},
		{[]string{before, filepath.Join(dir, "none")}, exitUsage, ""},
	} {
		code, out, errs := command(t, append([]string{"bench", "compare"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
	}
}
