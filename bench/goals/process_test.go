package goals

import (
	"bufio"
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

// programs are built once for all benchmarks.
var programs = sync.OnceValues(func() (p struct{ server, baseline string }, err error) {
	dir, err := os.MkdirTemp("", "goals")
	if err != nil {
		return p, err
	}
	if p.server, err = build(dir, "cmd/chatstream"); err != nil {
		return p, err
	}
	p.baseline, err = build(dir, "bench/baseline")
	return p, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if p, err := programs(); err == nil {
		os.RemoveAll(filepath.Dir(p.server))
	}
	os.Exit(code)
}

// server is a process under load.
type server struct {
	load.Target
	load.Process
	name        string
	diagnostics string // its address
	stop        func()
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

// settledMemory is the resident memory after two collections of garbage.
func (s server) settledMemory(tb testing.TB) int64 {
	tb.Helper()
	for range 2 {
		r, err := http.Get("http://" + s.diagnostics + "/debug/pprof/heap?gc=1")
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			tb.Fatal(err)
		}
		r.Body.Close()
	}
	memory, err := s.Memory()
	if err != nil {
		tb.Fatal(err)
	}
	return memory
}
