package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec of requests
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/chatstream/chatstream/proto/streampb"
)

// Stream is an open chat stream that is read all the time, by a goroutine of its
// own, and judges what it is given.
type Stream struct {
	rpc    grpc.ClientStream
	cancel context.CancelFunc
	out    *lane
	// told is up to where each room has been told. The reader's own. Of pointers,
	// since a lookup by bytes allocates nothing and an assignment does.
	told map[string]*uint64
	live bool

	ready chan struct{} // closed when the initialization is complete
	ended chan struct{} // closed when the stream has ended, of err
	err   error
}

var chatDesc = &grpc.StreamDesc{StreamName: "StreamChatRPC", ServerStreams: true, ClientStreams: true}

// stream starts a stream of u that holds each room up to the place named.
func (u *User) stream(ctx context.Context, places map[string]uint64) (grpc.ClientStream, error) {
	md := metadata.Pairs("current_account_id", u.ID, "logged_in_token", u.Token,
		"lets_go_version", strconv.Itoa(version), "installation_id", u.Installation)
	if len(places) > 0 {
		var b strings.Builder
		for room, seq := range places {
			fmt.Fprintf(&b, "%s::%d::", room, seq)
		}
		md.Set("chat_room_positions", b.String())
	}
	rpc, err := u.conn.NewStream(metadata.NewOutgoingContext(ctx, md), chatDesc,
		streampb.StreamChatService_StreamChatRPC_FullMethodName, grpc.ForceCodecV2(reading{encoding.GetCodecV2("proto")}))
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	return rpc, nil
}

// open opens such a stream, which is read and counts into out.
func (u *User) open(ctx context.Context, places map[string]uint64, out *lane) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	patience := time.AfterFunc(settle, cancel) // the connection may have no room for a stream
	rpc, err := u.stream(ctx, places)
	if !patience.Stop() {
		err = errors.Join(err, errNoRoom)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	told := make(map[string]*uint64, len(places))
	for room, seq := range places {
		told[room] = &seq
	}
	s := &Stream{rpc: rpc, cancel: cancel, out: out, told: told, ready: make(chan struct{}), ended: make(chan struct{})}
	go s.read()
	return s, nil
}

// errNoRoom is when a connection takes no more streams.
var errNoRoom = errors.New("the connection takes no more streams: use more connections, or raise the server's --max-streams")

// read is the stream's reader.
func (s *Stream) read() {
	defer close(s.ended)
	for {
		if err := s.rpc.RecvMsg(s); err != nil {
			s.err = err
			return
		}
	}
}

// Close ends the stream and waits for its reader.
func (s *Stream) Close() {
	s.cancel()
	<-s.ended
}

// reading hands responses to the stream where they lie, and leaves everything
// else to grpc-go's codec.
type reading struct{ encoding.CodecV2 }

func (c reading) Unmarshal(data mem.BufferSlice, v any) error {
	s, ok := v.(*Stream)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if len(data) == 1 {
		return s.take(data[0].ReadOnlyData())
	}
	return s.take(data.Materialize())
}

// take counts and judges a response.
func (s *Stream) take(raw []byte) error {
	now := Clock()
	n := int64(0)
	complete, err := readResponse(raw, func(d delivery) {
		if d.seq != 0 && !s.judge(d) || d.due == 0 {
			return
		}
		n++
		if s.live {
			s.out.latency(now - d.due)
		}
	})
	if complete && !s.live {
		s.live = true
		close(s.ready)
	}
	if n > 0 {
		s.out.delivered(n)
	}
	return err
}

// judge compares a message's place with what has been told before and reports
// whether it is new.
func (s *Stream) judge(d delivery) bool {
	told := s.told[string(d.room)]
	switch {
	case told == nil:
		s.told[string(d.room)] = &d.seq
		return true
	case d.seq <= *told:
		s.out.duplicates.Add(1)
		return false
	case d.previous > *told:
		s.out.missing.Add(int64(d.previous - *told))
	}
	*told = d.seq
	return true
}

// places are up to where rooms have been told. Once the reader has ended.
func (s *Stream) places() map[string]uint64 {
	places := make(map[string]uint64, len(s.told))
	for room, seq := range s.told {
		places[room] = *seq
	}
	return places
}

// Clock is the generator's: nanoseconds since the process began. It never steps.
func Clock() int64 { return int64(time.Since(began)) }

var began = time.Now()
