package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/store"
)

// Times that stand for none.
const (
	timeNone    = -1 // nothing was stored
	timeInvalid = -2 // the request could not be understood
)

// earliestTime is the oldest time that is believed of a client: 51 years of 365
// days after the epoch, in milliseconds.
const earliestTime = 51 * 365 * 24 * 3600 * 1000

// Statuses that commands answer with.
const (
	success  = chatpb.ReturnStatus_SUCCESS
	invalid  = chatpb.ReturnStatus_INVALID_PARAMETER_PASSED
	internal = chatpb.ReturnStatus_LG_ERROR
	down     = chatpb.ReturnStatus_DATABASE_DOWN
)

// commandService is grpc_chat_commands.ChatRoomMessagesService. Its handlers
// answer with gRPC status OK; what went wrong is data. What is not served yet
// is UNIMPLEMENTED.
type commandService struct {
	commandspb.UnimplementedChatRoomMessagesServiceServer
	*Server
}

// ClientMessageToServerRPC stores a message, or notes that the caller has seen
// a room.
func (s commandService) ClientMessageToServerRPC(ctx context.Context, r *commandspb.ClientMessageToServerRequest) (response *commandspb.ClientMessageToServerResponse, err error) {
	defer s.caught(&err, func() {
		response = &commandspb.ClientMessageToServerResponse{ReturnStatus: internal, TimestampStored: timeNone}
	})
	answer := func(status chatpb.ReturnStatus, stored int64) (*commandspb.ClientMessageToServerResponse, error) {
		return &commandspb.ClientMessageToServerResponse{ReturnStatus: status, TimestampStored: stored}, nil
	}
	id := r.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom()
	if !room.ValidID(id) {
		return answer(invalid, timeInvalid)
	}
	post, err := readPost(r)
	switch {
	case errors.Is(err, errInvalid):
		return answer(invalid, timeInvalid)
	case err != nil:
		return nil, err
	}
	account, code := s.accounts.Check(ctx, r.GetLoginInfo())
	if code != success {
		return answer(code, timeNone)
	}
	now := time.Now().UnixMilli()
	viewed := r.GetTimestampObserved()
	if viewed < earliestTime || viewed > now {
		viewed = now
	}
	if post == nil {
		return s.observe(ctx, id, account.ID, viewed)
	}
	post.Sender = account.ID
	appended, err := s.store.Append(ctx, id, store.Op{
		UUID: post.UUID, Sender: account.ID, Kind: post.Kind, Body: post.Body,
		Decide: func(state room.State) ([]room.Draft, error) { return room.Decide(state, *post) },
		Viewed: viewed,
	})
	switch {
	case errors.Is(err, room.ErrNotMember):
		return &commandspb.ClientMessageToServerResponse{
			ReturnStatus: success, UserNotInChatRoom: true, TimestampStored: timeNone,
		}, nil
	case err != nil:
		return answer(s.statusOf("send a message", id, err), timeNone)
	}
	return answer(success, appended.Events[0].Time)
}

var errInvalid = errors.New("invalid request")

// readPost checks what is to be sent and returns it, nil if only a room was
// observed.
func readPost(r *commandspb.ClientMessageToServerRequest) (*room.Post, error) {
	switch m := r.GetMessage().GetMessageSpecifics().GetMessageBody().(type) {
	case *chatpb.MessageSpecifics_UpdateObservedTimeMessage:
		return nil, nil
	case *chatpb.MessageSpecifics_TextMessage:
		text, ok := room.CleanText(m.TextMessage.GetMessageText())
		if !ok || !room.ValidUUID(r.GetMessageUuid()) {
			return nil, errInvalid
		}
		if info := m.TextMessage.GetActiveMessageInfo(); info.GetIsReply() || info.GetReplyInfo() != nil {
			return nil, status.Error(codes.Unimplemented, "replies are not served yet; send the text without reply_info")
		}
		body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
			TextMessage: &chatpb.TextChatMessage{ActiveMessageInfo: &chatpb.ActiveMessageInfo{}, MessageText: text},
		}})
		if err != nil {
			return nil, errInvalid
		}
		return &room.Post{UUID: r.GetMessageUuid(), Kind: room.KindText, Body: body}, nil
	case *chatpb.MessageSpecifics_PictureMessage, *chatpb.MessageSpecifics_LocationMessage,
		*chatpb.MessageSpecifics_MimeTypeMessage, *chatpb.MessageSpecifics_InviteMessage,
		*chatpb.MessageSpecifics_EditedMessage, *chatpb.MessageSpecifics_DeletedMessage,
		*chatpb.MessageSpecifics_UserActivityDetectedMessage:
		return nil, status.Errorf(codes.Unimplemented, "messages of type %s are not served yet", bodyName(r))
	default: // what only a server sends, or nothing
		return nil, errInvalid
	}
}

// bodyName is the name of the oneof's member that is set.
func bodyName(r *commandspb.ClientMessageToServerRequest) string {
	m := r.GetMessage().GetMessageSpecifics().ProtoReflect()
	return string(m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Name())
}

func (s commandService) observe(ctx context.Context, id, account string, viewed int64) (*commandspb.ClientMessageToServerResponse, error) {
	state, err := s.store.State(ctx, id)
	if err == nil && !state.Present(account) {
		return &commandspb.ClientMessageToServerResponse{
			ReturnStatus: success, UserNotInChatRoom: true, TimestampStored: timeNone,
		}, nil
	}
	if err == nil {
		err = s.store.RaiseViewed(ctx, account, map[string]int64{id: viewed})
	}
	if err != nil {
		return &commandspb.ClientMessageToServerResponse{
			ReturnStatus: s.statusOf("observe a room", id, err), TimestampStored: timeNone,
		}, nil
	}
	return &commandspb.ClientMessageToServerResponse{ReturnStatus: success, TimestampStored: viewed}, nil
}

// CreateChatRoomRPC opens a room, which the caller administers.
func (s commandService) CreateChatRoomRPC(ctx context.Context, r *commandspb.CreateChatRoomRequest) (response *commandspb.CreateChatRoomResponse, err error) {
	defer s.caught(&err, func() { response = &commandspb.CreateChatRoomResponse{ReturnStatus: internal} })
	if !room.ValidSimpleText(r.GetChatRoomName()) {
		return &commandspb.CreateChatRoomResponse{ReturnStatus: invalid}, nil
	}
	account, code := s.accounts.Check(ctx, r.GetLoginInfo())
	if code != success {
		return &commandspb.CreateChatRoomResponse{ReturnStatus: code}, nil
	}
	command := room.Create{
		Name:        r.GetChatRoomName(),
		Password:    randomText(passwordLength),
		Creator:     account.ID,
		CreatorName: account.Display,
		CapUUID:     uuid.NewString(),
		JoinUUID:    uuid.NewString(),
	}
	if command.Name == "" {
		command.Name = account.Display + "'s chat room"
	}
	var id string
	var appended store.Appended
	for range 8 { // an id that is taken is unlikely once, let alone often
		id = randomText(idLength)
		appended, err = s.store.Append(ctx, id, store.Op{
			Sender: account.ID, Kind: room.KindCap, Viewed: time.Now().UnixMilli(),
			Decide: func(state room.State) ([]room.Draft, error) { return room.Decide(state, command) },
		})
		if !errors.Is(err, room.ErrRoomExists) {
			break
		}
	}
	if err != nil {
		return &commandspb.CreateChatRoomResponse{ReturnStatus: s.statusOf("create a room", id, err)}, nil
	}
	first, join := &appended.Events[0], &appended.Events[1]
	info := &chatpb.CreatedChatRoomInfo{
		ChatRoomId:                   id,
		ChatRoomName:                 command.Name,
		ChatRoomPassword:             command.Password,
		ChatRoomCapMessage:           engine.Show(first, engine.HistorySkeleton),
		CurrentUserJoinedChatMessage: engine.Show(join, engine.HistorySkeleton),
		LastActivityTimeTimestamp:    join.Time,
	}
	return &commandspb.CreateChatRoomResponse{
		ReturnStatus:                 success,
		ChatRoomId:                   info.ChatRoomId,
		ChatRoomName:                 info.ChatRoomName,
		ChatRoomPassword:             info.ChatRoomPassword,
		ChatRoomCapMessage:           info.ChatRoomCapMessage,
		CurrentUserJoinedChatMessage: info.CurrentUserJoinedChatMessage,
		LastActivityTimeTimestamp:    info.LastActivityTimeTimestamp,
		ChatRoomInfo:                 info,
	}, nil
}

// LeaveChatRoomRPC takes the caller out of a room.
func (s commandService) LeaveChatRoomRPC(ctx context.Context, r *commandspb.LeaveChatRoomRequest) (response *commandspb.LeaveChatRoomResponse, err error) {
	defer s.caught(&err, func() {
		response = &commandspb.LeaveChatRoomResponse{ReturnStatus: internal, TimestampStored: timeNone}
	})
	answer := func(status chatpb.ReturnStatus, stored int64) (*commandspb.LeaveChatRoomResponse, error) {
		return &commandspb.LeaveChatRoomResponse{ReturnStatus: status, TimestampStored: stored}, nil
	}
	id := r.GetChatRoomId()
	if !room.ValidID(id) {
		return answer(invalid, timeInvalid)
	}
	account, code := s.accounts.Check(ctx, r.GetLoginInfo())
	if code != success {
		return answer(code, timeNone)
	}
	command := room.Leave{UUID: uuid.NewString(), Account: account.ID}
	appended, err := s.store.Append(ctx, id, store.Op{
		Sender: account.ID, Kind: room.KindLeft,
		Decide: func(state room.State) ([]room.Draft, error) { return room.Decide(state, command) },
	})
	switch {
	case errors.Is(err, room.ErrNotMember):
		return answer(success, time.Now().UnixMilli()) // already so
	case err != nil:
		return answer(s.statusOf("leave a room", id, err), timeNone)
	}
	return answer(success, appended.Events[0].Time)
}

// RemoveFromChatRoomRPC kicks or bans a member.
func (s commandService) RemoveFromChatRoomRPC(ctx context.Context, r *commandspb.RemoveFromChatRoomRequest) (response *commandspb.RemoveFromChatRoomResponse, err error) {
	defer s.caught(&err, func() {
		response = &commandspb.RemoveFromChatRoomResponse{ReturnStatus: internal, TimestampStored: timeNone}
	})
	answer := func(status chatpb.ReturnStatus, failed bool, stored int64) (*commandspb.RemoveFromChatRoomResponse, error) {
		return &commandspb.RemoveFromChatRoomResponse{ReturnStatus: status, OperationFailed: failed, TimestampStored: stored}, nil
	}
	id := r.GetChatRoomId()
	how, known := map[commandspb.RemoveFromChatRoomRequest_KickOrBan]room.Kind{
		commandspb.RemoveFromChatRoomRequest_KICK: room.KindKicked,
		commandspb.RemoveFromChatRoomRequest_BAN:  room.KindBanned,
	}[r.GetKickOrBan()]
	if !known || !room.ValidID(id) || !room.ValidOID(r.GetAccountIdToRemove()) || !room.ValidUUID(r.GetMessageUuid()) {
		return answer(invalid, false, timeInvalid)
	}
	account, code := s.accounts.Check(ctx, r.GetLoginInfo())
	if code != success {
		return answer(code, false, timeNone)
	}
	if r.GetAccountIdToRemove() == account.ID {
		return answer(success, false, timeNone)
	}
	command := room.Expel{
		UUID:   r.GetMessageUuid(),
		Caller: account.ID,
		Target: r.GetAccountIdToRemove(),
		Ban:    how == room.KindBanned,
	}
	appended, err := s.store.Append(ctx, id, store.Op{
		UUID: command.UUID, Sender: account.ID, Kind: how, Body: []byte(command.Target), Viewed: time.Now().UnixMilli(),
		Decide: func(state room.State) ([]room.Draft, error) { return room.Decide(state, command) },
	})
	switch {
	case errors.Is(err, room.ErrNotAdmin), errors.Is(err, room.ErrTarget):
		return answer(success, true, timeNone)
	case err != nil:
		return answer(s.statusOf("remove from a room", id, err), false, timeNone)
	}
	return answer(success, false, appended.Events[0].Time)
}

// statusOf is what a client is told of a store's error.
func (s *Server) statusOf(doing, id string, err error) chatpb.ReturnStatus {
	switch {
	case errors.Is(err, store.ErrUUIDTaken):
		return internal
	case errors.Is(err, context.Canceled): // the caller is gone
		return down
	}
	s.log.Error("cannot "+doing, "room", id, "error", err)
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) || errors.Is(err, context.DeadlineExceeded) {
		return down
	}
	return internal
}

const (
	idLength       = 8
	passwordLength = 3
)

// randomText makes ids and passwords.
func randomText(n int) string {
	text := make([]byte, n)
	for i := range text {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(room.IDAlphabet))))
		if err != nil {
			panic(fmt.Sprintf("no randomness: %v", err)) // crypto/rand never fails on the systems Go supports
		}
		text[i] = room.IDAlphabet[k.Int64()]
	}
	return string(text)
}
