package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// note is something that a room is told, through its inbox. The room's turn
// applies notes in the order in which they came.
type note interface{ apply(h *hostedRoom) }

// eventsNote brings events, from whichever source.
type eventsNote struct {
	atomics.Link[note]
	events []room.Event
}

func (n *eventsNote) apply(h *hostedRoom) {
	for _, e := range n.events {
		h.offer(e)
	}
}

func isEvents(n note) bool {
	_, ok := n.(*eventsNote)
	return ok
}

// subscribeNote asks for a stream that is being initialized to be subscribed,
// at the place among the events at which the note is applied.
type subscribeNote struct {
	atomics.Link[note]
	stream *Stream
	answer chan<- *subscribed // has room for the answer
}

// subscribed is the room's answer.
type subscribed struct {
	// member: the account is in the room, and subscribed to what comes after
	// the event numbered from.
	member bool
	from   uint64
	// state is the room when the note was applied.
	state room.State
	err   error

	known *KnownRoom // the asker's own
}

func (n *subscribeNote) apply(h *hostedRoom) {
	if !h.ready {
		h.waiting = append(h.waiting, n)
		return
	}
	answer := &subscribed{state: h.state}
	if h.state.Present(n.stream.account) {
		if sub := h.subscribe(n.stream, h.state.Seq); sub != nil {
			answer.member, answer.from = true, sub.start
		} else {
			answer.err = errEnding
		}
	}
	n.answer <- answer
}

// rejoinNote asks for a stream to be subscribed from its account's last join
// on, if it is in the room and not subscribed: what a join would have done that
// was not shown.
type rejoinNote struct {
	atomics.Link[note]
	stream *Stream
}

func (n *rejoinNote) apply(h *hostedRoom) {
	if !h.ready {
		return // the load will show it
	}
	if m, _ := h.state.Member(n.stream.account); m.Present() {
		h.subscribe(n.stream, m.Changed-1)
	}
}

// leaveNote takes a stream's subscription out; left is called when it is out.
type leaveNote struct {
	atomics.Link[note]
	sub  *subscription
	left func()
}

func (n *leaveNote) apply(h *hostedRoom) {
	if h.byAccount[n.sub.stream.account] == n.sub {
		delete(h.byAccount, n.sub.stream.account)
	}
	h.removed = append(h.removed, n.sub)
	h.dismiss() // nothing is being told while a note is applied
	n.left()
}

// loadedNote brings the room's state from the store.
type loadedNote struct {
	atomics.Link[note]
	state room.State
	err   error
}

func (n *loadedNote) apply(h *hostedRoom) {
	if n.err != nil {
		h.loadFailed(n.err)
		return
	}
	h.state, h.ready = n.state, true
	h.head.Store(n.state.Seq)
	h.telling = 0
	early := slices.SortedFunc(maps.Values(h.parked), func(a, b room.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	clear(h.parked)
	// What the state already contains has not been told to anybody here. A
	// join among it must reach who joined, and what followed that; a removal
	// in turn ends that.
	for _, e := range early {
		if e.Seq <= h.state.Seq && e.Action == room.Add {
			h.subscribeLate(e)
		}
	}
	for _, w := range h.waiting {
		w.apply(h)
	}
	h.waiting = nil
	for _, e := range early {
		h.offer(e)
	}
	if h.dropped {
		h.dropped = false
		h.healAfter(0)
	}
}

// subscribeLate subscribes who joined by e, an event that was part of the
// state when the room was loaded.
func (h *hostedRoom) subscribeLate(e room.Event) {
	m, _ := h.state.Member(e.Target)
	if m.Changed > e.Seq && m.Present() {
		return // it left, and joined again later
	}
	ref, ok := h.engine.registry.Acquire(e.Target)
	if !ok {
		return
	}
	defer ref.Release()
	if sub := h.subscribe(ref.Stream(), e.Seq-1); sub != nil && !m.Present() {
		h.end(sub, m.Changed)
	}
}

// loadFailed tells everybody who counted on the room: without its state nobody
// can be subscribed, and a stream that misses a room must end and come again.
func (h *hostedRoom) loadFailed(err error) {
	h.engine.log.Error("cannot load a room", "room", h.id, "error", err)
	for _, w := range h.waiting {
		w.answer <- &subscribed{err: err}
	}
	h.waiting = nil
	for _, e := range h.parked {
		if e.Action != room.Add {
			continue
		}
		if ref, ok := h.engine.registry.Acquire(e.Target); ok {
			ref.Stream().End(failed(chatpb.ReturnStatus_DATABASE_DOWN))
			ref.Release()
		}
	}
	clear(h.parked)
	if h.engine.rooms.leave(h) {
		h.left = true
		return
	}
	h.load() // somebody else has come meanwhile
}

// healNote says that the wait for a late event is over.
type healNote struct {
	atomics.Link[note]
	// force: events may be missing of which nothing has been seen.
	force bool
}

func (n *healNote) apply(h *hostedRoom) {
	if !h.ready {
		h.healing = false
		return
	}
	if len(h.parked) == 0 && !h.dropped && !n.force {
		h.healing = false
		return
	}
	h.dropped = false
	h.healing = true
	h.heal()
}

// healedNote brings missing events from the store.
type healedNote struct {
	atomics.Link[note]
	events []room.Event
	err    error
}

func (n *healedNote) apply(h *hostedRoom) {
	h.healing = false
	if n.err != nil {
		h.engine.log.Warn("cannot read missing events of a room; trying again", "room", h.id, "after", h.state.Seq, "error", n.err)
		h.dropped = true
		h.healAfter(healRetry)
		return
	}
	h.engine.counters.healed.Add(uint64(len(n.events)))
	for _, e := range n.events {
		h.offer(e)
	}
	switch {
	case len(n.events) == pageEvents || len(n.events) > 0 && len(h.parked) > 0:
		h.healing = true
		h.heal() // there may be more
	case len(h.parked) > 0:
		h.healAfter(healRetry)
	}
}

const healRetry = 500 * time.Millisecond

// trimNote has the room drop what is too old from its tail.
type trimNote struct{ atomics.Link[note] }

func (n *trimNote) apply(h *hostedRoom) {
	h.tail.trim(time.Now().Add(-h.engine.cfg.TailAge), h.engine.cfg.TailBytes)
}
