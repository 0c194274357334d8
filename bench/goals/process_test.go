package goals

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chatstream/chatstream/bench/load"
	"github.com/chatstream/chatstream/bench/result"
)

// build makes the program of a package and returns its path.
func build(dir, pkg string) (string, error) {
	path := filepath.Join(dir, filepath.Base(pkg))
	out, err := exec.Command("go", "build", "-o", path, "github.com/chatstream/chatstream/"+pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// programDir is where programs are built; TestMain makes and removes it.
var programDir string

// programs are built once for all benchmarks, when the first one needs them.
var programs = sync.OnceValues(func() (p struct{ server, baseline string }, err error) {
	if p.server, err = build(programDir, "cmd/chatstream"); err != nil {
		return p, err
	}
	p.baseline, err = build(programDir, "bench/baseline")
	return p, err
})

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	err := result.BeginBenchmarks(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if programDir, err = os.MkdirTemp("", "goals"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programDir)
	return m.Run()
}

// server is a process under load.
type server struct {
	load.Target
	load.Process
	name        string // of its metrics
	diagnostics string // its address
	stop        func()
}

// called is s by another name.
func (s server) called(name string) server {
	s.name = name
	return s
}

// ours starts our server over dir.
func ours(tb testing.TB, dir string, flags ...string) server {
	tb.Helper()
	p, err := programs()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "ours", p.server, append([]string{"serve", "--data=" + dir, "--log-level=warn",
		"--argon2-time=1", "--argon2-memory=64", "--max-streams=1000"}, flags...)...)
}

// oursOn starts one of our servers on a database.
func oursOn(tb testing.TB, uri, database string) server {
	tb.Helper()
	return ours(tb, "", "--mongodb="+uri, "--database="+database)
}

// bare starts the reference.
func bare(tb testing.TB, flags ...string) server {
	tb.Helper()
	p, err := programs()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "bare", p.baseline, flags...)
}

// dataDir is in memory if there is a file system for that.
func dataDir(tb testing.TB) string {
	tb.Helper()
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err != nil || !info.IsDir() {
		return tb.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "chatstream-goals")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var readyLine = regexp.MustCompile(`^ready grpc=(\S+) .*diagnostics=(\S+)$`)

// start starts a program and waits until it is ready.
func start(tb testing.TB, name, program string, args ...string) server {
	tb.Helper()
	cmd := exec.Command(program, append(args, "--listen=127.0.0.1:0", "--diagnostics=127.0.0.1:0")...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	tb.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	ready := readyLine.FindStringSubmatch(strings.TrimSpace(line))
	if ready == nil {
		tb.Fatalf("%s is not ready, but says %q (%v)", program, line, err)
	}
	return server{load.Target{Address: ready[1]}, load.Process(cmd.Process.Pid), name, ready[2], stop}
}

// memory is the resident memory after a collection of garbage, and after what is
// free has been given back to the operating system.
func (s server) memory(tb testing.TB) (collected, returned int64) {
	tb.Helper()
	ask := func(method, path string) int64 {
		request, err := http.NewRequestWithContext(tb.Context(), method, "http://"+s.diagnostics+path, nil)
		if err != nil {
			tb.Fatal(err)
		}
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			tb.Fatal(err)
		}
		r.Body.Close()
		memory, err := s.Memory()
		if err != nil {
			tb.Fatal(err)
		}
		return memory
	}
	ask(http.MethodGet, "/debug/pprof/heap?gc=1")
	collected = ask(http.MethodGet, "/debug/pprof/heap?gc=1")
	return collected, ask(http.MethodPost, "/debug/gc")
}

// streams are how many are open in a server of ours, and how many of them have
// something to say to a client that does not read.
func (s server) streams(tb testing.TB) (open, parked int) {
	tb.Helper()
	r, err := http.Get("http://" + s.diagnostics + "/debug/stats")
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Body.Close()
	var shown struct {
		Server struct {
			Engine struct{ Streams, StreamsParked int }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&shown); err != nil {
		tb.Fatal(err)
	}
	return shown.Server.Engine.Streams, shown.Server.Engine.StreamsParked
}
