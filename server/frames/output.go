//go:build frames

package frames

import (
	"net"
	"sync"
	"syscall"

	"golang.org/x/net/http2"

	"github.com/chatstream/chatstream/atomics"
)

const (
	// batchSize is about how much is given to the socket at once.
	batchSize = 64 << 10
	// maxControl bounds the answers (to PING, SETTINGS, ...) that wait for a
	// client that asks but does not read. It is cut off then.
	maxControl = 64 << 10
)

// batches are buffers that frames are gathered in. A connection has one only
// while it writes.
var batches = sync.Pool{New: func() any {
	b := make([]byte, 0, batchSize+defaultFrameSize)
	return &b
}}

// output is the connection's writing side. Everything is guarded by the
// connection's lock.
type output struct {
	// control holds frames that no window holds back.
	control []byte
	// ready are the streams that have something to write, as far as their own
	// window goes.
	ready atomics.List[*stream]
	// batch are the streams whose bytes are being written.
	batch []*stream
	// window is how much the client takes on all streams, initialWindow what a
	// new stream begins with, frameSize the largest frame.
	window, initialWindow int64
	frameSize             int
	// writing says that somebody writes. Who adds something then leaves it to
	// that one.
	writing bool
	// broken says that nothing can be written any more.
	broken bool
}

// flush writes what there is, unless somebody does so already. Called with the
// lock held, which is given up while writing. It does not block.
func (c *conn) flush() {
	if c.out.writing || c.out.broken || !c.hasOutput() {
		return
	}
	c.out.writing = true
	batch := batches.Get().(*[]byte)
	for {
		b := c.fill((*batch)[:0])
		*batch = b
		if len(b) == 0 {
			break
		}
		c.mu.Unlock()
		n, err := c.attempt(b)
		if err == nil && n < len(b) {
			c.mu.Lock()
			c.server.running.Go(func() { c.finishWriting(batch, b[n:]) })
			return
		}
		c.mu.Lock()
		c.wrote(err)
	}
	c.out.writing = false
	release(batch)
	c.settle()
}

// finishWriting writes rest, and whatever comes meanwhile, and waits for the
// socket as long as that takes. It is the one goroutine that does.
func (c *conn) finishWriting(batch *[]byte, rest []byte) {
	for len(rest) > 0 {
		_, err := c.net.Write(rest)
		c.mu.Lock()
		c.wrote(err)
		rest = c.fill((*batch)[:0])
		*batch = rest
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	release(batch)
	c.out.writing = false
	c.flush() // between the locks
	c.settle()
}

func release(batch *[]byte) {
	if cap(*batch) > 2*batchSize {
		return // long headers
	}
	*batch = (*batch)[:0]
	batches.Put(batch)
}

func (c *conn) hasOutput() bool { return len(c.out.control) > 0 || !c.out.ready.Empty() }

// fill appends what is to be written next. Called with the lock held.
func (c *conn) fill(b []byte) []byte {
	o := &c.out
	if o.broken {
		return b
	}
	if len(o.control) > 0 {
		b = append(b, o.control...)
		if o.control = o.control[:0]; cap(o.control) > 256 {
			o.control = nil
		}
	}
	// Streams that only the connection's window holds back stay in the list, in
	// their order; a whole round without progress is the end.
	for left := o.ready.Len(); left > 0 && len(b) < batchSize; left-- {
		s := o.ready.PopFront().Owner()
		s.listed = false
		before := len(b)
		b = s.fill(b)
		s.list()
		if len(b) > before {
			left = o.ready.Len() + 1
		}
	}
	return b
}

// wrote takes note that the batch has been written, or cannot be. Called with
// the lock held.
func (c *conn) wrote(err error) {
	if err != nil {
		c.breakOff()
	}
	for i, s := range c.out.batch {
		c.out.batch[i] = nil
		n := s.writing
		s.writing = 0
		if err == nil {
			s.passed.Add(int64(n))
		}
		s.drainedIfSo()
	}
	c.out.batch = c.out.batch[:0]
}

// attempt writes what the socket takes without waiting.
func (c *conn) attempt(b []byte) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	c.try.data, c.try.n, c.try.err = b, 0, nil
	err := c.raw.Write(c.try.f)
	c.try.data = nil
	if err == nil {
		err = c.try.err
	}
	return c.try.n, err
}

// try is one attempt to write: its arguments and results, so that it needs no
// closure. Only who set writing uses it.
type try struct {
	f    func(fd uintptr) bool
	data []byte
	n    int
	err  error
}

func (t *try) run(fd uintptr) bool {
	for t.n < len(t.data) {
		n, err := syscall.Write(int(fd), t.data[t.n:])
		switch err {
		case nil:
			t.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			t.err = err
			return true
		}
	}
	return true // "false" would wait
}

// control appends frames with add, and cuts the client off that makes us say too
// much. Called with the lock held; flush writes them.
func (c *conn) control(add func([]byte) []byte) {
	if c.out.broken {
		return
	}
	if c.out.control = add(c.out.control); len(c.out.control) > maxControl {
		c.breakOff()
	}
}

// breakOff closes the connection. Its reader does the rest. Called with the lock
// held.
func (c *conn) breakOff() {
	if !c.out.broken {
		c.out.broken = true
		c.out.control = nil
		c.close()
	}
}

// grow adds n to the connection's window, and reports whether that is allowed.
func (o *output) grow(n int64) bool {
	o.window += n
	return o.window <= maxWindow
}

// setting takes over one of the client's settings. Called with the lock held.
func (c *conn) setting(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case http2.SettingInitialWindowSize:
		by := int64(s.Val) - c.out.initialWindow
		c.out.initialWindow = int64(s.Val)
		for _, stream := range c.streams {
			if !stream.grow(by) {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
		}
	case http2.SettingMaxFrameSize:
		c.out.frameSize = int(min(s.Val, defaultFrameSize)) // larger ones would keep others waiting
	}
	return nil
}

// rawOf returns the way around the blocking Write, or nil.
func rawOf(c net.Conn) syscall.RawConn {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
