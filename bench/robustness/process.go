package robustness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Programs are the servers that runs use.
type Programs struct {
	// Server is `chatstream`, Faulty is faultyserver.
	Server, Faulty string
}

// Build builds the programs into dir, with the race detector if race is set.
func Build(ctx context.Context, dir string, race bool) (Programs, error) {
	p := Programs{Server: filepath.Join(dir, "chatstream"), Faulty: filepath.Join(dir, "faultyserver")}
	for path, pkg := range map[string]string{
		p.Server: "github.com/chatstream/chatstream/cmd/chatstream",
		p.Faulty: "github.com/chatstream/chatstream/bench/robustness/faultyserver",
	} {
		args := []string{"build", "-o", path}
		if race {
			args = append(args, "-race")
		}
		if out, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput(); err != nil {
			return p, fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
	}
	return p, nil
}

// output is what a process has written so far.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// process is a server of a run, through all its lives. Its methods are called
// by one goroutine at a time.
type process struct {
	rec *Recorder
	// number is that of the server, from 1.
	number  int
	program string
	address string
	args    []string
	faulty  bool
	// Told to a faulty server when it starts.
	clock, fsync time.Duration
	// persistent: it is started again until it is ready.
	persistent bool
	// mayEnd: the disk was full, which ends the server, sooner or later.
	mayEnd bool

	cmd            *exec.Cmd
	in             interface{ Write([]byte) (int, error) }
	stdout, stderr *output
	exited         chan struct{}
}

// nextPort is where the search for free ports goes on.
var nextPort atomic.Int64

// freeAddress is free now. Its port is not one that the system gives to outgoing
// connections, so that a server can come back to it.
func freeAddress() (string, error) {
	for range 8000 {
		port := 20000 + (int64(os.Getpid())*37+nextPort.Add(1))%12000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no free port")
}

var readyLine = regexp.MustCompile(`(?m)^ready grpc=(\S+)`)

// noteReady is noted when the server is.
const noteReady = "ready"

// startTimeout is how long a server may take to be ready.
const startTimeout = 60 * time.Second

// start starts the server and waits until it is ready. Where it has a database
// that may be electing, it may end before, and is started again, as whoever looks
// after a server does.
func (p *process) start() error {
	for late := time.Now().Add(startTimeout); ; time.Sleep(200 * time.Millisecond) {
		err := p.startOnce()
		if err == nil || !p.persistent || !errors.Is(err, errNotReady) || time.Now().After(late) {
			return err
		}
		p.note("%v", err)
	}
}

// errNotReady: it has ended.
var errNotReady = errors.New("the server ended before it was ready")

func (p *process) startOnce() error {
	args := slices.Clone(p.args)
	if p.faulty {
		args = append(args, "--clock="+p.clock.String(), "--fsync="+p.fsync.String())
	} else {
		args = append([]string{"serve"}, args...)
	}
	p.cmd = exec.Command(p.program, append(args, "--listen="+p.address)...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.stdout, p.stderr = newOutput(), newOutput()
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.WaitDelay = time.Minute
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	exited, cmd := make(chan struct{}), p.cmd
	p.exited, p.mayEnd = exited, false
	go func() {
		_ = cmd.Wait() // ProcessState says it all
		close(exited)
	}()
	late := time.After(startTimeout)
	for {
		text, changed := p.stdout.read()
		if readyLine.MatchString(text) {
			p.note(noteReady)
			return nil
		}
		select {
		case <-changed:
		case <-exited:
			text, _ := p.stderr.read()
			return fmt.Errorf("%w: %v\n%s", errNotReady, p.cmd.ProcessState, text)
		case <-late:
			return errors.New("the server is not ready")
		}
	}
}

func (p *process) note(format string, args ...any) {
	p.rec.Add(Record{Kind: KindServer, Server: p.number, Note: fmt.Sprintf(format, args...)})
}

// wrong records that the server did what it must not do.
func (p *process) wrong(format string, args ...any) {
	text, _ := p.stderr.read()
	p.rec.Add(Record{Kind: KindServer, Server: p.number, Error: fmt.Sprintf(format, args...) + "\n" + text[max(0, len(text)-4000):]})
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// ensure has the server run again if it has ended, and says so if it should not
// have.
func (p *process) ensure() error {
	if p.running() {
		return nil
	}
	if !p.mayEnd {
		p.wrong("the server has ended by itself: %v", p.cmd.ProcessState)
	}
	p.over()
	return p.start()
}

// over looks at what an ended server has left.
func (p *process) over() {
	text, _ := p.stderr.read()
	for _, sign := range []string{"DATA RACE", "panic", "fatal error"} {
		if i := strings.Index(text, sign); i >= 0 {
			p.rec.Add(Record{Kind: KindServer, Server: p.number, Error: "the server says: " + text[max(0, i-500):min(len(text), i+4000)]})
		}
	}
	p.note("ended: %v", p.cmd.ProcessState)
}

// kill ends the server with SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // may be over already
	<-p.exited
	p.over()
}

// stopTimeout is how long a server may take to end by itself.
const stopTimeout = 30 * time.Second

// stop ends the server with SIGTERM.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // may be over already
	select {
	case <-p.exited:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			p.wrong("after SIGTERM the server ended with %v", p.cmd.ProcessState)
		}
		p.over()
	case <-time.After(stopTimeout):
		p.wrong("the server does not end after SIGTERM")
		p.kill()
	}
}

// tell gives a faulty server a command and waits for its answer, or its end.
func (p *process) tell(command string) error {
	before, changed := p.stdout.read()
	_, broken := p.in.Write([]byte(command + "\n")) // it has ended, then, or will
	late := time.After(stopTimeout)
	for {
		var text string
		select {
		case <-changed:
		case <-p.exited:
			return nil
		case <-late:
			return errors.Join(fmt.Errorf("the server does not answer %q", command), broken)
		}
		if text, changed = p.stdout.read(); len(text) > len(before) {
			if answer := strings.TrimSpace(text[len(before):]); answer != "ok" {
				return fmt.Errorf("the server answered %q with %q", command, answer)
			}
			return nil
		}
	}
}

// end ends the server whatever it does, without judging it.
func (p *process) end() {
	if p.exited == nil {
		return // it was never started
	}
	_ = p.cmd.Process.Kill() // may be over already
	<-p.exited
}
