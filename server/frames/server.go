//go:build frames

package frames

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"
)

// Config is what a server is made with. Every field is needed, but for those
// that say otherwise.
type Config struct {
	// Chat is the full method of the chat stream, Serve what serves it. Serve gets
	// the metadata that the client sent, and a goroutine until it returns. At the
	// stream's end, then or later, ended is called once with the metadata that the
	// client is told.
	Chat  string
	Serve func(ctx context.Context, md metadata.MD, c *Chat, ended func(metadata.MD))
	// Ended is called once the last of a chat stream has been handed over, with its
	// connection: whether the client takes it may be looked after.
	Ended func(net.Conn, *Chat)
	// RPC serves everything else.
	RPC http.Handler
	// Bound, if not nil, bounds the time of an RPC. It does not block.
	Bound func(ctx context.Context, method string) context.Context
	// TLS, if not nil, secures the connections.
	TLS *tls.Config

	// MaxMetadata and MaxMessage bound a request, in bytes, MaxStreams the RPCs at
	// once on a connection.
	MaxMetadata uint32
	MaxMessage  int
	MaxStreams  uint32
	// Handshake is how long a client may take to say that it speaks HTTP/2.
	Handshake time.Duration
	// MaxIdle is how long a connection without RPCs stays. One that has been silent
	// for Keepalive is asked whether it is there, and has KeepaliveTimeout to
	// answer. Clients may ask every MinPing.
	MaxIdle, Keepalive, KeepaliveTimeout, MinPing time.Duration

	Logger *slog.Logger
}

// Server serves HTTP/2 on connections of its own.
type Server struct {
	cfg     Config
	started time.Time

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	stopping  bool
	empty     chan struct{} // closed when the server is stopping and has no connections

	stop    context.CancelFunc // the sweeper's
	running sync.WaitGroup
}

// New makes a server, which GracefulStop or Stop ends.
func New(cfg Config) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		cfg: cfg, started: time.Now(), stop: stop, empty: make(chan struct{}),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{}),
	}
	s.running.Go(func() { s.sweep(ctx) })
	return s
}

// elapsed is the time since the server was made, never 0.
func (s *Server) elapsed() int64 { return int64(time.Since(s.started)) + 1 }

// Serve accepts connections on l until the server stops; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		l.Close()
		return nil
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	for wait := time.Duration(0); ; {
		accepted, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			stopping := s.stopping
			s.mu.Unlock()
			if stopping {
				return nil
			}
			var passing interface{ Temporary() bool }
			if !errors.As(err, &passing) || !passing.Temporary() {
				return err
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second) // no file descriptors left, perhaps
			time.Sleep(wait)
			continue
		}
		wait = 0
		raw := accepted
		if s.cfg.TLS != nil {
			cfg := s.cfg.TLS.Clone()
			cfg.NextProtos = []string{http2.NextProtoTLS}
			raw = tls.Server(raw, cfg)
		}
		c := s.newConn(raw, accepted)
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			c.close()
			continue
		}
		s.conns[c] = struct{}{}
		s.running.Go(c.serve)
		s.mu.Unlock()
	}
}

// forget is called when a connection has ended.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.emptyIfSo()
}

func (s *Server) emptyIfSo() {
	if s.stopping && len(s.conns) == 0 {
		select {
		case <-s.empty:
		default:
			close(s.empty)
		}
	}
}

// begin begins the end, and returns the connections that there are.
func (s *Server) begin() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for l := range s.listeners {
		l.Close()
	}
	s.emptyIfSo()
	return s.all()
}

func (s *Server) all() []*conn {
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// GracefulStop takes no more connections or streams and waits until those that
// there are have ended.
func (s *Server) GracefulStop() {
	for _, c := range s.begin() {
		c.drain()
	}
	s.wait()
}

// Stop closes every connection and waits until all handlers have returned. A
// GracefulStop that waits returns too.
func (s *Server) Stop() {
	for _, c := range s.begin() {
		c.close()
	}
	s.wait()
}

func (s *Server) wait() {
	<-s.empty
	s.stop()
	s.running.Wait()
}

// sweep looks after connections that say nothing: one goroutine for all of
// them.
func (s *Server) sweep(ctx context.Context) {
	interval := max(min(s.cfg.Keepalive, s.cfg.KeepaliveTimeout, s.cfg.MaxIdle)/8, 10*time.Millisecond)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		all := s.all()
		s.mu.Unlock()
		for _, c := range all {
			s.look(c)
		}
	}
}

func (s *Server) look(c *conn) {
	now := s.elapsed()
	silent := time.Duration(now - c.heard.Load())
	switch {
	case silent >= s.cfg.Keepalive+s.cfg.KeepaliveTimeout:
		c.close()
		return
	case silent >= s.cfg.Keepalive && !c.pinged.Swap(true):
		c.mu.Lock()
		c.control(func(b []byte) []byte { return append(appendFrame(b, 8, http2.FramePing, 0, 0), "chatping"...) })
		c.flush()
		c.mu.Unlock()
	}
	c.mu.Lock()
	idle := c.handlers == 0 && time.Duration(now-c.idleSince) >= s.cfg.MaxIdle
	c.mu.Unlock()
	if idle {
		c.drain()
	}
}
