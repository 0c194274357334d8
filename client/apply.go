package client

import "github.com/chatstream/chatstream/proto/chatpb"

// stamp is the time of a message, and its uuid; of a new update time those of
// the message it stands for.
func stamp(m *message) (at int64, uuid string) {
	if n := specifics(m).GetNewUpdateTimeMessage(); n != nil {
		return max(n.GetMessageTimestampStored(), m.GetTimestampStored()), n.GetRepresentedMessageUuid()
	}
	return m.GetTimestampStored(), m.GetMessageUuid()
}

// apply hands a message out: it moves the room's position and makes the event.
// It is the only place where a position moves, but for entering a room. full is
// the message in full if that had to be asked for and came.
func (b *book) apply(r *room, m, full *message) {
	if o := specifics(m).GetUpdateObservedTimeMessage(); o != nil {
		r.viewed = max(r.viewed, o.GetChatRoomLastObservedTime())
		b.emit(Observed{Room: r.info.ID, Time: when(r.viewed)})
		return
	}
	at, uuid := stamp(m)
	if at <= 0 || r.window.has(at, uuid) {
		return
	}
	if m.GetPreviousSeq() > r.window.seq && r.window.seq > 0 {
		b.again() // something between was for us, and did not come
		return
	}
	r.window.add(at, uuid, m.GetSeq())
	b.progress(r)
	own := b.sent.take(uuid)
	switch {
	case kindOf(m) == kindNewUpdateTime:
		b.ownStored(r, own, m, full)
	case kindOf(m).active():
		out := r.read(m, b.self)
		switch {
		case own != nil && own.removed == "":
			out.Text, out.Complete = own.text, true
		case full != nil:
			f := r.read(full, b.self)
			out.Text, out.Complete, out.Body = f.Text, f.Complete, f.Body
		}
		b.message(r, out)
	default:
		b.change(r, m, at)
	}
	if !mine(m) {
		// What is told of the past is told to a member.
		if r.since = max(r.since, at); r.leftAt <= r.since {
			r.leftAt, r.leaving = 0, false
		}
	}
	if r.leftAt > 0 && r.window.position >= r.leftAt {
		b.steps = append(b.steps, func() {
			if b.rooms[r.info.ID] == r {
				b.leave(r.info.ID, RoomLeft{Room: r.info.ID, How: Departed})
			}
		})
	}
}

const kindNewUpdateTime Kind = 501

func (b *book) message(r *room, m Message) {
	r.remember(m, b.cfg.historyLimit)
	b.emit(m)
}

// ownStored takes the news that something the account did is stored.
func (b *book) ownStored(r *room, own *sending, m, full *message) {
	at, uuid := stamp(m)
	switch {
	case own != nil && own.removed != "":
		b.removed(r, own.removed, own.how, b.self.Account, at)
	case own != nil:
		b.message(r, Message{
			Room: r.info.ID, UUID: uuid, Sender: b.self.Account, SenderName: b.self.Name,
			Time: when(at), Seq: m.GetSeq(), Kind: KindText, Text: own.text, Complete: true, Own: true,
		})
	case full != nil && kindOf(full).active():
		b.message(r, r.read(full, b.self))
	}
}

// change takes what happens to a room and its members.
func (b *book) change(r *room, m *message, at int64) {
	id, by := r.info.ID, m.GetSentByAccountId()
	switch s := specifics(m).GetMessageBody().(type) {
	case *chatpb.MessageSpecifics_DifferentUserJoinedMessage:
		who := b.self
		if by != b.self.Account {
			who = member(by, s.DifferentUserJoinedMessage.GetMemberInfo())
			who.Gone = false
			r.admit(who)
			who = *r.member(by)
		}
		b.emit(Joined{Room: id, Member: who, Time: when(at)})
	case *chatpb.MessageSpecifics_DifferentUserLeftMessage:
		heir := s.DifferentUserLeftMessage.GetNewAdminAccountOid()
		r.promote(heir, b.self.Account)
		if by == b.self.Account && mine(m) {
			b.leave(id, RoomLeft{Room: id, How: Departed})
			return
		}
		b.emit(Left{Room: id, Member: b.goneMember(r, by), How: Departed, NewAdmin: heir, Time: when(at)})
	case *chatpb.MessageSpecifics_UserKickedMessage:
		b.expelled(r, m, s.UserKickedMessage.GetKickedAccountOid(), WasKicked, at)
	case *chatpb.MessageSpecifics_UserBannedMessage:
		b.expelled(r, m, s.UserBannedMessage.GetBannedAccountOid(), WasBanned, at)
	case *chatpb.MessageSpecifics_ChatRoomNameUpdatedMessage:
		r.info.Name = s.ChatRoomNameUpdatedMessage.GetNewChatRoomName()
		b.emit(RoomChanged{Room: r.info, By: by, Time: when(at)})
	case *chatpb.MessageSpecifics_ChatRoomPasswordUpdatedMessage:
		r.info.Password = s.ChatRoomPasswordUpdatedMessage.GetNewChatRoomPassword()
		b.emit(RoomChanged{Room: r.info, By: by, Time: when(at)})
	case *chatpb.MessageSpecifics_NewAdminPromotedMessage:
		if old := r.member(by); old != nil {
			old.Admin = false
		}
		r.promote(s.NewAdminPromotedMessage.GetPromotedAccountOid(), b.self.Account)
		b.emit(RoomChanged{Room: r.info, By: by, Time: when(at)})
	}
}

// mine reports whether a message about the account itself changes where it is,
// and is not only a record of what once was.
func mine(m *message) bool {
	return !m.GetOnlyStoreMessage() && !m.GetMessage().GetStandardMessageInfo().GetDoNotUpdateUserState()
}

func (b *book) expelled(r *room, m *message, account string, how Departure, at int64) {
	if account == b.self.Account && mine(m) {
		b.leave(r.info.ID, RoomLeft{Room: r.info.ID, How: how, By: m.GetSentByAccountId()})
		return
	}
	b.removed(r, account, how, m.GetSentByAccountId(), at)
}

func (b *book) removed(r *room, account string, how Departure, by string, at int64) {
	b.emit(Left{Room: r.info.ID, Member: b.goneMember(r, account), How: how, By: by, Time: when(at)})
}

// goneMember notes that an account went out of the room.
func (b *book) goneMember(r *room, account string) Member {
	if account == b.self.Account {
		return b.self
	}
	m := r.member(account)
	if m == nil {
		r.admit(Member{Account: account, Name: account})
		m = r.member(account)
	}
	m.Gone, m.Admin = true, false
	return *m
}

// promote makes an account the admin.
func (r *room) promote(account, self string) {
	switch m := r.member(account); {
	case account == "":
	case account == self:
		r.info.Admin = true
	case m != nil:
		m.Admin = true
	}
}
