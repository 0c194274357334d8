package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Invariants 1, 2, 4 and 13 of the design: what is true of a single stream, from
// its opening to after its end.

// gatedConn is a client whose Send takes as long as the test wants: what the
// contract of Conn rules out, made so that something can happen during a turn.
type gatedConn struct {
	*fakeConn
	gate    chan struct{}
	entered chan struct{}
	err     error
}

func newGatedConn() *gatedConn {
	return &gatedConn{fakeConn: newFakeConn(), gate: make(chan struct{}), entered: make(chan struct{}, 1000)}
}

func (c *gatedConn) Send(r *Response) error {
	c.entered <- struct{}{}
	<-c.gate
	if c.err != nil {
		return c.err
	}
	return c.fakeConn.Send(r)
}

// serve opens a stream on any Conn.
func (r *rig) serve(conn Conn, who int) (s *Stream, ended chan Ending) {
	ctx, cancel := context.WithCancel(context.Background())
	opened, ended := make(chan *Stream, 1), make(chan Ending, 1)
	go func() {
		ended <- r.Serve(ctx, Request{Account: account(who), Conn: conn}, func(s *Stream) { opened <- s })
	}()
	s = <-opened
	r.open = append(r.open, &client{fakeConn: newFakeConn(), stream: s, cancel: cancel})
	return s, ended
}

// crowdedConn notices two turns at once: everything that a turn asks of it takes a
// moment.
type crowdedConn struct {
	*fakeConn
	inside  atomic.Int32
	crowded atomic.Bool
}

func (c *crowdedConn) enter() (leave func()) {
	if c.inside.Add(1) != 1 {
		c.crowded.Store(true)
	}
	runtime.Gosched()
	return func() { c.inside.Add(-1) }
}

func (c *crowdedConn) Credit() bool {
	defer c.enter()()
	return c.fakeConn.Credit()
}

func (c *crowdedConn) Send(r *Response) error {
	defer c.enter()()
	return c.fakeConn.Send(r)
}

// Invariant 1. Rooms tell a stream that they have news, and the transport wakes
// it, all at once: there is one turn, and one Write.
func TestStreamHasOneTurnAtATime(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.settle()
		conn := &crowdedConn{fakeConn: newFakeConn()}
		r.serve(conn, 1)
		r.settle()
		var wakers sync.WaitGroup
		stop := make(chan struct{})
		for range 2 {
			wakers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						conn.wake()
					}
				}
			})
		}
		for i := range 500 {
			r.text(roomA, 0, fmt.Sprint(i))
			runtime.Gosched()
		}
		close(stop)
		wakers.Wait()
		r.settle()
		if conn.crowded.Load() {
			t.Error("two turns at once")
		}
		if n := len(conn.live()); n != 500 {
			t.Errorf("%d of 500 were told", n)
		}
	})
}

// Invariant 1. The first Read waits for the initialization, and each next one
// until the one before has been handled.
func TestFirstReadWaitsForTheInitialization(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		conn := newFakeConn()
		conn.allow(1) // the primer
		c := r.connectWith(conn, 0)
		r.settle()
		var reading atomic.Bool
		go func() {
			if c.stream.MayRead(r.t.Context()) {
				reading.Store(true)
			}
		}()
		r.settle()
		if reading.Load() {
			t.Error("a Read started before the initialization was written")
		}
		conn.allow(-1)
		r.settle()
		if !reading.Load() {
			t.Error("no Read after the initialization")
		}
	})
}

// Invariant 2. A turn that is under way is waited for; none begins afterwards.
func TestEndWaitsForTheTurnThatIsUnderWay(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		conn := newGatedConn()
		s, ended := r.serve(conn, 0)
		<-conn.entered
		s.End(failed(0))
		r.settle()
		select {
		case <-ended:
			t.Error("the stream has ended within a Send")
		default:
		}
		close(conn.gate)
		r.settle()
		select {
		case <-ended:
		default:
			t.Error("the stream does not end")
		}
	})
}

// Invariant 2. From the reason on nothing is written, although somebody holds the
// stream open and there is enough to say.
func TestNoStreamIsWrittenAfterItsReason(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		bob.allow(0)
		r.text(roomA, 0, "hello")
		r.settle()
		ref, ok := r.registry.Acquire(account(1))
		if !ok {
			t.Fatal("bob has no stream")
		}
		before := len(bob.responses())
		bob.stream.End(failed(0))
		bob.allow(-1)
		r.text(roomA, 0, "again")
		r.settle()
		if n := len(bob.responses()) - before; n != 0 {
			t.Errorf("%d responses after the reason", n)
		}
		ref.Release()
	})
}

// Invariant 2. After the end: no turn, no Read, no request, no timer, no room.
func TestNothingEntersAStreamAfterItsEnd(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		bob.stream.End(failed(0))
		<-bob.ended
		s := bob.stream
		before := r.log.stateReads.Load()

		bob.wake()
		for range 100 { // it chooses among what is ready at random
			if s.MayRead(r.t.Context()) {
				t.Fatal("a Read after the end")
			}
		}
		s.Handle(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{
			RequestFullMessageInfo: lookupOf(roomA, 0, nextUUID()),
		}})
		if s.timer.Stop() {
			t.Error("the timer was running after the end")
		}
		s.timeUp()
		n := &rejoinNote{stream: s}
		n.Init(n)
		ada := r.connected(0)
		r.rooms.open(roomA, &n.Link)
		r.settle()
		if got := r.subscriptionsOf(s); got != 0 {
			t.Errorf("%d subscriptions were made after the end", got)
		}
		if r.log.stateReads.Load() != before+1 { // ada's
			t.Errorf("a request was looked up after the end")
		}
		if _, ok := r.registry.Acquire(account(1)); ok {
			t.Error("a reference was had after the end")
		}
		ada.cancel()
	})
}

// subscriptionsOf counts what rooms hold of a stream. Nothing may move meanwhile.
func (r *rig) subscriptionsOf(s *Stream) (n int) {
	r.settle()
	r.rooms.each(func(h *hostedRoom) {
		for _, sub := range h.subs {
			if sub.stream == s {
				n++
			}
		}
		if sub := h.byAccount[s.account]; sub != nil && sub.stream == s {
			n++
		}
	})
	return n
}

// Invariant 2 and 4. A room subscribed the stream during its last turn, which
// failed: the subscription was never looked at, and must be taken back.
func TestEndTakesBackASubscriptionThatWasNeverServed(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		conn := newGatedConn()
		s, ended := r.serve(conn, 1)
		r.connected(0)
		<-conn.entered
		r.join(roomA, 1)
		r.settle()
		if n := r.subscriptionsOf(s); n == 0 {
			t.Fatal("the join did not subscribe the stream")
		}
		s.End(failed(0))
		r.settle()
		conn.err = errBroken
		close(conn.gate)
		<-ended
		if n := r.subscriptionsOf(s); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

// Invariant 4. The older stream takes its subscriptions away, and leaves the
// newer one's where they are.
func TestReplacedStreamTakesOnlyItsOwnSubscriptionsAway(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.create(roomB, 1)
		older := r.connected(1)
		held, _ := r.registry.Acquire(account(1)) // keeps the older one from ending
		newer := r.connected(1)
		held.Release()
		if why := <-older.ended; why.Reason != streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM || why.Info == "" {
			t.Errorf("the older stream ended with %+v", why)
		}
		if n := r.subscriptionsOf(older.stream); n != 0 {
			t.Errorf("the older stream has %d entries in rooms", n)
		}
		if n := r.subscriptionsOf(newer.stream); n != 4 { // two rooms, two places each
			t.Errorf("the newer stream has %d entries in rooms", n)
		}
		// The newer one's are whole: it is told, and a kick ends it.
		want := []int64{r.text(roomA, 0, "hello").Time, r.kick(roomA, 0, 1).Time}
		r.text(roomA, 0, "not for bob")
		r.settle()
		if got := times(newer.live()); !slices.Equal(got, want) {
			t.Errorf("the newer stream got %v, want %v", got, want)
		}
	})
}

// Invariant 13. Every reference that is taken is given back, whatever took it.
func TestReferencesAreGivenBack(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.connected(0)
		bob := r.connected(1)
		r.join(roomA, 1) // the room's
		r.settle()
		bob.stream.MayRead(r.t.Context())
		bob.stream.Handle(&streampb.ChatToServerRequest{}) // a request's
		bob.stream.timeUp()                                // the timer's
		r.EndAccount(account(2), failed(0))
		r.settle()
		if n := bob.stream.refs.Count(); n != 0 {
			t.Errorf("%d references", n)
		}
		r.EndAccount(account(1), failed(0))
		r.settle()
		select {
		case <-bob.ended:
		default:
			t.Fatal("the stream does not end")
		}
		if s := r.Stats(); s.StreamsOpened != 2 || s.StreamsFinished != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Invariant 13. A thousand streams that come and go leave nothing.
func TestManyStreamsLeaveNothing(t *testing.T) {
	inBubbleWith(t, Config{}, pool.Config{Runners: 3, Workers: 8}, func(r *rig) {
		for room := range 5 {
			id := fmt.Sprint("room000", room)
			r.create(id, 0)
			for who := 1; who < 20; who++ {
				r.join(id, who)
			}
		}
		for i := range 300 {
			c := r.connect(i % 20)
			if i%3 == 0 {
				r.text(fmt.Sprint("room000", i%5), i%20, "hello")
			}
			if i%7 == 0 {
				c.cancel()
			}
		}
		r.pass(time.Second)
		for _, c := range r.open {
			c.cancel()
		}
		r.settle()
		for _, c := range r.open {
			select {
			case <-c.ended:
			default:
				t.Fatal("a stream is left")
			}
		}
		if s := r.Stats(); s.StreamsOpened != 300 || s.StreamsFinished != 300 || s.Rooms != 0 || s.TailBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}
