package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/chatstream/chatstream/bench/load"
)

// process is a server that runs.
type process struct {
	cmd *exec.Cmd
	// profiles is the address at which it serves /debug/pprof.
	profiles string
	output   *output
	exited   chan struct{}
}

// output is what a process has written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startTimeout is how long a server may take until it can be used.
const startTimeout = 30 * time.Second

// startProcess starts a program and waits until something listens at address.
// profiles is the address at which it serves /debug/pprof.
func startProcess(ctx context.Context, address, profiles, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), profiles: profiles, output: &output{}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState says it all
		close(p.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.exited:
			return nil, fmt.Errorf("%s ended before it served: %v\n%s", program, p.cmd.ProcessState, p.output)
		case <-ctx.Done():
			p.stop()
			return nil, fmt.Errorf("%s does not serve: %w\n%s", program, errors.Join(err, ctx.Err()), p.output)
		}
	}
}

// stop ends the process: with SIGTERM, and if that does not help with SIGKILL.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // may be over already
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// stopTimeout is how long a server may take to end. Some wait for their clients.
const stopTimeout = 3 * time.Second

// id is what the process is measured by.
func (p *process) id() load.Process { return load.Process(p.cmd.Process.Pid) }

// settledMemory is the resident memory after two collections of garbage, in
// bytes.
func (p *process) settledMemory(ctx context.Context) (int64, error) {
	for range 2 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.profiles+"/debug/pprof/heap?gc=1", nil)
		if err != nil {
			return 0, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, fmt.Errorf("have the server collect garbage: %w", err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return 0, fmt.Errorf("have the server collect garbage: %w", err)
		}
		if answer.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("have the server collect garbage: it answers %s", answer.Status)
		}
	}
	return p.id().Memory()
}

// freeAddress is an address of this machine that is free now.
func freeAddress() (address string, port int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, err
	}
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port, l.Close()
}
