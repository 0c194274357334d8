package server

import (
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/chatstream/chatstream/engine"
)

// Write credit. grpc-go's SendMsg blocks once a stream's write quota of 64 KiB
// is used up, for as long as the client does not read. A conn sends only while
// less than writeQuota is on its way, so that SendMsg never blocks: one message
// may overdraw the quota, but none is sent into an empty one.
const (
	writeQuota = 60 << 10
	// markEvery is after how many bytes grpc-go is asked to tell that it has
	// passed them on. writeQuota must be more than twice as much.
	markEvery = 16 << 10
	// frameHead is what gRPC puts before each message.
	frameHead = 5
	// poolable is the smallest capacity for which grpc-go gives a buffer back:
	// it does so above 1 KiB. TestBuffersAreGivenBack holds it against grpc-go.
	poolable = 1<<10 + 1
)

// conn is the engine's transport over one gRPC stream.
type conn struct {
	stream grpc.ServerStream
	wake   func()

	// sent and marked are the turn's: bytes handed to grpc-go, and up to which
	// of them there is a mark.
	sent, marked int64
	// completed is how many of them have left the quota, as far as known.
	completed atomic.Int64
	// parked: the turn found no credit, and the next completion is to wake it.
	parked atomic.Bool
}

func newConn(stream grpc.ServerStream) *conn { return &conn{stream: stream} }

// Bind implements engine.Conn.
func (c *conn) Bind(wake func()) { c.wake = wake }

// Credit implements engine.Conn. Parking is announced before the look at
// completed that decides: a completion either is seen by that look, or sees the
// announcement and wakes.
func (c *conn) Credit() bool {
	if c.outstanding() < writeQuota {
		return true
	}
	c.parked.Store(true)
	return c.outstanding() < writeQuota && c.parked.CompareAndSwap(true, false)
}

func (c *conn) outstanding() int64 { return c.sent - c.completed.Load() }

// Send implements engine.Conn.
func (c *conn) Send(r *engine.Response) error {
	buffers := make(mem.BufferSlice, 0, 1+len(r.Elements))
	buffers = append(buffers, mem.SliceBuffer(r.Head))
	for _, e := range r.Elements {
		buffers = append(buffers, e.Boxed.(mem.Buffer))
	}
	c.sent += int64(r.Size) + frameHead
	if c.sent-c.marked >= markEvery {
		last := &buffers[len(buffers)-1]
		*last = (&mark{conn: c, upTo: c.sent}).wrap((*last).ReadOnlyData())
		c.marked = c.sent
	}
	return c.stream.SendMsg(&buffers)
}

// Sent implements engine.Conn.
func (c *conn) Sent() int64 { return c.sent }

// Passed implements engine.Conn.
func (c *conn) Passed() int64 { return c.completed.Load() }

// Stuck implements outgoing: trailing metadata would wait for credit as well.
func (c *conn) Stuck() bool { return c.outstanding() >= writeQuota }

// box is engine.Config.Box: elements are boxed once for all streams. A
// SliceBuffer is not counted, so sharing it needs no Ref.
func box(encoded []byte) any { return mem.Buffer(mem.SliceBuffer(encoded)) }

// mark is a buffer pool that is never taken from. What it wraps is "given back"
// to it when grpc-go has passed it on to the connection: so everything sent up
// to there has left the stream's write quota.
type mark struct {
	conn *conn
	upTo int64
}

// wrap makes a buffer of data whose release is reported. Short data is copied
// into a buffer that is large enough to be given back; the shared one must stay
// as it is.
func (m *mark) wrap(data []byte) mem.Buffer {
	if cap(data) < poolable {
		data = append(make([]byte, 0, poolable), data...)
	}
	return mem.NewBuffer(&data, m)
}

// Get implements mem.BufferPool; nobody calls it.
func (m *mark) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool. It runs inside grpc-go, on the connection's
// writer: atomics and a push to the run queue, nothing else.
func (m *mark) Put(*[]byte) {
	c := m.conn
	for {
		completed := c.completed.Load()
		if completed >= m.upTo || c.completed.CompareAndSwap(completed, m.upTo) {
			break
		}
	}
	if c.parked.CompareAndSwap(true, false) {
		c.wake()
	}
}
