package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
)

// discardConn takes everything and keeps nothing.
type discardConn struct {
	sent  int
	bytes int64
}

func (c *discardConn) Bind(func()) {}

func (c *discardConn) Credit() bool { return true }

func (c *discardConn) Send(r *Response) error {
	c.sent += len(r.Elements)
	c.bytes += int64(r.Size)
	return nil
}

func (c *discardConn) Sent() int64   { return c.bytes }
func (c *discardConn) Passed() int64 { return c.bytes }

// bench is an engine whose pool gives no turns: the benchmark gives them.
func bench(tb testing.TB) *Engine {
	tb.Helper()
	p, err := pool.New(pool.Config{Runners: 1, Workers: 1})
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.Close(context.Background()); err != nil {
		tb.Fatal(err)
	}
	e := &Engine{cfg: Config{TailAge: time.Hour}.withDefaults(), log: slog.New(slog.DiscardHandler), pool: p, registry: newRegistry()}
	e.rooms = newRooms(e)
	return e
}

// members is a room with n subscriptions, each of a stream of its own.
func members(e *Engine, n int) (*hostedRoom, []*Stream) {
	h := newHostedRoom(e, roomA)
	h.ready = true
	streams := make([]*Stream, n)
	for i := range streams {
		s := newStream(e, Request{Account: account(i), Conn: &discardConn{}})
		s.turn.live = true
		streams[i] = s
		h.subscribe(s, 0, forever)
		s.Turn()
	}
	return h, streams
}

func textEvent(seq uint64, who int, text string) room.Event {
	return room.Event{
		Draft: room.Draft{UUID: uuidOf(int(seq)), Kind: room.KindText, Sender: account(who), Body: textBody(text)},
		Room:  roomA, Seq: seq, Time: int64(seq),
	}
}

// up has the room publish and tell what has passed.
func up(h *hostedRoom) {
	h.publish()
	for !h.tell() {
	}
}

// An event is encoded once for all members, in both forms.
func BenchmarkEncode(b *testing.B) {
	e := textEvent(1, 0, "a message of an ordinary length, as people write them")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(&e, now, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	for _, n := range []int{1, maxElements} {
		b.Run(fmt.Sprint("elements=", n), func(b *testing.B) {
			e := textEvent(1, 0, "a message of an ordinary length, as people write them")
			entry, err := encode(&e, time.Now(), nil)
			if err != nil {
				b.Fatal(err)
			}
			var out builder
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					if !out.takes(fieldNewMessages, len(entry.shown.Bytes)) {
						b.Fatal("does not fit")
					}
					out.add(fieldNewMessages, entry.shown)
				}
				out.response()
				out.reset()
			}
		})
	}
}

// One turn of a stream that has n events waiting.
func BenchmarkTurn(b *testing.B) {
	for _, n := range []int{1, maxElements} {
		b.Run(fmt.Sprint("waiting=", n), func(b *testing.B) {
			e := bench(b)
			h, streams := members(e, 1)
			s := streams[0]
			sub := s.turn.rooms.in(roomA)
			for seq := range uint64(n) {
				h.offer(textEvent(seq+1, 1, "a message of an ordinary length, as people write them"))
			}
			h.publish()
			b.ReportAllocs()
			for b.Loop() {
				sub.cursor, sub.told = 0, 0
				h.telling = 0
				h.tell()
				s.Turn()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
			if sent := s.conn.(*discardConn).sent; sent != n*b.N {
				b.Errorf("%d elements were sent in %d turns", sent, b.N)
			}
		})
	}
}

// benchCreate and benchJoin are how an account comes to be in a room.
func benchCreate(who int) room.Command {
	return room.Create{Name: "n", Password: "p", Creator: account(who), CreatorName: "ada", CapUUID: nextUUID(), JoinUUID: nextUUID()}
}

func benchJoin(who int) room.Command {
	return room.Join{UUID: nextUUID(), Account: account(who), Name: "n", Password: "p"}
}

// What must not grow with members or with messages: fan-out allocates nothing, and
// a stream's turn only the head of its response.
func TestFanOutAllocatesNothing(t *testing.T) {
	e := bench(t)
	h, streams := members(e, 1000)
	round := func() {
		h.state.Seq++
		up(h)
		for _, s := range streams {
			s.adopt()
			for l := s.turn.ready.PopFront(); l != nil; l = s.turn.ready.PopFront() {
				l.Owner().(*subscription).dirty.Store(false)
			}
		}
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for 1000 members", n)
	}
}

func TestTurnAllocatesOnlyTheHeadOfItsResponse(t *testing.T) {
	e := bench(t)
	h, streams := members(e, 1)
	s := streams[0]
	sub := s.turn.rooms.in(roomA)
	for seq := range uint64(maxElements) {
		h.offer(textEvent(seq+1, 1, "hello"))
	}
	h.publish()
	round := func() {
		sub.cursor, sub.told = 0, 0
		h.telling = 0
		h.tell()
		s.Turn()
	}
	if n := testing.AllocsPerRun(100, round); n > 1 {
		t.Errorf("%v allocations for a turn of %d events", n, maxElements)
	}
}
