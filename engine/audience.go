package engine

import (
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// audience says whom an event is for. The zero value: everybody in the room.
type audience struct {
	private bool
	// accounts are those it is for if it is private; either may be empty.
	accounts [2]string
}

// has reports whether account is to see the event.
func (a *audience) has(account string) bool {
	return !a.private || a.accounts[0] == account || a.accounts[1] == account
}

// The kinds of events that are not always for everybody.
const (
	kindInvite  room.Kind = 5
	kindDeleted room.Kind = 7
)

// audienceOf is whom e is for: an invitation is for who sends it and who is
// invited, a message that somebody has deleted for himself is nobody else's
// business.
func audienceOf(e *room.Event) audience {
	if e.Kind != kindInvite && e.Kind != kindDeleted {
		return audience{}
	}
	body := &chatpb.MessageSpecifics{}
	if err := proto.Unmarshal(e.Body, body); err != nil {
		return audience{private: true, accounts: [2]string{e.Sender}}
	}
	invited := body.GetInviteMessage().GetInvitedUserAccountOid()
	if e.Kind == kindDeleted && body.GetDeletedMessage().GetDeleteType() != chatpb.DeleteType_DELETE_FOR_SINGLE_USER {
		return audience{}
	}
	return audience{private: true, accounts: [2]string{e.Sender, invited}}
}

// IsFor reports whether e is for account, who is in the room.
func IsFor(e *room.Event, account string) bool {
	a := audienceOf(e)
	return a.has(account)
}
