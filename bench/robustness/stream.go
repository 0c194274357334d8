package robustness

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

type rpc interface {
	Send(*streampb.ChatToServerRequest) error
	Recv() (*streampb.ChatToClientResponse, error)
	CloseSend() error
	Trailer() metadata.MD
	Context() context.Context
}

// chat is one chat stream of a device.
type chat struct {
	d      *device
	s      *session
	number int64
	server int
	cancel context.CancelFunc
	rpc    rpc
	// live is closed when the initialization is over, over when the stream is.
	live, over chan struct{}
	// asked is how many requests wait for an answer.
	asked atomic.Int64
	// send is held by who sends.
	send sync.Mutex

	// The reader's own: the account's turns when the stream was opened, and the
	// rooms that are being downloaded.
	turns     map[string]int
	downloads map[string]*download
	initial   bool
}

// open opens a stream of s, with what the device has, and starts its reader.
func (d *device) open(ctx context.Context, s *session, random *rand.Rand) *chat {
	s.book.mu.Lock()
	turns := maps.Clone(s.book.turns)
	s.book.mu.Unlock()
	return d.openWith(ctx, s, Record{Exact: d.exact, Claims: s.book.claims(random, d.exact)}, turns)
}

// openWith opens a stream as r says. turns are those of the book when the claims
// were made.
func (d *device) openWith(ctx context.Context, s *session, r Record, turns map[string]int) *chat {
	c := &chat{
		d: d, s: s, number: d.w.rec.Number(), live: make(chan struct{}), over: make(chan struct{}),
		turns: turns, downloads: make(map[string]*download), initial: true,
	}
	var to *api
	c.server, to = d.api()
	r.Kind, r.Device, r.Account, r.Stream, r.Server = KindOpen, d.id, s.account.id, c.number, c.server
	d.w.rec.Add(r)
	ctx, c.cancel = context.WithCancel(metadata.NewOutgoingContext(ctx, opening(d, s, r.Claims, r.Exact)))
	var err error
	if c.rpc, err = to.chat.StreamChatRPC(ctx); err != nil {
		c.ended(err, nil)
		return c
	}
	d.mu.Lock()
	d.current = c
	d.chats = append(d.chats, c)
	d.mu.Unlock()
	d.readers.Go(c.run)
	return c
}

// opening is what is said when a stream is opened, in metadata.
func opening(d *device, s *session, claims []Claim, exact bool) metadata.MD {
	var values, positions []string
	for _, c := range claims {
		if exact {
			positions = append(positions, c.Room, strconv.FormatUint(c.Seq, 10))
			if c.Updated < 0 {
				continue
			}
		}
		values = append(values, c.Room, strconv.FormatInt(c.Updated, 10), strconv.FormatInt(c.Viewed, 10), strconv.Itoa(len(c.Have)))
		values = append(values, c.Have...)
	}
	md := metadata.Pairs(
		"current_account_id", s.account.id, "logged_in_token", s.token, "lets_go_version", "3", "installation_id", d.id,
	)
	if len(values) > 0 {
		md.Set("chat_room_values", strings.Join(values, "::"))
	}
	if exact {
		md.Set("chat_stream_features", "bookmark::go-away")
		if len(positions) > 0 {
			md.Set("chat_room_positions", strings.Join(positions, "::"))
		}
	}
	return md
}

// record takes r down as something of this stream.
func (c *chat) record(r Record) {
	r.Device, r.Account, r.Stream = c.d.id, c.s.account.id, c.number
	c.d.w.rec.Add(r)
}

// run reads the stream to its end.
func (c *chat) run() {
	defer c.cancel()
	ctx := c.rpc.Context()
	for {
		for c.d.deaf.Load() && sleep(ctx, 20*time.Millisecond) { // it reads nothing: that is the fault
		}
		if slow := c.d.slow.Load(); slow > 0 {
			sleep(ctx, time.Duration(slow))
		}
		f, err := c.rpc.Recv()
		if err != nil {
			c.ended(err, c.rpc.Trailer())
			return
		}
		c.take(f)
		c.d.notify()
	}
}

func (c *chat) ended(err error, trailer metadata.MD) {
	first := func(key string) string { return strings.Join(trailer.Get(key), ",") }
	r := Record{Kind: KindEnd, Code: codes.OK.String(), Reason: first("stream_down_reason"), Info: first("optional_info_cancel")}
	if !errors.Is(err, io.EOF) {
		r.Code, r.Error = status.Code(err).String(), err.Error()
	}
	if n, err := strconv.Atoi(first("return_status")); err == nil {
		r.Status = chatpb.ReturnStatus(n).String()
	}
	c.record(r)
	if r.Code == codes.Unavailable.String() || r.Status == chatpb.ReturnStatus_DATABASE_DOWN.String() {
		c.d.leaves(c.server)
	}
	if r.Reason == "1" && r.Status != chatpb.ReturnStatus_DATABASE_DOWN.String() && r.Status != chatpb.ReturnStatus_LG_ERROR.String() {
		c.d.lost(c.s)
	}
	close(c.over)
	c.d.notify()
}

func (c *chat) take(f *streampb.ChatToClientResponse) {
	switch r := f.GetServerResponse().(type) {
	case *streampb.ChatToClientResponse_InitialConnectionPrimerResponse:
		c.record(Record{Kind: KindPrimer})
	case *streampb.ChatToClientResponse_InitialConnectionMessagesResponse:
		c.takeAll(r.InitialConnectionMessagesResponse.GetMessagesList())
	case *streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse:
		c.record(Record{Kind: KindComplete})
		c.initial = false
		close(c.live)
	case *streampb.ChatToClientResponse_ReturnNewChatMessage:
		c.takeAll(r.ReturnNewChatMessage.GetMessagesList())
	case *streampb.ChatToClientResponse_RequestFullMessageInfoResponse:
		c.takeReply(r.RequestFullMessageInfoResponse)
	case *streampb.ChatToClientResponse_RefreshChatStreamResponse:
		c.record(Record{
			Kind: KindReply, Op: OpRefresh, Last: true,
			Status: strconv.FormatBool(r.RefreshChatStreamResponse.GetSuccessfullyRefreshedTime()),
		})
		c.asked.Add(-1)
	case *streampb.ChatToClientResponse_Bookmark:
		n := Record{Kind: KindBookmark}
		for _, p := range r.Bookmark.GetPositions() {
			n.Claims = append(n.Claims, Claim{Room: p.GetChatRoomId(), Seq: p.GetSeq(), Updated: p.GetTimestampStored()})
		}
		c.record(n)
	case *streampb.ChatToClientResponse_GoAway:
		c.record(Record{Kind: KindGoAway, Reason: r.GoAway.GetReason().String()})
	default:
		c.record(Record{Kind: KindStuck, Note: "a response that this client does not know: " + f.String()})
	}
}

func (c *chat) takeReply(r *streampb.RequestFullMessageInfoResponse) {
	n := Record{
		Kind: KindReply, Op: OpLookup, Room: r.GetChatRoomId(), Status: r.GetRequestStatus().String(),
		UUIDs: r.GetErrorMessages().GetMessageUuidList(),
		Last:  r.GetRequestStatus() != streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST,
	}
	for _, m := range r.GetFullMessages().GetFullMessageList() {
		n.Entries = append(n.Entries, Entry{
			UUID: m.GetMessageUuid(), Status: m.GetReturnStatus().String(),
			Text: m.GetMessage().GetMessageSpecifics().GetTextMessage().GetMessageText(),
		})
	}
	c.record(n)
	if n.Last {
		c.asked.Add(-1)
	}
}

func (c *chat) takeAll(list []*chatpb.ChatMessageToClient) {
	book := c.s.book
	for _, shown := range list {
		m := read(shown)
		c.record(Record{Kind: KindMessage, Message: m})
		switch {
		case m.Body == bodyStart:
			if m.Lost {
				book.gone(m.Room, 0)
			}
			c.downloads[m.Room] = &download{turn: c.turns[m.Room]}
			c.d.w.learn(m.Room, m.Text)
		case m.Body == bodyFinished:
			if d := c.downloads[m.Room]; d != nil {
				delete(c.downloads, m.Room)
				book.downloaded(m.Room, d)
			}
		case m.Body == bodyGone:
			book.gone(m.Room, 0)
		case !m.Stored():
		case c.downloads[m.Room] != nil:
			c.downloads[m.Room].add(m)
		case !c.initial && m.Body == bodyUpdate && !c.d.w.isNamed(m.UUID) && book.lacks(m):
			// The server named it: a join or a leave. Who is in a room does not join
			// it, so another device of the account has left, and its answer was late.
			book.gone(m.Room, m.Time)
		default:
			book.stored(m)
			if !c.initial && (m.Body == bodyKicked || m.Body == bodyBanned) && m.Target == c.s.account.id {
				book.gone(m.Room, m.Time)
			}
		}
	}
}

// read is what there is to know about a message.
func read(shown *chatpb.ChatMessageToClient) *Message {
	info, body := shown.GetMessage().GetStandardMessageInfo(), shown.GetMessage().GetMessageSpecifics()
	m := &Message{
		Room: info.GetChatRoomIdMessageSentFrom(), UUID: shown.GetMessageUuid(), Time: shown.GetTimestampStored(),
		Seq: shown.GetSeq(), Previous: shown.GetPreviousSeq(), Sender: shown.GetSentByAccountId(),
		Amount: int32(info.GetAmountOfMessage()),
	}
	reflected := body.ProtoReflect()
	if field := reflected.WhichOneof(reflected.Descriptor().Oneofs().Get(0)); field != nil {
		m.Body = string(field.Name())
	}
	switch b := body.GetMessageBody().(type) {
	case *chatpb.MessageSpecifics_TextMessage:
		m.Text = b.TextMessage.GetMessageText()
	case *chatpb.MessageSpecifics_UserKickedMessage:
		m.Target = b.UserKickedMessage.GetKickedAccountOid()
	case *chatpb.MessageSpecifics_UserBannedMessage:
		m.Target = b.UserBannedMessage.GetBannedAccountOid()
	case *chatpb.MessageSpecifics_DifferentUserJoinedMessage:
		m.State = b.DifferentUserJoinedMessage.GetMemberInfo().GetAccountState().String()
	case *chatpb.MessageSpecifics_DifferentUserLeftMessage:
		m.Target = b.DifferentUserLeftMessage.GetNewAdminAccountOid()
	case *chatpb.MessageSpecifics_NewUpdateTimeMessage:
		m.UUID = b.NewUpdateTimeMessage.GetRepresentedMessageUuid()
	case *chatpb.MessageSpecifics_ThisUserJoinedChatRoomStartMessage:
		start := b.ThisUserJoinedChatRoomStartMessage
		m.Lost, m.Text, m.State = start.GetPositionLost(), start.GetChatRoomInfo().GetChatRoomPassword(), start.GetChatRoomInfo().GetAccountState().String()
	case *chatpb.MessageSpecifics_ThisUserJoinedChatRoomMemberMessage:
		info := b.ThisUserJoinedChatRoomMemberMessage.GetMemberInfo()
		m.Target, m.State = info.GetUserInfo().GetAccountOid(), info.GetAccountState().String()
	}
	return m
}

// lookUp asks for full messages.
func (c *chat) lookUp(room string, uuids []string) {
	request := &streampb.RequestFullMessageInfoRequest{ChatRoomId: room}
	for _, id := range uuids {
		request.MessageUuidList = append(request.MessageUuidList, &streampb.MessageUUIDWithAmountOfMessage{
			MessageUuid: id, AmountOfMessagesToRequest: chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO,
		})
	}
	c.ask(Record{Op: OpLookup, Room: room, UUIDs: uuids}, &streampb.ChatToServerRequest{
		ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{RequestFullMessageInfo: request},
	})
}

// refresh asks for more time.
func (c *chat) refresh() {
	c.ask(Record{Op: OpRefresh}, &streampb.ChatToServerRequest{
		ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{RefreshChatStream: &streampb.RefreshChatStreamRequest{}},
	})
}

// confirm says how far the device has come. There is no answer.
func (c *chat) confirm() {
	m := &chatstreampb.Confirmation{}
	for _, claim := range c.s.book.places() {
		m.Positions = append(m.Positions, &chatstreampb.Position{ChatRoomId: claim.Room, Seq: claim.Seq})
	}
	c.send.Lock()
	defer c.send.Unlock()
	_ = c.rpc.Send(&streampb.ChatToServerRequest{ // the reader will see that the stream is over
		ClientRequest: &streampb.ChatToServerRequest_Confirmation{Confirmation: m},
	})
}

func (c *chat) ask(r Record, request *streampb.ChatToServerRequest) {
	c.send.Lock()
	defer c.send.Unlock()
	r.Kind = KindRequest
	c.record(r)
	c.asked.Add(1)
	_ = c.rpc.Send(request) // the reader will see that the stream is over
}

// quit records that the device is about to end the stream.
func (c *chat) quit(how string) { c.record(Record{Kind: KindQuit, Note: how}) }

func (c *chat) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

func (c *chat) isLive() bool {
	select {
	case <-c.live:
		return !c.isOver()
	default:
		return false
	}
}
