package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
)

// A room's turn is its sequencer: events come to it from Watch, from whoever has
// found the store to be ahead, and from reads of what is missing, together with its
// state, in whatever order. Each passes once and in its order, and each member's
// stream sees its stays and nothing else.

// sequencerRun is one room whose turns are given by the test, and the log that its
// events are from.
type sequencerRun struct {
	t       testing.TB
	choices []byte
	h       *hostedRoom
	log     []room.Event
	states  []room.State // after so many events
	streams []*Stream    // by account

	watched int  // how many events Watch has shown
	skipped bool // Watch has lost its place, and left some out
}

const sequencerAccounts = 3

// choose takes a decision from the input; the first one when that is used up.
func (r *sequencerRun) choose(n int) int {
	if len(r.choices) == 0 {
		return 0
	}
	c := r.choices[0]
	r.choices = r.choices[1:]
	return int(c) % n
}

// write makes the log.
func (r *sequencerRun) write() {
	r.states = []room.State{{}}
	r.do(room.Create{Creator: account(0), CreatorName: "0", CapUUID: uuidOf(0), JoinUUID: uuidOf(1)})
	for range r.choose(24) {
		who, uuid := account(r.choose(sequencerAccounts)), uuidOf(len(r.log))
		switch r.choose(5) {
		case 0:
			r.do(room.Leave{UUID: uuid, Account: who})
		case 1:
			r.do(room.Expel{UUID: uuid, Caller: r.states[len(r.states)-1].Admin, Target: who})
		case 2:
			r.do(room.Post{UUID: uuid, Sender: who, Kind: room.KindText, Body: textBody("x")})
		default:
			r.do(room.Join{UUID: uuid, Account: who, Name: "n"})
		}
	}
}

func (r *sequencerRun) do(c room.Command) {
	state := r.states[len(r.states)-1]
	drafts, err := room.Decide(state, c)
	if err != nil {
		return // against the rules, and so not in the log
	}
	for _, d := range drafts {
		e := room.Event{Draft: d, Room: roomA, Seq: state.Seq + 1, Time: state.Time + 1}
		state = room.Fold(state, e)
		r.log, r.states = append(r.log, e), append(r.states, state)
	}
}

// aheadNote brings events as a subscribeNote does.
type aheadNote struct {
	atomics.Link[note]
	events []room.Event
}

func (n *aheadNote) apply(h *hostedRoom) {
	if !h.ready {
		h.waiting = append(h.waiting, n)
		return
	}
	for _, e := range n.events {
		h.offer(e)
	}
}

func (n *aheadNote) failed(error) {}

// bring tells the room something, and lets it have its turn now and then.
func (r *sequencerRun) bring() {
	switch r.choose(8) {
	case 0:
		r.load()
	case 1:
		n := &aheadNote{events: r.run(r.choose(len(r.log) + 1))}
		n.Init(n)
		r.h.inbox.Push(&n.Link)
	case 2:
		r.heal(r.choose(len(r.log) + 1))
	case 3: // Watch has lost its place: what it left out is read
		if left := len(r.log) - r.watched; left > 0 {
			r.watched += r.choose(left)
		}
		r.skipped = true
		n := &healNote{force: true}
		n.Init(n)
		r.h.inbox.Push(&n.Link)
	case 4:
		r.turn()
	default:
		r.watch()
	}
}

// run is some events of the log, from that place on.
func (r *sequencerRun) run(from int) []room.Event {
	return slices.Clone(r.log[from:min(len(r.log), from+r.choose(6))])
}

// load brings the room's state, once.
func (r *sequencerRun) load() {
	if r.states == nil {
		return
	}
	n := &loadedNote{state: r.states[r.choose(len(r.states))]}
	n.Init(n)
	r.h.inbox.Push(&n.Link)
	r.states = nil
}

// heal brings what a read of missing events has found. Only a room that has been
// loaded reads.
func (r *sequencerRun) heal(after int) {
	if r.turns(); !r.h.ready {
		return
	}
	r.h.reads++
	n := &healedNote{events: r.run(after)}
	n.Init(n)
	r.h.inbox.Push(&n.Link)
}

// watch shows the next few events, or the last ones again.
func (r *sequencerRun) watch() {
	events := r.run(r.watched)
	r.watched += len(events)
	if len(events) > 0 {
		n := &eventsNote{events: events}
		n.Init(n)
		r.h.inbox.Push(&n.Link)
	}
}

// turn gives the room its turn, and checks what it has published.
func (r *sequencerRun) turn() {
	r.h.Turn()
	if r.h.ready && r.h.head.Load() != r.h.state.Seq {
		r.t.Fatalf("head is %d, the state that of %d", r.h.head.Load(), r.h.state.Seq)
	}
}

// turns gives the room as many as it asks for.
func (r *sequencerRun) turns() {
	for r.turn(); !r.h.inbox.Empty() || !r.h.pending.Empty() || r.h.telling < len(r.h.subs); {
		r.turn()
	}
}

// finish brings all that is still to come.
func (r *sequencerRun) finish(states []room.State) {
	r.load()
	for r.watched < len(r.log) {
		r.choices = append(r.choices[:0], 5)
		r.watch()
	}
	r.turns()
	if end := uint64(len(r.log)); !r.skipped && r.h.state.Seq != end {
		r.t.Fatalf("Watch has shown everything, and %d of %d have passed", r.h.state.Seq, end)
	}
	r.h.reads++
	n := &healedNote{events: r.log[r.h.state.Seq:]}
	n.Init(n)
	r.h.inbox.Push(&n.Link)
	r.turns()
	r.check(states)
}

func (r *sequencerRun) check(states []room.State) {
	h, end := r.h, uint64(len(r.log))
	if h.state.Header != states[end].Header || h.head.Load() != end {
		r.t.Fatalf("the room is %+v, head %d; want %+v", h.state.Header, h.head.Load(), states[end].Header)
	}
	if passed := h.engine.counters.sequenced.Load(); passed != end-h.loaded {
		r.t.Fatalf("%d events have passed after %d of %d", passed, h.loaded, end)
	}
	for seq := h.loaded + 1; seq <= end; seq++ {
		if e := h.tail.get(seq); e == nil || e.time != r.log[seq-1].Time {
			r.t.Fatalf("event %d is not in the tail", seq)
		}
	}
	if len(h.parked) > 0 || h.telling < len(h.subs) {
		r.t.Fatalf("%d events are still parked, %d of %d told", len(h.parked), h.telling, len(h.subs))
	}
	for who, s := range r.streams {
		r.checkStream(account(who), s)
	}
}

// stay is a member's time in the room: from its join to its removal, both of which
// it sees.
type stay struct{ join, removal uint64 }

// checkStream checks that what the stream was subscribed to are stays of its
// account, in their order, from their beginning on and to their end; and, if Watch has shown
// everything, that none is missing but for a reason.
func (r *sequencerRun) checkStream(who string, s *Stream) {
	var stays, subscribed []stay
	for _, e := range r.log {
		switch {
		case e.Target == who && e.Action == room.Add:
			stays = append(stays, stay{e.Seq, forever})
		case e.Target == who && e.Action == room.Remove:
			stays[len(stays)-1].removal = e.Seq
		}
	}
	for l := s.inbox.Take(); l != nil; {
		rest := l.TakeNext()
		sub := l.Owner().(*subscription)
		subscribed = append(subscribed, stay{sub.start + 1, sub.until.Load()})
		l = rest
	}
	for i, got := range subscribed {
		if !slices.Contains(stays, got) || i > 0 && got.join < subscribed[i-1].removal {
			r.t.Fatalf("%s is subscribed to %v, was here %v", who, subscribed, stays)
		}
	}
	for i, s := range stays {
		if !r.skipped && !slices.Contains(subscribed, s) && !(s.join <= r.h.loaded && r.rejoined(stays[i+1:], subscribed)) {
			r.t.Fatalf("%s is subscribed to %v, was here %v", who, subscribed, stays)
		}
	}
}

// rejoined: a later stay had begun before Watch showed the join of an earlier one,
// which was part of the room's state from the first. What comes later has been
// sent by then, and order comes first: the account was given what it had missed by
// the answer to its second join.
func (r *sequencerRun) rejoined(later, subscribed []stay) bool {
	return slices.ContainsFunc(later, func(s stay) bool { return s.join > r.h.loaded && slices.Contains(subscribed, s) })
}

func FuzzSequencerPassesEachEventOnceInOrder(f *testing.F) {
	// Turns are the test's, and the store does not answer: what it would say comes
	// from the input.
	p, err := pool.New(pool.Config{Runners: 1, Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	if err := p.Close(context.Background()); err != nil {
		f.Fatal(err)
	}
	cfg := Config{Logger: slog.New(slog.DiscardHandler)}.withDefaults()
	// What this has found: a stay that was sent after the next one; one from a first
	// join to a second removal, with what lay between.
	f.Add([]byte("A122010090200000000000009021200001010072C\"790a"))
	f.Add([]byte("B00020202000200121200000000000010020072CA7100"))
	for i := range 40 { // more than a few, since they are what is run without fuzzing
		seed := []byte(fmt.Sprintf("%c%c", 20+i, i))
		for n := range 120 {
			seed = append(seed, byte((n*n*(2*i+1)+n*7+i*31)>>2))
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		e := &Engine{cfg: cfg, log: cfg.Logger, store: newMemLog(), pool: p, registry: newRegistry()}
		e.rooms = newRooms(e)
		r := &sequencerRun{t: t, choices: choices, h: newHostedRoom(e, roomA)}
		e.rooms.hosted.Store(roomA, r.h)
		r.h.healing = true // no wait begins, and the room does not leave
		for who := range sequencerAccounts {
			s := newStream(e, Request{Account: account(who), Conn: newFakeConn()})
			e.registry.Replace(s, e.registry.generations.Next)
			r.streams = append(r.streams, s)
		}
		r.write()
		states := r.states
		for len(r.choices) > 0 {
			r.bring()
		}
		r.finish(states)
	})
}
