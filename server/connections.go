package server

import (
	"context"
	"maps"
	"net"
	"sync"
	"syscall"
	"time"
)

// connections knows the open connections and the streams that ended with their
// client not reading, so that a shutdown can cut what grpc-go would wait for.
// The mutex is taken when a connection or a stuck stream comes or goes, never
// on the way of a message.
type connections struct {
	mu    sync.Mutex
	open  map[net.Conn]struct{} // and some that have been closed since
	sweep int                   // how many make it worth while to look for those
	stuck map[outgoing]stuckStream
}

// outgoing is what stands between a stream that has ended and its client. Safe
// for concurrent use once the stream has ended.
type outgoing interface {
	// Stuck reports whether the stream's end waits for the client to read.
	Stuck() bool
	// Passed is how many bytes the client has taken.
	Passed() int64
}

// stuckStream is a stream whose trailing metadata wait behind what its client
// has not taken.
type stuckStream struct {
	raw    net.Conn
	passed int64 // what had been taken when the stream ended
}

// minSweep is the least number of connections among which closed ones are looked for.
const minSweep = 64

func newConnections() *connections {
	return &connections{open: make(map[net.Conn]struct{}), sweep: minSweep, stuck: make(map[outgoing]stuckStream)}
}

// listen makes l's connections known. They must reach grpc-go as they are: only
// with a *net.TCPConn does it set TCP_USER_TIMEOUT, and read without a buffer of
// 32 KiB for each connection. So nobody tells when one is closed; those that have
// been are forgotten whenever there are twice as many as there were open ones.
func (k *connections) listen(l net.Listener) net.Listener { return knownListener{l, k} }

type knownListener struct {
	net.Listener
	known *connections
}

func (l knownListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.known.add(c)
	}
	return c, err
}

func (k *connections) add(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.open) >= k.sweep {
		maps.DeleteFunc(k.open, func(c net.Conn, _ struct{}) bool { return closed(c) })
		k.sweep = max(minSweep, 2*len(k.open))
	}
	k.open[c] = struct{}{}
}

// closed reports whether c has been closed here. Of what is no socket it is not
// known.
func closed(c net.Conn) bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// cutGrace is how long a client that does not read has for taking notice of
// its stream's end before its connection is closed.
const cutGrace = 10 * time.Second

// ended takes note of a stream that has ended. If its client does not read, its
// connection is closed after a while: the trailing metadata wait behind what it
// has not taken, and would do so for ever.
func (k *connections) ended(raw net.Conn, c outgoing) {
	if raw == nil || !c.Stuck() {
		return
	}
	k.mu.Lock()
	k.stuck[c] = stuckStream{raw, c.Passed()}
	k.mu.Unlock()
	time.AfterFunc(cutGrace, func() { k.cut(c) })
}

// isStuck reports whether c's end still waits, and its client has taken nothing.
// Waiting alone does not tell: a stream may end while somebody is just writing
// what it said last. Nor does that nothing more has passed: there may be nothing
// left that could.
func (s stuckStream) isStuck(c outgoing) bool {
	return !closed(s.raw) && c.Stuck() && c.Passed() == s.passed
}

// cut closes the connection of a stuck stream.
func (k *connections) cut(c outgoing) {
	k.mu.Lock()
	s, known := k.stuck[c]
	delete(k.stuck, c)
	cut := known && s.isStuck(c)
	k.mu.Unlock()
	if cut {
		s.raw.Close()
	}
}

// settled waits until no stream is stuck, or ctx ends.
func (k *connections) settled(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for k.anyStuck() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (k *connections) anyStuck() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c, s := range k.stuck {
		if s.isStuck(c) {
			return true
		}
	}
	return false
}

// close closes every connection, those that never said a word included, and
// returns how many there were.
func (k *connections) close() int {
	k.mu.Lock()
	var all []net.Conn
	for c := range k.open {
		if !closed(c) {
			all = append(all, c)
		}
	}
	k.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
	return len(all)
}
