package main

import (
	"flag"
	"io"
	"net"
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

// Settings reach grpc-go: without a buffer to write from, what it says at the
// beginning and its answers take more writes.
func TestSettingsTakeEffect(t *testing.T) {
	buffered, direct := writes(t), writes(t, "--write-buffer=0")
	if direct <= buffered {
		t.Errorf("%d writes without a buffer, %d with one", direct, buffered)
	}
}

// writes is how many writes a server with these settings makes to answer a call.
func writes(t *testing.T, args ...string) int64 {
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
	served := make(chan error, 1)
	go func() { served <- server.Serve(counted) }()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	conn.Close()
	server.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	return counted.writes.Load()
}

type countedListener struct {
	net.Listener
	writes atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countedConn{conn, &l.writes}, err
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}
