package result

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
)

// Benchmarks is what `go test -bench` printed: result lines, each with the "key: value"
// lines before it as its configuration.
type Benchmarks struct {
	Results []*benchfmt.Result
	Units   benchfmt.UnitMetadataMap // which way is better, where a Unit line says so
}

// ReadBenchmarks reads what `go test -bench` printed into a file. A file of a
// run that failed is refused, as is one without a result.
func ReadBenchmarks(path string) (*Benchmarks, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read benchmark results: %w", err)
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		for _, failed := range []string{"FAIL", "--- FAIL", "panic:", "fatal error:"} {
			if bytes.HasPrefix(line, []byte(failed)) {
				return nil, fmt.Errorf("%s:%d: the benchmarks failed (%s): measure again", path, i+1, line)
			}
		}
	}
	r := benchfmt.NewReader(bytes.NewReader(data), path)
	b := &Benchmarks{Units: make(benchfmt.UnitMetadataMap)}
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, fmt.Errorf("%s:%d: not a line of a benchmark: %s", path, rec.Line, rec.Msg)
		case *benchfmt.Result:
			b.Results = append(b.Results, rec.Clone())
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("cannot read benchmark results: %w", err)
	}
	for k, v := range r.Units() {
		b.Units[k] = v
	}
	if len(b.Results) == 0 {
		return nil, fmt.Errorf("%s has no line of a benchmark: is it what go test -bench printed?", path)
	}
	return b, nil
}

// WriteBenchmarks writes b in the form that ReadBenchmarks and benchstat read.
func WriteBenchmarks(path string, b *Benchmarks) error {
	var out bytes.Buffer
	w := benchfmt.NewWriter(&out)
	for _, u := range b.Units {
		if err := w.Write(u); err != nil {
			return fmt.Errorf("cannot write %s: %w", path, err)
		}
	}
	for _, r := range b.Results {
		if err := w.Write(r); err != nil {
			return fmt.Errorf("cannot write %s: %w", path, err)
		}
	}
	if err := writeFile(path, out.Bytes()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// Metric is the measurement in a unit, as the benchmark wrote it: "ns/op" is in
// nanoseconds, though benchfmt makes seconds of it.
func Metric(r *benchfmt.Result, unit string) (float64, bool) {
	for _, v := range r.Values {
		if v.OrigUnit == unit {
			return v.OrigValue, true
		}
		if v.OrigUnit == "" && v.Unit == unit {
			return v.Value, true
		}
	}
	return 0, false
}

// BenchmarkName is the name of a result without the number of processors at its
// end, beginning with "Benchmark".
func BenchmarkName(r *benchfmt.Result) string {
	base, parts := r.Name.Parts()
	name := "Benchmark" + string(base)
	for _, p := range parts {
		if p[0] != '-' {
			name += string(p)
		}
	}
	return name
}

// BeginBenchmarks writes the header to standard output if -bench is set. Call it at the
// beginning of the TestMain of a package of benchmarks: it parses the flags.
func BeginBenchmarks(ctx context.Context) error {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		return nil
	}
	return WriteHeader(ctx, os.Stdout)
}

// WriteHeader writes the lines that go before benchmark results, and that `go test
// -bench` does not print: the commit, the command, the time, the machine.
func WriteHeader(ctx context.Context, w io.Writer) error {
	m := ThisMachine()
	_, err := fmt.Fprintf(w, "commit: %s\ncommand: %s\nstarted: %s\nmachine: %s\n",
		Commit(ctx), testCommand(thisTest(), os.Args), time.Now().UTC().Format(time.RFC3339), m)
	return err
}

// module is this project's; one that lies in it is of benchmarks that need more.
const module = "github.com/chatstream/chatstream"

// tested is what a test program was made of, as far as that is known.
type tested struct{ module, pkg, tags string }

func thisTest() tested {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return tested{}
	}
	of := tested{module: info.Main.Path, pkg: strings.TrimSuffix(info.Path, ".test")}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			of.tags = s.Value
		}
	}
	return of
}

// testCommand is the go test command, in the top folder, that ran the test program with
// these arguments.
func testCommand(of tested, args []string) string {
	out := []string{"go test"}
	if dir, ok := strings.CutPrefix(of.module, module+"/"); ok {
		out = append(out, "-C", dir)
	}
	if of.tags != "" {
		out = append(out, "-tags", of.tags)
	}
	if rel, ok := strings.CutPrefix(of.pkg, of.module+"/"); ok {
		out = append(out, "./"+rel)
	}
	for _, a := range args[1:] {
		flag, test := strings.CutPrefix(a, "-test.")
		switch name, value, _ := strings.Cut(flag, "="); {
		case !test:
			out = append(out, quoted(a))
		case name == "paniconexit0" || name == "testlogfile" || flag == "timeout=10m0s":
			// what go test adds by itself
		default:
			out = append(out, "-"+name+"="+quoted(value))
		}
	}
	return strings.Join(out, " ")
}

// quoted is an argument as a shell reads it.
func quoted(arg string) string {
	if strings.ContainsAny(arg, " \t\n'\"$`\\|&;<>()*?[]{}~#") {
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
}
