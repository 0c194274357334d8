package server

import (
	"context"
	"net"
	"sync"
	"time"
)

// connections knows the open connections and the streams that ended with their
// client not reading, so that a shutdown can cut what grpc-go would wait for.
// The mutex is taken when a connection or a stuck stream comes or goes, never
// on the way of a message.
type connections struct {
	mu    sync.Mutex
	open  map[net.Conn]struct{}
	stuck map[outgoing]stuckStream
}

// outgoing is what stands between a stream that has ended and its client.
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

func newConnections() *connections {
	return &connections{open: make(map[net.Conn]struct{}), stuck: make(map[outgoing]stuckStream)}
}

// listen makes l's connections known.
func (k *connections) listen(l net.Listener) net.Listener { return knownListener{l, k} }

type knownListener struct {
	net.Listener
	known *connections
}

func (l knownListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	k := &knownConn{Conn: c, known: l.known}
	l.known.mu.Lock()
	l.known.open[k] = struct{}{}
	l.known.mu.Unlock()
	return k, nil
}

type knownConn struct {
	net.Conn
	known *connections
}

func (c *knownConn) Close() error {
	c.known.mu.Lock()
	delete(c.known.open, c)
	c.known.mu.Unlock()
	return c.Conn.Close()
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

// isStuck reports whether c's client has still taken nothing. Called with the
// lock held.
func (k *connections) isStuck(c outgoing, s stuckStream) bool {
	_, open := k.open[s.raw]
	return open && c.Passed() == s.passed
}

// cut closes the connection of a stuck stream.
func (k *connections) cut(c outgoing) {
	k.mu.Lock()
	s, known := k.stuck[c]
	delete(k.stuck, c)
	cut := known && k.isStuck(c, s)
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
		if k.isStuck(c, s) {
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
		all = append(all, c)
	}
	k.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
	return len(all)
}
