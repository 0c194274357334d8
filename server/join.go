package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/store"
)

const (
	// joinComplete is how many of the latest messages a joiner gets in full.
	joinComplete = 10
	// joinBatch bounds a response, joinPage a read of the store, in bytes.
	joinBatch = 256 << 10
	joinPage  = 256 << 10
)

var errNotShown = status.Error(codes.Unavailable,
	"you are in the room, but it could not be shown in full: open the chat stream again without listing the room")

// JoinChatRoomRPC lets the caller into a room and shows it what the room is and
// was up to the join, itself included. What comes after the join is not read
// here: it comes through the caller's chat stream, which begins exactly with
// the join.
func (s commandService) JoinChatRoomRPC(r *commandspb.JoinChatRoomRequest, stream grpc.ServerStreamingServer[commandspb.JoinChatRoomResponse]) (err error) {
	primed := false
	prime := func(code chatpb.ReturnStatus, joined commandspb.ChatRoomStatus) error {
		primed = true
		return stream.Send(&commandspb.JoinChatRoomResponse{
			ChatRoomStatus: joined,
			MessagesList:   []*chatpb.ChatMessageToClient{{Primer: true, ReturnStatus: code}},
		})
	}
	defer s.caught(&err, func() {
		if primed {
			err = errNotShown
		} else {
			err = prime(internal, commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED)
		}
	})
	ctx := stream.Context()
	account, code := s.accounts.Check(ctx, r.GetLoginInfo())
	if code != success {
		return prime(code, commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED)
	}
	id := r.GetChatRoomId()
	switch {
	case !room.ValidID(id):
		return prime(success, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID)
	case !room.ValidSimpleText(r.GetChatRoomPassword()):
		return prime(success, commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD)
	}
	command := room.Join{
		UUID: uuid.NewString(), Account: account.ID, Name: account.Display, Password: r.GetChatRoomPassword(),
	}
	if !s.commands.enter() {
		return errShuttingDown
	}
	var before room.State
	appended, err := func() (store.Appended, error) {
		defer s.commands.leave()
		return s.store.Append(ctx, id, store.Op{
			Sender: account.ID, Kind: room.KindJoined, Viewed: time.Now().UnixMilli(),
			Decide: func(state room.State) ([]room.Draft, error) {
				before = state
				return room.Decide(state, command)
			},
		})
	}()
	if refused, ok := joinRefusals[refusal(err)]; ok {
		return prime(success, refused)
	}
	if err != nil {
		return prime(s.statusOf("join a room", id, err), commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED)
	}
	if err := prime(success, commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED); err != nil {
		return err
	}
	join := appended.Events[0]
	t := &tour{
		ctx: ctx, store: s.store, stream: stream, account: account.ID,
		state: room.Fold(before, join), join: join,
	}
	if err := t.run(); err != nil {
		s.log.Warn("cannot show a room to who joined it", "room", id, "error", err)
		return errNotShown
	}
	return nil
}

var joinRefusals = map[error]commandspb.ChatRoomStatus{
	room.ErrNoRoom:        commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID,
	room.ErrWrongPassword: commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD,
	room.ErrBanned:        commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED,
	room.ErrAlreadyIn:     commandspb.ChatRoomStatus_ALREADY_IN_CHAT_ROOM,
}

// refusal is the one of joinRefusals' keys that err wraps, or nil.
func refusal(err error) error {
	for known := range joinRefusals {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// tour shows a room to somebody who has just joined it.
type tour struct {
	ctx     context.Context
	store   store.Log
	stream  grpc.ServerStreamingServer[commandspb.JoinChatRoomResponse]
	account string
	// state is the room exactly after the join.
	state room.State
	join  room.Event

	batch []*chatpb.ChatMessageToClient
	size  int
}

func (t *tour) run() error {
	seen, err := t.store.Seen(t.ctx, t.state.ID)
	if err != nil {
		return err
	}
	if err := t.show(engine.ShowRoom(t.state, t.account, seen, false)); err != nil {
		return err
	}
	for m := range t.state.Members() {
		if m.Account == t.account {
			continue
		}
		if err := t.show(engine.ShowMember(t.state, t.account, m, seen)); err != nil {
			return err
		}
	}
	shown := uint64(0)
	for after := uint64(0); after < t.join.Seq-1; {
		events, err := t.store.Events(t.ctx, t.state.ID, after, store.Page{Bytes: joinPage})
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return errors.New("the room's events end before the join")
		}
		for i := range events {
			if after = events[i].Seq; after >= t.join.Seq {
				break
			}
			if !engine.IsFor(&events[i], t.account) {
				continue
			}
			form := engine.HistorySkeleton
			if t.join.Seq-after <= joinComplete {
				form = engine.HistoryComplete
			}
			m := engine.Show(&events[i], form)
			m.PreviousSeq, shown = shown, after
			if err := t.show(m); err != nil {
				return err
			}
		}
	}
	own := engine.Show(&t.join, engine.HistorySkeleton)
	own.PreviousSeq = shown
	if err := t.show(own); err != nil {
		return err
	}
	if err := t.show(engine.ShowRoomEnd(t.state.ID, t.account, t.join.Seq)); err != nil {
		return err
	}
	return t.flush()
}

func (t *tour) show(m *chatpb.ChatMessageToClient) error {
	n := proto.Size(m)
	if t.size+n > joinBatch && len(t.batch) > 0 {
		if err := t.flush(); err != nil {
			return err
		}
	}
	t.batch, t.size = append(t.batch, m), t.size+n
	return nil
}

func (t *tour) flush() error {
	err := t.stream.Send(&commandspb.JoinChatRoomResponse{MessagesList: t.batch})
	t.batch, t.size = nil, 0
	return err
}
