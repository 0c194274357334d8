package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// position is what a client has of one room.
type position struct {
	room            string
	updated, viewed int64
	uuids           []string
}

// values is chat_room_values.
func values(rooms ...position) string {
	var b strings.Builder
	for _, p := range rooms {
		fmt.Fprintf(&b, "%s::%d::%d::%d::", p.room, p.updated, p.viewed, len(p.uuids))
		for _, id := range p.uuids {
			b.WriteString(id + "::")
		}
	}
	return b.String()
}

// metadata is the initial metadata of a stream of the user.
func (u *user) metadata(rooms ...position) metadata.MD {
	md := metadata.Pairs("current_account_id", u.id, "logged_in_token", u.token, "lets_go_version", "3", "installation_id", u.installation)
	if len(rooms) > 0 {
		md.Set("chat_room_values", values(rooms...))
	}
	return md
}

type (
	frame   = *streampb.ChatToClientResponse
	chatRPC = grpc.BidiStreamingClient[streampb.ChatToServerRequest, streampb.ChatToClientResponse]
)

// stream is a chat stream that is read all the time.
type stream struct {
	t      testing.TB
	rpc    chatRPC
	cancel context.CancelFunc
	frames chan frame // closed at the end
	err    error      // how it ended, after frames is closed
	live   []*chatpb.ChatMessageToClient
}

// open opens a stream with these rooms.
func (u *user) open(t testing.TB, rooms ...position) *stream {
	t.Helper()
	return u.openWith(t, u.metadata(rooms...))
}

// openLive opens a stream and reads its initialization.
func (u *user) openLive(t testing.TB, rooms ...position) *stream {
	t.Helper()
	s := u.open(t, rooms...)
	s.initial()
	return s
}

func (u *user) openWith(t testing.TB, md metadata.MD) *stream {
	t.Helper()
	return u.openIn(t, t.Context(), md)
}

func (u *user) openIn(t testing.TB, ctx context.Context, md metadata.MD) *stream {
	t.Helper()
	u.server.store.settle(t)
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, md))
	t.Cleanup(cancel)
	rpc, err := u.chat.StreamChatRPC(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, rpc: rpc, cancel: cancel, frames: make(chan frame, 1<<14)}
	go func() {
		defer close(s.frames)
		for {
			f, err := rpc.Recv()
			if err != nil {
				s.err = err
				return
			}
			select {
			case s.frames <- f:
			case <-ctx.Done():
				s.err = ctx.Err()
				return
			}
		}
	}()
	return s
}

// next is the next response; nil at the end of the stream.
func (s *stream) next() frame {
	s.t.Helper()
	select {
	case f := <-s.frames:
		s.check(f)
		return f
	case <-time.After(patience):
		s.t.Fatal("nothing comes from the stream")
		return nil
	}
}

// check holds a response against what is true of all of them: it says
// something, no list is empty, every message names its room, and the fields
// that a server leaves out are left out.
func (s *stream) check(f frame) {
	s.t.Helper()
	if f == nil {
		return
	}
	var list []*chatpb.ChatMessageToClient
	switch {
	case f.GetInitialConnectionMessagesResponse() != nil:
		list = f.GetInitialConnectionMessagesResponse().GetMessagesList()
	case f.GetReturnNewChatMessage() != nil:
		list = f.GetReturnNewChatMessage().GetMessagesList()
	case f.GetServerResponse() == nil:
		s.t.Error("a response that says nothing")
		return
	default:
		return
	}
	if len(list) == 0 {
		s.t.Errorf("an empty list: %v", f)
	}
	for _, m := range list {
		if m.GetPrimer() || m.GetReturnStatus() != 0 || m.GetCurrentTimestamp() != 0 || !room.ValidID(viewOf(m).room) {
			s.t.Errorf("a message with a primer, a status, a current time or no room: %v", m)
		}
	}
}

// initial reads the initialization and returns its messages.
func (s *stream) initial() []*chatpb.ChatMessageToClient {
	s.t.Helper()
	var all []*chatpb.ChatMessageToClient
	for first := true; ; first = false {
		f := s.next()
		switch {
		case f == nil:
			s.t.Fatalf("the stream ended in its initialization: %+v", endOf(s.rpc, s.err))
		case first:
			if f.GetInitialConnectionPrimerResponse() == nil {
				s.t.Fatalf("the first response is no primer: %v", f)
			}
		case f.GetInitialConnectionMessagesResponse() != nil:
			all = append(all, f.GetInitialConnectionMessagesResponse().GetMessagesList()...)
		case f.GetInitialConnectionMessagesCompleteResponse() != nil:
			return all
		default:
			s.t.Fatalf("a response within the initialization: %v", f)
		}
	}
}

// message is the next live message.
func (s *stream) message() *chatpb.ChatMessageToClient {
	s.t.Helper()
	if len(s.live) == 0 {
		f := s.next()
		if f == nil {
			s.t.Fatalf("the stream ended: %+v", endOf(s.rpc, s.err))
		}
		if s.live = f.GetReturnNewChatMessage().GetMessagesList(); len(s.live) == 0 {
			s.t.Fatalf("no live message: %v", f)
		}
	}
	m := s.live[0]
	s.live = s.live[1:]
	return m
}

// wantText checks that the next live message is x.
func (s *stream) wantText(x sent) {
	s.t.Helper()
	if m := s.message(); m.GetMessageUuid() != x.uuid {
		s.t.Errorf("got %v, want %+v", m, x)
	}
}

// ending is how a stream ended.
type end struct {
	code                       codes.Code
	reason, status, cancelInfo string // trailing metadata
}

// down is the end that a server brings about.
func down(reason streampb.StreamDownReasons) end {
	return end{reason: strconv.Itoa(int(reason))}
}

// refused is the end of a stream with a status.
func refused(s chatpb.ReturnStatus) end {
	e := down(streampb.StreamDownReasons_RETURN_STATUS_ATTACHED)
	e.status = strconv.Itoa(int(s))
	return e
}

// The ends that need no status.
func unknownEnd() end { return down(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON) }
func timedOut() end   { return down(streampb.StreamDownReasons_STREAM_TIMED_OUT) }
func shutDown() end   { return down(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN) }
func replacedBy(u *user) end {
	e := down(streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM)
	e.cancelInfo = u.installation
	return e
}

// rest waits for the end of the stream and returns what came before it.
func (s *stream) rest() (end, []frame) {
	s.t.Helper()
	var before []frame
	for {
		f := s.next()
		if f == nil {
			return endOf(s.rpc, s.err), before
		}
		before = append(before, f)
	}
}

func endOf(rpc chatRPC, err error) end {
	var e end
	if !errors.Is(err, io.EOF) {
		e.code = status.Code(err)
	}
	get := func(key string) string { return strings.Join(rpc.Trailer().Get(key), ",") }
	e.reason, e.status, e.cancelInfo = get("stream_down_reason"), get("return_status"), get("optional_info_cancel")
	return e
}

// wantEnd waits for the end of the stream, whatever comes before it.
func (s *stream) wantEnd(want end) {
	s.t.Helper()
	if got, _ := s.rest(); got != want {
		s.t.Errorf("the stream ended with %+v, want %+v", got, want)
	}
}

// close ends the stream from the client's side, and checks how it ends.
func (s *stream) close() {
	s.t.Helper()
	if err := s.rpc.CloseSend(); err != nil {
		s.t.Fatal(err)
	}
	s.wantEnd(unknownEnd())
}

func (s *stream) send(r *streampb.ChatToServerRequest) {
	s.t.Helper()
	if err := s.rpc.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

func refreshRequest() *streampb.ChatToServerRequest {
	return &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{RefreshChatStream: &streampb.RefreshChatStreamRequest{}}}
}

// entry and fullRequest ask for messages in full.
type entry struct {
	uuid   string
	amount chatpb.AmountOfMessage
}

func fullRequest(roomID string, entries ...entry) *streampb.ChatToServerRequest {
	req := &streampb.RequestFullMessageInfoRequest{ChatRoomId: roomID}
	for _, e := range entries {
		req.MessageUuidList = append(req.MessageUuidList, &streampb.MessageUUIDWithAmountOfMessage{AmountOfMessagesToRequest: e.amount, MessageUuid: e.uuid})
	}
	return &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{RequestFullMessageInfo: req}}
}

// answer is what all responses to one request for full messages say.
type answer struct {
	status  streampb.RequestFullMessageInfoResponse_RequestStatus
	room    string
	entries []*chatpb.ChatMessageToClient
	errors  []string
}

// answer reads the responses to one request.
func (s *stream) answer() answer {
	s.t.Helper()
	var a answer
	for {
		f := s.next()
		r := f.GetRequestFullMessageInfoResponse()
		if r == nil {
			s.t.Fatalf("no answer to a request: %v", f)
		}
		a.status, a.room = r.GetRequestStatus(), r.GetChatRoomId()
		a.entries = append(a.entries, r.GetFullMessages().GetFullMessageList()...)
		a.errors = append(a.errors, r.GetErrorMessages().GetMessageUuidList()...)
		if a.status != streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST {
			return a
		}
	}
}

// openRaw opens a stream and leaves the reading to the caller.
func (u *user) openRaw(t testing.TB, rooms ...position) chatRPC {
	t.Helper()
	u.server.store.settle(t)
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), u.metadata(rooms...)))
	t.Cleanup(cancel)
	rpc, err := u.chat.StreamChatRPC(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rpc
}
