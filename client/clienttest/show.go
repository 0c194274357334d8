package clienttest

import (
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
)

const (
	skeleton = chatpb.AmountOfMessage_ONLY_SKELETON
	enough   = chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE
	whole    = chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO
)

// form is how much of an event is shown and what the client is to do with it.
type form struct {
	amount          chatpb.AmountOfMessage
	onlyStore, keep bool
}

func (e *event) show(r *room, f form) *chatpb.ChatMessageToClient {
	body := proto.CloneOf(e.body)
	complete := true
	if t := body.GetTextMessage(); t != nil {
		switch {
		case f.amount == skeleton:
			t.MessageText, complete = "", false
		case f.amount == enough && len(t.MessageText) > 255:
			cut := 255
			for !utf8.RuneStart(t.MessageText[cut]) {
				cut--
			}
			t.MessageText, complete = t.MessageText[:cut], false
		}
	}
	if j := body.GetDifferentUserJoinedMessage(); j != nil && f.amount == skeleton {
		j.MemberInfo.UserInfo = nil
	}
	return r.place(e, &chatpb.ChatMessageToClient{
		MessageUuid:      e.uuid,
		TimestampStored:  e.time,
		OnlyStoreMessage: f.onlyStore,
		SentByAccountId:  e.sender.id,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: body,
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{
				ChatRoomIdMessageSentFrom: r.id,
				AmountOfMessage:           f.amount,
				MessageHasCompleteInfo:    complete,
				DoNotUpdateUserState:      f.keep,
			},
		},
	})
}

// place says in m where e is in the room's log, if the server says so.
func (r *room) place(e *event, m *chatpb.ChatMessageToClient) *chatpb.ChatMessageToClient {
	if r.places {
		m.Seq, m.PreviousSeq = uint64(e.seq), uint64(e.seq-1)
	}
	return m
}

// live is how a member sees an event when it happens.
func (e *event) live(r *room, to *account) *chatpb.ChatMessageToClient {
	if e.sender == to {
		return r.place(e, UpdateTime(r.id, e.uuid, e.time))
	}
	return e.show(r, form{amount: enough})
}

// describe is how a room is described to a member, with its history.
func (r *room) describe(to *account, history []*chatpb.ChatMessageToClient) []*chatpb.ChatMessageToClient {
	me := r.member(to)
	out := []*chatpb.ChatMessageToClient{RoomStart(r.id, to.id, r.name, r.password, me.state)}
	for _, m := range r.members {
		if m.account != to {
			out = append(out, RoomMember(r.id, to.id, m.account.id, m.account.name, m.state))
		}
	}
	return append(append(out, history...), RoomEnd(r.id, to.id))
}

// The rest makes messages for scripts.

// Text is a live message.
func Text(room, uuid, sender string, time int64, text string, complete bool) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{
		MessageUuid: uuid, TimestampStored: time, SentByAccountId: sender,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics:    textBody(text),
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room, MessageHasCompleteInfo: complete},
		},
	}
}

// UpdateTime is what the sender gets in place of its message.
func UpdateTime(room, uuid string, time int64) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{
		TimestampStored: time,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_NewUpdateTimeMessage{
				NewUpdateTimeMessage: &chatpb.NewUpdateTimeMessage{MessageTimestampStored: time, RepresentedMessageUuid: uuid},
			}},
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room},
		},
	}
}

// RoomStart opens the description of a room.
func RoomStart(room, account, name, password string, state chatpb.AccountStateInChatRoom) *chatpb.ChatMessageToClient {
	return generated(room, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomStartMessage{
			ThisUserJoinedChatRoomStartMessage: &chatpb.ThisUserJoinedChatRoomStartChatMessage{
				ChatRoomInfo: &chatpb.ChatRoomInfoMessage{
					ChatRoomId: room, ChatRoomName: name, ChatRoomPassword: password, AccountState: state,
				},
			},
		},
	})
}

// RoomMember is another member in the description of a room.
func RoomMember(room, account, other, name string, state chatpb.AccountStateInChatRoom) *chatpb.ChatMessageToClient {
	return generated(room, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomMemberMessage{
			ThisUserJoinedChatRoomMemberMessage: &chatpb.ThisUserJoinedChatRoomMemberChatMessage{
				MemberInfo: &chatpb.ChatRoomMemberInfoMessage{
					UserInfo:     &chatpb.MemberSharedInfoMessage{AccountOid: other, AccountName: name},
					AccountState: state,
				},
			},
		},
	})
}

// RoomEnd closes the description of a room.
func RoomEnd(room, account string) *chatpb.ChatMessageToClient {
	return generated(room, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomFinishedMessage{
			ThisUserJoinedChatRoomFinishedMessage: &chatpb.ThisUserJoinedChatRoomFinishedChatMessage{},
		},
	})
}

// RoomGone says that the account is not in a room.
func RoomGone(room, account string) *chatpb.ChatMessageToClient {
	return generated(room, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserLeftChatRoomMessage{
			ThisUserLeftChatRoomMessage: &chatpb.ThisUserLeftChatRoomChatMessage{},
		},
	})
}

// ObservedAt says when the account's user looked at a room.
func ObservedAt(room, account string, time int64) *chatpb.ChatMessageToClient {
	return generated(room, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{
			UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{ChatRoomLastObservedTime: time},
		},
	})
}

func generated(room, account string, body *chatpb.MessageSpecifics) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{
		SentByAccountId: account,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: body,
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{
				ChatRoomIdMessageSentFrom: room, MessageHasCompleteInfo: true,
			},
		},
	}
}
