//go:build frames

package frames

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// writeEvery is how much an RPC's handler may write before it waits for the
// client.
const writeEvery = 64 << 10

var errTooLong = errors.New("the request is too long")

// call is any other RPC. It is served by an http.Handler.
type call struct {
	stream
	wrote, arrived chan struct{} // a token each: look again
	header         http.Header
	status         int // 0 until the headers are written
	buf            []byte
	body           int // bytes of it that have been read
}

func newCall() *call {
	c := &call{wrote: make(chan struct{}, 1), arrived: make(chan struct{}, 1), header: make(http.Header)}
	c.headersNow = true
	c.drained = func() { signal(c.wrote) }
	c.came = func() { signal(c.arrived) }
	return c
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// serve runs the handler and says how it ended.
func (c *call) serve(s *Server, r *request) {
	target, err := url.ParseRequestURI(r.path)
	if err != nil {
		target = &url.URL{Path: r.path}
	}
	header := make(http.Header, len(r.fields))
	for key, values := range r.fields {
		header[http.CanonicalHeaderKey(key)] = values
	}
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Logger.Error("panic in an RPC", "panic", v, "stack", string(debug.Stack()))
			c.conn.mu.Lock()
			c.stream.close(errClosed)
			c.conn.mu.Unlock()
		}
	}()
	s.cfg.RPC.ServeHTTP(c, (&http.Request{
		Method: r.method, URL: target, RequestURI: r.path, Host: r.authority,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: header, Body: body{c}, ContentLength: -1,
		RemoteAddr: c.conn.net.RemoteAddr().String(),
	}).WithContext(c.ctx))
	if c.header.Get("Content-Type") == "" { // grpc-go has given it up before it said anything
		c.header.Set("Content-Type", "application/grpc")
	}
	c.Flush()
	c.finish(c.trailer())
}

// trailer is the block of what the handler has put among the headers since they
// were sent: what it announced, and what has the prefix.
func (c *call) trailer() []byte {
	var b []byte
	for _, key := range c.header["Trailer"] {
		for _, v := range c.header[key] {
			b = appendField(b, key, v)
		}
	}
	for key, values := range c.header {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok {
			for _, v := range values {
				b = appendField(b, name, v)
			}
		}
	}
	if c.header.Get("Grpc-Status") == "" { // grpc-go has given it up
		code, why := codes.Internal, "the request could not be served"
		switch {
		case errors.Is(c.ctx.Err(), context.DeadlineExceeded):
			code, why = codes.DeadlineExceeded, "the time is over"
		case c.ctx.Err() != nil:
			code, why = codes.Canceled, "it has been canceled"
		}
		b = appendField(b, "grpc-status", strconv.Itoa(int(code)))
		b = appendField(b, "grpc-message", why)
	}
	return b
}

// Header implements http.ResponseWriter.
func (c *call) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter.
func (c *call) WriteHeader(status int) {
	if c.status != 0 {
		return
	}
	c.status = status
	block := []byte{statusOK}
	if status != http.StatusOK {
		block = appendField(nil, ":status", strconv.Itoa(status))
	}
	announced := c.header["Trailer"]
	for key, values := range c.header {
		if key == "Trailer" || strings.HasPrefix(key, http.TrailerPrefix) || slices.Contains(announced, key) {
			continue
		}
		for _, v := range values {
			block = appendField(block, key, v)
		}
	}
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.headers = block
	c.list()
}

// Write implements http.ResponseWriter. It keeps what it is given until Flush,
// as long as it is not too much.
func (c *call) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if c.buf = append(c.buf, p...); len(c.buf) < writeEvery {
		return len(p), nil
	}
	if err := c.send(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (c *call) Flush() {
	c.WriteHeader(http.StatusOK)
	c.send() // the next Write tells
}

// send hands over what is buffered and waits until it is written.
func (c *call) send() error {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	if !c.over && len(c.buf) > 0 {
		c.queue = append(c.queue, c.buf)
		c.queued += len(c.buf)
		c.list()
	}
	c.conn.flush()
	for c.pending() && !c.over {
		c.conn.mu.Unlock()
		select {
		case <-c.wrote:
			c.conn.mu.Lock()
		case <-c.ctx.Done():
			c.conn.mu.Lock()
			if c.pending() { // half a message is no message: what follows is the end
				c.conn.reset(c.id, codeFor(c.ctx.Err()))
				c.conn.flush()
			}
		}
	}
	c.buf = c.buf[:0]
	if c.over {
		return errClosed
	}
	return nil
}

// body is the request's.
type body struct{ *call }

// Read implements io.Reader.
func (b body) Read(p []byte) (int, error) {
	c := b.call
	for {
		c.conn.mu.Lock()
		if c.body > c.conn.server.cfg.MaxMessage+messageHead+defaultWindow {
			c.conn.mu.Unlock()
			return 0, errTooLong // no more is granted: grpc-go would buffer all that comes
		}
		if n := copy(p, c.in); n > 0 {
			c.body += n
			if c.in = c.in[n:]; len(c.in) == 0 {
				c.in = nil
			}
			c.grant(n)
			c.conn.flush()
			c.conn.mu.Unlock()
			return n, nil
		}
		err := c.inErr
		c.conn.mu.Unlock()
		if err != nil {
			return 0, err
		}
		select {
		case <-c.arrived:
		case <-c.ctx.Done():
			return 0, fmt.Errorf("read the request: %w", c.ctx.Err())
		}
	}
}

// Close implements io.Closer: a Read that waits returns.
func (b body) Close() error {
	b.conn.mu.Lock()
	defer b.conn.mu.Unlock()
	if b.in = nil; b.inErr == nil {
		b.inErr = io.ErrClosedPipe
	}
	b.came()
	return nil
}

// codeFor is what the client is told of an RPC that ended in the middle of a
// message.
func codeFor(err error) http2.ErrCode {
	if errors.Is(err, context.DeadlineExceeded) {
		return http2.ErrCodeCancel
	}
	return http2.ErrCodeInternal
}
