package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/pool"
)

// Stream is one user's open chat stream, from its opening to its end.
//
// Three parties work on it. Its handler's goroutine opens it, initializes it,
// waits, and ends it (Engine.Serve). Its turn, on one of the runners, alone
// writes (stream_turn.go). Its reader handles what the client asks for
// (stream_read.go). Others only tell it something: that a room has news (the
// inbox), that there is write credit again (wake), that it is to end (End).
//
// refs counts who is inside: a turn, a request being handled, a timer's
// callback, a room that subscribes it. Once the handler has closed it nobody
// enters any more, so that nothing is written, read or subscribed afterwards.
type Stream struct {
	// What fan-out and the beginning of a turn write, on one cache line; what
	// each turn reads, on the next; and what it works with (turn). In a large room
	// these lines are what a delivery costs.
	slot  pool.Slot
	inbox atomics.Inbox[producer]
	refs  atomics.RefCount

	engine  *Engine
	conn    Conn
	account string
	// ending is the reason, set once by whoever is first; ended is closed then.
	ending atomic.Pointer[Ending]
	// stalledSince is when the turn last found work and no credit, by
	// Engine.elapsed; 0 when it did not.
	stalledSince atomic.Int64
	features     Features

	turn turnState

	installation string
	holds        func(context.Context) (*Ending, error) // Request.Holds
	// generation is set by Registry.Replace and never changes afterwards.
	generation uint64

	ended   chan struct{}
	drained chan struct{} // made by finish; closed when refs is closed and nobody is inside

	// atEnd, if set, is run once the stream is to end. Whoever takes it runs it.
	atEnd atomic.Pointer[func()]

	// replySlots bounds the replies that wait: a Read is started only with a
	// slot in hand, and the reply's writing gives it back. The first ones come
	// once the stream's initialization has been written.
	replySlots chan struct{}
	// lookingUp is true while a request for full messages is being answered.
	lookingUp atomic.Bool

	// expires is when the stream's time is over, by Engine.elapsed; 0 while it is
	// being initialized.
	expires atomic.Int64
	timer   *time.Timer

	// silentSince is since when the stream has said nothing, by Engine.elapsed,
	// 0 until it is live, and always for a client that wants no bookmarks.
	silentSince atomic.Int64
}

// turnState belongs to the stream's turn. After refs has drained it belongs to
// the handler, which cleans up by it.
type turnState struct {
	// initial, replies and ready are the producers that wait. While the stream
	// is being initialized only initial is served.
	initial, replies, ready atomics.List[producer]
	live                    bool
	out                     builder

	// rooms are the subscriptions, one for each room: what the stream must take
	// back when it ends. A later stay in the same room hangs on the earlier
	// one's next.
	rooms servedRooms
	// over is how far stays in rooms were told that have been written to their
	// end: the newest few, since a room may come to show a stay once more.
	over map[string]uint64
	// fetching is the subscription that has, or waits for, a page from the
	// store: one at a time, so that memory does not grow with rooms.
	fetching *subscription
	toFetch  atomics.List[producer]
	// skipped are subscriptions that have come further than their client has
	// been told, since what came last was for others.
	skipped []*subscription
}

func newStream(e *Engine, r Request) *Stream {
	s := &Stream{
		engine:       e,
		conn:         r.Conn,
		account:      r.Account,
		installation: r.Installation,
		holds:        r.Holds,
		features:     r.Features,
		ended:        make(chan struct{}),
		replySlots:   make(chan struct{}, e.cfg.Replies),
	}
	s.slot.Init(e.pool, s)
	s.timer = time.AfterFunc(never, s.timeUp)
	s.timer.Stop() // until startTimer
	s.conn.Bind(s.slot.Schedule)
	return s
}

// Account is the id of the account the stream belongs to.
func (s *Stream) Account() string { return s.account }

// End asks the stream to end, and reports whether this call did: the first
// reason stays. It never blocks; the stream's handler does the work.
func (s *Stream) End(why Ending) bool {
	if !s.ending.CompareAndSwap(nil, &why) {
		return false
	}
	close(s.ended)
	if f := s.atEnd.Swap(nil); f != nil {
		go (*f)()
	}
	return true
}

// then has f run when the stream is to end, at once if it is. Either End sees f,
// or this sees the reason.
func (s *Stream) then(f func()) {
	s.atEnd.Store(&f)
	if s.ending.Load() == nil {
		return
	}
	if f := s.atEnd.Swap(nil); f != nil {
		(*f)()
	}
}

// acquire enters the stream; false once it is closed. release leaves it.
func (s *Stream) acquire() bool { return s.refs.Acquire() }

func (s *Stream) release() {
	if s.refs.Release() {
		close(s.drained)
	}
}

// push puts p into the stream's queue. Safe for concurrent use; never blocks.
// Only the push that finds the inbox empty schedules a turn: a later one is
// seen by the same turn.
func (s *Stream) push(l *atomics.Link[producer]) {
	if s.inbox.Push(l) {
		s.slot.Schedule()
	}
}

// pushIn is push, with the turn scheduled by b's next Flush.
func (s *Stream) pushIn(b *pool.Batch, l *atomics.Link[producer]) {
	if s.inbox.Push(l) {
		b.Schedule(&s.slot)
	}
}
