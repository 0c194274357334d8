package room

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// Refusals: why a command does not happen. Each is a fact about the room at the
// moment of the decision, not a failure of the system.
var (
	ErrNoRoom        = errors.New("room: does not exist")
	ErrRoomExists    = errors.New("room: id is taken")
	ErrWrongPassword = errors.New("room: wrong password")
	ErrBanned        = errors.New("room: account is banned")
	ErrAlreadyIn     = errors.New("room: account is in the room already")
	ErrNotMember     = errors.New("room: account is not in the room")
	ErrNotAdmin      = errors.New("room: account does not administer the room")
	ErrTarget        = errors.New("room: the other account cannot be removed")
)

// Command is what somebody wants to happen in a room: one of Create, Join,
// Leave, Expel and Post.
type Command interface {
	decide(State) ([]Draft, error)
}

// Decide says what happens when c is carried out in a room in state s: the
// drafts in order, or one of the refusals above. It is pure: the same arguments
// give the same result, however often a store must ask.
func Decide(s State, c Command) ([]Draft, error) { return c.decide(s) }

// Create opens a room; its creator administers it.
type Create struct {
	Name, Password       string
	Creator, CreatorName string
	CapUUID, JoinUUID    string
}

func (c Create) decide(s State) ([]Draft, error) {
	if s.Exists() {
		return nil, ErrRoomExists
	}
	first, err := draft(c.CapUUID, c.Creator, "", &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{
			ChatRoomName: c.Name, ChatRoomPassword: c.Password,
		}},
	}, KindCap, None)
	if err != nil {
		return nil, err
	}
	join, err := joined(c.JoinUUID, c.Creator, c.CreatorName, Admin)
	if err != nil {
		return nil, err
	}
	return []Draft{first, join}, nil
}

// Join lets an account in. In a room without an admin it becomes the admin.
type Join struct {
	UUID          string
	Account, Name string
	Password      string
}

func (c Join) decide(s State) ([]Draft, error) {
	if !s.Exists() {
		return nil, ErrNoRoom
	}
	if c.Password != s.Password {
		return nil, ErrWrongPassword
	}
	m, known := s.Member(c.Account)
	switch {
	case known && m.Standing == Banned:
		return nil, ErrBanned
	case m.Present():
		return nil, ErrAlreadyIn
	}
	standing := In
	if s.Admin == "" {
		standing = Admin
	}
	d, err := joined(c.UUID, c.Account, c.Name, standing)
	if err != nil {
		return nil, err
	}
	return []Draft{d}, nil
}

// Leave takes an account out of a room. When the admin leaves, the first
// member in the order of Members becomes admin.
type Leave struct {
	UUID    string
	Account string
}

func (c Leave) decide(s State) ([]Draft, error) {
	m, _ := s.Member(c.Account)
	if !m.Present() {
		return nil, ErrNotMember
	}
	heir := ""
	if m.Standing == Admin {
		for other := range s.Members() {
			if other.Present() && other.Account != c.Account {
				heir = other.Account
				break
			}
		}
	}
	d, err := draft(c.UUID, c.Account, c.Account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_DifferentUserLeftMessage{
			DifferentUserLeftMessage: &chatpb.DifferentUserLeftChatRoomChatMessage{NewAdminAccountOid: heir},
		},
	}, KindLeft, Remove)
	if err != nil {
		return nil, err
	}
	return []Draft{d}, nil
}

// Expel is an admin's removal of a member: a kick, or a ban, after which the
// account cannot join again.
type Expel struct {
	UUID           string
	Caller, Target string
	Ban            bool
}

func (c Expel) decide(s State) ([]Draft, error) {
	caller, _ := s.Member(c.Caller)
	if caller.Standing != Admin {
		return nil, ErrNotAdmin
	}
	target, known := s.Member(c.Target)
	if !known || target.Standing != In {
		return nil, ErrTarget
	}
	kind, body := KindKicked, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_UserKickedMessage{
			UserKickedMessage: &chatpb.UserKickedChatMessage{KickedAccountOid: c.Target},
		},
	}
	if c.Ban {
		kind, body = KindBanned, &chatpb.MessageSpecifics{
			MessageBody: &chatpb.MessageSpecifics_UserBannedMessage{
				UserBannedMessage: &chatpb.UserBannedChatMessage{BannedAccountOid: c.Target},
			},
		}
	}
	d, err := draft(c.UUID, c.Caller, c.Target, body, kind, Remove)
	if err != nil {
		return nil, err
	}
	return []Draft{d}, nil
}

// Post is a message that changes nobody's membership.
type Post struct {
	UUID   string
	Sender string
	Kind   Kind
	// Body is the marshalled MessageSpecifics, checked before by its sender's
	// RPC.
	Body []byte
}

func (c Post) decide(s State) ([]Draft, error) {
	if !s.Present(c.Sender) {
		return nil, ErrNotMember
	}
	return []Draft{{UUID: c.UUID, Kind: c.Kind, Sender: c.Sender, Body: c.Body}}, nil
}

func joined(uuid, account, name string, standing Standing) (Draft, error) {
	return draft(uuid, account, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_DifferentUserJoinedMessage{
			DifferentUserJoinedMessage: &chatpb.DifferentUserJoinedChatRoomChatMessage{
				MemberInfo: &chatpb.ChatRoomMemberInfoMessage{
					UserInfo: &chatpb.MemberSharedInfoMessage{
						AccountOid:  account,
						AccountName: name,
						AccountType: chatpb.UserAccountType_USER_ACCOUNT_TYPE,
					},
					AccountState: standing,
				},
			},
		},
	}, KindJoined, Add)
}

func draft(uuid, sender, target string, body *chatpb.MessageSpecifics, kind Kind, action Action) (Draft, error) {
	raw, err := proto.Marshal(body)
	if err != nil {
		return Draft{}, fmt.Errorf("room: encode event: %w", err)
	}
	return Draft{UUID: uuid, Kind: kind, Sender: sender, Target: target, Action: action, Body: raw}, nil
}
