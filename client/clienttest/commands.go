package clienttest

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

type commands struct {
	commandspb.UnimplementedChatRoomMessagesServiceServer
	*Server
}

func (c commands) ClientMessageToServerRPC(_ context.Context, r *commandspb.ClientMessageToServerRequest) (*commandspb.ClientMessageToServerResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	acc, outcome := c.check(r.GetLoginInfo())
	if acc == nil {
		return &commandspb.ClientMessageToServerResponse{ReturnStatus: outcome}, nil
	}
	success := &commandspb.ClientMessageToServerResponse{ReturnStatus: chatpb.ReturnStatus_SUCCESS}
	room := c.rooms[r.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom()]
	if room == nil || !room.present(acc) {
		success.UserNotInChatRoom, success.TimestampStored = true, -1
		return success, nil
	}
	if r.GetMessage().GetMessageSpecifics().GetUpdateObservedTimeMessage() != nil {
		acc.viewed[room.id] = max(acc.viewed[room.id], r.GetTimestampObserved())
		success.TimestampStored = r.GetTimestampObserved()
		return success, nil
	}
	text := strings.TrimRightFunc(r.GetMessage().GetMessageSpecifics().GetTextMessage().GetMessageText(), unicode.IsSpace)
	if text == "" || len(text) > 10_000 || !utf8.ValidString(text) || len(r.GetMessageUuid()) != 36 {
		return &commandspb.ClientMessageToServerResponse{ReturnStatus: chatpb.ReturnStatus_INVALID_PARAMETER_PASSED, TimestampStored: -2}, nil
	}
	e := room.find(r.GetMessageUuid())
	if e == nil {
		e = c.add(room, &event{uuid: r.GetMessageUuid(), sender: acc, body: textBody(text)})
	}
	success.TimestampStored = e.time
	return success, nil
}

func (c commands) CreateChatRoomRPC(_ context.Context, r *commandspb.CreateChatRoomRequest) (*commandspb.CreateChatRoomResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	acc, outcome := c.check(r.GetLoginInfo())
	if acc == nil {
		return &commandspb.CreateChatRoomResponse{ReturnStatus: outcome}, nil
	}
	if len(r.GetChatRoomName()) > 1023 {
		return &commandspb.CreateChatRoomResponse{ReturnStatus: chatpb.ReturnStatus_INVALID_PARAMETER_PASSED}, nil
	}
	room := c.Server.make(acc, r.GetChatRoomName())
	old := form{amount: skeleton, onlyStore: true}
	return &commandspb.CreateChatRoomResponse{
		ReturnStatus:                 chatpb.ReturnStatus_SUCCESS,
		ChatRoomId:                   room.id,
		ChatRoomName:                 room.name,
		ChatRoomPassword:             room.password,
		ChatRoomCapMessage:           room.events[0].show(room, old),
		CurrentUserJoinedChatMessage: room.events[1].show(room, old),
	}, nil
}

func (c commands) JoinChatRoomRPC(r *commandspb.JoinChatRoomRequest, raw commandspb.ChatRoomMessagesService_JoinChatRoomRPCServer) error {
	if c.Join != nil {
		return c.Join(r, raw)
	}
	return c.ServeJoin(r, raw)
}

// ServeJoin is what the server does with a join. A script may call it.
func (s *Server) ServeJoin(r *commandspb.JoinChatRoomRequest, raw RawJoin) error {
	parts := s.join(r)
	for i, p := range parts {
		if i > 0 && i == len(parts)-1 && s.BeforeJoinEnds != nil {
			if err := s.BeforeJoinEnds(r.GetChatRoomId()); err != nil {
				return err
			}
		}
		if err := raw.Send(p); err != nil {
			return err
		}
	}
	return nil
}

// JoinPrimer is the first response of a join.
func JoinPrimer(outcome chatpb.ReturnStatus, room commandspb.ChatRoomStatus) *commandspb.JoinChatRoomResponse {
	return &commandspb.JoinChatRoomResponse{
		MessagesList:   []*chatpb.ChatMessageToClient{{Primer: true, ReturnStatus: outcome}},
		ChatRoomStatus: room,
	}
}

func (s *Server) join(r *commandspb.JoinChatRoomRequest) []*commandspb.JoinChatRoomResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc, outcome := s.check(r.GetLoginInfo())
	if acc == nil {
		return []*commandspb.JoinChatRoomResponse{JoinPrimer(outcome, 0)}
	}
	room := s.rooms[r.GetChatRoomId()]
	refusal := commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED
	switch {
	case room == nil:
		refusal = commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID
	case room.password != r.GetChatRoomPassword():
		refusal = commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD
	case room.member(acc) != nil && room.member(acc).state == banned:
		refusal = commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED
	case room.present(acc):
		refusal = commandspb.ChatRoomStatus_ALREADY_IN_CHAT_ROOM
	}
	out := []*commandspb.JoinChatRoomResponse{JoinPrimer(chatpb.ReturnStatus_SUCCESS, refusal)}
	if refusal != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED {
		return out
	}
	before := len(room.events)
	own := s.admit(room, acc)
	var history []*chatpb.ChatMessageToClient
	for i, e := range room.events[:before] {
		f := form{amount: skeleton, onlyStore: true}
		if i >= before-10 {
			f.amount = whole
		}
		history = append(history, e.show(room, f))
	}
	history = append(history, own.show(room, form{amount: skeleton, onlyStore: true}))
	all := room.describe(acc, history)
	half := len(all) / 2
	return append(out,
		&commandspb.JoinChatRoomResponse{MessagesList: all[:half]},
		&commandspb.JoinChatRoomResponse{MessagesList: all[half:]})
}

func (c commands) LeaveChatRoomRPC(_ context.Context, r *commandspb.LeaveChatRoomRequest) (*commandspb.LeaveChatRoomResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	acc, outcome := c.check(r.GetLoginInfo())
	if acc == nil {
		return &commandspb.LeaveChatRoomResponse{ReturnStatus: outcome}, nil
	}
	room := c.rooms[r.GetChatRoomId()]
	if room == nil || !room.present(acc) {
		return &commandspb.LeaveChatRoomResponse{ReturnStatus: chatpb.ReturnStatus_SUCCESS, TimestampStored: time.Now().UnixMilli()}, nil
	}
	e := c.leave(room, acc)
	return &commandspb.LeaveChatRoomResponse{ReturnStatus: chatpb.ReturnStatus_SUCCESS, TimestampStored: e.time}, nil
}

func (c commands) RemoveFromChatRoomRPC(_ context.Context, r *commandspb.RemoveFromChatRoomRequest) (*commandspb.RemoveFromChatRoomResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	acc, outcome := c.check(r.GetLoginInfo())
	if acc == nil {
		return &commandspb.RemoveFromChatRoomResponse{ReturnStatus: outcome}, nil
	}
	answer := &commandspb.RemoveFromChatRoomResponse{ReturnStatus: chatpb.ReturnStatus_SUCCESS}
	room := c.rooms[r.GetChatRoomId()]
	if room != nil {
		if e := room.find(r.GetMessageUuid()); e != nil {
			answer.TimestampStored = e.time
			return answer, nil
		}
	}
	var target *account
	for _, a := range c.accounts {
		if a.id == r.GetAccountIdToRemove() {
			target = a
		}
	}
	if room == nil || target == nil || !room.present(acc) || room.member(acc).state != isAdmin ||
		room.member(target) == nil || room.member(target).state != in {
		answer.OperationFailed = true
		return answer, nil
	}
	e := c.remove(room, acc, target, r.GetMessageUuid(), r.GetKickOrBan() == commandspb.RemoveFromChatRoomRequest_BAN)
	answer.TimestampStored = e.time
	return answer, nil
}
