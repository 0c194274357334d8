package engine

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// What a stream says beyond the inherited protocol, to clients that ask for it,
// and what it takes from them.

// Features are what a client understands beyond the inherited protocol.
type Features struct {
	// Bookmark: the client wants to be told how far it has come while there is
	// nothing else to say.
	Bookmark bool
	// GoAway: the client wants to be told that its stream is about to end.
	GoAway bool
}

// bookmark tells an idle client how far it has come.
type bookmark struct{ atomics.Link[producer] }

func (b *bookmark) fill(s *Stream, out *builder) outcome {
	t := &s.turn
	if !out.empty() || !t.ready.Empty() || t.fetching != nil {
		return done // not idle any more
	}
	m := &chatstreampb.Bookmark{}
	for _, sub := range t.skipped {
		sub.noted = false
		if sub.cursor == sub.told {
			continue
		}
		m.Positions = append(m.Positions, &chatstreampb.Position{
			ChatRoomId: sub.room.id, Seq: sub.cursor, TimestampStored: sub.passed,
		})
		sub.told = sub.cursor
		out.comes(sub)
	}
	clear(t.skipped)
	t.skipped = t.skipped[:0]
	s.say(out, &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_Bookmark{Bookmark: m}})
	return done
}

// passedOver notes that sub has come further than its client was told. Called by
// the turn.
func (s *Stream) passedOver(sub *subscription) {
	if t := &s.turn; s.features.Bookmark && !sub.noted {
		sub.noted = true
		t.skipped = append(t.skipped, sub)
	}
}

// bookmarkWhenIdle queues a bookmark if the stream has said nothing for a while.
// The sweeper calls it, often.
func (s *Stream) bookmarkWhenIdle() {
	since, now := s.silentSince.Load(), s.engine.elapsed()
	if since == 0 || now-since < int64(jittered(s.engine.cfg.BookmarkEvery, since)) || s.stalledSince.Load() != 0 || !s.acquire() {
		return
	}
	defer s.release()
	if s.silentSince.CompareAndSwap(since, now) {
		b := &bookmark{}
		b.Init(b)
		s.push(&b.Link)
	}
}

// jittered is within a quarter of d: what many streams do regularly they are not
// to do at the same moment. since, in nanoseconds, is as good as chance.
func jittered(d time.Duration, since int64) time.Duration {
	return d*3/4 + time.Duration(since)%max(d/2, 1)
}

// goAway tells a client that its stream is about to end.
type goAway struct {
	atomics.Link[producer]
	why   chatstreampb.GoAway_Reason
	retry time.Duration
}

func (g *goAway) fill(s *Stream, out *builder) outcome {
	if !out.empty() {
		return front
	}
	m := &chatstreampb.GoAway{Reason: g.why, RetryAfterMillis: g.retry.Milliseconds()}
	if others := s.engine.cfg.Others; others != nil {
		m.Servers = others()
	}
	s.say(out, &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_GoAway{GoAway: m}})
	return done
}

// warn queues a go-away, if the client understands it.
func (s *Stream) warn(why chatstreampb.GoAway_Reason, retry time.Duration) {
	if s.features.GoAway && s.acquire() {
		defer s.release()
		g := &goAway{why: why, retry: retry}
		g.Init(g)
		s.push(&g.Link)
	}
}

// confirmation is what a client says that it has. It is not written; it comes
// through the inbox because the turn owns the subscriptions.
type confirmation struct {
	atomics.Link[producer]
	positions []*chatstreampb.Position
}

func (c *confirmation) fill(*Stream, *builder) outcome { return done }

// confirmed takes up what a client says that it has: no more than it was sent.
// Called by the turn.
func (s *Stream) confirmed(c *confirmation) {
	for _, p := range c.positions {
		if sub := s.turn.rooms.in(p.GetChatRoomId()); sub != nil && p.GetSeq() <= sub.cursor {
			sub.confirm(p.GetSeq())
		}
	}
	s.replySlots <- struct{}{}
}

// say makes m the response.
func (s *Stream) say(out *builder, m *streampb.ChatToClientResponse) {
	raw, err := proto.Marshal(m)
	if err != nil { // the names of other servers: nobody's messages
		raw, _ = proto.Marshal(&streampb.ChatToClientResponse{})
	}
	out.set(raw, nil)
}
