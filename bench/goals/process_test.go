package goals

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	name string
}

// startServer starts ours.
func startServer(tb testing.TB, flags ...string) server {
	tb.Helper()
	p, err := programs()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "ours", p.server, append([]string{"serve", "--listen=127.0.0.1:0", "--data=" + dataDir(tb), "--log-level=warn",
		"--argon2-time=1", "--argon2-memory=64"}, flags...)...)
}

// startBaseline starts the reference.
func startBaseline(tb testing.TB) server {
	tb.Helper()
	p, err := programs()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "bare", p.baseline)
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

func start(tb testing.TB, name, program string, args ...string) server {
	tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "ready grpc="); ok {
			address, _, _ = strings.Cut(address, " ")
			return server{load.Target{Address: address}, load.Process(cmd.Process.Pid), name}
		}
	}
	tb.Fatalf("%s ended before it was ready", program)
	return server{}
}
