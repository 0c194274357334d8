package peers

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// runningEngine is our engine with one room, whose members have a stream each.
type runningEngine struct {
	log     *shownLog
	members int64
	written *written
}

const (
	engineRoom     = "kitchen1"
	roomPassword   = "p"
	enginePatience = 10 * time.Second
)

func memberID(i int) string { return fmt.Sprintf("%024x", i+1) }

func eventUUID(seq uint64) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", seq) }

func newRunningEngine(b *testing.B, members int) *runningEngine {
	b.Helper()
	r := &runningEngine{log: &shownLog{shown: make(chan room.Event)}, members: int64(members), written: newWritten()}
	r.log.decide(b, room.Create{
		Name: "kitchen", Password: roomPassword, Creator: memberID(0), CreatorName: "ada", CapUUID: eventUUID(1), JoinUUID: eventUUID(2),
	})
	for i := 1; i < members; i++ {
		r.log.decide(b, room.Join{UUID: eventUUID(r.log.state.Seq + 1), Account: memberID(i), Name: "ada", Password: roomPassword})
	}
	p, err := pool.New(pool.Config{})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.New(b.Context(), r.log, p, engine.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		e.Refuse()
		ctx, stop := context.WithTimeout(context.Background(), enginePatience)
		defer stop()
		if err := e.Drain(ctx); err != nil {
			b.Error(err)
		}
		e.Close()
		if err := p.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	ready := make(chan struct{}, members)
	for i := range members {
		request := engine.Request{
			Account: memberID(i), Conn: &countingConn{written: r.written, ready: ready},
			Rooms: []engine.KnownRoom{{Room: engineRoom, Updated: r.log.state.Time, Seq: r.log.state.Seq, Exact: true, Viewed: r.log.state.Time}},
		}
		go e.Serve(context.Background(), request, func(*engine.Stream) {}) // until Drain
	}
	late := time.After(enginePatience)
	for n := range members {
		select {
		case <-ready:
		case <-late:
			b.Fatalf("%d of %d streams have been initialized", n, members)
		}
	}
	return r
}

// broadcast shows the engine n messages, each when the one before has been given
// to all transports.
func (r *runningEngine) broadcast(ctx context.Context, n int) (time.Duration, error) {
	body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
		TextMessage: &chatpb.TextChatMessage{ActiveMessageInfo: &chatpb.ActiveMessageInfo{}, MessageText: string(appendText(nil, 0, 0, textSize))},
	}})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	for range n {
		before := r.written.total.Load()
		seq := r.log.seq() + 1
		select {
		case r.log.shown <- room.Event{
			Draft: room.Draft{UUID: eventUUID(seq), Kind: room.KindText, Sender: memberID(0), Body: body},
			Room:  engineRoom, Seq: seq, Time: int64(seq),
		}:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if err := r.written.await(ctx, before+r.members); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// shownLog is a log of one room, which is shown what is sent to it. Nothing of
// it is ever read again.
type shownLog struct {
	store.Log // what is not called
	state     room.State
	shown     chan room.Event
	after     atomic.Uint64 // the last event that was shown
}

// decide adds to the room what was there from the beginning.
func (l *shownLog) decide(b *testing.B, c room.Command) {
	b.Helper()
	drafts, err := room.Decide(l.state, c)
	if err != nil {
		b.Fatal(err)
	}
	for _, d := range drafts {
		seq := l.state.Seq + 1
		l.state = room.Fold(l.state, room.Event{Draft: d, Room: engineRoom, Seq: seq, Time: int64(seq)})
	}
	l.after.Store(l.state.Seq)
}

func (l *shownLog) seq() uint64 { return l.after.Load() }

func (l *shownLog) State(context.Context, string) (room.State, error) { return l.state, nil }

func (l *shownLog) Events(context.Context, string, uint64, store.Page) ([]room.Event, error) {
	return nil, nil
}

func (l *shownLog) Event(_ context.Context, _, uuid string) (room.Event, error) {
	seq, err := strconv.ParseUint(uuid[:8], 10, 64)
	return room.Event{Draft: room.Draft{UUID: uuid}, Room: engineRoom, Seq: seq, Time: int64(seq)}, err
}

func (l *shownLog) SeqAt(_ context.Context, _ string, t int64) (uint64, error) { return uint64(t), nil }

func (l *shownLog) RoomsOf(context.Context, string) ([]string, error) {
	return []string{engineRoom}, nil
}

func (l *shownLog) Seen(context.Context, string) (map[string]store.Seen, error) { return nil, nil }

func (l *shownLog) SeenBy(context.Context, string, []string) (map[string]store.Seen, error) {
	return nil, nil
}

func (l *shownLog) RaiseViewed(context.Context, string, map[string]int64) error { return nil }

func (l *shownLog) Now(context.Context) (store.Position, error) {
	return store.Position(strconv.FormatUint(l.seq(), 10)), nil
}

func (l *shownLog) Watch(ctx context.Context, _ store.Position) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		for {
			select {
			case e := <-l.shown:
				l.after.Store(e.Seq)
				if !yield(store.Batch{Events: []room.Event{e}, After: store.Position(strconv.FormatUint(e.Seq, 10))}, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// countingConn takes everything, and counts messages once its stream is
// initialized. It is called by one goroutine at a time, except Passed.
type countingConn struct {
	written *written
	ready   chan<- struct{} // told when the stream is initialized
	live    bool
	bytes   atomic.Int64
}

func (c *countingConn) Bind(func())   {}
func (c *countingConn) Credit() bool  { return true }
func (c *countingConn) Sent() int64   { return c.bytes.Load() }
func (c *countingConn) Passed() int64 { return c.bytes.Load() }

func (c *countingConn) Send(r *engine.Response) error {
	c.bytes.Add(int64(r.Size))
	if c.live {
		c.written.add(len(r.Elements))
		return nil
	}
	raw := append([]byte{}, r.Head...)
	for _, e := range r.Elements {
		raw = append(raw, e.Bytes...)
	}
	var response streampb.ChatToClientResponse
	if err := proto.Unmarshal(raw, &response); err != nil {
		return err
	}
	if response.GetInitialConnectionMessagesCompleteResponse() != nil {
		c.live = true
		c.ready <- struct{}{}
	}
	return nil
}
