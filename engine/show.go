package engine

import (
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// Messages that are made for one user and stored nowhere. They carry no uuid
// and no time.

// What a room without a pinned place has.
const (
	noLongitude = 181
	noLatitude  = 91
)

// ShowRoom opens the description of a room for one of its members; ShowMember
// for each other account, the room's messages and ShowRoomEnd follow. lost says
// that it is shown because the client's position is not one of the room's.
func ShowRoom(s room.State, account string, seen map[string]store.Seen, lost bool) *chatpb.ChatMessageToClient {
	me, _ := s.Member(account)
	return generated(s.ID, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomStartMessage{
			ThisUserJoinedChatRoomStartMessage: &chatpb.ThisUserJoinedChatRoomStartChatMessage{
				PositionLost: lost,
				ChatRoomInfo: &chatpb.ChatRoomInfoMessage{
					ChatRoomId:               s.ID,
					ChatRoomName:             s.Name,
					ChatRoomPassword:         s.Password,
					AccountState:             me.Standing,
					UserLastActivityTime:     max(seen[account].Activity, me.Since),
					ChatRoomLastActivityTime: s.Time,
					ChatRoomLastObservedTime: max(seen[account].Viewed, me.Since),
					TimeJoined:               me.Since,
					LongitudePinnedLocation:  noLongitude,
					LatitudePinnedLocation:   noLatitude,
				},
			},
		},
	}, false)
}

// ShowMember describes m, another account that is or was in the room.
func ShowMember(s room.State, account string, m room.Member, seen map[string]store.Seen) *chatpb.ChatMessageToClient {
	return generated(s.ID, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomMemberMessage{
			ThisUserJoinedChatRoomMemberMessage: &chatpb.ThisUserJoinedChatRoomMemberChatMessage{
				MemberInfo: &chatpb.ChatRoomMemberInfoMessage{
					UserInfo: &chatpb.MemberSharedInfoMessage{
						AccountOid:  m.Account,
						AccountName: m.Name,
						AccountType: chatpb.UserAccountType_USER_ACCOUNT_TYPE,
					},
					AccountLastActivityTime: max(seen[m.Account].Activity, m.Since),
					AccountState:            m.Standing,
				},
			},
		},
	}, false)
}

// ShowRoomEnd closes the description of a room up to the event numbered seq.
func ShowRoomEnd(id, account string, seq uint64) *chatpb.ChatMessageToClient {
	end := generated(id, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserJoinedChatRoomFinishedMessage{
			ThisUserJoinedChatRoomFinishedMessage: &chatpb.ThisUserJoinedChatRoomFinishedChatMessage{},
		},
	}, true)
	end.Seq = seq
	return end
}

// leftRoom tells a client that it is not in a room it listed.
func leftRoom(id, account string) *chatpb.ChatMessageToClient {
	return generated(id, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_ThisUserLeftChatRoomMessage{
			ThisUserLeftChatRoomMessage: &chatpb.ThisUserLeftChatRoomChatMessage{},
		},
	}, false)
}

// observedTime tells a client that its user viewed the room later than the
// client knew, on another device.
func observedTime(id, account string, viewed int64) *chatpb.ChatMessageToClient {
	return generated(id, account, &chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{
			UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{ChatRoomLastObservedTime: viewed},
		},
	}, false)
}

func generated(id, account string, body *chatpb.MessageSpecifics, keepState bool) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{
		SentByAccountId: account,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: body,
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{
				ChatRoomIdMessageSentFrom:             id,
				MessageHasCompleteInfo:                true,
				DoNotUpdateUserState:                  keepState,
				InternalForceSendMessageToCurrentUser: true,
			},
		},
	}
}
