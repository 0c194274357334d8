package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/measure"
)

// town is rooms with a few members each, whose turns and whose streams' turns the benchmark gives itself: what is measured
// is an event's whole way through the engine on one processor, from the room's offer to the transport.
type town struct {
	rooms   []*hostedRoom
	streams []*Stream
	conns   []*discardConn
	members int // of each room
	next    int
}

// newTown makes rooms, each with as many members, out of at most as many streams.
func newTown(b *testing.B, rooms, members, streams int) *town {
	b.Helper()
	e := bench(b)
	t := &town{members: members, rooms: make([]*hostedRoom, rooms)}
	for i := range min(streams, rooms*members) {
		conn := &discardConn{}
		s := newStream(e, Request{Account: account(i), Conn: conn})
		s.turn.live = true
		t.streams, t.conns = append(t.streams, s), append(t.conns, conn)
	}
	for i := range t.rooms {
		h := newHostedRoom(e, fmt.Sprint("room", i))
		h.ready = true
		for m := range members {
			h.subscribe(t.streams[(i*members+m)%len(t.streams)], 0, forever)
		}
		t.rooms[i] = h
	}
	for _, s := range t.streams {
		for !s.inbox.Empty() || s.hasWork() {
			s.Turn()
		}
	}
	return t
}

// theMessage is an event but for its room, its number and its time.
var theMessage = textEvent(0, -1, "a message of an ordinary length, as people write them")

// pass has an event pass in the next room, in no order that a cache could know of: encoded and in the tail, up to where it
// is published.
func (t *town) pass() *hostedRoom {
	t.next = (t.next + 7_368_787) % len(t.rooms) // a prime that divides none of the numbers of rooms: all have their turn
	h := t.rooms[t.next]
	e := theMessage
	e.Room, e.Seq, e.Time = h.id, h.state.Seq+1, int64(h.state.Seq+1)
	h.offer(e)
	return h
}

// deliver publishes what has passed in h, tells its members, and gives their streams their turns.
func (t *town) deliver(h *hostedRoom) {
	up(h)
	for _, sub := range h.subs {
		sub.stream.Turn()
	}
}

// delivery is how long the delivery of so many events takes, one after the other; events is the same with their passing.
func (t *town) delivery(n int) (took time.Duration) {
	for range n {
		h := t.pass()
		took += measure.Time(func() { t.deliver(h) })
	}
	return took
}

func (t *town) events(n int) time.Duration {
	return measure.Time(func() {
		for range n {
			t.deliver(t.pass())
		}
	})
}

func (t *town) delivered() (n int) {
	for _, c := range t.conns {
		n += c.sent
	}
	return n
}

func (t *town) check(b *testing.B, events int) {
	b.Helper()
	if got, want := t.delivered(), events*t.members; got != want {
		b.Errorf("%d deliveries, want %d", got, want)
	}
}

// BenchmarkDeliveryByMembers shows what a delivery costs by how many members the room has, beside a room of 10 in the same
// run: to be told, to be given a turn, to have the event put into a response. What all members share, the event's encoding,
// is not in it, see BenchmarkEncode. It is to rise only by what the caches no longer hold: from some thousand members on each
// stream, its subscription and its connection must be fetched from memory for each event, about 1 KB in all.
func BenchmarkDeliveryByMembers(b *testing.B) {
	for _, members := range []int{100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			big, small := newTown(b, 1, members, members), newTown(b, 1, 10, 10)
			deliveries := max(members, 20_000)
			b.ReportAllocs()
			var p measure.Pairs
			p.Loop(b, func() time.Duration { return big.delivery(deliveries / members) }, func() time.Duration { return small.delivery(deliveries / 10) })
			p.Report(b, deliveries, "delivery")
			big.check(b, b.N*deliveries/members)
			small.check(b, b.N*deliveries/10)
		})
	}
}

// BenchmarkDeliveryByRooms shows what an event costs by how many rooms there are, from its passing to the transport, for each
// of the four members of its room; 10 000 streams at most are in all of them. Beside it, in the same run, one room. It is to
// rise only by what the caches no longer hold, see above; here the room, its tail and its list of members come on top.
func BenchmarkDeliveryByRooms(b *testing.B) {
	const members = 4
	for _, rooms := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("rooms=", rooms), func(b *testing.B) {
			many, one := newTown(b, rooms, members, 10_000), newTown(b, 1, members, members)
			const events = 20_000
			b.ReportAllocs()
			var p measure.Pairs
			p.Loop(b, func() time.Duration { return many.events(events) }, func() time.Duration { return one.events(events) })
			p.Report(b, events*members, "delivery")
			many.check(b, b.N*events)
			one.check(b, b.N*events)
		})
	}
}
