package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// hostedRoom is a room in which streams of this process are subscribed. Its
// turn is the room's sequencer: it takes events from the inbox, from whatever
// source and in whatever order they come, lets each pass when it is the next
// one, and tells the subscriptions. It also carries out subscriptions and
// departures, so that these have their exact place among the events.
//
// Only the turn touches what is not atomic; nothing in here is locked, and
// nothing in here waits.
type hostedRoom struct {
	slot   pool.Slot
	engine *Engine
	id     string
	inbox  atomics.Inbox[note]

	// head is the number of the last published event: streams may send up to
	// it. Everything about an event is stored before its head.
	head atomic.Uint64
	tail tail

	pending atomics.List[note] // taken from the inbox and not yet applied
	current note               // being applied

	// ready is false until the state has been read from the store.
	ready bool
	// state is the fold of every event up to state.Seq: the last that passed.
	state room.State
	// loaded is the number of the last event that was in the state when it was
	// read. Watch may show it, and others before it, only afterwards. stays are
	// the joins among these, by account, whose removal is yet to be shown.
	loaded uint64
	stays  map[string]uint64
	// late is the last event that Watch showed after it had passed.
	late uint64
	// returned are accounts that were in the room before it was loaded, and have
	// joined again since. What Watch has yet to show of the time before comes too
	// late for their streams: what is later has been sent, and the answer to the
	// second join held what came before it.
	returned map[string]struct{}
	// waiting are subscribers that came before the state did.
	waiting []waiter
	// parked are events that came too early. If there were too many, some were
	// dropped: the store has them.
	parked  map[uint64]room.Event
	dropped bool
	// healing says that the wait before a read of missing events is under way,
	// reads how many reads are.
	healing bool
	reads   int

	// gone is how far devices had been reached whose stream has ended.
	gone map[string]Device

	subs      []*subscription
	byAccount map[string]*subscription
	// removed are subscriptions that end with an event which is about to be
	// told: they are in subs until that has been done.
	removed []*subscription
	// telling is the index in subs from which on the last head is yet to be
	// told; len(subs) or more when it has been told to all.
	telling int
	left    bool
}

const (
	// fanOutChunk bounds how many members a turn tells: a large room's events
	// must not keep other rooms and streams from their turn.
	fanOutChunk = 2048
	// turnNotes bounds how many notes a turn applies.
	turnNotes = 256
	// maxParked bounds the events that wait for an earlier one.
	maxParked = 1000
)

// set is m[key] = v of a map that is made when it is needed: most rooms need few
// of theirs, and there may be a million rooms.
func set[K comparable, V any](m *map[K]V, key K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[key] = v
}

func newHostedRoom(e *Engine, id string) *hostedRoom {
	h := &hostedRoom{
		engine:    e,
		id:        id,
		byAccount: make(map[string]*subscription),
	}
	h.tail.total = &e.tailBytes
	h.slot.Init(e.pool, h)
	return h
}

// Turn applies what has come in. While a head is being told nothing else is
// done: the list of subscriptions must not change meanwhile.
func (h *hostedRoom) Turn() {
	for range turnNotes {
		if !h.tell() {
			break
		}
		if h.pending.Empty() {
			for l := h.inbox.Take(); l != nil; {
				rest := l.TakeNext()
				h.pending.PushBack(l)
				l = rest
			}
		}
		if h.pending.Empty() {
			h.rest()
			return
		}
		h.applyNext()
		h.publish()
	}
	h.slot.Schedule()
}

// applyNext applies the next note, or the next run of events: events that came
// together are published and told together. What has passed must be published
// before the turn goes on, since only told subscriptions may be dismissed.
func (h *hostedRoom) applyNext() {
	for range turnNotes {
		n := h.pending.PopFront().Owner()
		h.current = n
		n.apply(h)
		h.current = nil
		if next := h.pending.Front(); !isEvents(n) || next == nil || !isEvents(next.Owner()) {
			return
		}
	}
}

// panicked is called, still within the turn, when one has panicked: who waits
// for the room is told, and what the note at hand brought is read again.
func (h *hostedRoom) panicked() {
	for _, sub := range h.subs {
		sub.stream.End(failed(chatpb.ReturnStatus_LG_ERROR))
	}
	patience := time.Duration(0)
	switch n := h.current.(type) {
	case waiter:
		n.failed(errPanicked)
	case *leaveNote:
		n.left()
	case *healedNote: // this is what was read again
		patience = healRetry
	}
	h.current = nil
	for _, w := range h.waiting {
		w.failed(errPanicked)
	}
	h.waiting = nil
	h.dropped = true
	if h.ready {
		h.healAfter(patience)
	}
	h.slot.Schedule()
}

// rest is called when there is nothing to do: a room that nobody needs leaves.
func (h *hostedRoom) rest() {
	if len(h.subs) > 0 || !h.ready || len(h.parked) > 0 || len(h.stays) > 0 || h.healing || h.reads > 0 || h.left {
		return
	}
	if h.engine.rooms.leave(h) {
		h.left = true
		h.tail.trim(time.Now().Add(time.Hour), 0, forever)
	}
}

// publish makes what has passed visible to the streams and begins to tell them.
func (h *hostedRoom) publish() {
	if !h.ready || h.head.Load() == h.state.Seq {
		return
	}
	h.head.Store(h.state.Seq)
	h.telling = 0
}

// tell tells the subscriptions of the last head, and reports whether all have
// been told. That is all that an event costs a member: a look, and one Swap and a
// push for those whose stream did not know yet that the room has news. A Swap that
// finds true changes nothing, so to see true is the same, and does not take the
// cache line away from the other processors: clients that never read stay dirty.
// Streams that had nothing to do come into the run queue many at a time.
func (h *hostedRoom) tell() bool {
	if h.telling >= len(h.subs) {
		h.dismiss()
		return true
	}
	end := min(h.telling+fanOutChunk, len(h.subs))
	var idle pool.Batch
	defer idle.Flush() // whatever happens: who is in there waits for it
	for _, sub := range h.subs[h.telling:end] {
		if !sub.dirty.Load() && !sub.dirty.Swap(true) {
			sub.stream.pushIn(&idle, &sub.Link)
		}
	}
	h.telling = end
	return false
}

// dismiss takes out the subscriptions that have been told of their last event.
func (h *hostedRoom) dismiss() {
	for _, sub := range h.removed {
		last := len(h.subs) - 1
		if i := sub.index; i >= 0 {
			h.subs[i] = h.subs[last]
			h.subs[i].index = i
			h.subs[last] = nil
			h.subs = h.subs[:last]
			sub.index = -1
		}
	}
	clear(h.removed)
	h.removed = h.removed[:0]
	h.telling = len(h.subs)
}

// offer takes an event up: the next one passes, and with it those that were
// parked behind it; an earlier one is dropped, a later one is parked.
func (h *hostedRoom) offer(e room.Event) {
	switch {
	case !h.ready || e.Seq > h.state.Seq+1:
		h.park(e)
		return
	case e.Seq <= h.state.Seq:
		return
	}
	h.pass(e)
	for len(h.parked) > 0 {
		next, ok := h.parked[h.state.Seq+1]
		if !ok {
			return
		}
		delete(h.parked, next.Seq)
		h.pass(next)
	}
}

func (h *hostedRoom) park(e room.Event) {
	if len(h.parked) >= maxParked {
		h.dropped = true
		if !h.ready && e.Action == room.Add {
			// Reading the state will not show it again.
			h.engine.EndAccountWith(e.Target, chatpb.ReturnStatus_DATABASE_DOWN)
		}
	} else {
		set(&h.parked, e.Seq, e)
	}
	if h.ready {
		h.healAfter(h.engine.cfg.GapPatience)
	}
}

// pass lets e take effect: who joins is subscribed before it is told, who is
// removed is told and then no more.
func (h *hostedRoom) pass(e room.Event) {
	if e.Action == room.Add {
		if m, known := h.state.Member(e.Target); known && m.Position <= h.loaded {
			set(&h.returned, e.Target, struct{}{})
			delete(h.stays, e.Target)
		}
		if ref, ok := h.engine.registry.Acquire(e.Target); ok {
			h.subscribe(ref.Stream(), e.Seq-1, forever)
			ref.Release()
		}
	}
	entry, err := encode(&e, time.Now(), h.engine.cfg.Box)
	if err != nil {
		// A store refuses what cannot be encoded. Should one have it all the
		// same, the room stops here rather than show a log with a hole.
		h.engine.log.Error("event cannot be encoded", "room", h.id, "seq", e.Seq, "error", err)
		return
	}
	h.tail.append(entry)
	h.state = room.Fold(h.state, e)
	h.forget(e)
	if e.Action == room.Remove {
		if sub := h.byAccount[e.Target]; sub != nil {
			h.end(sub, e.Seq)
		}
	}
	// What is not published yet is spared, however much other rooms hold: every
	// member is about to read it.
	h.tail.trim(entry.at.Add(-h.engine.cfg.TailAge), h.engine.cfg.TailBytes, h.head.Load())
	h.engine.counters.sequenced.Add(1)
}

// end makes seq the last event that sub is to see. Called before the head that
// publishes seq is stored.
func (h *hostedRoom) end(sub *subscription, seq uint64) {
	sub.until.Store(seq)
	delete(h.byAccount, sub.stream.account)
	h.removed = append(h.removed, sub)
}

// subscribe makes s see what comes after seq, up to until, and returns its
// subscription: the one it has if it has one, nil if a newer stream of the
// account is here, or s is ending. It holds a reference to s while it does so:
// the stream's end waits for that, and then finds the subscription in its inbox.
func (h *hostedRoom) subscribe(s *Stream, seq, until uint64) *subscription {
	if !s.acquire() {
		return nil
	}
	defer s.release()
	if old := h.byAccount[s.account]; old != nil {
		switch {
		case old.stream == s:
			return old
		case old.stream.generation > s.generation:
			return nil
		}
		// An older stream's: it is about to end, and takes only its own away.
		// Nobody would tell it of a removal any more.
		h.remember(old)
		h.end(old, h.state.Seq)
	}
	sub := newSubscription(s, h, seq)
	sub.until.Store(until) // before the stream can see it
	sub.dirty.Store(true)
	sub.index = len(h.subs)
	h.subs = append(h.subs, sub)
	h.byAccount[s.account] = sub
	if until != forever {
		h.end(sub, until)
	}
	s.push(&sub.Link)
	return sub
}

// load reads the room's state, on a worker.
func (h *hostedRoom) load() {
	n := &loadedNote{}
	n.Init(n)
	read := func(ctx context.Context) (err error) {
		n.state, err = h.engine.store.State(ctx, h.id)
		return err
	}
	done := func(err error) {
		n.err = err
		h.engine.rooms.tell(h, &n.Link)
	}
	if err := h.engine.job(read, done); err != nil {
		done(err)
	}
}

// healAfter reads what is missing from the store, if it is still missing after
// a while: usually it is only late.
func (h *hostedRoom) healAfter(patience time.Duration) {
	if h.healing || h.reads > 0 {
		return
	}
	h.healing = true
	time.AfterFunc(patience, func() {
		n := &healNote{}
		n.Init(n)
		h.engine.rooms.tell(h, &n.Link)
	})
}

// heal reads the events after the last that passed, on a worker.
func (h *hostedRoom) heal() {
	h.reads++
	after := h.state.Seq
	n := &healedNote{}
	n.Init(n)
	read := func(ctx context.Context) (err error) {
		n.events, err = h.engine.store.Events(ctx, h.id, after, store.Page{Events: pageEvents, Bytes: pageBytes})
		return err
	}
	done := func(err error) {
		n.err = err
		h.engine.rooms.tell(h, &n.Link)
	}
	if err := h.engine.job(read, done); err != nil {
		done(err)
	}
}
