package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// panicNote makes a room's turn panic.
type panicNote struct{ atomics.Link[note] }

func (*panicNote) apply(*hostedRoom) { panic("broken on purpose") }

// A stream that waits for a room whose turn panics is told, and ends.
func TestWhoWaitsForARoomThatPanicsIsTold(t *testing.T) {
	inBubble(t, Config{Logger: slog.New(slog.DiscardHandler)}, func(r *rig) {
		r.create(roomA, 0)
		gate := make(chan struct{})
		r.log.set(func() { r.log.stateGate = gate })
		c := r.connect(0)
		r.settle()
		n := &panicNote{}
		n.Init(n)
		r.rooms.open(roomA, &n.Link)
		r.mustEnd(c, failed(chatpb.ReturnStatus_DATABASE_DOWN))
		r.log.set(func() { r.log.stateGate = nil })
		close(gate)
	})
}

// Invariant 13. Drain returns when the streams have ended, not when they have been told.
func TestDrainWaitsForTheStreams(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		conn := newGatedConn()
		r.serve(conn, 0)
		<-conn.entered
		r.Refuse()
		drained := make(chan error, 1)
		go func() { drained <- r.Drain(context.Background()) }()
		r.pass(drainDelivery + soon)
		select {
		case <-drained:
			t.Error("drained, and a stream is within a Send")
		default:
		}
		close(conn.gate)
		r.settle()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// Invariant 11. An answer in two parts is written as a whole before the next answer.
func TestAnswerInPartsIsNotInterrupted(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		c := r.connected(0)
		c.allow(0)
		part := func(n int64) func() *streampb.ChatToClientResponse {
			return func() *streampb.ChatToClientResponse {
				return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_RefreshChatStreamResponse{
					RefreshChatStreamResponse: &streampb.RefreshChatStreamResponse{TimeUntilChatStreamExpiresInMillis: n},
				}}
			}
		}
		for _, answer := range [][]func() *streampb.ChatToClientResponse{{part(1), part(2), part(3)}, {part(4)}} {
			if !c.stream.MayRead(r.t.Context()) {
				t.Fatal("may not read")
			}
			c.stream.answer(answer...)
		}
		c.allow(-1)
		r.settle()
		n := int64(0)
		for _, response := range c.responses() {
			if m := response.GetRefreshChatStreamResponse(); m != nil {
				if n++; m.GetTimeUntilChatStreamExpiresInMillis() != n {
					t.Errorf("part %d came as number %d", m.GetTimeUntilChatStreamExpiresInMillis(), n)
				}
			}
		}
		if n != 4 {
			t.Errorf("%d of 4 parts came", n)
		}
	})
}

// holeLog is a store that has lost an event.
type holeLog struct{ store.Log }

func (l holeLog) Events(ctx context.Context, id string, after uint64, page store.Page) ([]room.Event, error) {
	return l.Log.Events(ctx, id, after+1, page)
}

// Invariant 6. A stream whose room has a hole in the store ends; it is not told what lies
// behind the hole.
func TestHoleInTheStoreEndsTheStream(t *testing.T) {
	inBubble(t, Config{TailBytes: 1, Logger: slog.New(slog.DiscardHandler)}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		bob.allow(0)
		for range 20 {
			r.text(roomA, 0, "hello")
			r.settle() // published by itself, so that the tail need not spare it
		}
		r.store = holeLog{r.log}
		before := len(bob.live())
		bob.allow(-1)
		r.mustEnd(bob, failed(chatpb.ReturnStatus_DATABASE_DOWN))
		if n := len(bob.live()); n != before {
			t.Errorf("%d messages from behind the hole", n-before)
		}
	})
}
