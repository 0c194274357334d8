package client

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// message is a message as it comes over the wire.
type message = chatpb.ChatMessageToClient

// room is what the book knows of one room.
type room struct {
	info Room
	// members holds everybody who is or was a member, in the server's order,
	// but not the account itself.
	members []*Member
	// history holds the newest messages, oldest first.
	history []Message
	window  window
	viewed  int64
	// since is the last position at which the account is known to be a member:
	// when the room was entered, or what a stream told of its past.
	since int64
	// leftAt is the time of the account's own departure, once it is known; the
	// room stays until that has come by. leaving: it has been known once.
	leftAt  int64
	leaving bool
	// epoch is the stream during which the room was entered.
	epoch int
	// unheard: the stream may know nothing of the room.
	unheard bool
	// anew: see RoomEntered.
	anew bool
}

func (r *room) member(account string) *Member {
	for _, m := range r.members {
		if m.Account == account {
			return m
		}
	}
	return nil
}

// admit notes that an account is or was a member.
func (r *room) admit(m Member) {
	if known := r.member(m.Account); known != nil {
		if m.Name == "" {
			m.Name = known.Name
		}
		*known = m
		return
	}
	r.members = append(r.members, &m)
}

// remember appends a message to the history.
func (r *room) remember(m Message, limit int) {
	r.history = append(r.history, m)
	if over := len(r.history) - limit; over > 0 {
		r.history = r.history[over:]
	}
}

// fill completes a message of the history.
func (r *room) fill(m Message) {
	for i := range slices.Backward(r.history) {
		if h := &r.history[i]; h.UUID == m.UUID && !h.Complete {
			h.Text, h.Complete, h.Body = m.Text, true, m.Body
			return
		}
	}
}

func (r *room) present(self Member) []Member {
	self.Admin = r.info.Admin
	out := []Member{self}
	for _, m := range r.members {
		if !m.Gone {
			out = append(out, *m)
		}
	}
	return out
}

// specifics is what a message consists of.
func specifics(m *message) *chatpb.MessageSpecifics { return m.GetMessage().GetMessageSpecifics() }

func roomOf(m *message) string {
	return m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom()
}

// complete reports whether nothing of m is left to be asked for.
func complete(m *message) bool {
	return m.GetMessage().GetStandardMessageInfo().GetMessageHasCompleteInfo()
}

// kindOf is the number of the wire, 0 for an empty message.
func kindOf(m *message) Kind {
	b := specifics(m)
	if b == nil {
		return 0
	}
	fields := b.ProtoReflect()
	oneof := fields.Descriptor().Oneofs().ByName("message_body")
	if set := fields.WhichOneof(oneof); set != nil {
		return Kind(set.Number())
	}
	return 0
}

// active reports whether k is a message that people read.
func (k Kind) active() bool { return k >= KindText && k <= KindInvite }

func (k Kind) String() string {
	fields := (&chatpb.MessageSpecifics{}).ProtoReflect().Descriptor().Fields()
	if f := fields.ByNumber(protoreflect.FieldNumber(k)); f != nil {
		return strings.TrimSuffix(string(f.Name()), "_message")
	}
	return "unknown"
}

// present reports whether an account of this standing is a member.
func present(s chatpb.AccountStateInChatRoom) bool {
	return s >= chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
}

func admin(s chatpb.AccountStateInChatRoom) bool {
	return s >= chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IS_ADMIN
}

func member(account string, info *chatpb.ChatRoomMemberInfoMessage) Member {
	return Member{
		Account: account,
		Name:    info.GetUserInfo().GetAccountName(),
		Admin:   admin(info.GetAccountState()),
		Gone:    !present(info.GetAccountState()),
	}
}

func when(ms int64) time.Time { return time.UnixMilli(ms) }
