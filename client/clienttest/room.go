package clienttest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// room is a log of events and what follows from it.
type room struct {
	id, name, password string
	places             bool // see Server.Places
	events             []*event
	members            []*member
}

type member struct {
	account *account
	state   chatpb.AccountStateInChatRoom
	since   int64
}

// event is one entry of a room's log.
type event struct {
	seq    int
	time   int64
	uuid   string
	sender *account
	body   *chatpb.MessageSpecifics
	// removed is the account that is out of the room by it, joined the one in.
	removed, joined *account
}

const (
	in      = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
	isAdmin = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IS_ADMIN
	notIn   = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_NOT_IN_CHAT_ROOM
	banned  = chatpb.AccountStateInChatRoom_ACCOUNT_STATE_BANNED
)

func (r *room) member(a *account) *member {
	for _, m := range r.members {
		if m.account == a {
			return m
		}
	}
	return nil
}

func (r *room) present(a *account) bool {
	m := r.member(a)
	return m != nil && m.state >= in
}

func (r *room) hasAdmin() bool {
	for _, m := range r.members {
		if m.state == isAdmin {
			return true
		}
	}
	return false
}

func (r *room) find(uuid string) *event {
	for _, e := range r.events {
		if e.uuid == uuid {
			return e
		}
	}
	return nil
}

// add appends an event and tells the streams. mu is held.
func (s *Server) add(r *room, e *event) *event {
	e.seq, e.time = len(r.events)+1, time.Now().UnixMilli()
	if n := len(r.events); n > 0 {
		e.time = max(e.time, r.events[n-1].time+1)
	}
	if e.uuid == "" {
		e.uuid = uuid.NewString()
	}
	r.events = append(r.events, e)
	for st := range s.streams {
		if e.joined == st.account && st.account != nil {
			st.subs[r.id] = &subscription{room: r, cursor: e.seq - 1}
		}
		if sub := st.subs[r.id]; sub != nil && e.removed == st.account {
			sub.until = e.seq
		}
		st.poke()
	}
	return e
}

// admit puts an account into a room.
func (s *Server) admit(r *room, a *account) *event {
	state := in
	if !r.hasAdmin() {
		state = isAdmin
	}
	m := r.member(a)
	if m == nil {
		m = &member{account: a}
		r.members = append(r.members, m)
	}
	m.state = state
	e := s.add(r, &event{sender: a, joined: a, body: &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_DifferentUserJoinedMessage{
			DifferentUserJoinedMessage: &chatpb.DifferentUserJoinedChatRoomChatMessage{
				MemberInfo: &chatpb.ChatRoomMemberInfoMessage{UserInfo: userInfo(a), AccountState: state},
			},
		},
	}})
	m.since = e.time
	return e
}

func (s *Server) leave(r *room, a *account) *event {
	m := r.member(a)
	heir := ""
	if m.state == isAdmin {
		for _, other := range r.members {
			if other != m && other.state == in {
				other.state, heir = isAdmin, other.account.id
				break
			}
		}
	}
	m.state = notIn
	return s.add(r, &event{sender: a, removed: a, body: &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_DifferentUserLeftMessage{
			DifferentUserLeftMessage: &chatpb.DifferentUserLeftChatRoomChatMessage{NewAdminAccountOid: heir},
		},
	}})
}

func (s *Server) remove(r *room, by, a *account, id string, ban bool) *event {
	m := r.member(a)
	m.state = notIn
	body := &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UserKickedMessage{
		UserKickedMessage: &chatpb.UserKickedChatMessage{KickedAccountOid: a.id},
	}}
	if ban {
		m.state = banned
		body = &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UserBannedMessage{
			UserBannedMessage: &chatpb.UserBannedChatMessage{BannedAccountOid: a.id},
		}}
	}
	return s.add(r, &event{uuid: id, sender: by, removed: a, body: body})
}

func userInfo(a *account) *chatpb.MemberSharedInfoMessage {
	return &chatpb.MemberSharedInfoMessage{AccountOid: a.id, AccountName: a.name}
}

// make makes a room.
func (s *Server) make(a *account, name string) *room {
	s.nextRoom++
	r := &room{id: fmt.Sprintf("room%04d", s.nextRoom), name: name, password: fmt.Sprintf("pw%d", s.nextRoom), places: s.Places}
	if name == "" {
		r.name = a.name + "'s chat room"
	}
	s.rooms[r.id] = r
	s.add(r, &event{sender: a, body: &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{}},
	}})
	s.admit(r, a)
	return r
}

// The rest plays other people. Accounts are made when they are named.

// Named returns the id of the account of that name.
func (s *Server) Named(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named(name).id
}

func (s *Server) named(name string) *account {
	a := s.accounts[name]
	if a == nil {
		a = &account{id: oid(), name: name, password: "secret", viewed: make(map[string]int64)}
		s.accounts[name] = a
	}
	return a
}

// Make makes a room with its admin and others in it, and returns its id.
func (s *Server) Make(title, admin string, others ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.make(s.named(admin), title)
	for _, o := range others {
		s.admit(r, s.named(o))
	}
	return r.id
}

// Enter puts somebody into a room.
func (s *Server) Enter(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit(s.rooms[id], s.named(name))
}

// Leave takes somebody out of a room, by their own wish.
func (s *Server) Leave(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(s.rooms[id], s.named(name))
}

// Kick takes somebody out of a room.
func (s *Server) Kick(id, by, name string, ban bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(s.rooms[id], s.named(by), s.named(name), "", ban)
}

// Say stores a text of somebody and returns its uuid.
func (s *Server) Say(id, name, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(s.rooms[id], &event{sender: s.named(name), body: textBody(text)}).uuid
}

// Rename gives a room another name.
func (s *Server) Rename(id, by, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id]
	r.name = name
	s.add(r, &event{sender: s.named(by), body: &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ChatRoomNameUpdatedMessage{
			ChatRoomNameUpdatedMessage: &chatpb.ChatRoomNameUpdatedChatMessage{NewChatRoomName: name},
		},
	}})
}

// Lose sets a room's log back by n events, as restoring a backup would.
func (s *Server) Lose(id string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id]
	r.events = r.events[:len(r.events)-n]
}

// Texts are all texts of a room, in order.
func (s *Server) Texts(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.rooms[id].events {
		if t := e.body.GetTextMessage(); t != nil {
			out = append(out, t.GetMessageText())
		}
	}
	return out
}

// Password is the password of a room.
func (s *Server) Password(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[id].password
}

func textBody(text string) *chatpb.MessageSpecifics {
	return &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
		TextMessage: &chatpb.TextChatMessage{MessageText: text},
	}}
}

// UUIDs are the uuids of all texts of a room, in order.
func (s *Server) UUIDs(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.rooms[id].events {
		if e.body.GetTextMessage() != nil {
			out = append(out, e.uuid)
		}
	}
	return out
}

// In reports whether somebody is in a room.
func (s *Server) In(id, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[id].present(s.named(name))
}

// RemovedAfter reports whether somebody went out of a room after a text of it.
func (s *Server) RemovedAfter(id, name, uuid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id]
	for _, e := range r.events[r.find(uuid).seq:] {
		if e.removed == s.named(name) {
			return true
		}
	}
	return false
}

// Dump describes a room's log, for the message of a failed test.
func (s *Server) Dump(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.rooms[id].events {
		line := fmt.Sprintf("%d %s ", e.time, e.sender.name)
		switch {
		case e.joined != nil:
			line += "joined"
		case e.removed != nil:
			line += e.removed.name + " is out"
		default:
			line += e.body.GetTextMessage().GetMessageText()
		}
		out = append(out, line)
	}
	return out
}
