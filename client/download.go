package client

import (
	"slices"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// download is the description of a room that the account is in: its settings,
// its members, what happened in it. It comes over the stream for a room that was
// not listed, and as the answer to joining one.
type download struct {
	self  Member
	limit int // of the history
	room  *room
	// known is the room as it was before, if the book had it.
	known *room
	// newer is what happened since then.
	newer []*message
	// finished: the last message has come. lost: the server does not know the
	// place in the room's log that it was told.
	finished, lost bool
}

func newDownload(self Member, limit int, known *room) *download {
	return &download{self: self, limit: limit, known: known, room: &room{window: newWindow()}}
}

// add takes the next message.
func (d *download) add(m *message) {
	r := d.room
	switch b := specifics(m).GetMessageBody().(type) {
	case *chatpb.MessageSpecifics_ThisUserJoinedChatRoomStartMessage:
		info := b.ThisUserJoinedChatRoomStartMessage.GetChatRoomInfo()
		if b.ThisUserJoinedChatRoomStartMessage.GetPositionLost() {
			d.lost, d.known = true, nil
		}
		r.info = Room{
			ID:       info.GetChatRoomId(),
			Name:     info.GetChatRoomName(),
			Password: info.GetChatRoomPassword(),
			Admin:    admin(info.GetAccountState()),
		}
		r.viewed = info.GetChatRoomLastObservedTime()
	case *chatpb.MessageSpecifics_ThisUserJoinedChatRoomMemberMessage:
		info := b.ThisUserJoinedChatRoomMemberMessage.GetMemberInfo()
		if account := info.GetUserInfo().GetAccountOid(); account != "" && account != d.self.Account {
			r.admit(member(account, info))
		}
	case *chatpb.MessageSpecifics_ThisUserJoinedChatRoomFinishedMessage:
		d.finished = true
	default:
		d.past(m)
	}
}

// past takes a message of the room's past.
func (d *download) past(m *message) {
	r, at := d.room, m.GetTimestampStored()
	if at <= 0 || r.window.has(at, m.GetMessageUuid()) {
		return
	}
	r.window.add(at, m.GetMessageUuid(), m.GetSeq())
	if d.known != nil {
		if !d.known.window.has(at, m.GetMessageUuid()) {
			d.newer = append(d.newer, m)
		}
		return
	}
	if kindOf(m).active() {
		r.remember(r.read(m, d.self), d.limit)
	}
}

// read makes of a message of the wire what the program gets.
func (r *room) read(m *message, self Member) Message {
	out := Message{
		Room:     r.info.ID,
		UUID:     m.GetMessageUuid(),
		Sender:   m.GetSentByAccountId(),
		Time:     when(m.GetTimestampStored()),
		Seq:      m.GetSeq(),
		Kind:     kindOf(m),
		Complete: complete(m),
		Own:      m.GetSentByAccountId() == self.Account,
	}
	out.SenderName = r.nameOf(out.Sender, self)
	if out.Kind == KindText {
		out.Text = specifics(m).GetTextMessage().GetMessageText()
	} else {
		out.Body = specifics(m)
	}
	return out
}

// nameOf is the name of an account, or its id if that is not known.
func (r *room) nameOf(account string, self Member) string {
	if account == self.Account {
		return self.Name
	}
	if m := r.member(account); m != nil && m.Name != "" {
		return m.Name
	}
	return account
}

// incomplete are the texts among the newest n messages of the history that lack
// something.
func (r *room) incomplete(n int) []string {
	var uuids []string
	for _, m := range slices.Backward(r.history[max(0, len(r.history)-n):]) {
		if m.Kind == KindText && !m.Complete {
			uuids = append(uuids, m.UUID)
		}
	}
	return uuids
}
