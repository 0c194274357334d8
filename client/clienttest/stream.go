package clienttest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

type streams struct {
	streampb.UnimplementedStreamChatServiceServer
	*Server
}

// stream is one open stream. The server's mu guards it.
type stream struct {
	account *account
	subs    map[string]*subscription
	replies []*streampb.ChatToClientResponse
	news    chan struct{}
	ended   chan struct{}
	ending  ending
	expires time.Time
	timer   *time.Timer
}

type subscription struct {
	room   *room
	cursor int
	until  int // 0: for good
}

// ending is how a stream ends.
type ending struct {
	broken       bool
	reason       streampb.StreamDownReasons
	status       chatpb.ReturnStatus
	installation string
}

func (st *stream) poke() {
	select {
	case st.news <- struct{}{}:
	default:
	}
}

// end ends the stream, the first time it is called.
func (st *stream) end(e ending) {
	select {
	case <-st.ended:
	default:
		st.ending = e
		close(st.ended)
	}
}

func (s streams) StreamChatRPC(raw streampb.StreamChatService_StreamChatRPCServer) error {
	md, _ := metadata.FromIncomingContext(raw.Context())
	s.mu.Lock()
	s.opened = append(s.opened, md)
	n := len(s.opened)
	script := s.Script
	s.mu.Unlock()
	if script != nil {
		return script(n, raw)
	}
	return s.serve(md, raw)
}

// Serve is what the server does with a stream. A script may call it.
func (s *Server) Serve(raw RawStream) error {
	md, _ := metadata.FromIncomingContext(raw.Context())
	return s.serve(md, raw)
}

func (s *Server) serve(md metadata.MD, raw RawStream) error {
	rooms, ok := ParseRooms(first(md, "chat_room_values"))
	places, sound := ParsePositions(first(md, "chat_room_positions"))
	for i := range rooms {
		if seq, ok := places[rooms[i].ID]; ok && s.Places {
			rooms[i].Exact, rooms[i].Seq = true, seq
		}
	}
	if !ok || !sound {
		return finish(raw, ending{reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, status: chatpb.ReturnStatus_INVALID_PARAMETER_PASSED})
	}
	version, _ := strconv.ParseUint(first(md, "lets_go_version"), 10, 32)
	st, initial, outcome := s.open(&chatpb.LoginToServerBasicInfo{
		LetsGoVersion:    uint32(version),
		CurrentAccountId: first(md, "current_account_id"),
		LoggedInToken:    first(md, "logged_in_token"),
		InstallationId:   first(md, "installation_id"),
	}, rooms)
	if st == nil {
		return finish(raw, ending{reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, status: outcome})
	}
	defer st.timer.Stop()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.streams, st)
	}()
	for _, r := range initial {
		if err := raw.Send(r); err != nil {
			return err
		}
	}
	go s.read(st, raw)
	for {
		select {
		case <-st.ended:
			return finish(raw, st.ending)
		case <-raw.Context().Done():
			return raw.Context().Err()
		case <-st.news:
		}
		for _, r := range s.take(st) {
			if err := raw.Send(r); err != nil {
				return err
			}
		}
	}
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

func finish(raw RawStream, e ending) error {
	if e.broken {
		return status.Error(codes.Unavailable, "the stream is broken")
	}
	raw.SetTrailer(Trailer(e.reason, e.status, e.installation))
	return nil
}

// Trailer is how a server says why a stream ended.
func Trailer(reason streampb.StreamDownReasons, outcome chatpb.ReturnStatus, installation string) metadata.MD {
	md := metadata.Pairs("stream_down_reason", strconv.Itoa(int(reason)))
	if reason == streampb.StreamDownReasons_RETURN_STATUS_ATTACHED {
		md.Set("return_status", strconv.Itoa(int(outcome)))
	}
	if installation != "" {
		md.Set("optional_info_cancel", installation)
	}
	return md
}

// open logs the stream in and returns its initialization.
func (s *Server) open(login *chatpb.LoginToServerBasicInfo, known []KnownRoom) (*stream, []*streampb.ChatToClientResponse, chatpb.ReturnStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc, outcome := s.check(login)
	if acc == nil {
		return nil, nil, outcome
	}
	s.endLocked(acc, ending{reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM, installation: login.GetInstallationId()})
	life := s.StreamLifetime
	if life == 0 {
		life = 30 * time.Minute
	}
	st := &stream{
		account: acc,
		subs:    make(map[string]*subscription),
		news:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		expires: time.Now().Add(life),
	}
	st.timer = time.AfterFunc(life, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		st.end(ending{reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
	})
	s.streams[st] = struct{}{}

	out := []*streampb.ChatToClientResponse{Primer(life)}
	var added, removed, updated []*chatpb.ChatMessageToClient
	listed := make(map[string]KnownRoom)
	for _, k := range known {
		if _, twice := listed[k.ID]; twice {
			continue
		}
		listed[k.ID] = k
		if r := s.rooms[k.ID]; r == nil || !r.present(acc) {
			removed = append(removed, RoomGone(k.ID, acc.id))
		}
	}
	for _, id := range s.roomIDs() {
		r := s.rooms[id]
		if !r.present(acc) {
			continue
		}
		st.subs[id] = &subscription{room: r, cursor: len(r.events)}
		k, ok := listed[id]
		lost := k.Exact && (k.Seq > len(r.events) || k.Seq > 0 && r.events[k.Seq-1].time != k.Updated)
		if !ok || lost {
			var history []*chatpb.ChatMessageToClient
			for _, e := range r.events {
				history = append(history, e.show(r, form{amount: skeleton, onlyStore: true, keep: true}))
			}
			room := r.describe(acc, history)
			room[0].GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomStartMessage().PositionLost = lost
			added = append(added, room...)
			continue
		}
		if acc.viewed[id] > k.Viewed {
			updated = append(updated, ObservedAt(id, acc.id, acc.viewed[id]))
		}
		for _, e := range r.events {
			if (e.time > k.Updated || k.Exact) && e.seq > k.Seq && !slices.Contains(k.UUIDs, e.uuid) {
				updated = append(updated, e.show(r, form{amount: enough, keep: true}))
			}
		}
	}
	for _, list := range [][]*chatpb.ChatMessageToClient{added, removed, updated} {
		for chunk := range slices.Chunk(list, 7) {
			out = append(out, Initial(chunk...))
		}
	}
	return st, append(out, Complete()), chatpb.ReturnStatus_SUCCESS
}

func (s *Server) roomIDs() []string {
	var ids []string
	for id := range s.rooms {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// take returns what there is to write.
func (s *Server) take(st *stream) []*streampb.ChatToClientResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := st.replies
	st.replies = nil
	for id, sub := range st.subs {
		for sub.cursor < len(sub.room.events) && (sub.until == 0 || sub.cursor < sub.until) {
			e := sub.room.events[sub.cursor]
			sub.cursor++
			out = append(out, Live(e.live(sub.room, st.account)))
		}
		if sub.until != 0 && sub.cursor == sub.until {
			delete(st.subs, id)
		}
	}
	return out
}

func (s *Server) read(st *stream, raw RawStream) {
	for {
		r, err := raw.Recv()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		if r.GetConfirmation() != nil {
			continue
		}
		var answer *streampb.ChatToClientResponse
		if full := r.GetRequestFullMessageInfo(); full != nil {
			answer = s.lookUp(st.account, full)
		} else {
			answer = s.refresh(st)
		}
		s.mu.Lock()
		st.replies = append(st.replies, answer)
		st.poke()
		s.mu.Unlock()
	}
}

func (s *Server) refresh(st *stream) *streampb.ChatToClientResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	life := s.StreamLifetime
	if life == 0 {
		life = 30 * time.Minute
	}
	ok := time.Until(st.expires) > life/20
	if ok {
		st.expires = time.Now().Add(life)
		st.timer.Reset(life)
	}
	return Refreshed(ok, time.Until(st.expires))
}

func (s *Server) lookUp(acc *account, r *streampb.RequestFullMessageInfoRequest) *streampb.ChatToClientResponse {
	if s.Lookup != nil {
		if answer := s.Lookup(r); answer != nil {
			return Full(answer)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &streampb.RequestFullMessageInfoResponse{ChatRoomId: r.GetChatRoomId()}
	rm := s.rooms[r.GetChatRoomId()]
	if rm != nil && !rm.present(acc) {
		answer.RequestStatus = streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM
		return Full(answer)
	}
	var list []*chatpb.ChatMessageToClient
	for i, a := range r.GetMessageUuidList() {
		m := &chatpb.ChatMessageToClient{MessageUuid: a.GetMessageUuid(), ReturnStatus: chatpb.ReturnStatus_VALUE_NOT_SET}
		if rm != nil {
			if e := rm.find(a.GetMessageUuid()); e != nil {
				if m.ReturnStatus = chatpb.ReturnStatus_UNKNOWN; e.body.GetTextMessage() != nil && i < 10 {
					m = e.show(rm, form{amount: whole})
					m.ReturnStatus = chatpb.ReturnStatus_SUCCESS
				}
			}
		}
		list = append(list, m)
	}
	answer.MessageListType = &streampb.RequestFullMessageInfoResponse_FullMessages{
		FullMessages: &streampb.RequestMessageInfoMessage{FullMessageList: list},
	}
	return Full(answer)
}

// The rest makes responses for scripts.

// Primer is the first response of a stream.
func Primer(life time.Duration) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionPrimerResponse{
		InitialConnectionPrimerResponse: &streampb.InitialConnectionPrimerResponse{TimeUntilChatStreamExpiresInMillis: life.Milliseconds()},
	}}
}

// Initial is a part of the initialization.
func Initial(list ...*chatpb.ChatMessageToClient) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionMessagesResponse{
		InitialConnectionMessagesResponse: &streampb.InitialConnectionMessagesResponse{MessagesList: list},
	}}
}

// Complete is the end of the initialization.
func Complete() *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse{
		InitialConnectionMessagesCompleteResponse: &streampb.InitialConnectionMessagesCompleteResponse{},
	}}
}

// Live are messages as they happen.
func Live(list ...*chatpb.ChatMessageToClient) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_ReturnNewChatMessage{
		ReturnNewChatMessage: &streampb.ReturnNewChatMessage{MessagesList: list},
	}}
}

// Bookmark says how far the client has come in a room.
func Bookmark(room string, seq uint64, time int64) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_Bookmark{
		Bookmark: &chatstreampb.Bookmark{Positions: []*chatstreampb.Position{{ChatRoomId: room, Seq: seq, TimestampStored: time}}},
	}}
}

// GoAway says that the stream is about to end.
func GoAway(why chatstreampb.GoAway_Reason, retry time.Duration, servers ...string) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_GoAway{
		GoAway: &chatstreampb.GoAway{Reason: why, RetryAfterMillis: retry.Milliseconds(), Servers: servers},
	}}
}

// Refreshed is the answer to a refresh.
func Refreshed(ok bool, left time.Duration) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_RefreshChatStreamResponse{
		RefreshChatStreamResponse: &streampb.RefreshChatStreamResponse{
			SuccessfullyRefreshedTime: ok, TimeUntilChatStreamExpiresInMillis: max(1, left.Milliseconds()),
		},
	}}
}

// Full is an answer to a request for full messages.
func Full(r *streampb.RequestFullMessageInfoResponse) *streampb.ChatToClientResponse {
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_RequestFullMessageInfoResponse{
		RequestFullMessageInfoResponse: r,
	}}
}

// KnownRoom is what a client said about a room.
type KnownRoom struct {
	ID              string
	Updated, Viewed int64
	UUIDs           []string
	// Exact says that the client named the place Seq.
	Exact bool
	Seq   int
}

// ParsePositions reads chat_room_positions by the grammar of progress.proto.
func ParsePositions(value string) (map[string]int, bool) {
	out := make(map[string]int)
	if value == "" {
		return out, true
	}
	tokens := strings.Split(strings.TrimSuffix(value, "::"), "::")
	for len(tokens) >= 2 {
		seq, err := strconv.ParseUint(tokens[1], 10, 63)
		if err != nil {
			return nil, false
		}
		if _, twice := out[tokens[0]]; !twice {
			out[tokens[0]] = int(seq)
		}
		tokens = tokens[2:]
	}
	return out, len(tokens) == 0
}

// ParseRooms reads chat_room_values by the grammar of the wire contract.
func ParseRooms(value string) ([]KnownRoom, bool) {
	if value == "" {
		return nil, true
	}
	tokens := strings.Split(strings.TrimSuffix(value, "::"), "::")
	next := func() (string, bool) {
		if len(tokens) == 0 {
			return "", false
		}
		t := tokens[0]
		tokens = tokens[1:]
		return t, true
	}
	number := func(limit int, none bool) (int64, bool) {
		t, ok := next()
		if none && t == "-1" {
			return -1, ok
		}
		if !ok || t == "" || len(t) > limit || strings.Trim(t, "0123456789") != "" {
			return 0, false
		}
		n, err := strconv.ParseInt(t, 10, 64)
		return n, err == nil
	}
	var out []KnownRoom
	for len(tokens) > 0 {
		var k KnownRoom
		var ok [4]bool
		k.ID, ok[0] = next()
		k.Updated, ok[1] = number(14, true)
		k.Viewed, ok[2] = number(14, true)
		count, last := number(10, false)
		ok[3] = last
		if ok != [4]bool{true, true, true, true} {
			return nil, false
		}
		for range count {
			u, ok := next()
			if !ok || len(u) > 36 {
				return nil, false
			}
			k.UUIDs = append(k.UUIDs, u)
		}
		out = append(out, k)
	}
	return out, true
}
