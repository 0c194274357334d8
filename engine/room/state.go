package room

import (
	"iter"

	"github.com/benbjohnson/immutable"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// The standings an account can have in a room.
const (
	Banned = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_BANNED
	NotIn  = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_NOT_IN_CHAT_ROOM
	In     = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
	Admin  = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IS_ADMIN
)

// Header is what a room is called and where its log stands.
type Header struct {
	ID       string
	Name     string
	Password string
	// Created is the time of the first event.
	Created int64
	// Seq and Time are those of the last event folded in; Seq is 0 for a room
	// that does not exist.
	Seq  uint64
	Time int64
	// Admin is the account that administers the room, or empty.
	Admin string
}

// Member is one account that is or was in a room.
type Member struct {
	Account string
	// Name is the display name the account had when it last joined.
	Name     string
	Standing Standing
	// Position is the sequence number of the account's first join: members are
	// listed, and succeed a leaving admin, in this order.
	Position uint64
	// Changed is the sequence number of the last event that changed Standing
	// by way of Event.Action.
	Changed uint64
	// Since is the time of that event: for a member, when it joined.
	Since int64
}

// Present reports whether the member is in the room now.
func (m Member) Present() bool { return m.Standing >= In }

// State is a room after a number of events. The zero value is the state before
// the first one. States are immutable and safe for concurrent use.
type State struct {
	Header
	members *immutable.Map[string, Member]
	order   *immutable.SortedMap[uint64, string]
	present int
}

// Exists reports whether the room has any event.
func (s State) Exists() bool { return s.Seq > 0 }

// Member returns what account is or was in the room.
func (s State) Member(account string) (Member, bool) {
	if s.members == nil {
		return Member{}, false
	}
	return s.members.Get(account)
}

// Present reports whether account is in the room.
func (s State) Present(account string) bool {
	m, ok := s.Member(account)
	return ok && m.Present()
}

// SameMembers reports whether the events that led from before to s, if any,
// have changed no member. Of states that do not follow from one another it may
// say false though their members are equal. It costs a comparison of pointers.
func (s State) SameMembers(before State) bool { return s.members == before.members }

// PresentCount is the number of accounts in the room.
func (s State) PresentCount() int { return s.present }

// Members yields everybody who is or was in the room, in the order of first
// joins.
func (s State) Members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		if s.order == nil {
			return
		}
		for it := s.order.Iterator(); !it.Done(); {
			_, account, _ := it.Next()
			m, _ := s.members.Get(account)
			if !yield(m) {
				return
			}
		}
	}
}

// Restore builds a State from what a store kept: the header and every member,
// in any order.
func Restore(h Header, members iter.Seq[Member]) State {
	s := State{Header: h}
	m := immutable.NewMapBuilder[string, Member](nil)
	o := immutable.NewSortedMapBuilder[uint64, string](nil)
	for member := range members {
		m.Set(member.Account, member)
		o.Set(member.Position, member.Account)
		if member.Present() {
			s.present++
		}
	}
	s.members, s.order = m.Map(), o.Map()
	return s
}

// with returns s with m in place of what it held of m.Account.
func (s State) with(m Member) State {
	if s.members == nil {
		s.members = immutable.NewMap[string, Member](nil)
		s.order = immutable.NewSortedMap[uint64, string](nil)
	}
	old, known := s.members.Get(m.Account)
	if !known {
		s.order = s.order.Set(m.Position, m.Account)
	}
	if old.Present() && known {
		s.present--
	}
	if m.Present() {
		s.present++
	}
	s.members = s.members.Set(m.Account, m)
	return s
}
