package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Invariants 8 and 9 of the design: what a client can make the server keep is
// bounded, and nobody who waits makes others wait.

// Invariant 8. A client that asks and does not read is read no further once as
// many answers wait as may wait.
func TestRepliesThatWaitAreBounded(t *testing.T) {
	inBubble(t, Config{Replies: 3}, func(r *rig) {
		ada := r.connected(0)
		ada.allow(0)
		read := make(chan struct{}, 100)
		ctx, stop := context.WithCancel(r.t.Context())
		defer stop()
		go func() {
			for ada.stream.MayRead(ctx) {
				read <- struct{}{}
				ada.stream.Handle(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{}})
			}
		}()
		r.settle()
		if len(read) != 3 {
			t.Errorf("%d requests were read", len(read))
		}
		ada.allow(1)
		r.settle()
		if len(read) != 4 {
			t.Errorf("%d requests were read after one answer", len(read))
		}
	})
}

// Invariant 8. However many rooms a stream is behind in, one page is read at a
// time.
func TestOneStreamReadsOnePageAtATime(t *testing.T) {
	inBubble(t, Config{TailBytes: 1}, func(r *rig) {
		for i := range 5 {
			id := fmt.Sprint("room000", i)
			r.create(id, 0)
			r.join(id, 1)
		}
		bob := r.connected(1)
		bob.allow(0)
		for i := range 5 {
			for range 10 {
				r.text(fmt.Sprint("room000", i), 0, "hello")
			}
		}
		r.pass(time.Minute) // it falls behind the tails
		gate := make(chan struct{})
		r.log.set(func() { r.log.gate = gate })
		before := r.log.reads.Load()
		bob.allow(-1)
		r.settle()
		if n := r.log.reads.Load() - before; n != 1 {
			t.Errorf("%d pages are being read for one stream", n)
		}
		r.log.set(func() { r.log.gate = nil })
		close(gate)
		r.settle()
		if n := len(bob.live()); n != 50 {
			t.Errorf("bob got %d of 50", n)
		}
	})
}

// Invariant 8. The history of a client that does not read is not read from the
// store either.
func TestInitializationIsReadAsFastAsTheClientReads(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		for i := range 20 * pageEvents {
			r.text(roomA, 0, fmt.Sprint(i))
		}
		r.settle()
		conn := newFakeConn()
		conn.allow(0)
		before := r.log.reads.Load()
		c := r.connectWith(conn, 0)
		r.settle()
		// Two parts wait, and one is put together.
		const least = 128 // bytes of a message
		if n := r.log.reads.Load() - before; n > 3*partBytes/(pageEvents*least) {
			t.Errorf("%d pages for a client that has read nothing", n)
		}
		conn.allow(-1)
		r.settle()
		if !c.initialized() || len(c.initial()) < 20*pageEvents {
			t.Errorf("initialized %v with %d messages", c.initialized(), len(c.initial()))
		}
	})
}

// Invariant 8. No response has more elements or bytes than the bounds say, but
// one that is larger by itself; whether live or in the initialization, where it is
// the bytes alone. All messages are counted.
func TestResponsesAreBounded(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		join := r.join(roomA, 1)
		bob := r.connected(1)
		bob.allow(0)
		for i := range 300 {
			r.do(roomA, room.Post{UUID: nextUUID(), Sender: account(0), Kind: kindMIME, Body: mimeBody(strings.Repeat("x", 100*i))})
		}
		r.do(roomA, room.Post{UUID: nextUUID(), Sender: account(0), Kind: kindMIME, Body: mimeBody(strings.Repeat("x", 2*maxResponseBytes))})
		r.settle()
		bob.allow(-1)
		r.settle()
		again := r.connected(1, KnownRoom{Room: roomA, Updated: join.Time, Viewed: -1})
		if len(bob.live()) != 301 || len(again.initial()) != 301 {
			t.Errorf("got %d live, %d initial", len(bob.live()), len(again.initial()))
		}
		alone, all := 0, 0
		for _, response := range append(bob.responses(), again.responses()...) {
			messages, bound := messagesOf([]*streampb.ChatToClientResponse{response}), maxResponseBytes
			if response.GetInitialConnectionMessagesResponse() != nil {
				bound = partBytes
			} else if len(messages) > maxElements {
				t.Errorf("%d elements", len(messages))
			}
			all += len(messages)
			size := 0
			for _, m := range messages {
				size += elementSize(m)
			}
			if size > bound {
				if alone++; len(messages) != 1 {
					t.Errorf("%d bytes in %d messages", size, len(messages))
				}
			}
		}
		if alone != 2 {
			t.Errorf("%d responses larger than the bound", alone)
		}
		if counted := r.Stats().MessagesSent; counted != uint64(all) {
			t.Errorf("%d messages counted, %d received", counted, all)
		}
	})
}

// Invariant 9. Reads of the store that do not come back hold up the streams that
// need them, and nobody else: not other rooms, not the same room's other streams.
func TestFeedWaitsForNoReadOfTheStore(t *testing.T) {
	inBubbleWith(t, Config{StoreTimeout: time.Hour}, pool.Config{Runners: 2, Workers: 2, Waiting: 2}, func(r *rig) {
		r.create(roomA, 0)
		slow := []*client{}
		for who := 1; who <= 8; who++ { // more than there are workers, and jobs may wait
			r.join(roomA, who)
			slow = append(slow, r.connected(who))
		}
		fast, eve := r.connected(0), r.connected(20)
		for _, c := range slow {
			c.allow(0)
		}
		for range maxTail + 100 {
			r.text(roomA, 0, "hello")
		}
		r.settle()
		gate := make(chan struct{})
		r.log.set(func() { r.log.gate, r.log.stateGate = gate, gate })
		for _, c := range slow {
			c.allow(-1)
		}
		r.pass(soon)
		before := len(fast.live())
		for range 100 {
			r.text(roomA, 0, "to the others")
		}
		r.create("unhosted", 20) // is to be loaded, and there is no worker to do it
		r.text(roomA, 0, "last")
		r.settle()
		if n := len(fast.live()) - before; n != 101 {
			t.Errorf("got %d of 101 while the store did not answer", n)
		}
		select {
		case <-eve.ended: // she comes again
		default:
			t.Error("eve misses a room, and does not know")
		}
		r.log.set(func() { r.log.gate, r.log.stateGate = nil, nil })
		close(gate)
		r.pass(soon)
		for _, c := range slow {
			if n := len(c.live()); n < maxTail+100 {
				t.Errorf("a slow stream got %d", n)
			}
		}
	})
}

// Invariant 9. Streams whose clients do not read cost the others nothing.
func TestFeedWaitsForNoClient(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		for who := 1; who <= 50; who++ {
			r.join(roomA, who)
			r.connected(who).allow(0)
		}
		ada := r.connected(0)
		for range 100 {
			r.text(roomA, 0, "hello")
		}
		r.settle()
		if n := len(ada.live()); n != 100 {
			t.Errorf("ada got %d of 100", n)
		}
	})
}

// kindMIME is shown whole in every form, so it makes large elements.
const kindMIME room.Kind = 4

func mimeBody(url string) []byte {
	body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_MimeTypeMessage{
		MimeTypeMessage: &chatpb.MimeTypeChatMessage{UrlOfDownload: url},
	}})
	if err != nil {
		panic(err)
	}
	return body
}

// Invariant 9. A room that cannot be loaded holds up nobody but those who want to
// be in it.
func TestFeedWaitsForNoLoad(t *testing.T) {
	inBubble(t, Config{StoreTimeout: time.Hour}, func(r *rig) {
		r.create(roomA, 0)
		ada := r.connected(0)
		r.log.closeStateGate()
		r.create(roomB, 0)
		r.settle()
		text := r.text(roomA, 0, "hello")
		r.settle()
		if got := times(ada.live()); len(got) != 1 || got[0] != text.Time {
			t.Errorf("ada got %v while another room was loading", got)
		}
		r.log.openStateGate()
	})
}

// Invariant 8, for a room: what waits for an event that is late is bounded; the
// rest is in the store.
func TestParkedEventsAreBounded(t *testing.T) {
	inBubble(t, Config{GapPatience: time.Hour}, func(r *rig) {
		r.create(roomA, 0)
		ada := r.connected(0)
		r.log.mangle = func([]room.Event) []room.Event { return nil }
		r.text(roomA, 0, "lost")
		r.log.mangle = nil
		for range 2 * maxParked {
			r.text(roomA, 0, "hello")
		}
		r.settle()
		r.rooms.each(func(h *hostedRoom) {
			if n := len(h.parked); n != maxParked {
				t.Errorf("%d events are parked", n)
			}
		})
		r.text(roomA, 0, "hello") // the room goes on, for the race detector too
		r.settle()
		ada.cancel()
		r.pass(2 * time.Hour)
	})
}
