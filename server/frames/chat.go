//go:build frames

package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress what they send
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// messageHead is what gRPC puts before each message.
const messageHead = 5

// maxRequest bounds what a client may say at once, in bytes.
const maxRequest = 64 << 10

var errRequest = errors.New("a request cannot be read")

// chatHeaders is the block that every chat stream's answer begins with.
var chatHeaders = appendField([]byte{statusOK}, "content-type", "application/grpc")

// Chat is one chat stream: the engine's transport.
//
// Its credit is that everything it was given has been written, as far as the
// client's windows and the socket allow. So what waits is joined into one
// response by the engine, and what a client that does not read costs is one
// response, most of it shared.
type Chat struct {
	stream
	encoding string
	wake     func()
	// prefix goes before the response that is being sent: there is one at a time.
	prefix [messageHead]byte
	// parked: the turn found no credit, and is to be woken when there is.
	parked bool
	sent   int64 // the turn's

	// open is the engine's stream, once there is one; reading says that a
	// goroutine hands it what came in. It lives only while there is something.
	open    *engine.Stream
	reading bool
	partial []byte // that goroutine's: what is not a whole message yet
}

func newChat(r *request) *Chat {
	c := &Chat{encoding: r.encoding}
	c.headers = chatHeaders
	c.drained = func() {
		if c.parked {
			c.parked = false
			c.wake()
		}
	}
	c.came = func() {
		if c.over && c.open != nil {
			c.open.End(gone)
		}
		c.startReading()
	}
	return c
}

// Bind implements engine.Conn.
func (c *Chat) Bind(wake func()) { c.wake = wake }

// Credit implements engine.Conn. It also says yes when the stream is over, so
// that Send tells.
func (c *Chat) Credit() bool {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.parked = c.pending()
	return !c.parked
}

// Send implements engine.Conn.
func (c *Chat) Send(r *engine.Response) error {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	if c.over {
		return errClosed
	}
	binary.BigEndian.PutUint32(c.prefix[1:], uint32(r.Size))
	c.queue = append(c.queue, c.prefix[:], r.Head)
	for _, e := range r.Elements {
		c.queue = append(c.queue, e.Bytes)
	}
	c.queued += messageHead + r.Size
	c.sent += int64(messageHead + r.Size)
	c.list()
	c.conn.flush()
	return nil
}

// Sent implements engine.Conn.
func (c *Chat) Sent() int64 { return c.sent }

// Passed implements engine.Conn.
func (c *Chat) Passed() int64 { return c.passed.Load() }

// Stuck reports whether something has not been taken by the client yet.
func (c *Chat) Stuck() bool {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	return !c.over && (c.pending() || c.trailers != nil)
}

// Receive gives what the client says to open, from now on.
func (c *Chat) Receive(open *engine.Stream) {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.open = open
	c.came()
	if _, bounded := c.ctx.Deadline(); bounded {
		context.AfterFunc(c.ctx, func() { open.End(gone) })
	}
}

// gone is how a stream ends whose client has closed it, or is not there any more.
var gone = engine.Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON}

// startReading is called with the lock held.
func (c *Chat) startReading() {
	if c.open == nil || c.reading || len(c.in) == 0 && c.inErr == nil {
		return
	}
	c.reading = true
	c.conn.server.running.Go(c.read)
}

// read hands over what has come in. It never returns to life after the end.
func (c *Chat) read() {
	defer func() {
		if v := recover(); v != nil {
			c.conn.server.cfg.Logger.Error("panic in a chat stream's reader", "panic", v, "stack", string(debug.Stack()))
			c.open.End(engine.Ending{Reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, Status: chatpb.ReturnStatus_LG_ERROR})
		}
	}()
	for {
		c.conn.mu.Lock()
		chunk, err := c.in, c.inErr
		if c.in = nil; len(chunk) == 0 && err == nil {
			c.reading = false
			c.conn.mu.Unlock()
			return
		}
		c.conn.mu.Unlock()
		if len(chunk) > 0 {
			// Granted again only when it has been handled: a client that asks faster
			// than it takes the answers waits.
			if err = c.handle(chunk); err == nil {
				c.conn.mu.Lock()
				c.grant(len(chunk))
				c.conn.flush()
				c.conn.mu.Unlock()
				continue
			}
		} else if !c.open.MayRead(c.ctx) {
			return
		}
		c.conn.server.cfg.Logger.Debug("chat stream read ended", "account", c.open.Account(), "error", err)
		c.open.End(gone)
		return
	}
}

// handle hands over the messages that chunk makes whole.
func (c *Chat) handle(chunk []byte) error {
	c.partial = append(c.partial, chunk...)
	for len(c.partial) >= messageHead {
		n := int(binary.BigEndian.Uint32(c.partial[1:messageHead]))
		if n > maxRequest {
			return fmt.Errorf("%w: it has more than %d bytes", errRequest, maxRequest)
		}
		if len(c.partial) < messageHead+n {
			return nil
		}
		if !c.open.MayRead(c.ctx) {
			return errClosed
		}
		request, err := c.decode(c.partial[0], c.partial[messageHead:messageHead+n])
		if err != nil {
			return err
		}
		c.open.Handle(request)
		c.partial = c.partial[messageHead+n:]
	}
	if len(c.partial) == 0 {
		c.partial = nil
	}
	return nil
}

func (c *Chat) decode(flag byte, raw []byte) (*streampb.ChatToServerRequest, error) {
	if flag != 0 {
		compressor := encoding.GetCompressor(c.encoding)
		if flag != 1 || compressor == nil {
			return nil, fmt.Errorf("%w: it is compressed with %q", errRequest, c.encoding)
		}
		plain, err := compressor.Decompress(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errRequest, err)
		}
		if raw, err = io.ReadAll(io.LimitReader(plain, maxRequest+1)); err != nil || len(raw) > maxRequest {
			return nil, fmt.Errorf("%w: it cannot be decompressed, or has more than %d bytes (%w)", errRequest, maxRequest, err)
		}
	}
	request := &streampb.ChatToServerRequest{}
	if err := proto.Unmarshal(raw, request); err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	return request, nil
}

// serve serves the stream. Its handler has returned when the stream has ended.
func (c *Chat) serve(r *request) {
	if r.encoding != "" && r.encoding != encoding.Identity && encoding.GetCompressor(r.encoding) == nil {
		c.finish(appendField(appendField(nil, "grpc-status", "12"), "grpc-message", "this compression is not known here"))
		c.conn.handled(&c.stream)
		return
	}
	c.conn.server.cfg.Serve(c.ctx, r.fields, c, func(md metadata.MD) {
		trailers := appendField(nil, "grpc-status", "0")
		if errors.Is(c.ctx.Err(), context.DeadlineExceeded) { // as the client finds out by itself
			trailers, md = appendField(nil, "grpc-status", "4"), nil
		}
		for key, values := range md {
			for _, v := range values {
				trailers = appendField(trailers, key, v)
			}
		}
		c.finish(trailers)
		c.conn.server.cfg.Ended(c.conn.accepted, c)
		c.conn.handled(&c.stream)
	})
}

var _ engine.Conn = (*Chat)(nil)
