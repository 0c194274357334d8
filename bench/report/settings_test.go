package report

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the benchmark sets and measures is what the report knows, in the same order.
func TestSettingsAreThoseOfTheBenchmark(t *testing.T) {
	code := read(t, filepath.Join("..", "goals", "transport_test.go"))
	found := func(pattern string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(code, -1) {
			all = append(all, m[1])
		}
		return all
	}
	var names, measures []string
	for _, s := range settings {
		names = append(names, s.name)
	}
	for _, m := range settingMeasures {
		measures = append(measures, m.name)
	}
	if set := found(`(?m)^\t\{"([^"]+)", (?:nil|\[\]string)`); !slices.Equal(set, names) {
		t.Errorf("the benchmark has the settings %q, the report %q", set, names)
	}
	if measured := found(`"measure=([^"]+)"`); !slices.Equal(measured, measures) {
		t.Errorf("the benchmark measures %q, the report shows %q", measured, measures)
	}
	if !strings.Contains(code, "\nfunc "+transport+"(b *testing.B)") {
		t.Errorf("there is no %s", transport)
	}
}

func TestSettingsShowWhatWasMeasured(t *testing.T) {
	dir := t.TempDir()
	results := config(dir).Results
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	lines := `BenchmarkTransport/setting=none/measure=backlog-2 1 2 changed-us/delivery 2 bare-us/delivery 1.0 ratio
BenchmarkTransport/setting=none/measure=backlog-2 1 2 changed-us/delivery 2 bare-us/delivery 1.1 ratio
BenchmarkTransport/setting=none/measure=latency-2 1 9 changed-p99-ms 10 bare-p99-ms 0.9 p99-ratio
BenchmarkTransport/setting=read-buffer-4KiB/measure=idle-tls-2 1 54 changed-KB/stream 60 bare-KB/stream 0.9 ratio
`
	if err := os.WriteFile(filepath.Join(results, "transport.txt"), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(config(dir)); err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(read(t, config(dir).Out), "\n## Settings of grpc-go\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !ok || strings.Contains(section, "Not measured") || strings.Contains(section, "`write-buffer-off`") {
		t.Errorf("%s", section)
	}
	for _, want := range []string{
		"| 1.050 x (1.000 .. 1.100) |  | 0.900 x (0.900 .. 0.900) |  |  |  | 2, 1 |\n",
		"|  |  |  |  |  | 0.900 x (0.900 .. 0.900) | 1 |\n",
	} {
		if !strings.Contains(section, want) {
			t.Errorf("no %q in\n%s", want, section)
		}
	}
}

// The comment in the server's options names this section.
func TestServerNamesTheSettingsTable(t *testing.T) {
	server := read(t, filepath.Join("..", "..", "server", "server.go"))
	frame, err := texts.ReadFile("benchmarks.md.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	const name = "Settings of grpc-go"
	if !strings.Contains(server, name) || !strings.Contains(string(frame), "\n## "+name+"\n") {
		t.Errorf("%q is not in both, the server's options and BENCHMARKS.md", name)
	}
}
