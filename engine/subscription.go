package engine

import (
	"math"
	"sync/atomic"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// subscription is one stream's place in one room. It is the producer through
// which the room's events reach the stream, whether they are new, were waiting,
// or must be read from the store: always "from cursor to head".
//
// dirty says that the subscription waits in its stream's queue, or that a page
// is being read for it, after which it will. Who turns dirty from false to true
// puts it there, nobody else does: that is all that fan-out costs a member.
type subscription struct {
	atomics.Link[producer]
	stream *Stream
	room   *hostedRoom
	dirty  atomic.Bool
	// until is the number of the event that took the account out of the room,
	// the last one it is to see. It is stored before that event is published
	// by the room's head.
	until atomic.Uint64

	// start is where it began: what came before is not its business.
	start uint64

	// index is the subscription's place in room.subs, -1 once it has none. The
	// room's turn owns it.
	index int

	// The rest is owned by the stream's turn.

	// cursor is the number of the last event sent, or skipped as not for this
	// account; told that of the last one sent. passed is the time of the last
	// one skipped.
	cursor, told uint64
	passed       int64
	// noted: it is among the stream's skipped.
	noted bool
	// page are events read from the store, from cursor+1 on.
	page []*entry
	// served: it is the one that its stream serves in its room, until it is
	// finished: it has been written to its end, and forgotten.
	served, finished bool
	// next is the subscription of a later stay in the same room. It is not
	// served before this one has come to its until.
	next *subscription

	watermark
}

const forever = math.MaxUint64

func newSubscription(s *Stream, r *hostedRoom, cursor uint64) *subscription {
	sub := &subscription{stream: s, room: r, start: cursor, cursor: cursor, told: cursor, index: -1}
	sub.Init(sub)
	sub.until.Store(forever)
	return sub
}

// fill adds events to out. The stream's turn calls it after it has taken the
// subscription off the queue.
func (sub *subscription) fill(s *Stream, out *builder) outcome {
	// Evicted: read from the store before dirty is cleared, so that the room
	// leaves the subscription alone meanwhile.
	if sub.cursor < sub.end() && sub.peek() == nil {
		return s.fetch(sub)
	}
	// Clear, THEN load head: an event published after the load finds dirty
	// false and puts the subscription back. The other way round, one published
	// between the two would wait for its successor.
	sub.dirty.Store(false)
	end := sub.end()
	for sub.cursor < end {
		e := sub.peek()
		if e == nil {
			break // evicted just now: the next time round reads it
		}
		switch el := e.forAccount(s.account); {
		case el == nil:
			sub.skip(e)
		case sub.told == e.seq-1 && out.takes(fieldNewMessages, len(el.Bytes)):
			out.add(fieldNewMessages, el)
			sub.told = e.seq
		case !sub.bridge(e, el, out):
			out.comes(sub)
			return sub.again(front)
		}
		sub.advance()
	}
	out.comes(sub)
	if sub.cursor < end {
		return sub.again(back)
	}
	if sub.cursor >= sub.until.Load() {
		s.finishSubscription(sub)
	}
	return done
}

// bridge adds el, which shows e, to out, made to say what came before it for
// this client, and reports whether it did: there is none to make where that is
// the event before, and then there was no room.
func (sub *subscription) bridge(e *entry, el *Element, out *builder) bool {
	if sub.told == e.seq-1 {
		return false
	}
	el, err := el.behind(sub.told, sub.room.engine.cfg.Box)
	if err != nil {
		sub.stream.End(failed(chatpb.ReturnStatus_LG_ERROR))
		return false
	}
	if !out.takes(fieldNewMessages, len(el.Bytes)) {
		return false
	}
	out.add(fieldNewMessages, el)
	sub.told = e.seq
	return true
}

// skip passes over e, which is for others.
func (sub *subscription) skip(e *entry) {
	sub.passed = e.time
	sub.stream.passedOver(sub)
}

// end is how far the stream may go now. It loads head before until: whoever
// sees the head that publishes a removal sees the until of that removal.
func (sub *subscription) end() uint64 {
	head := sub.room.head.Load()
	return min(head, sub.until.Load())
}

// peek returns the entry after cursor, or nil if only the store has it.
func (sub *subscription) peek() *entry {
	if len(sub.page) > 0 {
		return sub.page[0]
	}
	return sub.room.tail.get(sub.cursor + 1)
}

// skipTo begins behind seq, up to where the client has been told already: the
// same stay was shown to the stream before. That happens when a room had been
// healed ahead of Watch, left, and is loaded again when Watch shows the join.
func (sub *subscription) skipTo(seq uint64) {
	if seq > sub.cursor {
		sub.cursor, sub.told = seq, seq
	}
}

func (sub *subscription) advance() {
	sub.cursor++
	if len(sub.page) > 0 {
		sub.page[0] = nil
		if sub.page = sub.page[1:]; len(sub.page) == 0 {
			sub.page = nil
			sub.stream.pageDone()
		}
	}
}

// again asks for the subscription to be queued once more, unless the room has
// done so already.
func (sub *subscription) again(where outcome) outcome {
	if sub.dirty.Swap(true) {
		return done
	}
	return where
}
