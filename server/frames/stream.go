//go:build frames

package frames

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/net/http2"

	"github.com/chatstream/chatstream/atomics"
)

// errClosed is what a stream's user gets once the stream is over.
var errClosed = errors.New("the stream is closed")

// grantEvery is how many bytes are taken before the client may send as many
// more.
const grantEvery = 16 << 10

// stream is one HTTP/2 stream. What is not said to be otherwise is guarded by
// the connection's lock.
type stream struct {
	link   atomics.Link[*stream]
	conn   *conn
	id     uint32
	ctx    context.Context
	cancel context.CancelFunc

	// headers is the block that goes first, nil once it is written; trailers the
	// one that goes last. With headersNow the former does not wait for data.
	headers, trailers []byte
	headersNow        bool
	// queue holds what is to be sent. It refers to what the sender gave: of the
	// first entry, skip bytes are sent. queued bytes wait in it, writing bytes
	// are on their way into the socket.
	queue           [][]byte
	next, skip      int
	queued, writing int
	// window is what the client still takes, below zero after it has reduced it.
	window int64
	listed bool // in output.ready
	// over: nothing goes out any more. halfClosed: nothing comes in.
	over, halfClosed bool

	// passed is what the socket has taken. Safe for concurrent use.
	passed atomic.Int64
	// drained is called when all that was queued has been written, or never will
	// be, and came when something has come in. Both with the lock held.
	drained, came func()

	// in has been received and not taken; after it comes inErr, if not nil.
	in    []byte
	inErr error
	// taken bytes have not been granted to the client again; received is what it
	// may send.
	taken, received int
}

func (s *stream) init(c *conn, id uint32, ctx context.Context, cancel context.CancelFunc) {
	s.link.Init(s)
	s.conn, s.id, s.ctx, s.cancel = c, id, ctx, cancel
	s.window, s.received = c.out.initialWindow, defaultWindow
}

// list puts s where it is written, if it has anything that its window allows.
func (s *stream) list() {
	if s.listed || s.over {
		return
	}
	if s.headers != nil && (s.headersNow || s.queued > 0) || s.queued > 0 && s.window > 0 || s.queued == 0 && s.trailers != nil {
		s.listed = true
		s.conn.out.ready.PushBack(&s.link)
	}
}

// fill appends one frame of data at most, as the windows allow, and what goes
// before and after it.
func (s *stream) fill(b []byte) []byte {
	o := &s.conn.out
	if s.over {
		return b
	}
	if s.headers != nil {
		b = appendHeaders(b, s.id, s.headers, false)
		s.headers = nil
	}
	if n := int(min(int64(s.queued), int64(o.frameSize), s.window, o.window)); n > 0 {
		b = appendFrame(b, n, http2.FrameData, 0, s.id)
		b = s.take(b, n)
		s.window -= int64(n)
		o.window -= int64(n)
		if s.writing == 0 {
			o.batch = append(o.batch, s)
		}
		s.writing += n
		s.conn.wroteData = true
	}
	if s.queued == 0 && s.trailers != nil {
		b = appendHeaders(b, s.id, s.trailers, true)
		if !s.halfClosed {
			b = appendReset(b, s.id, http2.ErrCodeNo)
		}
		s.close(errClosed)
	}
	return b
}

// take moves n bytes from the queue to b.
func (s *stream) take(b []byte, n int) []byte {
	s.queued -= n
	for n > 0 {
		part := s.queue[s.next][s.skip:]
		if len(part) > n {
			s.skip += n
			return append(b, part[:n]...)
		}
		b = append(b, part...)
		n -= len(part)
		s.queue[s.next] = nil
		s.next, s.skip = s.next+1, 0
	}
	if s.next == len(s.queue) {
		s.empty()
	}
	return b
}

// empty forgets the queue.
func (s *stream) empty() {
	clear(s.queue)
	if s.queue = s.queue[:0]; cap(s.queue) > 8 {
		s.queue = nil
	}
	s.next, s.skip, s.queued = 0, 0, 0
}

// pending reports whether something that was queued has not been written.
func (s *stream) pending() bool { return s.queued > 0 || s.writing > 0 }

func (s *stream) drainedIfSo() {
	if !s.pending() {
		s.drained()
	}
}

// grow adds by to the stream's window, and reports whether that is allowed.
func (s *stream) grow(by int64) bool {
	if s.window += by; s.window > maxWindow {
		return false
	}
	s.list()
	return true
}

// finish ends the stream with trailers, after what is queued.
func (s *stream) finish(trailers []byte) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.over || s.trailers != nil {
		return
	}
	if s.headers != nil && s.queued == 0 {
		trailers = append(s.headers[:len(s.headers):len(s.headers)], trailers...)
		s.headers = nil
	}
	s.trailers = trailers
	s.list()
	c.flush()
}

// close forgets the stream: it is over, in both directions.
func (s *stream) close(why error) {
	if s.over {
		return
	}
	s.over, s.halfClosed = true, true
	delete(s.conn.streams, s.id)
	s.empty()
	if s.inErr == nil {
		s.inErr = why
	}
	s.cancel()
	s.came()
	s.drainedIfSo()
}

// receive takes in what a DATA frame of n bytes brought; the rest is padding.
func (s *stream) receive(data []byte, n int, end bool) http2.ErrCode {
	if s.halfClosed {
		return http2.ErrCodeStreamClosed
	}
	if s.received -= n; s.received < 0 {
		return http2.ErrCodeFlowControl
	}
	s.in = append(s.in, data...)
	s.grant(n - len(data))
	if end {
		s.halfClose()
	}
	s.came()
	return http2.ErrCodeNo
}

func (s *stream) halfClose() {
	s.halfClosed = true
	if s.inErr == nil {
		s.inErr = io.EOF
	}
}

// grant lets the client send n more bytes, sooner or later.
func (s *stream) grant(n int) {
	if s.taken += n; s.taken < grantEvery || s.halfClosed {
		return
	}
	n, s.taken = s.taken, 0
	s.received += n
	s.conn.control(func(b []byte) []byte { return appendWindowUpdate(b, s.id, n) })
}
