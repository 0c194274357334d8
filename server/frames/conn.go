//go:build frames

package frames

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// connWindow is what a client may send on all of its streams. It is given back
	// at once: what is buffered is bounded by the streams' windows.
	connWindow = 1 << 20
	// closeGrace is how long a client that has been told everything may take to
	// close its connection.
	closeGrace = time.Second
	// maxPingStrikes is how many PINGs may come too early.
	maxPingStrikes = 2
)

var (
	errGone    = errors.New("the client is gone")
	errPreface = errors.New("not HTTP/2")
)

// conn is a connection: one goroutine reads (serve), and whoever has something to
// write does so (output.go).
type conn struct {
	server   *Server
	net      net.Conn
	accepted net.Conn        // below TLS
	raw      syscall.RawConn // nil if an attempt to write is not possible
	// preface is what is read from, before framer does.
	preface io.Reader
	framer  *http2.Framer
	closed  sync.Once

	// heard is when something has last come in, by Server.elapsed; pinged that it
	// has been asked since whether it is still there.
	heard  atomic.Int64
	pinged atomic.Bool

	mu      sync.Mutex
	streams map[uint32]*stream
	last    uint32 // the newest stream that has been taken up
	// handlers is how many run, those of streams that are over included.
	handlers  int
	idleSince int64 // by Server.elapsed; counts while there are no handlers
	draining  bool  // no new streams; the connection ends when there are none
	out       output
	try       try
	received  int // what the client may send on all streams
	taken     int
	wroteData bool // since the last PING
	strikes   int
	lastPing  int64
}

func (s *Server) newConn(n, accepted net.Conn) *conn {
	c := &conn{server: s, net: n, accepted: accepted, raw: rawOf(n), streams: make(map[uint32]*stream, 1), received: connWindow}
	c.out.window, c.out.initialWindow, c.out.frameSize = defaultWindow, defaultWindow, defaultFrameSize
	c.try.f = c.try.run
	var in io.Reader = n
	if c.raw != nil {
		in = newInput(c.raw)
	}
	c.framer = http2.NewFramer(nil, in)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(defaultFrameSize)
	c.framer.MaxHeaderListSize = s.cfg.MaxMetadata
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.heard.Store(s.elapsed())
	c.idleSince = s.elapsed()
	c.preface = in
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control(func(b []byte) []byte {
		b = appendSettings(b,
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: s.cfg.MaxStreams},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: s.cfg.MaxMetadata})
		return appendWindowUpdate(b, 0, connWindow-defaultWindow)
	})
	return c
}

// serve reads until the connection ends.
func (c *conn) serve() {
	defer c.end()
	err := c.handshake()
	if err == nil {
		err = c.read()
	}
	c.server.cfg.Logger.Debug("connection ends", "peer", c.net.RemoteAddr(), "reason", err)
	var code http2.ConnectionError
	if errors.As(err, &code) || errors.Is(err, http2.ErrFrameTooLarge) {
		if errors.Is(err, http2.ErrFrameTooLarge) {
			code = http2.ConnectionError(http2.ErrCodeFrameSize)
		}
		why := ""
		if detail := c.framer.ErrorDetail(); detail != nil {
			why = detail.Error()
		}
		c.mu.Lock()
		c.control(func(b []byte) []byte { return appendGoAway(b, c.last, http2.ErrCode(code), why) })
		c.flush()
		c.mu.Unlock()
		c.linger()
	}
}

// linger reads on for a moment: closing while something is unread resets the
// connection, and the client might not come to see why.
func (c *conn) linger() {
	const patience, most = time.Second, 1 << 20
	if c.net.SetReadDeadline(time.Now().Add(patience)) == nil {
		_, _ = io.CopyN(io.Discard, c.net, most)
	}
}

// end takes the connection apart. Nothing is read or written any more.
func (c *conn) end() {
	c.close()
	c.mu.Lock()
	c.out.broken = true
	for _, s := range c.streams {
		s.close(errGone)
	}
	c.mu.Unlock()
	c.server.forget(c)
}

func (c *conn) close() { c.closed.Do(func() { c.accepted.Close() }) }

func (c *conn) handshake() error {
	if err := c.net.SetReadDeadline(time.Now().Add(c.server.cfg.Handshake)); err != nil {
		return err
	}
	c.mu.Lock()
	c.flush()
	c.mu.Unlock()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.preface, preface); err != nil {
		return err
	}
	if !bytes.Equal(preface, []byte(http2.ClientPreface)) {
		return errPreface
	}
	f, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if err := c.take(settings); err != nil {
		return err
	}
	return c.net.SetReadDeadline(time.Time{})
}

func (c *conn) read() error {
	for {
		f, err := c.framer.ReadFrame()
		var bad http2.StreamError
		switch {
		case errors.As(err, &bad):
			c.mu.Lock()
			c.last = max(c.last, bad.StreamID)
			c.reset(bad.StreamID, bad.Code)
			c.flush()
			c.mu.Unlock()
			continue
		case err != nil:
			return err
		}
		c.heard.Store(c.server.elapsed())
		c.pinged.Store(false)
		if err := c.take(f); err != nil {
			return err
		}
	}
}

// take does what f says. A ConnectionError ends the connection.
func (c *conn) take(f http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.flush()
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHeaders(f)
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.WindowUpdateFrame:
		return c.takeWindow(f)
	case *http2.RSTStreamFrame:
		s, err := c.find(f.StreamID)
		if s != nil {
			s.close(http2.StreamError{StreamID: f.StreamID, Code: f.ErrCode})
		}
		return err
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if err := f.ForeachSetting(c.setting); err != nil {
			return err
		}
		c.control(func(b []byte) []byte { return appendFrame(b, 0, http2.FrameSettings, http2.FlagSettingsAck, 0) })
	case *http2.PingFrame:
		return c.takePing(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil // GOAWAY: the client opens no more; PRIORITY and unknown ones mean nothing here
}

// find returns the stream, nil if it is over.
func (c *conn) find(id uint32) (*stream, error) {
	if s := c.streams[id]; s != nil {
		return s, nil
	}
	if id > c.last || id%2 == 0 {
		return nil, http2.ConnectionError(http2.ErrCodeProtocol) // a stream that never began
	}
	return nil, nil
}

func (c *conn) takeHeaders(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if s := c.streams[id]; s != nil { // trailers
		if s.halfClosed || !f.StreamEnded() {
			c.reset(id, http2.ErrCodeProtocol)
			return nil
		}
		s.halfClose()
		s.came()
		return nil
	}
	if id%2 == 0 || id <= c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if c.draining {
		return nil // it has been told; the client opens it elsewhere
	}
	c.last = id
	switch {
	case f.Truncated:
		c.reset(id, http2.ErrCodeFrameSize)
		return nil
	case c.handlers >= int(c.server.cfg.MaxStreams):
		c.reset(id, http2.ErrCodeRefusedStream)
		return nil
	}
	c.handlers++
	c.open(f)
	return nil
}

func (c *conn) takeData(f *http2.DataFrame) error {
	n := int(f.Header().Length)
	if c.received -= n; c.received < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if c.taken += n; c.taken >= connWindow/4 {
		taken := c.taken
		c.received, c.taken = c.received+taken, 0
		c.control(func(b []byte) []byte { return appendWindowUpdate(b, 0, taken) })
	}
	s, err := c.find(f.StreamID)
	if s == nil {
		return err
	}
	if code := s.receive(f.Data(), n, f.StreamEnded()); code != http2.ErrCodeNo {
		c.reset(f.StreamID, code)
	}
	return nil
}

func (c *conn) takeWindow(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if !c.out.grow(int64(f.Increment)) {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		return nil
	}
	s, err := c.find(f.StreamID)
	if s != nil && !s.grow(int64(f.Increment)) {
		c.reset(f.StreamID, http2.ErrCodeFlowControl)
	}
	return err
}

// takePing answers, and ends the connection of a client that asks too often.
// After it has been sent something a client may always ask: it measures how far
// away we are.
func (c *conn) takePing(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil
	}
	data := f.Data
	c.control(func(b []byte) []byte {
		return append(appendFrame(b, 8, http2.FramePing, http2.FlagPingAck, 0), data[:]...)
	})
	now := c.server.elapsed()
	early := c.lastPing != 0 && now-c.lastPing < int64(c.server.cfg.MinPing)
	c.lastPing = now
	if c.wroteData {
		c.wroteData, c.strikes = false, 0
		return nil
	}
	if !early {
		return nil
	}
	if c.strikes++; c.strikes > maxPingStrikes {
		c.control(func(b []byte) []byte {
			return appendGoAway(b, c.last, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
		})
		return fmt.Errorf("too many pings: %w", errGone)
	}
	return nil
}

// reset ends a stream from our side. Called with the lock held.
func (c *conn) reset(id uint32, code http2.ErrCode) {
	if s := c.streams[id]; s != nil {
		s.close(http2.StreamError{StreamID: id, Code: code})
	}
	c.control(func(b []byte) []byte { return appendReset(b, id, code) })
}

// open takes up a stream and starts its handler. Called with the lock held.
func (c *conn) open(f *http2.MetaHeadersFrame) {
	r, err := newRequest(f)
	if err != nil {
		c.server.cfg.Logger.Debug("bad request", "peer", c.net.RemoteAddr(), "error", err)
		c.handlers--
		c.reset(f.StreamID, http2.ErrCodeProtocol)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if r.timeout >= 0 {
		ctx, cancel = context.WithTimeout(context.Background(), r.timeout)
	}
	var s *stream
	var handle func()
	if r.isChat(c.server.cfg.Chat) {
		chat := newChat(r)
		s, handle = &chat.stream, func() { chat.serve(r) }
	} else {
		if bound := c.server.cfg.Bound; bound != nil {
			ctx = bound(ctx, r.path)
		}
		call := newCall()
		s, handle = &call.stream, func() {
			defer c.handled(s)
			call.serve(c.server, r)
		}
	}
	s.init(c, f.StreamID, ctx, cancel)
	c.streams[s.id] = s
	if f.StreamEnded() {
		s.halfClose()
	}
	c.server.running.Add(1) // until handled
	go handle()
}

// handled is called when a stream's handler is done with it.
func (c *conn) handled(s *stream) {
	defer c.server.running.Done()
	s.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handlers--; c.handlers == 0 {
		c.idleSince = c.server.elapsed()
	}
	c.settle()
}

// drain tells the client to open no more streams here.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return
	}
	c.draining = true
	c.control(func(b []byte) []byte { return appendGoAway(b, c.last, http2.ErrCodeNo, "") })
	c.flush()
	c.settle()
}

// settle closes the sending side of a draining connection once everything has
// been said, and gives the client a moment to do the same: closing at once could
// throw away what it has not read. Called with the lock held.
func (c *conn) settle() {
	if !c.draining || c.handlers > 0 || len(c.streams) > 0 || c.out.writing || c.hasOutput() {
		return
	}
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.close()
		return
	}
	c.out.broken = true
	c.net.SetReadDeadline(time.Now().Add(closeGrace))
}
