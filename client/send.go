package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

// MaxText is the length of the longest text in bytes.
const MaxText = 10_000

// Receipt is the answer to a message.
type Receipt struct {
	// UUID is the message's. It is set even if it is not known whether the
	// message was stored: SendAs with it sends the same message again, not a
	// second one.
	UUID string
	// Time is when the server stored it.
	Time time.Time
}

// Send sends a text, without white space at its end, and returns when it is
// stored. It tries again, with the same uuid, while there is no connection or no
// clear answer, until ctx is done or the session is over.
//
// Errors: ErrNotInRoom, ErrInvalid for a text that is empty, too long or not
// UTF-8, what ended the session, or the context's. After the last two the
// message may be stored nevertheless.
func (s *Session) Send(ctx context.Context, room, text string) (Receipt, error) {
	return s.SendAs(ctx, uuid.NewString(), room, text)
}

// SendAs is Send with a uuid of the caller's, who may call it again with the
// same, in another session too: the message is stored once.
func (s *Session) SendAs(ctx context.Context, uuid, room, text string) (Receipt, error) {
	receipt := Receipt{UUID: uuid}
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	switch {
	case text == "":
		return receipt, fmt.Errorf("send to %s: an empty text is %w", room, ErrInvalid)
	case len(text) > MaxText:
		return receipt, fmt.Errorf("send to %s: a text of %d bytes is %w: send at most %d", room, len(text), ErrInvalid, MaxText)
	case !utf8.ValidString(text):
		return receipt, fmt.Errorf("send to %s: a text that is not UTF-8 is %w", room, ErrInvalid)
	case !utf8.ValidString(room) || !utf8.ValidString(uuid):
		return receipt, fmt.Errorf("send to %q: an id that is not UTF-8 is %w", room, ErrInvalid)
	}
	// Before the call: the stream may be faster than the answer.
	s.mu.Lock()
	s.book.sent.put(uuid, &sending{text: text})
	s.mu.Unlock()
	var stored *commandspb.ClientMessageToServerResponse
	err := s.call(ctx, unary(func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (_ chatpb.ReturnStatus, err error) {
		stored, err = s.client.commands.ClientMessageToServerRPC(ctx, &commandspb.ClientMessageToServerRequest{
			LoginInfo:   login,
			MessageUuid: uuid,
			Message: &chatpb.TypeOfChatMessage{
				MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
					TextMessage: &chatpb.TextChatMessage{MessageText: text},
				}},
				StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room},
			},
		}, patiently)
		return stored.GetReturnStatus(), err
	}))
	if err == nil && stored.GetUserNotInChatRoom() {
		err = ErrNotInRoom
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		receipt.Time = when(stored.GetTimestampStored())
		if r := s.book.rooms[room]; r != nil && r.window.has(stored.GetTimestampStored(), uuid) {
			s.book.sent.take(uuid) // sent before, and shown
		}
		return receipt, nil
	case lasting(err) && !errors.Is(err, ErrServer) && s.ctx.Err() == nil && ctx.Err() == nil:
		s.book.sent.take(uuid)
	default:
		s.book.sent.doubt(uuid)
	}
	return receipt, fmt.Errorf("send to %s: %w", room, err)
}
