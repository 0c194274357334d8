package main

import (
	"bytes"
	"flag"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// parsed are the settings of a command line.
func parsed(args ...string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("baseline", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s.define(flags)
	return s, flags.Parse(args)
}

func TestOnlyWhatIsNamedIsChanged(t *testing.T) {
	for line, want := range map[string]int{
		"":                            0,
		"--write-buffer=4096":         1,
		"--write-buffer 0":            1,
		"--read-buffer=4096":          1,
		"--shared-write-buffer=false": 1,
		"--stream-workers=2":          1,
		"--static-window=65535":       1,
		"--write-buffer=1 --read-buffer=2 --stream-workers=3": 3,
	} {
		s, err := parsed(strings.Fields(line)...)
		if err != nil || len(s.options) != want {
			t.Errorf("%q: %d options, want %d; %v", line, len(s.options), want, err)
		}
	}
}

func TestSettingsThatAreNoneAreRefused(t *testing.T) {
	for _, arg := range []string{"--write-buffer=-1", "--write-buffer=32KiB", "--read-buffer=", "--stream-workers=4294967296",
		"--static-window=2147483648", "--shared-write-buffer=perhaps", "--no-such-setting=1"} {
		if s, err := parsed(arg); err == nil {
			t.Errorf("%s is accepted: %d options", arg, len(s.options))
		}
	}
}

// Settings reach grpc-go, each as what it is called.
func TestSettingsTakeEffect(t *testing.T) {
	usual := served(t)
	if u := served(t, "--write-buffer=0"); u.writes <= usual.writes {
		t.Errorf("%d writes without a buffer, %d with one", u.writes, usual.writes)
	}
	if u := served(t, "--read-buffer=0"); u.reads <= usual.reads {
		t.Errorf("%d reads without a buffer, %d with one", u.reads, usual.reads)
	}
	if u := served(t, "--stream-workers=3"); u.workers != 3 || usual.workers != 0 {
		t.Errorf("%d workers, and %d without the flag; want 3 and none", u.workers, usual.workers)
	}
}

// used is what a server has used to answer some calls.
type used struct{ reads, writes, workers int }

// served has a server with these settings answer some calls.
func served(t *testing.T, args ...string) used {
	t.Helper()
	s, err := parsed(args...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedListener{Listener: l}
	server := grpc.NewServer(s.options...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(counted) }()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // one call alone may come in as many pieces with a buffer as without
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	conn.Close()
	server.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return used{int(counted.reads.Load()), int(counted.writes.Load()), bytes.Count(stacks, []byte("created by google.golang.org/grpc.(*Server).initServerWorkers"))}
}

type countedListener struct {
	net.Listener
	reads, writes atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countedConn{conn, l}, err
}

type countedConn struct {
	net.Conn
	of *countedListener
}

func (c countedConn) Read(b []byte) (int, error) {
	c.of.reads.Add(1)
	return c.Conn.Read(b)
}

func (c countedConn) Write(b []byte) (int, error) {
	c.of.writes.Add(1)
	return c.Conn.Write(b)
}
