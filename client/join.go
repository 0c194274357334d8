package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

// JoinRoom joins a room. RoomEntered follows, then what has happened since.
// What the stream says of the room meanwhile waits until the download of the
// room is complete. It tries again while there is no connection or no clear
// answer.
//
// Errors: ErrNoRoom, ErrWrongPassword, ErrBannedFromRoom, ErrAlreadyInRoom, what
// ended the session, or the context's. After the last two the account may be in
// the room nevertheless; RoomEntered tells.
func (s *Session) JoinRoom(ctx context.Context, id, password string) error {
	if err := s.valid("join room", id); err != nil {
		return err
	}
	if !utf8.ValidString(password) {
		return fmt.Errorf("join room %s: a password that is not UTF-8 is %w", id, ErrInvalid)
	}
	s.mu.Lock()
	begun, began := s.book.begin(id), s.book.live
	s.mu.Unlock()
	if !begun {
		return fmt.Errorf("join room %s: a second time at once is %w", id, ErrInvalid)
	}
	// The outcome of an attempt that broke is not known.
	uncertain, within := false, false
	var d *download
	err := s.call(ctx, func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (chatpb.ReturnStatus, error) {
		d = newDownload(s.book.self, s.book.cfg.historyLimit, nil)
		outcome, joined, err := s.download(ctx, &commandspb.JoinChatRoomRequest{LoginInfo: login, ChatRoomId: id, ChatRoomPassword: password}, d)
		within = within || joined
		switch {
		case joined && err != nil:
			return chatpb.ReturnStatus_SUCCESS, nil // we are in, the rest comes over the stream
		case err != nil && !lasting(err), err == nil && transient[outcome]:
			uncertain = true
		case errors.Is(err, ErrAlreadyInRoom) && uncertain:
			within = true
			return chatpb.ReturnStatus_SUCCESS, nil
		}
		return outcome, err
	})
	switch {
	case err == nil && d.finished && d.room.info.ID == id:
		s.inbox.push(item{entered: d.room, began: began})
		return nil
	case err == nil || within || uncertain:
		// Let the server tell on a new stream whether we are in the room, and
		// what is in it.
		s.mu.Lock()
		s.book.abandon(id)
		s.mu.Unlock()
	default:
		s.inbox.push(item{over: id})
	}
	if err != nil {
		return fmt.Errorf("join room %s: %w", id, err)
	}
	return nil
}

// download makes one attempt. joined: the server said that we are in the room.
func (s *Session) download(ctx context.Context, request *commandspb.JoinChatRoomRequest, d *download) (outcome chatpb.ReturnStatus, joined bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// It may take long, but not stand still.
	overdue := time.AfterFunc(callTimeout, func() { cancel(errNoAnswer) })
	defer overdue.Stop()
	st, err := s.client.commands.JoinChatRoomRPC(ctx, request, patiently)
	if err != nil {
		return 0, false, err
	}
	for {
		r, err := st.Recv()
		switch {
		case errors.Is(err, io.EOF) && d.finished:
			return chatpb.ReturnStatus_SUCCESS, true, nil
		case errors.Is(err, io.EOF):
			return 0, joined, errCut
		case err != nil:
			return 0, joined, err
		}
		overdue.Reset(callTimeout)
		for _, m := range r.GetMessagesList() {
			switch {
			case !m.GetPrimer():
				d.add(m)
			case m.GetReturnStatus() != chatpb.ReturnStatus_SUCCESS:
				return m.GetReturnStatus(), false, nil
			case r.GetChatRoomStatus() != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED:
				return 0, false, refusal(r.GetChatRoomStatus())
			default:
				joined = true
			}
		}
	}
}

// errCut is an answer without its end.
var errCut = status.Error(codes.Unavailable, "the answer has no end")

func refusal(s commandspb.ChatRoomStatus) error {
	if err := joinErrors[s]; err != nil {
		return err
	}
	return fmt.Errorf("the room does not take the account (%v): %w", s, ErrInvalid)
}
