package room

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// Fold returns the state after e. It panics when e is not the event that
// follows s, since then its caller broke the order that everything rests on. A
// body that cannot be read changes nothing but Seq and Time; a store refuses to
// write one.
func Fold(s State, e Event) State {
	if e.Seq != s.Seq+1 {
		panic(fmt.Sprintf("room %s: event %d folded onto %d", e.Room, e.Seq, s.Seq))
	}
	s.ID, s.Seq, s.Time = e.Room, e.Seq, e.Time
	switch e.Kind {
	case KindCap:
		s.Created = e.Time
		if body := specifics(e).GetChatRoomCapMessage(); body != nil {
			s.Name, s.Password = body.GetChatRoomName(), body.GetChatRoomPassword()
		}
	case KindJoined:
		info := specifics(e).GetDifferentUserJoinedMessage().GetMemberInfo()
		if info == nil {
			break
		}
		m, known := s.Member(e.Target)
		if !known {
			m = Member{Account: e.Target, Position: e.Seq}
		}
		m.Name, m.Standing = info.GetUserInfo().GetAccountName(), info.GetAccountState()
		m.Changed, m.Since = e.Seq, e.Time
		if m.Standing == Admin {
			s.Admin = m.Account
		}
		s = s.with(m)
	case KindLeft:
		s = s.removed(e, NotIn)
		if heir, ok := s.Member(specifics(e).GetDifferentUserLeftMessage().GetNewAdminAccountOid()); ok {
			heir.Standing, s.Admin = Admin, heir.Account
			s = s.with(heir)
		}
	case KindKicked:
		s = s.removed(e, NotIn)
	case KindBanned:
		s = s.removed(e, Banned)
	}
	return s
}

func (s State) removed(e Event, standing Standing) State {
	m, known := s.Member(e.Target)
	if !known {
		return s
	}
	if s.Admin == m.Account {
		s.Admin = ""
	}
	m.Standing, m.Changed, m.Since = standing, e.Seq, e.Time
	return s.with(m)
}

// specifics unmarshals e's body; an unreadable one is an empty message.
func specifics(e Event) *chatpb.MessageSpecifics {
	var body chatpb.MessageSpecifics
	if err := proto.Unmarshal(e.Body, &body); err != nil {
		return &chatpb.MessageSpecifics{}
	}
	return &body
}
