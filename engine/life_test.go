package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// The life of a stream: how it is prolonged, and all the ways in which it ends.

// refresh has the client ask for more time; the answer is nil if there is none.
func (c *client) refresh(r *rig) *streampb.RefreshChatStreamResponse {
	if !c.stream.MayRead(r.t.Context()) {
		return nil
	}
	c.stream.Handle(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{
		RefreshChatStream: &streampb.RefreshChatStreamRequest{},
	}})
	r.settle()
	all := c.responses()
	return all[len(all)-1].GetRefreshChatStreamResponse()
}

// why is why the stream has ended; false if it has not.
func (c *client) why() (Ending, bool) {
	select {
	case why := <-c.ended:
		c.ended <- why
		return why, true
	default:
		return Ending{}, false
	}
}

func (r *rig) mustEnd(c *client, want Ending) {
	r.t.Helper()
	r.settle()
	why, ended := c.why()
	if !ended || why.Reason != want.Reason || why.Status != want.Status || why.Stalled != want.Stalled {
		r.t.Errorf("ended: %v, %+v, want %+v", ended, why, want)
	}
}

const life = 100 * time.Minute

func TestStreamEndsWhenItsTimeIsOver(t *testing.T) {
	inBubble(t, Config{StreamLifetime: life}, func(r *rig) {
		c := r.connected(0)
		primer := c.responses()[0].GetInitialConnectionPrimerResponse()
		if got := primer.GetTimeUntilChatStreamExpiresInMillis(); got != life.Milliseconds() {
			t.Errorf("primer says %d", got)
		}
		r.pass(life - time.Millisecond)
		if _, ended := c.why(); ended {
			t.Error("ended too early")
		}
		r.pass(2 * time.Millisecond)
		r.mustEnd(c, Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
	})
}

func TestRefreshProlongsUntilNinetyFivePercent(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		ok    bool
		left  time.Duration
	}{
		{0, true, life},
		{50 * time.Minute, true, life},
		{95*time.Minute - time.Millisecond, true, life},
		{95*time.Minute + time.Millisecond, false, 5*time.Minute - time.Millisecond},
		{life - time.Millisecond, false, time.Millisecond},
	} {
		t.Run(tc.after.String(), func(t *testing.T) {
			inBubble(t, Config{StreamLifetime: life}, func(r *rig) {
				c := r.connected(0)
				r.pass(tc.after)
				got := c.refresh(r)
				if got.GetSuccessfullyRefreshedTime() != tc.ok || got.GetTimeUntilChatStreamExpiresInMillis() != tc.left.Milliseconds() {
					t.Errorf("answered %v", got)
				}
				r.pass(tc.left - time.Millisecond)
				if why, ended := c.why(); ended {
					t.Errorf("ended before the time it was told: %+v", why)
				}
				r.pass(2 * time.Millisecond)
				r.mustEnd(c, Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
			})
		})
	}
}

// Any number of refreshes, one right behind the other too: the original answers
// false in a gap after each.
func TestRefreshesHaveNoGapBetweenThem(t *testing.T) {
	inBubble(t, Config{StreamLifetime: life}, func(r *rig) {
		c := r.connected(0)
		for range 20 {
			for range 3 {
				if got := c.refresh(r); !got.GetSuccessfullyRefreshedTime() {
					t.Fatalf("answered %v", got)
				}
			}
			r.pass(life * 9 / 10)
		}
		if _, ended := c.why(); ended {
			t.Error("ended")
		}
	})
}

// A refresh that came too late does no harm, and neither does the next one.
func TestLateRefreshesChangeNothing(t *testing.T) {
	inBubble(t, Config{StreamLifetime: life}, func(r *rig) {
		c := r.connected(0)
		r.pass(life * 97 / 100)
		for range 5 {
			if got := c.refresh(r); got.GetSuccessfullyRefreshedTime() {
				t.Errorf("answered %v", got)
			}
		}
		r.pass(life * 3 / 100)
		r.mustEnd(c, Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
	})
}

// What remains is computed when the answer is written, not when it is asked for.
func TestRefreshSaysWhatRemainsWhenItIsWritten(t *testing.T) {
	inBubble(t, Config{StreamLifetime: life}, func(r *rig) {
		c := r.connected(0)
		c.allow(0)
		c.refresh(r)
		r.pass(time.Minute)
		c.allow(-1)
		r.settle()
		all := c.responses()
		if got := all[len(all)-1].GetRefreshChatStreamResponse().GetTimeUntilChatStreamExpiresInMillis(); got != (life - time.Minute).Milliseconds() {
			t.Errorf("%d ms remain", got)
		}
	})
}

func TestFirstReasonStays(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		c := r.connected(0)
		if !c.stream.End(failed(chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)) || c.stream.End(failed(chatpb.ReturnStatus_LG_ERROR)) {
			t.Error("End says the wrong thing")
		}
		c.cancel()
		r.connected(0)
		r.mustEnd(c, failed(chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE))
	})
}

func TestStreamThatIsReplacedDuringItsInitializationEnds(t *testing.T) {
	for _, at := range []string{"a read of the store", "a room that is loading", "a client that does not read"} {
		t.Run(at, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				for i := range 1000 {
					r.text(roomA, 0, fmt.Sprint(i))
				}
				conn := newFakeConn()
				gate := make(chan struct{})
				switch at {
				case "a read of the store":
					r.log.set(func() { r.log.gate = gate })
				case "a room that is loading":
					r.log.set(func() { r.log.stateGate = gate })
				default:
					conn.allow(0)
				}
				older := r.connectWith(conn, 0)
				r.settle()
				newer := r.connect(0)
				r.settle()
				if at != "a read of the store" { // there it ends with the read
					r.mustEnd(older, Ending{Reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM})
				}
				r.log.set(func() { r.log.gate, r.log.stateGate = nil, nil })
				close(gate)
				r.mustEnd(older, Ending{Reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM})
				if older.initialized() || !newer.initialized() {
					t.Errorf("older initialized %v, newer %v", older.initialized(), newer.initialized())
				}
			})
		})
	}
}

func TestSendThatFailsEndsTheStream(t *testing.T) {
	for _, when := range []string{"initializing", "live"} {
		t.Run(when, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				conn := newFakeConn()
				if when == "initializing" {
					conn.fail = errBroken
				}
				c := r.connectWith(conn, 0)
				r.settle()
				conn.mu.Lock()
				conn.fail = errBroken
				conn.mu.Unlock()
				r.text(roomA, 0, "hello")
				r.mustEnd(c, Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON})
			})
		})
	}
}

func TestStoreThatFailsDuringInitializationIsSaidToBeDown(t *testing.T) {
	for _, what := range []string{"everything", "the state", "a panic", "no answer"} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				r.settle()
				gate := make(chan struct{})
				r.log.set(func() {
					switch what {
					case "everything":
						r.log.fail = errBroken
					case "the state":
						r.log.stateFail = errBroken
					case "a panic":
						r.log.panics = true
					case "no answer":
						r.log.gate = gate
					}
				})
				c := r.connect(0)
				r.pass(time.Minute)
				r.mustEnd(c, failed(chatpb.ReturnStatus_DATABASE_DOWN))
				if c.initialized() {
					t.Error("initialized all the same")
				}
				r.log.set(func() { r.log.fail, r.log.stateFail, r.log.panics, r.log.gate = nil, nil, false, nil })
				close(gate)
			})
		})
	}
}

// A stream that ends while the store is read for it does not wait for the store,
// and what was to be read for it and had not begun is not.
func TestEndDoesNotWaitForAReadOfTheStore(t *testing.T) {
	for what, end := range map[string]func(*client){
		"the client is gone":   func(c *client) { c.cancel() },
		"the stream is to end": func(c *client) { c.stream.End(Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN}) },
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, Config{StoreTimeout: time.Hour}, func(r *rig) {
				r.create(roomA, 0)
				r.settle()
				gate := make(chan struct{})
				r.log.set(func() { r.log.gate = gate })
				c := r.connect(0)
				r.settle()
				if _, ended := c.why(); ended {
					t.Fatal("it did not wait for the store")
				}
				end(c)
				r.settle()
				if _, ended := c.why(); !ended {
					t.Error("its end waits for the store")
				}
				r.log.set(func() { r.log.gate = nil })
				close(gate)
			})
		})
	}
}

func TestStreamThatHasEndedHasNothingReadForIt(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		s := newStream(r.Engine, Request{Account: account(0), Conn: newFakeConn()})
		s.End(Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
		in := &initialization{s: s, ctx: context.Background()}
		_ = in.store(func(context.Context) error {
			t.Error("the store is read")
			return nil
		})
		r.settle()
	})
}

// A page that cannot be read for a slow stream ends it; it comes again.
func TestStoreThatFailsASlowStreamEndsIt(t *testing.T) {
	for _, what := range []string{"an error", "a panic"} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, Config{TailBytes: 1}, func(r *rig) {
				r.create(roomA, 0)
				r.join(roomA, 1)
				bob := r.connected(1)
				bob.allow(0)
				r.text(roomA, 0, "hello")
				r.pass(time.Minute) // it falls behind the tail
				r.log.set(func() { r.log.fail, r.log.panics = errBroken, what == "a panic" })
				bob.allow(-1)
				r.settle()
				r.mustEnd(bob, failed(chatpb.ReturnStatus_DATABASE_DOWN))
				r.log.set(func() { r.log.fail, r.log.panics = nil, false })
			})
		})
	}
}

// panickingConn is a transport with a bug.
type panickingConn struct {
	*fakeConn
	now bool
}

func (c *panickingConn) Send(r *Response) error {
	if c.now {
		panic("broken on purpose")
	}
	return c.fakeConn.Send(r)
}

func TestPanicInATurnEndsOnlyThatStream(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		conn := &panickingConn{fakeConn: newFakeConn()}
		_, ended := r.serve(conn, 1)
		ada := r.connected(0)
		conn.now = true
		var want []int64
		for range 10 {
			want = append(want, r.text(roomA, 0, "hello").Time)
			r.settle()
		}
		select {
		case why := <-ended:
			if why != failed(chatpb.ReturnStatus_LG_ERROR) {
				t.Errorf("ended with %+v", why)
			}
		default:
			t.Error("the stream lives on")
		}
		if got := times(ada.live()); !slices.Equal(got, want) {
			t.Errorf("ada got %v", got)
		}
	})
}

func TestPanicInARoomsTurnEndsItsStreamsAndTheyComeAgain(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.create(roomB, 1)
		ada, bob := r.connected(0), r.connected(1)
		bad := &badNote{}
		bad.Init(bad)
		r.rooms.tellID(roomA, &bad.Link)
		r.mustEnd(ada, failed(chatpb.ReturnStatus_LG_ERROR))
		if _, ended := bob.why(); ended {
			t.Error("another room's stream has ended")
		}
		ada = r.connected(0)
		text := r.text(roomA, 0, "hello")
		r.settle()
		if got := times(ada.live()); !slices.Equal(got, []int64{text.Time}) {
			t.Errorf("ada got %v", got)
		}
	})
}

// Who comes right behind a panic is served all the same, although nobody else
// wakes the room.
func TestNotesBehindAPanicAreApplied(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		bob := r.connected(1)
		h := newHostedRoom(r.Engine, roomA)
		h.ready = true
		r.rooms.hosted.Store(roomA, h)
		bad := &badNote{}
		bad.Init(bad)
		h.inbox.Push(&bad.Link)
		answer := make(chan *subscribed, 1)
		behind := &subscribeNote{stream: bob.stream, answer: answer}
		behind.Init(behind)
		r.rooms.tellID(roomA, &behind.Link)
		r.settle()
		if len(answer) != 1 {
			t.Error("it is not answered")
		}
	})
}

// Also while a read of the store is under way, whose end would wake the room too,
// but late.
func TestNotesBehindAPanicDoNotWaitForARead(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		bob := r.connected(1)
		h := newHostedRoom(r.Engine, roomA)
		h.ready, h.reads = true, 1
		r.rooms.hosted.Store(roomA, h)
		bad := &badNote{}
		bad.Init(bad)
		h.inbox.Push(&bad.Link)
		answer := make(chan *subscribed, 1)
		behind := &subscribeNote{stream: bob.stream, answer: answer}
		behind.Init(behind)
		r.rooms.tellID(roomA, &behind.Link)
		r.settle()
		if len(answer) != 1 {
			t.Error("it is not answered")
		}
		done := &healedNote{} // the read
		done.Init(done)
		r.rooms.tellID(roomA, &done.Link)
		r.pass(time.Minute)
	})
}

// Who waits for a room to be loaded when its turn panics is told at once.
func TestPanicIsToldToWhoWaitsForTheRoom(t *testing.T) {
	inBubble(t, Config{StoreTimeout: time.Hour}, func(r *rig) {
		r.create(roomA, 0)
		r.settle()
		r.log.closeStateGate()
		ada := r.connect(0)
		r.settle()
		bad := &badNote{}
		bad.Init(bad)
		if !r.rooms.tellID(roomA, &bad.Link) {
			t.Fatal("the room is not hosted")
		}
		r.settle()
		if why, ended := ada.why(); !ended || why != failed(chatpb.ReturnStatus_DATABASE_DOWN) {
			t.Errorf("ended %v, with %+v", ended, why)
		}
		r.log.openStateGate()
	})
}

type badNote struct{ atomics.Link[note] }

func (n *badNote) apply(*hostedRoom) { panic("broken on purpose") }

func TestClientThatDoesNotReadIsEndedAfterAWhile(t *testing.T) {
	inBubble(t, Config{StallPatience: time.Minute, StreamLifetime: time.Hour}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		stalled, slow, silent := r.connected(1), r.connected(0), r.connected(2)
		stalled.allow(0)
		slow.allow(0)
		silent.allow(0) // has nothing to say
		r.text(roomA, 0, "hello")
		for range 5 {
			r.pass(10 * time.Second)
			slow.allow(1)
			r.text(roomA, 0, "hello")
		}
		if _, ended := stalled.why(); ended {
			t.Error("ended too early")
		}
		for range 4 {
			r.pass(10 * time.Second)
			slow.allow(1)
			r.text(roomA, 0, "hello")
		}
		r.mustEnd(stalled, Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT, Stalled: true})
		for _, c := range []*client{slow, silent} {
			if why, ended := c.why(); ended {
				t.Errorf("one that does read, or need not, has ended: %+v", why)
			}
		}
	})
}

func TestShutdownDeliversWhatIsStoredAndRefusesNewStreams(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		var clients []*client
		for who := 1; who <= 100; who++ {
			r.join(roomA, who)
			clients = append(clients, r.connected(who))
		}
		var want []int64
		for range 100 {
			want = append(want, r.text(roomA, 0, "hello").Time)
		}
		r.Refuse()
		started := time.Now()
		if err := r.Drain(context.Background()); err != nil {
			t.Errorf("drain: %v", err)
		}
		if s := r.Stats(); s.StreamsFinished != s.StreamsOpened {
			t.Errorf("%d of %d streams have ended", s.StreamsFinished, s.StreamsOpened)
		}
		if d := time.Since(started); d < 100*time.Millisecond || d > 2*time.Second {
			t.Errorf("the streams were ended within %v", d)
		}
		for _, c := range clients {
			r.mustEnd(c, Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
			if got := times(c.live()); !slices.Equal(got[max(0, len(got)-100):], want) {
				t.Fatalf("a stream got %d of 100 before its end", len(got))
			}
		}
		late := r.connect(0)
		r.mustEnd(late, Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
		if len(late.responses()) != 0 || r.Accepting() {
			t.Error("a new stream was served")
		}
	})
}

// A client that does not read cannot hold up a shutdown for longer than it has
// been given; its stream ends without its client knowing.
func TestShutdownEndsAlsoStreamsThatDoNotRead(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		c := r.connected(0)
		c.allow(0)
		r.text(roomA, 0, "hello")
		r.settle()
		r.Refuse()
		if err := r.Drain(context.Background()); err != nil {
			t.Errorf("drain: %v", err)
		}
		r.mustEnd(c, Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
	})
}

func TestQuietRoomsGiveTheirTailsBack(t *testing.T) {
	inBubble(t, Config{TailAge: time.Minute, StreamLifetime: time.Hour}, func(r *rig) {
		r.create(roomA, 0)
		r.connected(0)
		r.text(roomA, 0, "hello")
		r.pass(40 * time.Second)
		r.text(roomA, 0, "hello")
		r.settle()
		both := r.Stats().TailBytes
		r.pass(40 * time.Second)
		if one := r.Stats().TailBytes; one == 0 || one >= both {
			t.Errorf("%d bytes of %d are left after the first event's age", one, both)
		}
		r.pass(40 * time.Second)
		if n := r.Stats().TailBytes; n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	})
}

func TestInterruptedWatchGoesOn(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		ada := r.connected(0)
		var want []int64
		for range 5 {
			want = append(want, r.text(roomA, 0, "hello").Time)
			r.log.lose()
			r.pass(soon)
		}
		if got := times(ada.live()); !slices.Equal(got, want) {
			t.Errorf("ada got %v, want %v", got, want)
		}
	})
}

// One that breaks off, but whose place is not lost, is taken up at that place.
func TestBrokenWatchIsTakenUpAtItsPlace(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		ada := r.connected(0)
		first := r.text(roomA, 0, "hello")
		r.settle()
		place, err := r.log.Now(r.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.log.interrupt()
		r.pass(soon)
		second := r.text(roomA, 0, "hello")
		r.settle()
		if got, want := times(ada.live()), []int64{first.Time, second.Time}; !slices.Equal(got, want) {
			t.Errorf("ada got %v, want %v", got, want)
		}
		if got := r.log.watches(); got[len(got)-1] != place || len(got) != 2 {
			t.Errorf("watched from %v, want it to go on from %v", got, place)
		}
	})
}

// A panic in the handler's own part ends the stream like any other reason does.
func TestStreamDoesNotOutliveAHandlerThatPanics(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			r.Serve(t.Context(), Request{Account: account(0), Conn: newFakeConn()}, func(*Stream) { panic("on purpose") })
		}()
		if n := r.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}
