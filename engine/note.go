package engine

import (
	"cmp"
	"errors"
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

// eventsNote brings events that Watch has shown.
type eventsNote struct {
	atomics.Link[note]
	events []room.Event
}

func (n *eventsNote) apply(h *hostedRoom) {
	for _, e := range n.events {
		if h.ready && e.Seq > h.loaded {
			clear(h.returned) // Watch has shown all that was before
		}
		if h.ready && e.Seq <= h.state.Seq {
			h.takeLate(e)
		} else {
			h.offer(e)
		}
	}
}

// waiter is a note that waits until its room has been loaded.
type waiter interface {
	note
	// failed is called instead if it cannot be.
	failed(err error)
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
	// ahead are events that the asker has read who found the store to be ahead of
	// the room. They come with the question, since the room may leave before, and
	// be loaded as it was.
	ahead  []room.Event
	answer chan<- *subscribed // has room for the answer
	// answered: there is one. The room's turn's own.
	answered bool
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

	known *KnownRoom    // the asker's own
	sub   *subscription // if member
}

func (n *subscribeNote) apply(h *hostedRoom) {
	if !h.ready {
		h.waiting = append(h.waiting, n)
		return
	}
	for _, e := range n.ahead {
		h.offer(e)
	}
	answer := &subscribed{state: h.state}
	if h.state.Present(n.stream.account) {
		if sub := h.subscribe(n.stream, h.state.Seq, forever); sub != nil {
			answer.member, answer.from, answer.sub = true, sub.start, sub
		} else {
			answer.err = errEnding
		}
	}
	n.answered = true
	n.answer <- answer
}

func (n *subscribeNote) failed(err error) {
	if !n.answered {
		n.answer <- &subscribed{err: errors.Join(errStore, err)}
	}
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
		h.waiting = append(h.waiting, n)
		return
	}
	if m, _ := h.state.Member(n.stream.account); m.Present() {
		h.subscribe(n.stream, m.Changed-1, forever)
	}
}

func (n *rejoinNote) failed(error) { n.stream.End(failed(chatpb.ReturnStatus_DATABASE_DOWN)) }

// leaveNote takes a stream's subscription out; left is called when it is out.
type leaveNote struct {
	atomics.Link[note]
	sub  *subscription
	left func()
}

func (n *leaveNote) apply(h *hostedRoom) {
	if h.byAccount[n.sub.stream.account] == n.sub {
		delete(h.byAccount, n.sub.stream.account)
		h.remember(n.sub)
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
	h.state, h.loaded, h.ready = n.state, n.state.Seq, true
	h.head.Store(n.state.Seq)
	h.telling = 0
	early := slices.SortedFunc(maps.Values(h.parked), func(a, b room.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	clear(h.parked)
	for len(early) > 0 && early[0].Seq <= h.state.Seq {
		h.takeLate(early[0])
		early = early[1:]
	}
	for _, w := range h.waiting {
		w.apply(h)
	}
	h.waiting = nil
	for _, e := range early {
		h.offer(e)
	}
	if h.dropped { // or never shown, which is the same
		(&healNote{force: true}).apply(h)
	}
}

// takeLate takes up an event that Watch shows, and that was part of the state when
// the room was loaded, or has passed since. A join among these must reach who
// joined, and so must what followed it, up to the removal if there was one: until
// when is known once that is shown, too, and Watch shows it after the join.
func (h *hostedRoom) takeLate(e room.Event) {
	if e.Seq != h.late+1 {
		h.endStays() // what was left out may have been their ends
	}
	h.late = e.Seq
	m, _ := h.state.Member(e.Target)
	_, returned := h.returned[e.Target]
	switch {
	case returned && e.Seq <= h.loaded:
	case e.Action == room.Add && e.Seq <= h.loaded && e.Seq == m.Changed:
		h.subscribeLate(e.Target, e.Seq-1, forever)
	case e.Action == room.Add && e.Seq <= h.loaded:
		set(&h.stays, e.Target, e.Seq)
	case e.Action == room.Remove && h.stays[e.Target] > 0:
		h.subscribeLate(e.Target, h.stays[e.Target]-1, e.Seq)
		delete(h.stays, e.Target)
	}
}

// endStays gives up the stays whose ends are not going to be shown. They are not
// known either, since there may have been another join before the last removal: so
// these streams must come again.
func (h *hostedRoom) endStays() {
	for account := range h.stays {
		h.engine.EndAccountWith(account, chatpb.ReturnStatus_DATABASE_DOWN)
	}
	clear(h.stays)
}

func (h *hostedRoom) subscribeLate(account string, seq, until uint64) {
	if ref, ok := h.engine.registry.Acquire(account); ok {
		h.subscribe(ref.Stream(), seq, until)
		ref.Release()
	}
}

// loadFailed tells everybody who counted on the room: without its state nobody
// can be subscribed, and a stream that misses a room must end and come again.
func (h *hostedRoom) loadFailed(err error) {
	h.engine.log.Error("cannot load a room", "room", h.id, "error", err)
	for _, w := range h.waiting {
		w.failed(err)
	}
	h.waiting = nil
	for _, e := range h.parked {
		if e.Action != room.Add {
			continue
		}
		h.engine.EndAccountWith(e.Target, chatpb.ReturnStatus_DATABASE_DOWN)
	}
	clear(h.parked)
	if h.pending.Empty() && h.engine.rooms.leave(h) {
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
	if n.force && !h.ready {
		h.dropped = true // the state may have been read before that was stored
		return
	}
	if n.force {
		h.endStays()
	} else {
		h.healing = false
	}
	if len(h.parked) > 0 || h.dropped || n.force {
		h.dropped = false
		h.heal()
	}
}

// healedNote brings missing events from the store.
type healedNote struct {
	atomics.Link[note]
	events []room.Event
	err    error
}

func (n *healedNote) apply(h *hostedRoom) {
	h.reads--
	if n.err != nil {
		h.engine.log.Warn("cannot read missing events of a room; trying again", "room", h.id, "after", h.state.Seq, "error", n.err)
		h.dropped = true
		h.healAfter(healRetry)
		return
	}
	h.engine.counters.healed.Add(uint64(len(n.events)))
	before := h.state.Seq
	for _, e := range n.events {
		h.offer(e)
	}
	switch {
	case h.state.Seq > before: // there may be more, whether events are parked or not
		h.dropped = false
		h.heal()
	case len(h.parked) > 0 || h.dropped:
		h.healAfter(healRetry)
	}
}

const healRetry = 500 * time.Millisecond

// trimNote has the room drop what is too old from its tail.
type trimNote struct{ atomics.Link[note] }

func (n *trimNote) apply(h *hostedRoom) {
	h.tail.trim(time.Now().Add(-h.engine.cfg.TailAge), h.engine.cfg.TailBytes, forever)
}
