package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
)

// Invariants 7, 10 and 14 of the design, as far as a room's turn keeps them.

// Invariant 14, for a stream that is behind: the removal is above its cursor, and
// what follows it is there already.
func TestSlowStreamIsWrittenNothingAfterItsRemoval(t *testing.T) {
	for _, kind := range []string{"leave", "kick", "ban"} {
		for _, tail := range []int64{1, 1 << 20} { // from the store, and from the tail
			t.Run(fmt.Sprint(kind, " ", tail), func(t *testing.T) {
				inBubble(t, Config{TailBytes: tail}, func(r *rig) {
					r.create(roomA, 0)
					r.join(roomA, 1)
					bob := r.connected(1)
					bob.allow(0)
					var want []int64
					for i := range 100 {
						want = append(want, r.text(roomA, 0, fmt.Sprint(i)).Time)
					}
					switch kind {
					case "leave":
						want = append(want, r.leave(roomA, 1).Time)
					case "kick":
						want = append(want, r.kick(roomA, 0, 1).Time)
					case "ban":
						want = append(want, r.do(roomA, room.Expel{UUID: nextUUID(), Caller: account(0), Target: account(1), Ban: true})[0].Time)
					}
					for range 100 {
						r.text(roomA, 0, "not for bob")
					}
					r.settle()
					bob.allow(-1)
					r.text(roomA, 0, "nor this")
					r.settle()
					if got := times(bob.live()); !slices.Equal(got, want) {
						t.Errorf("got %d, want %d", len(got), len(want))
					}
				})
			})
		}
	}
}

// Invariant 14. A stream that is replaced but cannot end yet is told of nothing
// that happens after its successor has been subscribed: it would not be told of a
// removal among it.
func TestReplacedStreamIsNotAheadOfItsSuccessor(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		older := r.connected(1)
		held, _ := r.registry.Acquire(account(1))
		sub := older.stream.turn.rooms.in(roomA)
		r.connected(1)
		kick := r.kick(roomA, 0, 1)
		r.text(roomA, 0, "not for bob")
		r.settle()
		if end := sub.end(); end >= kick.Seq {
			t.Errorf("the older stream may go to %d, and is kicked at %d", end, kick.Seq)
		}
		held.Release()
	})
}

// Invariant 7.
func TestSenderGetsTheTimeAndOthersTheMessage(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		ada, bob := r.connected(0), r.connected(1)
		join := r.join(roomA, 1)
		text := r.text(roomA, 1, "hello")
		left := r.leave(roomA, 1)
		r.settle()
		for i, e := range []room.Event{join, text, left} {
			own := specificsOf(bob.live()[i]).GetNewUpdateTimeMessage()
			if own.GetRepresentedMessageUuid() != e.UUID || own.GetMessageTimestampStored() != e.Time {
				t.Errorf("event %d came to its sender as %v", e.Seq, bob.live()[i])
			}
			if got := ada.live()[i]; got.GetMessageUuid() != e.UUID || got.GetSentByAccountId() != account(1) {
				t.Errorf("event %d came to the others as %v", e.Seq, got)
			}
		}
	})
}

// Invariant 10. A large room is told in chunks, a turn each. White box: the pool
// is closed, so that turns happen when the test says.
func TestFanOutIsCutIntoTurns(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		h, subs := crowd(r.Engine, 2*fanOutChunk+10)
		dirty := func() (n int) {
			for _, sub := range subs {
				if sub.dirty.Load() {
					n++
				}
			}
			return n
		}
		h.state.Seq = 1
		h.publish()
		for turn, want := range []int{fanOutChunk, 2 * fanOutChunk, 2*fanOutChunk + 10} {
			h.Turn()
			if got := dirty(); got != want {
				t.Errorf("%d subscriptions have been told after %d turns, want %d", got, turn+1, want)
			}
		}
	})
}

// crowd is a room with n subscriptions, of streams that are never given a turn.
func crowd(e *Engine, n int) (*hostedRoom, []*subscription) {
	closed, err := pool.New(pool.Config{Runners: 1, Workers: 1})
	if err != nil {
		panic(err)
	}
	if err := closed.Close(context.Background()); err != nil {
		panic(err)
	}
	h := newHostedRoom(e, roomA)
	h.slot.Init(closed, h)
	h.ready = true
	var subs []*subscription
	for i := range n {
		s := &Stream{engine: e, account: account(i), conn: newFakeConn()}
		s.slot.Init(closed, s)
		sub := newSubscription(s, h, 0)
		sub.index = i
		subs = append(subs, sub)
	}
	h.subs = slices.Clone(subs)
	h.telling = n
	return h, subs
}

// Invariant 10. With one runner, a stream with a huge backlog lets another one
// have its turn after a few responses.
func TestGreedyStreamLetsOthersHaveTheirTurn(t *testing.T) {
	inBubbleWith(t, Config{}, pool.Config{Runners: 1, Workers: 4}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.create(roomB, 2)
		r.join(roomB, 3)
		order := make(chan string, 10_000)
		greedy, other := newGatedConn(), newGatedConn()
		close(greedy.gate)
		close(other.gate)
		r.serve(&orderedConn{greedy, "greedy", order}, 1)
		r.serve(&orderedConn{other, "other", order}, 3)
		r.settle()
		greedy.allow(0)
		for i := range 3000 {
			r.text(roomA, 0, fmt.Sprint(i))
		}
		r.settle()
		for len(order) > 0 {
			<-order
		}
		for len(greedy.entered) > 0 {
			<-greedy.entered
		}
		// The greedy one is in its turn when the other one gets something to say.
		started := make(chan struct{})
		greedy.gate = started
		greedy.allow(-1)
		<-greedy.entered
		r.text(roomB, 2, "hello")
		r.settle()
		close(started)
		r.settle()
		close(order)
		before := 0
		for who := range order {
			if who == "other" {
				break
			}
			before++
		}
		// Its turn, the room's turn meanwhile, and one more turn at most.
		if before > 2*turnResponses {
			t.Errorf("the other stream had to wait for %d responses", before)
		}
	})
}

// orderedConn says who sends when.
type orderedConn struct {
	*gatedConn
	name  string
	order chan<- string
}

func (c *orderedConn) Send(r *Response) error {
	err := c.gatedConn.Send(r)
	c.order <- c.name
	return err
}
