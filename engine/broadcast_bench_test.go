package engine

import (
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/measure"
	"github.com/chatstream/chatstream/engine/room"
)

// hall is a room with many members to which somebody broadcasts without a pause, and to which others come and go.
type hall struct {
	b       *testing.B
	h       *hostedRoom
	comers  []*Stream // who are in and out by turns
	in, out int       // how many came, how many went
	seq     uint64
}

func newHall(b *testing.B, members int) *hall {
	b.Helper()
	const comers = 200
	e := bench(b)
	c := &hall{b: b, h: newHostedRoom(e, roomA)}
	c.h.ready = true
	c.now(room.Create{Name: "n", Password: "p", Creator: account(0), CreatorName: "ada", CapUUID: uuidOf(0), JoinUUID: uuidOf(1)})
	for i := range members + comers {
		s := newStream(e, Request{Account: account(i), Conn: &discardConn{}})
		s.turn.live = true
		if !e.registry.Replace(s, e.registry.generations.Next) {
			b.Fatal("an account has two streams")
		}
		switch {
		case i >= members:
			c.comers = append(c.comers, s)
		case i > 0:
			c.now(room.Join{UUID: uuidOf(i + 1), Account: account(i), Name: "n", Password: "p"})
		default:
			c.h.subscribe(s, c.h.state.Seq, forever)
		}
	}
	c.seq = c.h.state.Seq
	up(c.h)
	if len(c.h.subs) != members {
		b.Fatalf("%d subscriptions, want %d", len(c.h.subs), members)
	}
	return c
}

// events are what command makes of the room after what passed, and what else is on its way.
func (c *hall) events(command room.Command, ahead ...room.Event) []room.Event {
	state := c.h.state
	for _, e := range ahead {
		state = room.Fold(state, e)
	}
	drafts, err := room.Decide(state, command)
	if err != nil {
		c.b.Fatal(err)
	}
	for _, d := range drafts {
		ahead = append(ahead, room.Event{Draft: d, Room: c.h.id, Seq: state.Seq + 1, Time: state.Time + 1})
		state = room.Fold(state, ahead[len(ahead)-1])
	}
	return ahead
}

// now has command happen without telling anybody.
func (c *hall) now(command room.Command) {
	for _, e := range c.events(command) {
		c.h.offer(e)
	}
}

// broadcasts has messages told one after the other for as long as d, while so many a second come and as many go, and returns
// how long a thousand messages take at that rate.
func (c *hall) broadcasts(d time.Duration, perSecond int) time.Duration {
	begin := time.Now()
	told, due := 0, 0
	for {
		elapsed := time.Since(begin)
		if elapsed >= d {
			return elapsed * 1000 / time.Duration(told)
		}
		events := c.events(room.Post{UUID: uuidOf(told), Sender: account(1), Kind: room.KindText, Body: theMessage.Body})
		for ; due < int(elapsed.Seconds()*float64(perSecond)); due++ {
			s := c.comers[c.in%len(c.comers)]
			events = c.events(room.Join{UUID: uuidOf(c.in), Account: s.account, Name: "n", Password: "p"}, events...)
			if c.in++; c.in >= len(c.comers)/2 {
				s := c.comers[c.out%len(c.comers)]
				events = c.events(room.Leave{UUID: uuidOf(c.out), Account: s.account}, events...)
				c.out++
			}
		}
		n := &eventsNote{events: events}
		n.Init(n)
		c.h.inbox.Push(&n.Link)
		for last := events[len(events)-1].Seq; c.h.head.Load() != last || c.h.telling < len(c.h.subs); {
			c.h.Turn()
		}
		told++
	}
}

// BenchmarkJoinsDuringBroadcast shows what it costs a room of 100 000 members that 100 a second join it and, once there are
// as many of them, 100 a second leave it, while messages are broadcast to it without a pause: the ratio is how much longer a
// message takes to be told to all, with the joins and without. The members know already, which is when telling is cheapest
// and joining shows the most. A join is an event itself, told together with the message that it came with.
func BenchmarkJoinsDuringBroadcast(b *testing.B) {
	const members, perSecond = 100_000, 100
	c := newHall(b, members)
	b.ReportAllocs()
	var p measure.Pairs
	p.Loop(b,
		func() time.Duration { return c.broadcasts(300*time.Millisecond, perSecond) },
		func() time.Duration { return c.broadcasts(300*time.Millisecond, 0) })
	p.ReportRates(b, 1000, "broadcasts")
	if c.in == 0 || len(c.h.subs) != members+c.in-c.out {
		b.Errorf("%d came, %d went, and there are %d subscriptions", c.in, c.out, len(c.h.subs))
	}
}
