package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// rawService hands the server's side of each chat stream to the test.
type rawService struct {
	streampb.UnimplementedStreamChatServiceServer
	handle func(grpc.ServerStream) error
}

func (s rawService) StreamChatRPC(stream grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse]) error {
	return s.handle(stream)
}

// serveRaw serves handle over TCP, since an in-memory pipe has other buffers.
func serveRaw(t testing.TB, handle func(grpc.ServerStream) error) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(newCodec()), grpc.Creds(tracked{insecure.NewCredentials()}))
	streampb.RegisterStreamChatServiceServer(s, rawService{handle: handle})
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(listener) })
	t.Cleanup(func() { s.Stop(); served.Wait() })
	return listener.Addr().String()
}

func openRaw(t testing.TB, address string, opts ...grpc.CallOption) (grpc.BidiStreamingClient[streampb.ChatToServerRequest, streampb.ChatToClientResponse], context.CancelFunc) {
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); cc.Close() })
	stream, err := streampb.NewStreamChatServiceClient(cc).StreamChatRPC(ctx, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return stream, cancel
}

// responseOf is a response of n texts, as the engine makes them.
func responseOf(t testing.TB, n int, text string) *engine.Response {
	r := &engine.Response{}
	inner := 0
	for range n {
		m, err := proto.Marshal(&chatpb.ChatMessageToClient{MessageUuid: text})
		if err != nil {
			t.Fatal(err)
		}
		el := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), m)
		r.Elements = append(r.Elements, &engine.Element{Bytes: el, Boxed: box(el)})
		inner += len(el)
	}
	r.Head = protowire.AppendVarint(protowire.AppendTag(nil, 6, protowire.BytesType), uint64(inner))
	r.Size = len(r.Head) + inner
	return r
}

// A moment that no SendMsg may take longer than. It is far above what one takes
// on a busy machine, and far below for ever.
const moment = 10 * time.Second

// TestSendNeverBlocks leans on grpc-go's write quota: it fails when a version of
// grpc-go changes what SendMsg waits for.
func TestSendNeverBlocks(t *testing.T) {
	for _, size := range []int{1, 200, 1000, 4000, 60_000, 250_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			type report struct {
				sent    int
				longest time.Duration
			}
			parked, done := make(chan report, 1), make(chan report, 1)
			text := string(slices.Repeat([]byte("x"), size))
			address := serveRaw(t, func(stream grpc.ServerStream) error {
				c := newConn(stream)
				woken := make(chan struct{}, 1)
				c.Bind(func() { woken <- struct{}{} })
				var r report
				first := true
				for r.sent < min(2_000_000/size+50, 20_000) {
					if !c.Credit() {
						if first {
							parked <- r
							first = false
						}
						select {
						case <-woken:
							continue
						case <-stream.Context().Done():
							return nil
						}
					}
					before := time.Now()
					if err := c.Send(responseOf(t, 1, text)); err != nil {
						return err
					}
					r.longest = max(r.longest, time.Since(before))
					r.sent++
				}
				done <- r
				return nil
			})
			client, _ := openRaw(t, address)
			var all report
			if size == 1 { // so little that it may all fit
				go drain(client)
				all = <-done
			} else {
				r := <-parked
				t.Logf("the client does not read: %d sent, then no credit; longest Send %v", r.sent, r.longest)
				go drain(client)
				all = <-done
			}
			if all.longest > moment {
				t.Errorf("a Send took %v", all.longest)
			}
		})
	}
}

func drain(client grpc.BidiStreamingClient[streampb.ChatToServerRequest, streampb.ChatToClientResponse]) int {
	n := 0
	for {
		r, err := client.Recv()
		if err != nil {
			return n
		}
		n += len(r.GetReturnNewChatMessage().GetMessagesList())
	}
}

// TestNoCreditIsLost sends much more than the quota to a client that reads, with
// credit alone deciding when: if a completion were lost, it would not end. Nor
// may more be completed than was sent: that would be credit for nothing.
func TestNoCreditIsLost(t *testing.T) {
	const responses, each = 5_000, 20
	address := serveRaw(t, func(stream grpc.ServerStream) error {
		c := newConn(stream)
		woken := make(chan struct{}, 1)
		c.Bind(func() { woken <- struct{}{} })
		r := responseOf(t, each, "00000000-0000-0000-0000-000000000000")
		for sent := 0; sent < responses; {
			if c.Passed() > c.Sent() {
				return fmt.Errorf("%d bytes have passed, of %d that were sent", c.Passed(), c.Sent())
			}
			if !c.Credit() {
				select {
				case <-woken:
				case <-stream.Context().Done():
					return stream.Context().Err()
				}
				continue
			}
			if err := c.Send(r); err != nil {
				return err
			}
			sent++
		}
		return nil
	})
	client, _ := openRaw(t, address)
	if n := drain(client); n != responses*each {
		_, err := client.Recv()
		t.Errorf("received %d of %d: %v", n, responses*each, err)
	}
}

// TestSharedElementsStayWhole sends the same elements to many clients at once,
// marks included, and looks at what each got.
func TestSharedElementsStayWhole(t *testing.T) {
	const clients, rounds = 20, 200
	var responses []*engine.Response
	for i := range rounds {
		responses = append(responses, responseOf(t, 1+i%50, fmt.Sprintf("%036d", i)))
	}
	address := serveRaw(t, func(stream grpc.ServerStream) error {
		c := newConn(stream)
		woken := make(chan struct{}, 1)
		c.Bind(func() { woken <- struct{}{} })
		for i := 0; i < rounds; {
			if !c.Credit() {
				<-woken
				continue
			}
			if err := c.Send(responses[i]); err != nil {
				return err
			}
			i++
		}
		return nil
	})
	var wrong atomic.Int64
	var all sync.WaitGroup
	for range clients {
		client, _ := openRaw(t, address)
		all.Go(func() {
			for i := range rounds {
				r, err := client.Recv()
				if err != nil {
					t.Error(err)
					return
				}
				list := r.GetReturnNewChatMessage().GetMessagesList()
				if len(list) != 1+i%50 {
					wrong.Add(1)
				}
				for _, m := range list {
					if m.GetMessageUuid() != fmt.Sprintf("%036d", i) {
						wrong.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d messages or lists were not what was sent", wrong.Load())
	}
}

// TestBuffersAreGivenBack pins the size above which grpc-go gives a buffer back
// to its pool: below it a mark would never be heard of.
func TestBuffersAreGivenBack(t *testing.T) {
	for _, size := range []int{1, 100, poolable - 1, poolable, 10_000} {
		c := &conn{}
		c.Bind(func() {})
		data := make([]byte, size)
		binary.PutVarint(data[:min(size, 1)], 1)
		buffer := (&mark{conn: c, upTo: 7}).wrap(data)
		if !slices.Equal(buffer.ReadOnlyData(), data) {
			t.Errorf("size %d: other data", size)
		}
		buffer.Free()
		if c.completed.Load() != 7 {
			t.Errorf("size %d: the mark was not heard of", size)
		}
	}
	if mem.IsBelowBufferPoolingThreshold(poolable) {
		t.Errorf("grpc-go does not give buffers of %d bytes back any more", poolable)
	}
}

// TestCreditSeesCompletion runs Credit against Put: whichever comes first, the
// stream goes on.
func TestCreditSeesCompletion(t *testing.T) {
	for range 20_000 {
		var woken atomic.Int32
		c := &conn{sent: writeQuota}
		c.Bind(func() { woken.Add(1) })
		m := &mark{conn: c, upTo: writeQuota}
		var put sync.WaitGroup
		put.Go(func() { m.Put(nil) })
		credit := c.Credit()
		put.Wait()
		if !credit && woken.Load() == 0 {
			t.Fatal("no credit, and nobody woke the stream")
		}
		if credit && woken.Load() > 0 {
			t.Fatal("credit, and woken all the same: the next turn would find parked false")
		}
		if c.parked.Load() {
			t.Fatal("still parked")
		}
	}
}

// TestCompressionIsOff: a gzip client must not make the server compress for
// each receiver, nor give buffers back before they are written.
func TestCompressionIsOff(t *testing.T) {
	completed := make(chan int64, 1)
	address := serveRaw(t, func(stream grpc.ServerStream) error {
		if err := grpc.SetSendCompressor(stream.Context(), "identity"); err != nil {
			return err
		}
		c := newConn(stream)
		c.Bind(func() {})
		for c.Credit() {
			if err := c.Send(responseOf(t, 1, string(make([]byte, 4000)))); err != nil {
				return err
			}
		}
		completed <- c.completed.Load()
		return nil
	})
	client, _ := openRaw(t, address, grpc.UseCompressor(gzip.Name))
	<-completed // with gzip, 4 000 zeros would never use the quota up
	if n := drain(client); n == 0 {
		t.Error("nothing was received")
	}
}
