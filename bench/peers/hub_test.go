package peers

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"

	"github.com/chatstream/chatstream/bench/load"
)

// hubMembers is the size of the room.
const hubMembers = 1000

// What it costs to tell every member of a room about a message, in memory and
// without a network, for each of 1 000 members: our engine's fan-out with the
// message's encoding, and the broadcast of the hub in centrifuge, the library
// that Centrifugo is made of. Neither includes what is done for a member
// afterwards by someone else: a stream's turn with us, a client's own goroutine
// with centrifuge, which however runs meanwhile on another core. Time on the
// clock.
//
// Ours is the engine's own benchmarks, run by the pair: what they measure is not
// exported.
func BenchmarkPeerHub(b *testing.B) {
	engine := buildEngineBenchmarks(b)
	hub := newHub(b, hubMembers)
	if _, err := hub.broadcast(b.Context(), 100); err != nil { // warm
		b.Fatal(err)
	}
	found := pairs{}
	for b.Loop() {
		ours := engine.run(b)
		took, err := hub.broadcast(b.Context(), 1000)
		if err != nil {
			b.Fatal(err)
		}
		theirs := float64(took.Nanoseconds()) / 1000 / hubMembers
		found.add("ours-ns/member", ours)
		found.add("centrifuge-ns/member", theirs)
		found.add("ratio", ours/theirs)
		b.Logf("ours %.1f, theirs %.1f ns for each member, ratio %.3f", ours, theirs, ours/theirs)
	}
	found.report(b, 1.0/3)
}

// The same until the message is in the hands of every member's transport, which
// takes it and does nothing: a running engine with its feed, its room's turn and
// 1 000 streams' turns, and the hub with its clients' goroutines. Processor time
// of all of that, one message at a time.
func BenchmarkPeerHubToTransport(b *testing.B) {
	hub, engine := newHub(b, hubMembers), newRunningEngine(b, hubMembers)
	cpu := func(broadcast func(ctx context.Context, n int) (time.Duration, error)) float64 {
		const n = 2000
		before, err := load.Process(os.Getpid()).CPU()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := broadcast(b.Context(), n); err != nil {
			b.Fatal(err)
		}
		after, err := load.Process(os.Getpid()).CPU()
		if err != nil {
			b.Fatal(err)
		}
		return float64((after - before).Nanoseconds()) / n / hubMembers
	}
	cpu(hub.broadcast) // warm
	cpu(engine.broadcast)
	found := pairs{}
	for b.Loop() {
		ours, theirs := cpu(engine.broadcast), cpu(hub.broadcast)
		found.add("ours-ns/member", ours)
		found.add("centrifuge-ns/member", theirs)
		found.add("ratio", ours/theirs)
		b.Logf("ours %.1f, theirs %.1f ns for each member, ratio %.3f", ours, theirs, ours/theirs)
	}
	found.report(b, 0)
}

// engineBenchmarks is the test program of our engine.
type engineBenchmarks string

func buildEngineBenchmarks(b *testing.B) engineBenchmarks {
	b.Helper()
	program := filepath.Join(b.TempDir(), "engine.test")
	out, err := exec.CommandContext(b.Context(), "go", "test", "-C", filepath.Join("..", ".."), "-c", "-o", program, "./engine").CombinedOutput()
	if err != nil {
		b.Fatalf("build the engine's benchmarks: %v\n%s", err, out)
	}
	return engineBenchmarks(program)
}

// run returns the time for each member, in nanoseconds.
func (e engineBenchmarks) run(b *testing.B) float64 {
	b.Helper()
	fanOut := e.one(b, fmt.Sprintf("^BenchmarkRouteToIdle$/^members=%d$", hubMembers), "ours-ns/member")
	encode := e.one(b, "^BenchmarkEncode$", "ns/op")
	return fanOut + encode/hubMembers
}

// one runs one benchmark and returns one of the numbers that it reports.
func (e engineBenchmarks) one(b *testing.B, benchmark, metric string) float64 {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), string(e), "-test.run=^$", "-test.benchtime=200ms", "-test.bench="+benchmark)
	cmd.Dir = b.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("run the engine's benchmarks: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`([\d.]+) ` + regexp.QuoteMeta(metric) + `\s`).FindSubmatch(out)
	if m == nil {
		b.Fatalf("no %s in\n%s", metric, out)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// written counts what transports have been given.
type written struct {
	total, awaited atomic.Int64
	complete       chan struct{}
}

func newWritten() *written {
	w := &written{complete: make(chan struct{}, 1)}
	w.awaited.Store(math.MaxInt64)
	return w
}

func (w *written) add(n int) {
	if w.total.Add(int64(n)) >= w.awaited.Load() {
		select {
		case w.complete <- struct{}{}:
		default:
		}
	}
}

// await waits until so much has been written in all, and not more.
func (w *written) await(ctx context.Context, total int64) error {
	w.awaited.Store(total)
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for w.total.Load() < total {
		select {
		case <-w.complete: // or what was left of an earlier wait
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages have been written: %w", w.total.Load(), total, ctx.Err())
		}
	}
	if n := w.total.Load(); n != total {
		return fmt.Errorf("%d messages have been written, not %d", n, total)
	}
	return nil
}

// hub is a node of centrifuge with clients that are subscribed with recovery, so
// that each checks a publication's place, as with Centrifugo.
type hub struct {
	node    *centrifuge.Node
	epoch   string
	offset  uint64
	members int64
	written *written
}

func newHub(b *testing.B, members int) *hub {
	b.Helper()
	node, err := centrifuge.New(centrifuge.Config{
		// Nothing but the broadcast is to happen.
		ClientChannelPositionCheckDelay: 24 * time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	h := &hub{node: node, members: int64(members), written: newWritten()}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: "ada"},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {EnableRecovery: true, EnablePositioning: true}},
		}, nil
	})
	if err := node.Run(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := node.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	})
	// The first publication makes the channel's history, and with it the epoch.
	first, err := node.Publish(channel, []byte("first"), centrifuge.WithHistory(10, time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	h.epoch, h.offset = first.Epoch, first.Offset
	for range members {
		client, _, err := centrifuge.NewClient(b.Context(), node, hubTransport{h.written})
		if err != nil {
			b.Fatal(err)
		}
		connect := &protocol.Command{Id: 1, Connect: &protocol.ConnectRequest{}}
		if !client.HandleCommand(connect, connect.SizeVT()) {
			b.Fatal("a client could not connect")
		}
	}
	if n := node.Hub().NumSubscribers(channel); n != members {
		b.Fatalf("%d of %d clients are subscribed", n, members)
	}
	if err := h.written.await(b.Context(), h.members); err != nil { // the answers to connect
		b.Fatal(err)
	}
	return h
}

// broadcast broadcasts n messages, each when the one before has been written to
// all, and returns how long the hub was busy with them.
func (h *hub) broadcast(ctx context.Context, n int) (took time.Duration, err error) {
	text := appendText(nil, 0, 0, textSize)
	for range n {
		before := h.written.total.Load()
		h.offset++
		start := time.Now()
		if err := h.node.Hub().BroadcastPublication(channel, &centrifuge.Publication{Data: text, Offset: h.offset},
			centrifuge.StreamPosition{Offset: h.offset, Epoch: h.epoch}); err != nil {
			return 0, err
		}
		took += time.Since(start)
		if err := h.written.await(ctx, before+h.members); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// hubTransport takes everything and keeps nothing.
type hubTransport struct{ written *written }

func (t hubTransport) Write([]byte) error {
	t.written.add(1)
	return nil
}

func (t hubTransport) WriteMany(messages ...[]byte) error {
	t.written.add(len(messages))
	return nil
}

func (hubTransport) Close(centrifuge.Disconnect) error { return nil }

func (hubTransport) Name() string                                { return "none" }
func (hubTransport) AcceptProtocol() string                      { return "" }
func (hubTransport) Protocol() centrifuge.ProtocolType           { return centrifuge.ProtocolTypeProtobuf }
func (hubTransport) ProtocolVersion() centrifuge.ProtocolVersion { return centrifuge.ProtocolVersion2 }
func (hubTransport) Unidirectional() bool                        { return false }
func (hubTransport) Emulation() bool                             { return false }
func (hubTransport) DisabledPushFlags() uint64                   { return 0 }

// PingPongConfig has no pings: they would be counted as writes.
func (hubTransport) PingPongConfig() centrifuge.PingPongConfig {
	return centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1}
}
