package engine

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/bench/result"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// IgnoreCurrent is for the goroutines of ants' default pool, which exist from its
// import on.
func TestMain(m *testing.M) {
	if err := result.BeginBenchmarks(context.Background()); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// fakeConn is a client that records what it is sent, and reads only as much as
// it is told to.
type fakeConn struct {
	wake func()

	mu       sync.Mutex
	received []*streampb.ChatToClientResponse
	credit   int // responses it still takes; negative: any number
	parked   bool
	promised bool // Credit has said yes to one Send
	fail     error

	sent, passed atomic.Int64
	holds        atomic.Bool // what is sent has not passed on

	inSend  atomic.Int32
	twice   atomic.Bool // Send was called while another ran
	unasked atomic.Bool // Send was called without credit
	closed  atomic.Bool // set by the test when the stream has ended
	late    atomic.Bool // Send was called after that
}

func newFakeConn() *fakeConn { return &fakeConn{credit: -1} }

func (c *fakeConn) Bind(wake func()) { c.wake = wake }

func (c *fakeConn) Credit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked = c.credit == 0
	c.promised = !c.parked
	return c.promised
}

func (c *fakeConn) Send(r *Response) error {
	if c.inSend.Add(1) != 1 {
		c.twice.Store(true)
	}
	defer c.inSend.Add(-1)
	if c.closed.Load() {
		c.late.Store(true)
	}
	raw := append([]byte{}, r.Head...)
	for _, e := range r.Elements {
		raw = append(raw, e.Bytes...)
	}
	if len(raw) != r.Size {
		return fmt.Errorf("size is %d, said %d", len(raw), r.Size)
	}
	if sent := c.sent.Add(int64(r.Size)); !c.holds.Load() {
		c.passed.Store(sent)
	}
	response := &streampb.ChatToClientResponse{}
	if err := proto.Unmarshal(raw, response); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	if !c.promised {
		c.unasked.Store(true)
	}
	c.promised = false
	if c.credit > 0 {
		c.credit--
	}
	c.received = append(c.received, response)
	return nil
}

func (c *fakeConn) Sent() int64   { return c.sent.Load() }
func (c *fakeConn) Passed() int64 { return c.passed.Load() }

// allow lets the client read n more responses; negative: all.
func (c *fakeConn) allow(n int) {
	c.mu.Lock()
	c.credit = n
	wake := c.parked && n != 0
	c.parked = c.parked && n == 0
	c.mu.Unlock()
	if wake {
		c.wake()
	}
}

func (c *fakeConn) responses() []*streampb.ChatToClientResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*streampb.ChatToClientResponse{}, c.received...)
}

// live are the messages that came after the initialization.
func (c *fakeConn) live() []*chatpb.ChatMessageToClient {
	var all []*chatpb.ChatMessageToClient
	for _, r := range c.responses() {
		all = append(all, r.GetReturnNewChatMessage().GetMessagesList()...)
	}
	return all
}

// initial are the messages of the initialization.
func (c *fakeConn) initial() []*chatpb.ChatMessageToClient {
	var all []*chatpb.ChatMessageToClient
	for _, r := range c.responses() {
		all = append(all, r.GetInitialConnectionMessagesResponse().GetMessagesList()...)
	}
	return all
}

func (c *fakeConn) initialized() bool {
	for _, r := range c.responses() {
		if r.GetInitialConnectionMessagesCompleteResponse() != nil {
			return true
		}
	}
	return false
}

// client is a fakeConn with its stream.
type client struct {
	*fakeConn
	stream *Stream
	cancel context.CancelFunc
	ended  chan Ending
}

// rig is an engine over a memLog, within a synctest bubble.
type rig struct {
	*Engine
	t    *testing.T
	log  *memLog
	mu   sync.Mutex
	open []*client
	// stuck: a room has been made unusable, and will not leave.
	stuck bool
}

// inBubble runs test with an engine, in virtual time.
func inBubble(t *testing.T, cfg Config, test func(r *rig)) {
	inBubbleWith(t, cfg, pool.Config{Runners: 2, Workers: 4}, test)
}

func inBubbleWith(t *testing.T, cfg Config, pc pool.Config, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		newRig(t, newMemLog(), cfg, pc, test)
	})
}

// inCluster runs test with two engines on one log, in virtual time.
func inCluster(t *testing.T, cfg Config, test func(a, b *rig)) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		cfg.Claims = log
		pc := pool.Config{Runners: 2, Workers: 4}
		newRig(t, log, cfg, pc, func(a *rig) {
			newRig(t, log, cfg, pc, func(b *rig) { test(a, b) })
		})
	})
}

// newRig runs test with an engine on log. Within a bubble.
func newRig(t *testing.T, log *memLog, cfg Config, pc pool.Config, test func(r *rig)) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	var e *Engine
	pc.Logger = cfg.Logger
	pc.OnPanic = func(task pool.Task, v any, stack []byte) { e.TurnPanicked(task, v, stack) }
	p, err := pool.New(pc)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = New(t.Context(), log, p, cfg); err != nil {
		t.Fatal(err)
	}
	r := &rig{Engine: e, t: t, log: log}
	defer func() { // also when the test has given up
		e.Refuse()
		for _, c := range r.open {
			c.cancel()
		}
		if err := e.Drain(context.Background()); err != nil {
			t.Errorf("drain: %v", err)
		}
		r.settle() // what timers still have to say is about rooms that have left
		e.Close()
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("close the pool: %v", err)
		}
		r.checkEnd()
	}()
	test(r)
}

// checkEnd holds what must be true of every run.
func (r *rig) checkEnd() {
	s := r.Stats()
	if s.StreamsOpened != s.StreamsFinished || s.Streams != 0 {
		r.t.Errorf("%d streams opened, %d finished, %d in the registry", s.StreamsOpened, s.StreamsFinished, s.Streams)
	}
	if !r.stuck && (s.Rooms != 0 || s.TailBytes != 0) {
		r.t.Errorf("%d rooms and %d bytes of tails are left", s.Rooms, s.TailBytes)
		r.rooms.each(func(h *hostedRoom) {
			r.t.Errorf("room %s: ready %v, %d subscriptions, at %d, %d parked, %d stays, %d waiting, healing %v, dropped %v, inbox empty %v",
				h.id, h.ready, len(h.subs), h.state.Seq, len(h.parked), len(h.stays), len(h.waiting), h.healing, h.dropped, h.inbox.Empty())
		})
	}
	for _, c := range r.open {
		if c.stream != nil && c.stream.refs.Count() != 0 {
			r.t.Errorf("a stream has %d references", c.stream.refs.Count())
		}
		if c.twice.Load() || c.unasked.Load() || c.late.Load() {
			r.t.Errorf("Send: two at once %v, without credit %v, after the end %v", c.twice.Load(), c.unasked.Load(), c.late.Load())
		}
	}
}

func account(i int) string { return fmt.Sprintf("%024x", i+1) }

func uuidOf(i int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", i) }

// connect opens a stream without waiting for anything.
func (r *rig) connect(who int, rooms ...KnownRoom) *client {
	return r.connectWith(newFakeConn(), who, rooms...)
}

func (r *rig) connectWith(conn *fakeConn, who int, rooms ...KnownRoom) *client {
	return r.connectAs(conn, who, Features{}, rooms...)
}

func (r *rig) connectAs(conn *fakeConn, who int, features Features, rooms ...KnownRoom) *client {
	return r.connectHolding(conn, who, features, nil, rooms...)
}

func (r *rig) connectHolding(conn *fakeConn, who int, features Features, holds func(context.Context) (*Ending, error), rooms ...KnownRoom) *client {
	ctx, cancel := context.WithCancel(r.t.Context())
	c := &client{fakeConn: conn, cancel: cancel, ended: make(chan Ending, 1)}
	r.mu.Lock()
	r.open = append(r.open, c)
	device := fmt.Sprint("device", len(r.open))
	r.mu.Unlock()
	go func() {
		why := serve(r.Engine, ctx, Request{
			Account: account(who), Installation: device,
			Rooms: rooms, Features: features, Conn: conn, Holds: holds,
		}, func(s *Stream) { c.stream = s })
		c.closed.Store(true)
		c.ended <- why
	}()
	return c
}

// settle waits until nothing moves any more.
func (r *rig) settle() { synctest.Wait() }

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	r.settle()
}

// connected opens a stream, after everything so far has been delivered, and
// waits for its initialization.
func (r *rig) connected(who int, rooms ...KnownRoom) *client {
	r.t.Helper()
	r.settle()
	c := r.connect(who, rooms...)
	r.settle()
	if !c.initialized() {
		r.t.Fatal("the stream was not initialized")
	}
	return c
}

// modern opens a stream of a client that asks for everything new.
func (r *rig) modern(who int, rooms ...KnownRoom) *client {
	r.t.Helper()
	r.settle()
	c := r.connectAs(newFakeConn(), who, Features{Bookmark: true, GoAway: true}, rooms...)
	r.settle()
	if !c.initialized() {
		r.t.Fatal("the stream was not initialized")
	}
	return c
}

var uuids atomic.Int64

func nextUUID() string { return uuidOf(int(uuids.Add(1))) }

func opOf(c room.Command) store.Op {
	return store.Op{Decide: func(s room.State) ([]room.Draft, error) { return room.Decide(s, c) }}
}

// do carries out a command in a room.
func (r *rig) do(id string, c room.Command) []room.Event {
	r.t.Helper()
	a, err := r.log.Append(r.t.Context(), id, opOf(c))
	if err != nil {
		r.t.Fatalf("%T: %v", c, err)
	}
	return a.Events
}

func (r *rig) create(id string, who int) {
	r.t.Helper()
	r.do(id, room.Create{Name: "n", Password: "p", Creator: account(who), CreatorName: fmt.Sprint("user", who), CapUUID: nextUUID(), JoinUUID: nextUUID()})
}

func (r *rig) join(id string, who int) room.Event {
	r.t.Helper()
	return r.do(id, room.Join{UUID: nextUUID(), Account: account(who), Name: fmt.Sprint("user", who), Password: "p"})[0]
}

func (r *rig) leave(id string, who int) room.Event {
	r.t.Helper()
	return r.do(id, room.Leave{UUID: nextUUID(), Account: account(who)})[0]
}

func (r *rig) kick(id string, admin, who int) room.Event {
	r.t.Helper()
	return r.do(id, room.Expel{UUID: nextUUID(), Caller: account(admin), Target: account(who)})[0]
}

func (r *rig) text(id string, who int, text string) room.Event {
	r.t.Helper()
	return r.do(id, room.Post{UUID: nextUUID(), Sender: account(who), Kind: room.KindText, Body: textBody(text)})[0]
}

// textBody is the body of a text message.
func textBody(text string) []byte {
	body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
		TextMessage: &chatpb.TextChatMessage{ActiveMessageInfo: &chatpb.ActiveMessageInfo{}, MessageText: text},
	}})
	if err != nil {
		panic(err) // the text is not UTF-8
	}
	return body
}

func textOf(m *chatpb.ChatMessageToClient) string {
	return m.GetMessage().GetMessageSpecifics().GetTextMessage().GetMessageText()
}

// times are the stored times, which stand for the places in the log.
func times(messages []*chatpb.ChatMessageToClient) []int64 {
	var t []int64
	for _, m := range messages {
		t = append(t, m.GetTimestampStored())
	}
	return t
}

var errBroken = errors.New("broken on purpose")

const roomA, roomB = "aaaaaaaa", "bbbbbbbb"

// soon is longer than anything takes that is not meant to wait.
const soon = time.Second
