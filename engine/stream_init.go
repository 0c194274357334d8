package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// KnownRoom is what a client says about a room that it has.
type KnownRoom struct {
	Room string
	// Updated is the time of the last message it was given, -1 for none;
	// Viewed is up to when the user has looked at the room, -1 for never.
	Updated, Viewed int64
	// Exclude are uuids of messages that the client has and does not want
	// again.
	Exclude []string
	// Exact: the client has the room's log up to the event numbered Seq, whose
	// time is Updated, and gets exactly what follows.
	Exact bool
	Seq   uint64
}

// whole is one marshalled response of a stream's initialization.
type whole struct {
	atomics.Link[producer]
	raw []byte
	// filled, if not nil, is called when the response is about to be handed to
	// the transport, sent when it has been.
	filled, sent func()
}

func (w *whole) fill(_ *Stream, out *builder) outcome {
	if !out.empty() {
		return front
	}
	if w.filled != nil {
		w.filled()
	}
	out.set(w.raw, w.sent)
	return done
}

// part is one response of a stream's initialization. Its messages are for no other
// stream, so they are encoded one behind another: one buffer for the transport
// where shared ones would be a buffer for each message.
type part struct {
	atomics.Link[producer]
	messages *Element
	count    int
	filled   func()
}

func (p *part) fill(_ *Stream, out *builder) outcome {
	if !out.empty() {
		return front
	}
	out.list(fieldInitialMessages, p.messages, p.count)
	p.filled()
	return done
}

// initialize tells the client what it does not know: primer, rooms it lacks,
// rooms it is no longer in, what happened in the others, complete. It runs in
// the handler's goroutine, which may wait; the turn writes what it makes. What
// happens meanwhile in rooms that are subscribed already waits in the stream's
// queue.
func (s *Stream) initialize(ctx context.Context, known []KnownRoom) error {
	in := &initialization{s: s, ctx: ctx, window: make(chan struct{}, 2)}
	life := s.engine.cfg.StreamLifetime
	if err := in.whole(&streampb.ChatToClientResponse{
		ServerResponse: &streampb.ChatToClientResponse_InitialConnectionPrimerResponse{
			InitialConnectionPrimerResponse: &streampb.InitialConnectionPrimerResponse{
				TimeUntilChatStreamExpiresInMillis: life.Milliseconds(),
			},
		},
	}, nil, nil); err != nil {
		return err
	}
	if err := in.rooms(known); err != nil {
		return err
	}
	s.startTimer(life)
	return in.whole(&streampb.ChatToClientResponse{
		ServerResponse: &streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse{
			InitialConnectionMessagesCompleteResponse: &streampb.InitialConnectionMessagesCompleteResponse{},
		},
	}, in.goLive, s.live)
}

// goLive makes the stream serve its rooms. Called by the turn, which owns the
// subscriptions, with the end of the initialization in hand.
func (in *initialization) goLive() {
	for _, b := range in.begun {
		// An earlier stay, which was shown late, has been told with the history.
		if head := in.s.turn.rooms.in(b.sub.room.id); head != nil {
			head.skipTo(b.sub.start)
		}
		if b.exact > 0 {
			b.sub.confirm(b.exact)
			b.sub.skipTo(b.exact)
		}
		if b.told < b.sub.start {
			b.sub.told = b.told
		}
	}
	in.s.turn.live = true
}

// begun is what the initialization has told of a room in which sub goes on.
type begun struct {
	sub *subscription
	// told is the place up to which the client has been told, exact the one that
	// it has by its own account, 0 for none.
	told, exact uint64
}

// live is called when the end of the initialization has been handed to the
// transport, and with it everything before the subscriptions' cursors.
func (s *Stream) live() {
	sent, passed := s.conn.Sent(), s.conn.Passed()
	for _, sub := range s.turn.rooms {
		sub.sent(sub.cursor, sent, passed)
	}
	for range cap(s.replySlots) {
		s.replySlots <- struct{}{} // never blocks: nobody has had one
	}
}

// initialization is the state of one run of initialize.
type initialization struct {
	s   *Stream
	ctx context.Context
	// window bounds the responses that wait to be written.
	window chan struct{}

	// messages is the part that is being put together, with count messages.
	messages []byte
	count    int

	begun []begun

	// viewed has of each room that the store was asked of up to when the account
	// had viewed it, 0 for never: before what the client said was raised.
	viewed map[string]int64
}

func (in *initialization) rooms(known []KnownRoom) error {
	account := in.s.account
	known = slices.DeleteFunc(slices.Clone(known), func(k KnownRoom) bool { return !room.ValidID(k.Room) })
	slices.SortStableFunc(known, func(a, b KnownRoom) int { return cmp.Compare(a.Room, b.Room) })
	known = slices.CompactFunc(known, func(a, b KnownRoom) bool { return a.Room == b.Room }) // the first entry wins

	var joined []string
	now := time.Now().UnixMilli()
	err := in.store(func(ctx context.Context) (err error) {
		if joined, err = in.s.engine.store.RoomsOf(ctx, account); err != nil {
			return err
		}
		var both []string
		for _, k := range known {
			if _, in := slices.BinarySearch(joined, k.Room); in {
				both = append(both, k.Room)
			}
		}
		if err := in.askViewed(ctx, both); err != nil {
			return err
		}
		news := make(map[string]int64)
		for _, k := range known {
			if was, asked := in.viewed[k.Room]; asked && min(k.Viewed, now) > was {
				news[k.Room] = min(k.Viewed, now)
			}
		}
		if len(news) == 0 {
			return nil
		}
		return in.s.engine.store.RaiseViewed(ctx, account, news)
	})
	if err != nil {
		return err
	}
	// What RoomsOf said is only a hint of which rooms to ask: each room answers
	// in its own order of events, and that answer decides.
	var updates []*subscribed
	var gone []string
	for _, id := range joined {
		if _, listed := slices.BinarySearchFunc(known, id, byRoom); listed {
			continue
		}
		sub, err := in.subscribe(id, true)
		if err != nil {
			return err
		}
		if sub.member {
			if err := in.unknownRoom(sub, false); err != nil {
				return err
			}
		}
	}
	for i := range known {
		_, hint := slices.BinarySearch(joined, known[i].Room)
		sub, err := in.subscribe(known[i].Room, hint)
		if err != nil {
			return err
		}
		if !sub.member {
			gone = append(gone, known[i].Room)
			continue
		}
		sub.known = &known[i]
		follows, err := in.follows(sub)
		switch {
		case err != nil:
			return err
		case follows:
			updates = append(updates, sub)
			continue
		}
		if err := in.unknownRoom(sub, true); err != nil {
			return err
		}
	}
	for _, id := range gone {
		if err := in.message(leftRoom(id, account)); err != nil {
			return err
		}
	}
	for _, sub := range updates {
		if err := in.missed(sub); err != nil {
			return err
		}
	}
	return in.flush()
}

// askViewed asks the store, at once, up to when the account has viewed each room.
// It is for jobs.
func (in *initialization) askViewed(ctx context.Context, rooms []string) error {
	if len(rooms) == 0 {
		return nil
	}
	seen, err := in.s.engine.store.SeenBy(ctx, in.s.account, rooms)
	if err != nil {
		return err
	}
	if in.viewed == nil {
		in.viewed = make(map[string]int64, len(rooms))
	}
	for _, id := range rooms {
		in.viewed[id] = seen[id].Viewed
	}
	return nil
}

// subscribe has the room subscribe the stream, if the account is in it. When
// the room says that it is not, against the store's hint, then either the
// account has been removed since, or the room has not been shown the join yet:
// then it is given what it lacks of what the hint rests on, and asked again. The
// store's State may lack the same: it need not know more than Watch has shown.
func (in *initialization) subscribe(id string, hint bool) (*subscribed, error) {
	sub, err := in.ask(id, nil)
	if err != nil || sub.member || !hint {
		return sub, err
	}
	var ahead []room.Event
	err = in.read(id, sub.state.Seq, forever, func(events []room.Event) error {
		if ahead = append(ahead, events...); len(ahead) > maxAhead {
			return errStore // the client comes again, when this server has been shown more
		}
		return nil
	})
	if err != nil || len(ahead) == 0 {
		return sub, err
	}
	if sub, err = in.ask(id, ahead); err == nil && sub.state.Seq < ahead[len(ahead)-1].Seq {
		return nil, errGap // it was given them, and did not take them
	}
	return sub, err
}

// maxAhead bounds what a room is told that is behind the store.
const maxAhead = 16 * pageEvents

// ask asks the room to subscribe the stream, behind the events ahead, if any.
func (in *initialization) ask(id string, ahead []room.Event) (*subscribed, error) {
	answer := make(chan *subscribed, 1)
	n := &subscribeNote{stream: in.s, ahead: ahead, answer: answer}
	n.Init(n)
	in.s.engine.rooms.open(id, &n.Link)
	select {
	case sub := <-answer:
		if sub.err != nil {
			return nil, fmt.Errorf("subscribe to room %s: %w", id, sub.err)
		}
		return sub, nil
	case <-in.s.ended:
		return nil, errEnding
	case <-in.ctx.Done():
		return nil, in.ctx.Err()
	}
}

// follows reports whether the room's log goes on where the client says that it
// is. It does not if the client's position comes from another log. The room
// itself may be behind the client, who was told by the answer to a call or by
// another server: the store decides.
func (in *initialization) follows(sub *subscribed) (bool, error) {
	known := sub.known
	switch {
	case !known.Exact || known.Seq == 0:
		return true, nil
	case known.Seq <= sub.state.Seq && known.Updated < 0:
		return true, nil
	case known.Seq == sub.state.Seq:
		return known.Updated == sub.state.Time, nil
	}
	stored, err := in.timeOf(sub.state.ID, known.Seq)
	return stored > 0 && (known.Updated < 0 || known.Updated == stored), err
}

// timeOf returns the time of the event numbered seq, 0 if there is none.
func (in *initialization) timeOf(id string, seq uint64) (int64, error) {
	var events []room.Event
	err := in.store(func(ctx context.Context) (err error) {
		events, err = in.s.engine.store.Events(ctx, id, seq-1, store.Page{Events: 1})
		return err
	})
	switch {
	case err != nil: // events is still the job's
		return 0, err
	case len(events) == 0 || events[0].Seq != seq:
		return 0, nil
	}
	return events[0].Time, nil
}

// unknownRoom tells a client of a room that it did not list, or of which it
// knows another log (lost).
func (in *initialization) unknownRoom(sub *subscribed, lost bool) error {
	var seen map[string]store.Seen
	if err := in.store(func(ctx context.Context) (err error) {
		seen, err = in.s.engine.store.Seen(ctx, sub.state.ID)
		return err
	}); err != nil {
		return err
	}
	if err := in.message(ShowRoom(sub.state, in.s.account, seen, lost)); err != nil {
		return err
	}
	for m := range sub.state.Members() {
		if m.Account == in.s.account {
			continue
		}
		if err := in.message(ShowMember(sub.state, in.s.account, m, seen)); err != nil {
			return err
		}
	}
	if _, err := in.history(sub, 0, formUnknown, nil); err != nil {
		return err
	}
	in.begun = append(in.begun, begun{sub: sub.sub, told: sub.from})
	return in.message(ShowRoomEnd(sub.state.ID, in.s.account, sub.from))
}

// missed sends what happened in a room since the client was told last.
func (in *initialization) missed(sub *subscribed) error {
	id, known := sub.state.ID, sub.known
	after := known.Seq
	if _, asked := in.viewed[id]; !asked { // RoomsOf did not have it yet
		if err := in.store(func(ctx context.Context) error { return in.askViewed(ctx, []string{id}) }); err != nil {
			return err
		}
	}
	if !known.Exact {
		// A time in the future means the room's last event: it needs no clock.
		if err := in.store(func(ctx context.Context) (err error) {
			after, err = in.s.engine.store.SeqAt(ctx, id, known.Updated)
			return err
		}); err != nil {
			return err
		}
	}
	if viewed := in.viewed[id]; viewed > max(known.Viewed, 0) {
		if err := in.message(observedTime(id, in.s.account, viewed)); err != nil {
			return err
		}
	}
	exclude := make(map[string]bool, len(known.Exclude))
	for _, uuid := range known.Exclude {
		exclude[uuid] = true
	}
	exact := known.Seq
	if !known.Exact && after > sub.from {
		// Ahead of the room, or only of the clock: then what is stored from now
		// on is before that time, too, and not known.
		stored, err := in.timeOf(id, after)
		if err != nil {
			return err
		}
		if stored == known.Updated {
			exact = after
		}
	}
	told, err := in.history(sub, after, formMissed, exclude)
	in.begun = append(in.begun, begun{sub: sub.sub, told: told, exact: exact})
	return err
}

// history sends the events after `after` up to where the subscription begins,
// and returns the number of the last one sent, or not sent because the client
// has it.
func (in *initialization) history(sub *subscribed, after uint64, form Form, exclude map[string]bool) (told uint64, err error) {
	told = after
	err = in.read(sub.state.ID, after, sub.from, func(events []room.Event) error {
		in.reserve(events)
		for i := range events {
			e := &events[i]
			if !IsFor(e, in.s.account) {
				continue
			}
			previous := told
			if told = e.Seq; exclude[e.UUID] {
				continue
			}
			m := Show(e, form)
			m.PreviousSeq = previous
			if err := in.message(m); err != nil {
				return err
			}
		}
		return nil
	})
	return told, err
}

// read gives use the events after `after` up to end, page by page; all of them if
// end is forever.
func (in *initialization) read(id string, after, end uint64, use func([]room.Event) error) error {
	for after < end {
		var events []room.Event
		if err := in.store(func(ctx context.Context) (err error) {
			events, err = in.s.engine.store.Events(ctx, id, after, store.Page{Events: pageEvents, Bytes: pageBytes})
			return err
		}); err != nil {
			return err
		}
		if len(events) == 0 && end == forever {
			return nil
		}
		if len(events) == 0 || events[0].Seq != after+1 {
			return errGap
		}
		events = events[:min(uint64(len(events)), end-after)]
		if err := use(events); err != nil {
			return err
		}
		after += uint64(len(events))
	}
	return nil
}

// partBytes bounds a part, unless one message is larger by itself. Together with
// the window and a page it bounds what a stream's initialization holds: two parts
// that wait to be written, one that is put together, and the events of a page.
const partBytes = 64 << 10

// message adds m to the part that is being put together.
func (in *initialization) message(m *chatpb.ChatMessageToClient) error {
	size := elementSize(m)
	if in.count > 0 && len(in.messages)+size > partBytes {
		if err := in.flush(); err != nil {
			return err
		}
		in.messages = make([]byte, 0, max(size, partBytes)) // where one is full, another may be
	}
	var err error
	if in.messages, err = appendElement(in.messages, m); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	in.count++
	return nil
}

// reserve makes room in the part for about what the events take, so that it does
// not grow piece by piece.
func (in *initialization) reserve(events []room.Event) {
	const besides = 200 // bytes of a message that are not its body
	size := 0
	for i := range events {
		size += len(events[i].Body) + besides
	}
	in.messages = slices.Grow(in.messages, max(0, min(size, partBytes-len(in.messages))))
}

// flush gives the part to the turn; never an empty one.
func (in *initialization) flush() error {
	if in.count == 0 {
		return nil
	}
	if err := in.enter(); err != nil {
		return err
	}
	p := &part{messages: newElement(in.messages, in.s.engine.cfg.Box), count: in.count, filled: in.leave}
	in.messages, in.count = nil, 0
	p.Init(p)
	in.s.push(&p.Link)
	return nil
}

// whole gives the turn a response of its own, behind the parts before.
func (in *initialization) whole(r *streampb.ChatToClientResponse, filled, sent func()) error {
	raw, err := proto.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if err := in.enter(); err != nil {
		return err
	}
	w := &whole{raw: raw, sent: sent, filled: func() {
		in.leave()
		if filled != nil {
			filled()
		}
	}}
	w.Init(w)
	in.s.push(&w.Link)
	return nil
}

func (in *initialization) enter() error {
	select {
	case in.window <- struct{}{}:
		return nil
	case <-in.s.ended:
		return errEnding
	case <-in.ctx.Done():
		return in.ctx.Err()
	}
}

func (in *initialization) leave() { <-in.window }

// store runs read on a worker: the workers bound how many streams read at once.
// A read that has begun when the stream ends goes on, and nobody waits for it.
// Its context is not a child of the stream's, which would keep a table of its
// children for as long as it lives.
func (in *initialization) store(read func(context.Context) error) error {
	answered := make(chan error, 1)
	if err := in.s.engine.job(func(ctx context.Context) error {
		if in.s.ending.Load() != nil || in.ctx.Err() != nil {
			return errEnding
		}
		return read(ctx)
	}, func(err error) { answered <- err }); err != nil {
		return errors.Join(errStore, err)
	}
	// A store that does not heed its context is not waited for either.
	patience := time.NewTimer(in.s.engine.cfg.StoreTimeout)
	defer patience.Stop()
	select {
	case err := <-answered:
		if err != nil {
			return errors.Join(errStore, err)
		}
		return nil
	case <-patience.C:
		return errStore
	case <-in.s.ended:
		return errEnding
	case <-in.ctx.Done():
		return in.ctx.Err()
	}
}

var errStore = errors.New("engine: the store did not answer")

func byRoom(k KnownRoom, id string) int { return cmp.Compare(k.Room, id) }
