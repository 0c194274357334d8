package server

import (
	"net"
	"testing"
)

// accepted is a connection that k knows, and its other end.
func accepted(t *testing.T, l net.Listener) (net.Conn, net.Conn) {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, far
}

func listening(t *testing.T, k *connections) net.Listener {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return k.listen(raw)
}

// grpc-go reads without a buffer for each connection, and sets TCP_USER_TIMEOUT,
// only if it gets the connection itself.
func TestConnectionsReachGRPCAsTheyAre(t *testing.T) {
	near, _ := accepted(t, listening(t, newConnections()))
	if _, ok := near.(*net.TCPConn); !ok {
		t.Errorf("grpc-go would be given a %T", near)
	}
}

func TestClosedConnectionsAreForgotten(t *testing.T) {
	k := newConnections()
	l := listening(t, k)
	open, _ := accepted(t, l)
	for range 5 * minSweep {
		near, _ := accepted(t, l)
		near.Close()
		if len(k.open) > minSweep {
			t.Fatalf("%d connections are known, 1 or 2 are open", len(k.open))
		}
	}
	if n := k.close(); n != 1 || !closed(open) {
		t.Errorf("%d connections were cut, one was open; closed: %t", n, closed(open))
	}
}

func TestOpenConnectionsAreKept(t *testing.T) {
	k := newConnections()
	l := listening(t, k)
	const n = 3 * minSweep
	for range n {
		accepted(t, l)
	}
	if cut := k.close(); cut != n {
		t.Errorf("%d connections were cut, %d were open", cut, n)
	}
}

// ending is a stream that has ended, and what of it has reached its client.
type ending struct {
	stuck  bool
	passed int64
}

func (e *ending) Stuck() bool   { return e.stuck }
func (e *ending) Passed() int64 { return e.passed }

// A stream may end while the last of it is just being written: all has passed
// that ever will, and yet its end waits for a moment. Neither a shutdown nor its
// connection is to suffer for it.
func TestWhoReadsIsNotStuckForLong(t *testing.T) {
	tests := map[string]struct {
		then  ending
		stuck bool
	}{
		"reads nothing":   {ending{stuck: true, passed: 10}, true},
		"reads, slowly":   {ending{stuck: true, passed: 11}, false},
		"has read it all": {ending{stuck: false, passed: 10}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := newConnections()
			near, _ := accepted(t, listening(t, k))
			e := &ending{stuck: true, passed: 10}
			k.ended(near, e)
			*e = test.then
			if k.anyStuck() != test.stuck {
				t.Errorf("a shutdown would wait: %t, want %t", !test.stuck, test.stuck)
			}
			k.cut(e)
			if closed(near) != test.stuck {
				t.Errorf("its connection was closed: %t, want %t", !test.stuck, test.stuck)
			}
		})
	}
}
