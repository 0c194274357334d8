package client

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

// CreateRoom makes a room with the account as its admin. RoomEntered follows.
// An empty name makes the server choose one. It is not tried again when the
// connection breaks, as that could make two rooms: if the room was made
// nevertheless, RoomEntered follows all the same.
func (s *Session) CreateRoom(ctx context.Context, name string) (Room, error) {
	if !utf8.ValidString(name) {
		return Room{}, fmt.Errorf("create room: a name that is not UTF-8 is %w", ErrInvalid)
	}
	bound, cancel := s.bind(ctx)
	defer cancel()
	s.mu.Lock()
	s.book.creating++
	began := s.book.live
	s.mu.Unlock()
	var made *commandspb.CreateChatRoomResponse
	err := s.attempt(bound, unary(func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (_ chatpb.ReturnStatus, err error) {
		made, err = s.client.commands.CreateChatRoomRPC(ctx, &commandspb.CreateChatRoomRequest{LoginInfo: login, ChatRoomName: name}, patiently)
		return made.GetReturnStatus(), err
	}))
	if err != nil {
		s.inbox.push(item{made: true})
		if bound.Err() != nil || !lasting(err) || errors.Is(err, ErrServer) { // it may have been made
			s.mu.Lock()
			s.book.again()
			s.mu.Unlock()
		}
		if bound.Err() != nil {
			err = gaveUp(bound, err)
		}
		return Room{}, fmt.Errorf("create room: %w", err)
	}
	r := &room{
		info: Room{
			ID:       made.GetChatRoomId(),
			Name:     made.GetChatRoomName(),
			Password: made.GetChatRoomPassword(),
			Admin:    true,
		},
		window: newWindow(),
	}
	for _, m := range []*message{made.GetChatRoomCapMessage(), made.GetCurrentUserJoinedChatMessage()} {
		if m.GetTimestampStored() > 0 {
			r.window.add(m.GetTimestampStored(), m.GetMessageUuid(), m.GetSeq())
		}
	}
	r.viewed = r.window.position
	s.inbox.push(item{entered: r, made: true, began: began})
	return r.info, nil
}

// LeaveRoom leaves a room. RoomLeft follows, after what happened before. To
// leave a room that one is not in is no error.
func (s *Session) LeaveRoom(ctx context.Context, room string) error {
	if err := s.valid("leave", room); err != nil {
		return err
	}
	var left *commandspb.LeaveChatRoomResponse
	tries := 0
	err := s.call(ctx, unary(func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (_ chatpb.ReturnStatus, err error) {
		tries++
		left, err = s.client.commands.LeaveChatRoomRPC(ctx, &commandspb.LeaveChatRoomRequest{LoginInfo: login, ChatRoomId: room}, patiently)
		return left.GetReturnStatus(), err
	}))
	if err != nil {
		return fmt.Errorf("leave room %s: %w", room, err)
	}
	s.inbox.push(item{left: &departure{room: room, at: left.GetTimestampStored(), sure: tries == 1}})
	return nil
}

// Kick removes a member, who may come back. Only an admin may, and no admin can
// be removed: ErrNotAllowed.
func (s *Session) Kick(ctx context.Context, room, account string) error {
	return s.remove(ctx, "kick", WasKicked, commandspb.RemoveFromChatRoomRequest_KICK, room, account)
}

// Ban removes a member for good. See Kick.
func (s *Session) Ban(ctx context.Context, room, account string) error {
	return s.remove(ctx, "ban", WasBanned, commandspb.RemoveFromChatRoomRequest_BAN, room, account)
}

func (s *Session) remove(ctx context.Context, op string, how Departure, kind commandspb.RemoveFromChatRoomRequest_KickOrBan, room, account string) error {
	if err := s.valid(op+" from", room, account); err != nil {
		return err
	}
	id := uuid.NewString()
	s.mu.Lock()
	s.book.sent.put(id, &sending{removed: account, how: how})
	s.mu.Unlock()
	var removed *commandspb.RemoveFromChatRoomResponse
	err := s.call(ctx, unary(func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (_ chatpb.ReturnStatus, err error) {
		removed, err = s.client.commands.RemoveFromChatRoomRPC(ctx, &commandspb.RemoveFromChatRoomRequest{
			LoginInfo: login, MessageUuid: id, KickOrBan: kind, ChatRoomId: room, AccountIdToRemove: account,
		}, patiently)
		return removed.GetReturnStatus(), err
	}))
	if err == nil && removed.GetOperationFailed() {
		err = ErrNotAllowed
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.book.sent.doubt(id)
		return fmt.Errorf("%s %s from %s: %w", op, account, room, err)
	}
	return nil
}

// Observe notes that the user has looked at the room up to the last event that
// was handed out, for the account's other installations.
func (s *Session) Observe(ctx context.Context, id string) error {
	s.mu.Lock()
	r := s.book.rooms[id]
	var at int64
	if r != nil {
		at = r.window.position
	}
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("observe %s: %w", id, ErrNotInRoom)
	}
	var seen *commandspb.ClientMessageToServerResponse
	err := s.call(ctx, unary(func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (_ chatpb.ReturnStatus, err error) {
		seen, err = s.client.commands.ClientMessageToServerRPC(ctx, &commandspb.ClientMessageToServerRequest{
			LoginInfo:         login,
			TimestampObserved: at,
			Message: &chatpb.TypeOfChatMessage{
				MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{
					UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{},
				}},
				StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: id},
			},
		}, patiently)
		return seen.GetReturnStatus(), err
	}))
	if err == nil && seen.GetUserNotInChatRoom() {
		err = ErrNotInRoom
	}
	if err != nil {
		return fmt.Errorf("observe %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.viewed = max(r.viewed, seen.GetTimestampStored())
	return nil
}

// RequestFull asks for messages of one room in full, as many as one likes, and
// returns those there are, in the order asked; of the others only UUID and Room
// are set. It waits for a stream, if there is none.
// Errors: ErrNotInRoom, ErrServer, what ended the session, or the context's.
func (s *Session) RequestFull(ctx context.Context, room string, uuids ...string) ([]Message, error) {
	if err := s.valid("request messages of", append([]string{room}, uuids...)...); err != nil {
		return nil, err
	}
	// The answers come behind events, which the caller may be the one to take.
	defer s.inbox.hurry()()
	out := make([]Message, 0, len(uuids))
	for len(uuids) > 0 {
		n := min(len(uuids), maxLookup)
		found, err := s.lookUp(ctx, room, uuids[:n])
		if err != nil {
			return nil, fmt.Errorf("request messages of %s: %w", room, err)
		}
		out = append(out, s.completed(room, uuids[:n], found)...)
		uuids = uuids[n:]
	}
	return out, nil
}

func (s *Session) lookUp(ctx context.Context, room string, uuids []string) (map[string]*message, error) {
	type outcome struct {
		found map[string]*message
		err   error
	}
	answer := make(chan outcome, 1)
	l := &lookup{room: room, uuids: uuids, done: func(l *lookup, err error) { answer <- outcome{l.found, err} }}
	s.lookups.add(l)
	defer s.lookups.cancel(l)
	select {
	case o := <-answer:
		return o.found, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// completed puts messages in full into the room's history.
func (s *Session) completed(id string, uuids []string, found map[string]*message) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.book.rooms[id]
	known := r != nil
	if !known {
		r = &room{info: Room{ID: id}}
	}
	out := make([]Message, len(uuids))
	for i, uuid := range uuids {
		m := found[uuid]
		if m == nil {
			out[i] = Message{Room: id, UUID: uuid}
			continue
		}
		out[i] = r.read(m, s.book.self)
		r.fill(out[i])
	}
	return out
}

// valid refuses what cannot be sent.
func (s *Session) valid(op string, ids ...string) error {
	for _, id := range ids {
		if !utf8.ValidString(id) || id == "" {
			return fmt.Errorf("%s %q: that id is %w", op, id, ErrInvalid)
		}
	}
	return nil
}
