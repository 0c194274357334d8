package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/result"
)

// TestBenchAgainstAServer: each scenario against a real server, its result kept
// and readable, with what the server has used.
func TestBenchAgainstAServer(t *testing.T) {
	noLeaks(t)
	p := serve(t, "--diagnostics=127.0.0.1:0", "--argon2-time=1", "--argon2-memory=64")
	_, diagnostics, _ := strings.Cut(strings.TrimSpace(p.stdout.String()), " diagnostics=")
	dir := t.TempDir()
	for _, args := range []string{
		"fanout --window 2", "fanout --rate 20", "rooms --members 2 --rate 20", "churn --members 2 --rate 20",
		"latency --rates 10,20", "soak --members 2 --rate 20 --reconnects 10",
	} {
		name, flags, _ := strings.Cut(args, " ")
		b := launch(t, nil, append([]string{"bench", name, "--address=" + p.addr, "--diagnostics=" + diagnostics, "--out=" + dir,
			"--streams=4", "--connections=2", "--warmup=0s", "--duration=1s"}, strings.Fields(flags)...)...)
		select {
		case <-b.exited:
		case <-time.After(patience):
			t.Fatalf("bench %s does not end", args)
		}
		if out := b.stdout.String(); b.code() != 0 || !strings.Contains(out, name+" chatstream streams=4") || !strings.Contains(out, "kept in "+dir) {
			t.Errorf("bench %s: exit code %d, standard output:\n%sstandard error:\n%s", args, b.code(), out, b.stderr.String())
		}
	}
	kept, err := result.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(kept.Runs) < 6 { // runs that begin in one second share a name
		t.Errorf("%d results were kept", len(kept.Runs))
	}
	for _, f := range kept.Runs {
		if r := f.Result; r.Use == nil || r.Use.Goroutines == 0 || r.Use.RSSEnd == 0 || len(r.Use.Locks) != 2 || r.Counts.Missing != 0 {
			t.Errorf("%s: use %+v, counts %+v", f.Path, r.Use, r.Counts)
		}
	}
}

// TestBenchRefusesWhatMakesNoSense, before it does anything.
func TestBenchRefusesWhatMakesNoSense(t *testing.T) {
	for args, says := range map[string]string{
		"fanout --rate=1 --window=1":       "--rate and --window",
		"fanout --streams=0":               "0 streams",
		"rooms --members=1":                "1 members",
		"rooms --pid=1 --diagnostics=x:1":  "--pid and --diagnostics",
		"churn --rate=0":                   "rate of 0",
		"latency --tls-ca=/does/not/exist": "certificate",
		"latency --rates=10,0":             "rate of 0",
		"rooms --pid=999999999":            "measure the server",
		"soak --reconnects=0":              "reconnects",
		"fanout --duration=1ms":            "duration",
		"nonsense":                         "nonsense",
	} {
		wantRefusal(t, launch(t, nil, append([]string{"bench"}, strings.Fields(args)...)...), says)
	}
}
