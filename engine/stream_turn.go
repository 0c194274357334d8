package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// turnResponses bounds a turn: after as many responses the stream goes to the
// back of the run queue, so that no stream keeps others from their turn.
const turnResponses = 4

// Turn writes what is waiting, as far as there is credit. It is the only place
// where a stream writes, and pool.Slot lets only one run at a time.
func (s *Stream) Turn() {
	if !s.acquire() {
		return
	}
	defer s.release()
	for range turnResponses {
		s.adopt()
		if s.ending.Load() != nil || !s.hasWork() {
			return
		}
		// Asking for credit before anything is composed makes Send certain:
		// nobody but this turn uses credit up.
		if !s.conn.Credit() {
			s.stalledSince.CompareAndSwap(0, s.engine.elapsed())
			return
		}
		s.stalledSince.Store(0)
		if !s.write() {
			return
		}
	}
	if s.hasWork() || !s.inbox.Empty() {
		s.slot.Schedule()
	}
}

// write composes one response and sends it, if there was anything to say.
func (s *Stream) write() bool {
	out := &s.turn.out
	defer out.reset()
	if s.compose(out); out.empty() {
		return true
	}
	response := out.response()
	if err := s.conn.Send(response); err != nil {
		s.End(Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON})
		return false
	}
	s.engine.counters.sent(response)
	if s.features.Bookmark && s.turn.live {
		s.silentSince.Store(s.engine.elapsed())
	}
	if len(out.from) > 0 {
		sent, passed := s.conn.Sent(), s.conn.Passed()
		for _, sub := range out.from {
			sub.sent(sub.cursor, sent, passed)
		}
	}
	if out.after != nil {
		out.after()
	}
	return true
}

// compose lets producers fill out, until it is full or they have no more.
func (s *Stream) compose(out *builder) {
	for {
		from := s.next()
		if from == nil {
			return
		}
		l := from.PopFront()
		switch l.Owner().fill(s, out) {
		case front:
			from.PushFront(l)
			return
		case back:
			from.PushBack(l)
			return
		case done:
		}
	}
}

// next is the list to serve.
func (s *Stream) next() *atomics.List[producer] {
	t := &s.turn
	switch {
	case !t.live:
		if !t.initial.Empty() {
			return &t.initial
		}
	case s.replyReady():
		return &t.replies
	case !t.ready.Empty():
		return &t.ready
	}
	return nil
}

func (s *Stream) hasWork() bool { return s.next() != nil }

// adopt sorts what has come in. The turn is the inbox's only consumer.
func (s *Stream) adopt() {
	t := &s.turn
	for l := s.inbox.Take(); l != nil; {
		rest := l.TakeNext()
		switch p := l.Owner().(type) {
		case *subscription:
			if s.adoptSubscription(p) {
				t.ready.PushBack(l)
			}
		case *reply:
			t.replies.PushBack(l)
		case *bookmark:
			t.ready.PushBack(l)
		case *goAway:
			t.ready.PushFront(l)
		case *confirmation:
			s.confirmed(p)
		default:
			t.initial.PushBack(l)
		}
		l = rest
	}
}

// adoptSubscription takes note of sub and reports whether it is to be served
// now. A later stay in a room waits until the earlier one has been written to
// its end: it was made dirty after it, so it comes here after it.
//
// The room may come to tell a subscription of its last event after that has been
// written: it is not taken up again.
func (s *Stream) adoptSubscription(sub *subscription) bool {
	if sub.served { // nearly always: it spares the map, and what that would have to fetch from memory
		return true
	}
	if sub.finished {
		return false
	}
	for held := s.turn.rooms.in(sub.room.id); held != nil; held = held.next {
		if held == sub {
			return held == s.turn.rooms.in(sub.room.id)
		}
		if held.next == nil {
			held.next = sub
			return false
		}
	}
	s.turn.rooms.put(sub)
	sub.served = true
	sub.skipTo(s.turn.over[sub.room.id])
	return true
}

// maxOver bounds turnState.over.
const maxOver = 64

// finishSubscription forgets sub, which has been written to its end, and goes
// on with the next stay in that room, if there is one.
func (s *Stream) finishSubscription(sub *subscription) {
	t := &s.turn
	if t.rooms.in(sub.room.id) != sub {
		return
	}
	sub.finished, sub.served = true, false
	if sub.noted {
		t.skipped = slices.DeleteFunc(t.skipped, func(s *subscription) bool { return s == sub })
	}
	if sub.page != nil {
		sub.page = nil
		s.pageDone()
	}
	if t.over == nil {
		t.over = make(map[string]uint64)
	}
	if len(t.over) == maxOver {
		for id := range t.over {
			delete(t.over, id) // any: it costs a duplicate at worst
			break
		}
	}
	t.over[sub.room.id] = sub.cursor
	next := sub.next
	if sub.next = nil; next == nil {
		t.rooms.remove(sub.room.id)
		return
	}
	t.rooms.put(next)
	next.served = true
	next.skipTo(sub.cursor)
	t.ready.PushBack(&next.Link) // it is dirty since it came
}

// fetch has a page of events read for sub, which stays dirty meanwhile, so that
// nobody else queues it. One page at a time; more subscriptions wait for it.
func (s *Stream) fetch(sub *subscription) outcome {
	t := &s.turn
	if t.fetching != nil {
		t.toFetch.PushBack(&sub.Link)
		return done
	}
	t.fetching = sub
	after, end := sub.cursor, sub.end()
	var page []*entry
	read := func(ctx context.Context) (err error) {
		page, err = s.read(ctx, sub.room.id, after, end)
		return err
	}
	err := s.engine.job(read, func(err error) { s.fetched(sub, page, err) })
	if errors.Is(err, pool.ErrBusy) {
		t.fetching = nil
		time.AfterFunc(busyRetry, func() { s.push(&sub.Link) })
	}
	return done
}

// busyRetry is how long a stream waits before it asks again for a worker when
// too many jobs wait.
const busyRetry = 20 * time.Millisecond

// read returns a page of the events after `after` up to end, encoded. On a
// worker.
func (s *Stream) read(ctx context.Context, id string, after, end uint64) ([]*entry, error) {
	events, err := s.engine.store.Events(ctx, id, after, store.Page{Events: pageEvents, Bytes: pageBytes})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	page := make([]*entry, 0, len(events))
	for i := range events {
		if events[i].Seq > end {
			break
		}
		e, err := encode(&events[i], now, s.engine.cfg.Box)
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	if len(page) == 0 || page[0].seq != after+1 {
		return nil, errGap
	}
	return page, nil
}

// fetched hands the page over to the turn. On a worker.
func (s *Stream) fetched(sub *subscription, page []*entry, err error) {
	if !s.acquire() {
		return
	}
	defer s.release()
	if err != nil {
		s.engine.log.Error("cannot read a room's events for a stream", "room", sub.room.id, "after", sub.cursor, "error", err)
		s.End(failed(chatpb.ReturnStatus_DATABASE_DOWN))
		return
	}
	sub.page = page // handed over by the inbox
	s.push(&sub.Link)
}

// pageDone is called when the page that was read has been used up.
func (s *Stream) pageDone() {
	t := &s.turn
	t.fetching = nil
	if l := t.toFetch.PopFront(); l != nil {
		t.ready.PushFront(l)
	}
}

// Bounds of a page read from the store.
const (
	pageEvents = 256
	pageBytes  = 128 << 10
)
