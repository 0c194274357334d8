package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// python is an interpreter with gRPC, "" if there is none.
func python(t *testing.T) string {
	t.Helper()
	candidates := []string{"python3"}
	if p := os.Getenv("CHATSTREAM_TEST_PYTHON"); p != "" {
		candidates = []string{p}
	}
	for _, p := range candidates {
		out, err := exec.Command(p, "-c", "import grpc, grpc_tools").CombinedOutput()
		if err == nil {
			return p
		}
		t.Logf("%s: %v: %s", p, err, out)
	}
	if os.Getenv("CHATSTREAM_TEST_PYTHON") != "" {
		t.Fatal("CHATSTREAM_TEST_PYTHON has no gRPC")
	}
	return ""
}

// TestPythonClient: a client in another language, generated from proto/, logs
// in, joins a room and receives.
func TestPythonClient(t *testing.T) {
	noLeaks(t)
	interpreter := python(t)
	if interpreter == "" {
		t.Skip("THE CLIENT IN ANOTHER LANGUAGE IS NOT TESTED: no python3 with gRPC. " +
			"Get one with: python3 -m venv /tmp/grpc && /tmp/grpc/bin/pip install grpcio grpcio-tools, " +
			"and set CHATSTREAM_TEST_PYTHON=/tmp/grpc/bin/python")
	}
	generated, err := filepath.Abs(generate(t, interpreter))
	if err != nil {
		t.Fatal(err)
	}

	p := serve(t)
	a := dial(t, p.addr)
	admin, guest := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	admin.say(t, r, "before it joined")
	const n = 200
	cmd := exec.Command(interpreter, filepath.Join("testdata", "client.py"),
		p.addr, guest.name, guest.password, uuid.NewString(), r.id, r.password, fmt.Sprint(n))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+generated)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range lines { // so that the goroutine ends
		}
		_ = cmd.Wait()
	})
	next := func() string {
		t.Helper()
		select {
		case line, ok := <-lines:
			if !ok {
				_ = cmd.Wait()
				t.Fatalf("the client has ended (%v):\n%s", cmd.ProcessState, stderr.String())
			}
			return line
		case <-time.After(patience):
			t.Fatal("the client says nothing")
			return ""
		}
	}

	if line := next(); !strings.HasPrefix(line, "joined ") {
		t.Fatalf("got %q", line)
	}
	if line := next(); line != "ready" {
		t.Fatalf("got %q", line)
	}
	var all []sent
	for i := range n {
		all = append(all, admin.say(t, r, fmt.Sprintf("número %d 🙂%s", i, strings.Repeat(" long", 100*(i/(n-1))))))
	}
	for i, x := range all {
		shown := x.text
		if i == n-1 {
			shown = x.text[:255] // ASCII there
		}
		if line, want := next(), fmt.Sprintf("%d %s %s", x.time, x.uuid, shown); line != want {
			t.Fatalf("message %d is shown as %q, want %q", i, line, want)
		}
	}
	for _, want := range []string{"full " + all[n-1].text, "end 0", "refused 1 24"} {
		if line := next(); line != want {
			t.Errorf("got %q, want %q", line, want)
		}
	}
	for line := range lines {
		t.Errorf("and %q", line)
	}
	if err := cmd.Wait(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v:\n%s", err, stderr.String())
	}
	list := admin.history(t, r)
	if last := list[len(list)-1]; kindOf(last) != kindLeft || last.GetSentByAccountId() != guest.id {
		t.Errorf("the last message is %v", last)
	}
}

// generate makes the Python code of proto/ and returns its directory.
func generate(t *testing.T, interpreter string) string {
	t.Helper()
	source := filepath.Join("..", "..", "proto")
	var files []string
	if err := filepath.WalkDir(source, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".proto") {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	args := append([]string{"-m", "grpc_tools.protoc", "-I", source, "--python_out=" + out, "--grpc_python_out=" + out}, files...)
	if b, err := exec.Command(interpreter, args...).CombinedOutput(); err != nil {
		t.Fatalf("grpc_tools.protoc: %v\n%s", err, b)
	}
	return out
}
