//go:build frames

package frames

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestWholeStream looks at every frame of a stream's life.
func TestWholeStream(t *testing.T) {
	r := responseOf('x', 100)
	s := newServer(t, sending(r))
	p := connect(t, serve(t, s))
	p.open(1)
	if f := expect[*http2.MetaHeadersFrame](p); f.PseudoValue("status") != "200" || f.StreamEnded() || field(f, "content-type") != "application/grpc" {
		t.Errorf("headers %v", f.Fields)
	}
	if f := expect[*http2.DataFrame](p); !bytes.Equal(f.Data(), wire(r)) || f.StreamEnded() {
		t.Errorf("data %q", f.Data())
	}
	if f := expect[*http2.MetaHeadersFrame](p); !f.StreamEnded() || field(f, "grpc-status") != "0" || field(f, "why") != "all is said" {
		t.Errorf("trailers %v", f.Fields)
	}
	// The client has not closed its side: it need not send any more.
	if f := expect[*http2.RSTStreamFrame](p); f.ErrCode != http2.ErrCodeNo {
		t.Errorf("reset with %v", f.ErrCode)
	}
	p.ok(p.WriteData(1, true, make([]byte, 100))) // crossed with it on the way
	if data, others := p.ping(); len(data) > 0 || len(others) > 0 {
		t.Errorf("got %q, %v", data, others)
	}
}

func field(f *http2.MetaHeadersFrame, name string) string {
	for _, h := range f.RegularFields() {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// TestTrailersOnly: a stream that is refused has one HEADERS frame.
func TestTrailersOnly(t *testing.T) {
	p := connect(t, serve(t, newServer(t, sending())))
	p.open(1)
	f := expect[*http2.MetaHeadersFrame](p)
	if !f.StreamEnded() || f.PseudoValue("status") != "200" || field(f, "grpc-status") != "0" || field(f, "why") != "all is said" {
		t.Errorf("got %v", f.Fields)
	}
}

// TestLongHeaders: metadata in CONTINUATION frames, and too much of it.
func TestLongHeaders(t *testing.T) {
	got := make(chan metadata.MD, 1)
	s := newServer(t, nil, func(c *Config) {
		c.Serve = func(_ context.Context, md metadata.MD, _ *Chat, ended func(metadata.MD)) {
			got <- md
			ended(metadata.Pairs("echo", md.Get("long")[0]))
		}
	})
	p := connect(t, serve(t, s))
	long := strings.Repeat("q0Z", 10_000)
	block := p.block("long", long)
	p.ok(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:10], EndStream: true}))
	p.ok(p.WriteContinuation(1, false, block[10:10_000]))
	p.ok(p.WriteContinuation(1, true, block[10_000:]))
	if md := <-got; md.Get("long")[0] != long {
		t.Error("the metadata came otherwise")
	}
	if f := expect[*http2.MetaHeadersFrame](p); field(f, "echo") != long {
		t.Error("the trailers came otherwise")
	}
	var many []string
	for range 30 { // all but the first take a byte on the wire
		many = append(many, "k", strings.Repeat("x", 3000))
	}
	p.open(3, many...)
	if f := expect[*http2.RSTStreamFrame](p); f.StreamID != 3 || f.ErrCode != http2.ErrCodeFrameSize {
		t.Errorf("got %v", f)
	}
}

// TestViolations: what a client must not do, and what it is told.
func TestViolations(t *testing.T) {
	conn := func(code http2.ErrCode) string { return "the connection: " + code.String() }
	stream := func(code http2.ErrCode) string { return "the stream: " + code.String() }
	for name, c := range map[string]struct {
		do   func(p *peer)
		want string
	}{
		"window overflow":            {func(p *peer) { p.ok(p.WriteWindowUpdate(0, maxWindow)) }, conn(http2.ErrCodeFlowControl)},
		"stream window overflow":     {func(p *peer) { p.ok(p.WriteWindowUpdate(1, maxWindow)) }, stream(http2.ErrCodeFlowControl)},
		"stream window of zero":      {func(p *peer) { p.ok(p.WriteWindowUpdate(1, 0)) }, stream(http2.ErrCodeProtocol)},
		"settings overflow a window": {overflowBySettings, conn(http2.ErrCodeFlowControl)},
		"more than the window":       {tooMuch, stream(http2.ErrCodeFlowControl)},
		"data after the end": {func(p *peer) {
			p.ok(p.WriteData(1, true, nil))
			p.ok(p.WriteData(1, false, []byte("x")))
		}, stream(http2.ErrCodeStreamClosed)},
		"data on an idle stream":   {func(p *peer) { p.ok(p.WriteData(5, false, []byte("x"))) }, conn(http2.ErrCodeProtocol)},
		"reset of an idle stream":  {func(p *peer) { p.ok(p.WriteRSTStream(5, http2.ErrCodeCancel)) }, conn(http2.ErrCodeProtocol)},
		"an even stream":           {func(p *peer) { p.open(2) }, conn(http2.ErrCodeProtocol)},
		"headers twice":            {func(p *peer) { p.open(1) }, stream(http2.ErrCodeProtocol)},
		"a frame that is too long": {func(p *peer) { p.ok(p.WriteData(1, false, make([]byte, defaultFrameSize+1))) }, conn(http2.ErrCodeFrameSize)},
		"headers cut into": {func(p *peer) {
			p.ok(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: p.block()}))
			p.ok(p.WritePing(false, [8]byte{}))
		}, conn(http2.ErrCodeProtocol)},
		"bad compression": {func(p *peer) {
			p.ok(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true}))
		}, conn(http2.ErrCodeCompression)},
		"a bad setting": {func(p *peer) {
			p.ok(p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}))
		}, conn(http2.ErrCodeProtocol)},
		"a bad timeout": {func(p *peer) { p.open(3, "grpc-timeout", "soon") }, stream(http2.ErrCodeProtocol)},
		"too many streams": {func(p *peer) {
			for id := range uint32(10) {
				p.open(3 + 2*id)
			}
		}, stream(http2.ErrCodeRefusedStream)},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, serve(t, newServer(t, untilGone)))
			p.open(1)
			c.do(p)
			got := ""
			for got == "" {
				switch f := p.next().(type) {
				case *http2.GoAwayFrame:
					got = conn(f.ErrCode)
				case *http2.RSTStreamFrame:
					got = stream(f.ErrCode)
				case *http2.MetaHeadersFrame, *http2.WindowUpdateFrame:
				default:
					t.Fatalf("got %v", f)
				}
			}
			if got != c.want {
				t.Errorf("it ended %s, want %s", got, c.want)
			}
		})
	}
}

func overflowBySettings(p *peer) {
	p.ok(p.WriteWindowUpdate(1, maxWindow-defaultWindow))
	p.ok(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow + 1}))
}

// tooMuch uses more than the window of a stream that takes nothing.
func tooMuch(p *peer) {
	for range 5 {
		p.ok(p.WriteData(1, false, make([]byte, defaultFrameSize)))
	}
}

// TestPings: they are answered, and asking for nothing else ends in being told
// off.
func TestPings(t *testing.T) {
	p := connect(t, serve(t, newServer(t, untilGone, func(c *Config) { c.MinPing = time.Hour })))
	for range maxPingStrikes + 1 {
		p.ping()
	}
	p.ok(p.WritePing(false, [8]byte{}))
	expect[*http2.PingFrame](p)
	if f := expect[*http2.GoAwayFrame](p); f.ErrCode != http2.ErrCodeEnhanceYourCalm || string(f.DebugData()) != "too_many_pings" {
		t.Errorf("got %v", f)
	}
}

// narrow gives connections little room for what has not been read.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return c, err
}

// TestControlIsBounded: who asks without end and reads no answer is cut off.
func TestControlIsBounded(t *testing.T) {
	p := connect(t, serve(t, newServer(t, untilGone), func(l net.Listener) net.Listener { return narrow{l} }))
	p.ok(p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10))
	var frames bytes.Buffer
	w := http2.NewFramer(&frames, nil)
	for range 1000 {
		p.ok(w.WritePing(false, [8]byte{}))
	}
	for {
		if _, err := p.Write(frames.Bytes()); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("nobody minds")
			}
			return
		}
	}
}

// TestCanceled: a reset, a timeout and the connection's end are the end of the
// stream's context.
func TestCanceled(t *testing.T) {
	ended := make(chan error, 1)
	p := connect(t, serve(t, newServer(t, func(ctx context.Context, c *Chat) metadata.MD {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	})))
	p.open(1)
	p.ok(p.WriteRSTStream(1, http2.ErrCodeCancel))
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
	p.open(3, "grpc-timeout", "10m")
	if err := <-ended; err != context.DeadlineExceeded {
		t.Error(err)
	}
	expect[*http2.MetaHeadersFrame](p)
	p.open(5)
	p.Close()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

// TestSilent: a connection that says nothing is asked, and closed if it does not
// answer; one without RPCs is told to go.
func TestSilent(t *testing.T) {
	p := connect(t, serve(t, newServer(t, untilGone, func(c *Config) { c.Keepalive, c.KeepaliveTimeout = 50*time.Millisecond, 50*time.Millisecond })))
	p.open(1)
	if f := expect[*http2.PingFrame](p); f.IsAck() {
		t.Errorf("got %v", f)
	}
	if _, err := p.ReadFrame(); err == nil {
		t.Error("it is still there")
	}
	p = connect(t, serve(t, newServer(t, untilGone, func(c *Config) { c.MaxIdle = 50 * time.Millisecond })))
	if f := expect[*http2.GoAwayFrame](p); f.ErrCode != http2.ErrCodeNo {
		t.Errorf("got %v", f)
	}
}

// TestGracefulStop: streams that are open go on to their end, new ones do not
// begin, and nobody is left in the middle of a sentence.
func TestGracefulStop(t *testing.T) {
	r := responseOf('x', 30_000)
	stop := make(chan struct{})
	s := newServer(t, func(ctx context.Context, c *Chat) metadata.MD {
		<-stop
		return sending(r)(ctx, c)
	})
	p := connect(t, serve(t, s))
	p.open(1)
	p.ping()
	stopped := make(chan struct{})
	go func() {
		s.GracefulStop()
		close(stopped)
	}()
	if f := expect[*http2.GoAwayFrame](p); f.LastStreamID != 1 || f.ErrCode != http2.ErrCodeNo {
		t.Errorf("got %v", f)
	}
	p.open(3)
	close(stop)
	n := 0
	for ended := false; !ended; {
		switch f := p.next().(type) {
		case *http2.DataFrame:
			n += len(f.Data())
		case *http2.MetaHeadersFrame:
			ended = f.StreamEnded()
		}
	}
	if n != len(wire(r)) {
		t.Errorf("got %d bytes of %d", n, len(wire(r)))
	}
	p.Close()
	<-stopped
}

// TestOtherRPCs: grpc-go serves them, through windows and with its own errors.
func TestOtherRPCs(t *testing.T) {
	g := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		if method == "/x/Fail" {
			return fmt.Errorf("it failed: 100%%")
		}
		in := &wrapperspb.BytesValue{}
		if err := stream.RecvMsg(in); err != nil {
			return err
		}
		if method == "/x/Never" {
			<-stream.Context().Done()
			return stream.Context().Err()
		}
		stream.SetTrailer(metadata.Pairs("last", "word", "raw-bin", "\x00\xff"))
		for range 3 {
			if err := stream.SendMsg(in); err != nil {
				return err
			}
		}
		return nil
	}))
	t.Cleanup(g.Stop)
	address := serve(t, newServer(t, untilGone, func(c *Config) {
		c.RPC = g
		c.Bound = func(ctx context.Context, method string) context.Context {
			if method == "/x/Never" {
				bounded, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				context.AfterFunc(bounded, cancel)
				return bounded
			}
			return ctx
		}
	}))
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/x/Echo")
	if err != nil {
		t.Fatal(err)
	}
	in, out := wrapperspb.Bytes(bytes.Repeat([]byte("0123456789"), 200_000)), &wrapperspb.BytesValue{}
	if err := stream.SendMsg(in); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := stream.RecvMsg(out); err != nil || !bytes.Equal(in.Value, out.Value) {
			t.Fatalf("got %d bytes, %v", len(out.Value), err)
		}
	}
	if err := stream.RecvMsg(out); err == nil || stream.Trailer().Get("last")[0] != "word" || stream.Trailer().Get("raw-bin")[0] != "\x00\xff" {
		t.Errorf("got %v, %v", err, stream.Trailer())
	}
	if err := cc.Invoke(ctx, "/x/Fail", &emptypb.Empty{}, &emptypb.Empty{}); err == nil || err.Error() != "rpc error: code = Unknown desc = it failed: 100%" {
		t.Errorf("/x/Fail: %v", err)
	}
	// grpc-go's handler of HTTP may cancel what it has made of a context before
	// that has heard of the deadline itself.
	err = cc.Invoke(ctx, "/x/Never", &emptypb.Empty{}, &emptypb.Empty{})
	if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Canceled {
		t.Errorf("/x/Never, which is bounded: %v", err)
	}
}

// FuzzConnection says anything at all after a greeting: the server neither
// panics nor hangs, and forgets the connection.
func FuzzConnection(f *testing.F) {
	var frames bytes.Buffer
	w := http2.NewFramer(&frames, nil)
	w.AllowIllegalWrites = true
	p := &peer{t: f}
	p.init()
	f.Add([]byte{})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(), EndHeaders: true})
	w.WriteData(1, false, []byte{0, 0, 0, 0, 1, 1})
	w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	w.WriteWindowUpdate(1, 100)
	w.WritePing(false, [8]byte{})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: p.block(":path", "/x/y"), EndHeaders: true})
	w.WriteRSTStream(1, http2.ErrCodeCancel)
	w.WriteData(3, true, nil)
	w.WriteGoAway(0, http2.ErrCodeNo, nil)
	f.Add(bytes.Clone(frames.Bytes()))
	s := newServer(f, func(ctx context.Context, c *Chat) metadata.MD {
		return sending(responseOf('a', 10), responseOf('b', 40_000))(ctx, c)
	})
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := net.Pipe()
		c := s.newConn(far, far)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		ended := make(chan struct{})
		go func() {
			c.serve()
			close(ended)
		}()
		read := make(chan struct{})
		go func() {
			defer close(read)
			buf := make([]byte, 1000)
			for {
				if _, err := near.Read(buf); err != nil {
					return
				}
			}
		}()
		near.SetWriteDeadline(time.Now().Add(patience))
		near.Write([]byte(http2.ClientPreface))
		near.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
		near.Write(said)
		near.Close()
		<-read
		<-ended
		for {
			c.mu.Lock()
			streams, handlers := len(c.streams), c.handlers
			c.mu.Unlock()
			if streams != 0 {
				t.Fatalf("%d streams are left", streams)
			}
			if handlers == 0 {
				return
			}
			time.Sleep(time.Millisecond) // they are about to return
		}
	})
}
