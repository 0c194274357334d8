//go:build frames

package frames

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/streampb"
)

// IgnoreCurrent is for the goroutines of ants' default pool, which exist from its
// import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// patience is how long a test waits for what is to come.
const patience = 30 * time.Second

const chatMethod = streampb.StreamChatService_StreamChatRPC_FullMethodName

// newServer makes a server whose chat streams are served by chat.
func newServer(t testing.TB, chat func(context.Context, *Chat) metadata.MD, change ...func(*Config)) *Server {
	cfg := Config{
		Chat:  chatMethod,
		Serve: func(ctx context.Context, _ metadata.MD, c *Chat, ended func(metadata.MD)) { ended(chat(ctx, c)) },
		Ended: func(net.Conn, *Chat) {},
		RPC:   http.NotFoundHandler(), MaxMetadata: 1 << 16, MaxMessage: 4 << 20, MaxStreams: 10,
		Handshake: patience, MaxIdle: time.Hour, Keepalive: time.Hour, KeepaliveTimeout: time.Hour, MinPing: 1,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	s := New(cfg)
	t.Cleanup(s.Stop)
	return s
}

// serve lets it listen, and returns the address.
func serve(t testing.TB, s *Server, wrap ...func(net.Listener) net.Listener) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	for _, f := range wrap {
		l = f(l)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return address
}

// sending returns a chat stream's server that sends responses, waiting for
// credit before each, and then returns trailers.
func sending(responses ...*engine.Response) func(context.Context, *Chat) metadata.MD {
	return func(ctx context.Context, c *Chat) metadata.MD {
		woken := make(chan struct{}, 1)
		c.Bind(func() { woken <- struct{}{} })
		for _, r := range responses {
			for !c.Credit() {
				select {
				case <-woken:
				case <-ctx.Done():
					return nil
				}
			}
			if c.Send(r) != nil {
				return nil
			}
		}
		return metadata.Pairs("why", "all is said")
	}
}

// untilGone is a chat stream's server that says nothing.
func untilGone(ctx context.Context, _ *Chat) metadata.MD {
	<-ctx.Done()
	return nil
}

// responseOf is one whose message is a field of n bytes in several elements.
func responseOf(fill byte, n int) *engine.Response {
	r := &engine.Response{Head: protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.BytesType), uint64(n))}
	r.Size = len(r.Head) + n
	for n > 0 {
		part := min(n, 1+n/2)
		r.Elements = append(r.Elements, &engine.Element{Bytes: bytes.Repeat([]byte{fill}, part)})
		n -= part
	}
	return r
}

// wire is what r looks like to the client.
func wire(r *engine.Response) []byte {
	b := []byte{0, byte(r.Size >> 24), byte(r.Size >> 16), byte(r.Size >> 8), byte(r.Size)}
	b = append(b, r.Head...)
	for _, e := range r.Elements {
		b = append(b, e.Bytes...)
	}
	return b
}

// peer is a client that speaks HTTP/2 frame by frame.
type peer struct {
	t testing.TB
	net.Conn
	*http2.Framer
	headers bytes.Buffer
	encoder *hpack.Encoder
}

// connect connects, and says hello with settings.
func connect(t testing.TB, address string, settings ...http2.Setting) *peer {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
	p.Framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.Framer.AllowIllegalWrites = true
	p.init()
	p.must(io.WriteString(c, http2.ClientPreface))
	p.ok(p.WriteSettings(settings...))
	return p
}

func (p *peer) init() { p.encoder = hpack.NewEncoder(&p.headers) }

func (p *peer) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) must(_ int, err error) {
	p.t.Helper()
	p.ok(err)
}

// block encodes the headers of a chat stream, and more.
func (p *peer) block(more ...string) []byte {
	p.headers.Reset()
	fields := append([]string{
		":method", "POST", ":scheme", "http", ":path", chatMethod, ":authority", "test",
		"content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i < len(fields); i += 2 {
		p.ok(p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return p.headers.Bytes()
}

// open opens a chat stream.
func (p *peer) open(id uint32, more ...string) {
	p.t.Helper()
	p.ok(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(more...), EndHeaders: true}))
}

// next returns the next frame that is not about the connection's beginning. It is
// valid until the one after it is read.
func (p *peer) next() http2.Frame {
	p.t.Helper()
	for {
		f, err := p.ReadFrame()
		p.ok(err)
		if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = p.WriteSettingsAck() // the server may be gone
			continue
		} else if ok {
			continue
		}
		if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 && w.Increment == connWindow-defaultWindow {
			continue
		}
		return f
	}
}

// ping waits until the server has answered, and so has done what came before,
// and returns what it sent meanwhile.
func (p *peer) ping() (data []byte, others []http2.Frame) {
	p.t.Helper()
	p.ok(p.WritePing(false, [8]byte{1}))
	for {
		switch f := p.next().(type) {
		case *http2.PingFrame:
			if f.IsAck() {
				return data, others
			}
		case *http2.DataFrame:
			data = append(data, f.Data()...)
		default:
			others = append(others, f)
		}
	}
}

func expect[F http2.Frame](p *peer) F {
	p.t.Helper()
	f := p.next()
	got, ok := f.(F)
	if !ok {
		p.t.Fatalf("got %v, want another frame: %T", f, got)
	}
	return got
}
