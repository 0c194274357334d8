package main_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/encoding/proto" // the codec that raw falls back to
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// raw is a message that is sent as it is, valid or not.
type raw struct{ bytes []byte }

// rawCodec sends raw messages and is the ordinary codec for all others.
type rawCodec struct{ encoding.CodecV2 }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*raw); ok {
		return mem.BufferSlice{mem.SliceBuffer(r.bytes)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func anyBytes() grpc.CallOption { return grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")}) }

// invalidUTF8 is a message with a marker replaced by bytes that are no UTF-8.
func invalidUTF8(t *testing.T, m proto.Message, marker string) *raw {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(marker)) {
		t.Fatal("no marker")
	}
	return &raw{bytes: bytes.ReplaceAll(b, []byte(marker), bytes.Repeat([]byte{0xff}, len(marker)))}
}

// fullRequest asks for a message in full.
func fullRequest(roomID, id string) *streampb.ChatToServerRequest {
	return &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{
		RequestFullMessageInfo: &streampb.RequestFullMessageInfoRequest{
			ChatRoomId: roomID,
			MessageUuidList: []*streampb.MessageUUIDWithAmountOfMessage{
				{AmountOfMessagesToRequest: chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO, MessageUuid: id},
			},
		},
	}}
}

// TestInvalidBytes: what is no UTF-8 or no message at all gets a clear error,
// and nothing of it is stored.
func TestInvalidBytes(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u := a.signUp(t)
	r := u.create(t, "hall")
	// A stream that is open meanwhile goes on.
	other := a.signUp(t)
	other.join(t, r)
	healthy := other.open(t)
	healthy.initial()

	const marker = "@@marker@@"
	invoke := func(method string, in, out any) error {
		return u.conn.Invoke(soon(t), method, in, out, anyBytes())
	}
	refusedInput := func(err error) bool {
		switch status.Code(err) {
		case codes.Internal, codes.InvalidArgument:
			return true
		}
		return false
	}
	send := &commandspb.ClientMessageToServerResponse{}
	if err := invoke(commandspb.ChatRoomMessagesService_ClientMessageToServerRPC_FullMethodName,
		invalidUTF8(t, u.textRequest(r, "text "+marker, uuid.NewString()), marker), send); !refusedInput(err) && send.GetReturnStatus() != chatpb.ReturnStatus_INVALID_PARAMETER_PASSED {
		t.Errorf("a text that is no UTF-8: %v, %v", send, err)
	}
	create := &commandspb.CreateChatRoomResponse{}
	if err := invoke(commandspb.ChatRoomMessagesService_CreateChatRoomRPC_FullMethodName,
		invalidUTF8(t, &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: marker}, marker), create); !refusedInput(err) && create.GetReturnStatus() != chatpb.ReturnStatus_INVALID_PARAMETER_PASSED {
		t.Errorf("a room name that is no UTF-8: %v, %v", create, err)
	}
	account := &chatstreampb.CreateAccountResponse{}
	if err := invoke(chatstreampb.AccountService_CreateAccount_FullMethodName,
		invalidUTF8(t, &chatstreampb.CreateAccountRequest{Name: marker, Password: "correct horse battery"}, marker), account); !refusedInput(err) {
		t.Errorf("an account name that is no UTF-8: %v, %v", account, err)
	}
	for _, b := range [][]byte{{0x0a}, {0xff, 0xff, 0xff}, bytes.Repeat([]byte{0x0b}, 100_000)} {
		if err := invoke(commandspb.ChatRoomMessagesService_ClientMessageToServerRPC_FullMethodName, &raw{bytes: b}, send); !refusedInput(err) {
			t.Errorf("%d bytes that are no message: %v", len(b), err)
		}
	}
	if err := invoke(commandspb.ChatRoomMessagesService_ClientMessageToServerRPC_FullMethodName, &raw{bytes: make([]byte, 5<<20)}, send); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("5 MiB: %v", err)
	}

	// The same on the chat stream: that stream ends, with an error or a reason.
	for name, b := range map[string][]byte{
		"no message": {0xff, 0xff, 0xff},
		"no UTF-8":   invalidUTF8(t, fullRequest(r.id, marker), marker).bytes,
		"too large":  make([]byte, 5<<20),
	} {
		ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), u.metadata()))
		rpc, err := u.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streampb.StreamChatService_StreamChatRPC_FullMethodName, anyBytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := rpc.SendMsg(&raw{bytes: b}); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		ended := make(chan error, 1)
		go func() {
			for {
				if err := rpc.RecvMsg(&streampb.ChatToClientResponse{}); err != nil {
					ended <- err
					return
				}
			}
		}()
		select {
		case err := <-ended:
			t.Logf("a stream request that is %s: %v, %v", name, err, rpc.Trailer())
		case <-time.After(patience):
			t.Errorf("a stream request that is %s does not end the stream", name)
		}
		cancel()
	}
	a.awaitClients(t, 1)

	x := u.say(t, r, "still here")
	if m := healthy.message(); m.GetMessageUuid() != x.uuid {
		t.Errorf("got %v", m)
	}
	if got := texts(u.history(t, r)); !slices.Equal(got, []string{"still here"}) {
		t.Errorf("the room holds %q", got)
	}
}

// TestGzipClient: a client that compresses is served.
func TestGzipClient(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	v.join(t, r)
	s := v.open(t)
	s.initial()
	for i := range 50 {
		x := u.say(t, r, fmt.Sprint(i, strings.Repeat(" and so on", i)))
		if m := s.message(); m.GetMessageUuid() != x.uuid {
			t.Fatalf("got %v", m)
		}
	}
	flood(t, u, r, 400)
	for range 400 {
		s.message()
	}
	s.send(fullRequest(r.id, uuid.NewString()))
	if got := s.next().GetRequestFullMessageInfoResponse(); len(got.GetFullMessages().GetFullMessageList()) != 1 {
		t.Errorf("got %v", got)
	}
	if got := u.history(t, r); len(texts(got)) != 450 {
		t.Errorf("the history has %d texts", len(texts(got)))
	}
	if err := s.rpc.CloseSend(); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(down(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON))
}

// TestNoise: what is no gRPC at all disturbs nobody.
func TestNoise(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	v.join(t, r)
	s := v.open(t)
	s.initial()
	random := make([]byte, 1<<16)
	_, _ = crand.Read(random)
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"HTTP/1":               []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"noise":                random,
		"half a preface":       []byte(preface[:10]),
		"a preface":            []byte(preface),
		"a preface and noise":  append([]byte(preface), random...),
		"a preface and a lie":  append([]byte(preface), 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0),
		"a preface and a part": append([]byte(preface), 0, 0),
	} {
		for range 10 {
			conn, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(name, err)
			}
			_, _ = conn.Write(b) // the server may hang up meanwhile
			defer conn.Close()   // open while others are served
		}
		x := u.say(t, r, name)
		if m := s.message(); m.GetMessageUuid() != x.uuid {
			t.Fatalf("got %v", m)
		}
	}
}

// gate is a connection whose reading and writing can be stopped, as when a
// client is gone without a word.
type gate struct {
	net.Conn
	mu     sync.Mutex
	closed chan struct{} // non-nil: stopped, until it is closed
}

func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) pass() {
	g.mu.Lock()
	c := g.closed
	g.mu.Unlock()
	if c != nil {
		<-c
	}
}

func (g *gate) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.pass() // what was read meanwhile is not seen
	return n, err
}

func (g *gate) Write(b []byte) (int, error) {
	g.pass()
	return g.Conn.Write(b)
}

func (g *gate) Close() error {
	g.mu.Lock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
	g.mu.Unlock()
	return g.Conn.Close()
}

// TestHalfOpenConnection: a client whose connection went silent comes back on
// another one. The new stream is served at once, and the old one is ended
// although its client cannot be told.
func TestHalfOpenConnection(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin := a.signUp(t)
	var g *gate
	silent := dial(t, p.addr, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		g = &gate{Conn: conn}
		return g, nil
	}))
	u := silent.signUp(t)
	r := admin.create(t, "hall")
	pos := position{room: r.id, updated: u.join(t, r).time(), viewed: time.Now().Add(time.Hour).UnixMilli()}
	u.open(t, pos).initial()
	a.awaitClients(t, 1)
	g.stop()
	t.Cleanup(func() { g.Close() })
	first := admin.say(t, r, "can you hear me?")
	flood(t, admin, r, 1200) // more than the connection takes

	back := *u
	back.api = a
	began := time.Now()
	s := back.open(t, pos)
	missed := s.initial()
	t.Logf("the new stream was ready after %v", time.Since(began).Round(time.Millisecond))
	if got := texts(missed); len(got) != 1201 || got[0] != first.text {
		t.Errorf("%d texts after coming back", len(got))
	}
	x := admin.say(t, r, "and now?")
	if m := s.message(); m.GetMessageUuid() != x.uuid {
		t.Errorf("got %v", m)
	}
	a.awaitClients(t, 1)
	t.Logf("the old stream was gone after %v", time.Since(began).Round(time.Millisecond))
}

// TestManyConnections: connections that come and go leave nothing behind.
func TestManyConnections(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u := a.signUp(t)
	n := 100
	if testing.Short() {
		n = 20
	}
	for i := range n {
		c, err := connect(p.addr)
		if err != nil {
			t.Fatal(err)
		}
		other := *u
		other.api = c
		s := other.open(t)
		if i%2 == 0 {
			s.initial()
		}
		c.conn.Close()
		s.ending()
	}
	a.awaitClients(t, 0)
}
