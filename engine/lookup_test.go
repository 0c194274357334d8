package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Invariant 11 of the design: every requested uuid gets exactly one answer, in the
// order asked. The table is section 7 of the behaviour that is to be kept.

const complete = chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO

func lookupOf(id string, amount chatpb.AmountOfMessage, uuids ...string) *streampb.RequestFullMessageInfoRequest {
	r := &streampb.RequestFullMessageInfoRequest{ChatRoomId: id}
	for _, u := range uuids {
		r.MessageUuidList = append(r.MessageUuidList, &streampb.MessageUUIDWithAmountOfMessage{MessageUuid: u, AmountOfMessagesToRequest: amount})
	}
	return r
}

// ask has the client ask, and returns what it is answered.
func (c *client) ask(r *rig, request *streampb.RequestFullMessageInfoRequest) []*streampb.RequestFullMessageInfoResponse {
	before := len(c.lookups())
	c.request(r, request)
	r.settle()
	return c.lookups()[before:]
}

func (c *client) request(r *rig, request *streampb.RequestFullMessageInfoRequest) {
	if !c.stream.MayRead(r.t.Context()) {
		r.t.Fatal("the stream may not read")
	}
	c.stream.Handle(&streampb.ChatToServerRequest{
		ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{RequestFullMessageInfo: request},
	})
}

func (c *client) lookups() []*streampb.RequestFullMessageInfoResponse {
	var all []*streampb.RequestFullMessageInfoResponse
	for _, r := range c.responses() {
		if l := r.GetRequestFullMessageInfoResponse(); l != nil {
			all = append(all, l)
		}
	}
	return all
}

func TestEveryRequestedMessageIsAnsweredOnceAndInOrder(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		long := strings.Repeat("ä", 1000)
		one, two, three := r.text(roomA, 0, "one"), r.text(roomA, 0, long), r.text(roomA, 0, "three")
		join := r.log.logOf(roomA)[1]
		r.create(roomB, 1)
		elsewhere := r.text(roomB, 1, "elsewhere")
		ada := r.connected(0)

		type entry struct {
			uuid   string
			status chatpb.ReturnStatus
		}
		const (
			ok      = chatpb.ReturnStatus_SUCCESS
			forget  = chatpb.ReturnStatus_VALUE_NOT_SET
			unknown = chatpb.ReturnStatus_UNKNOWN
		)
		const (
			final    = streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST
			lgError  = streampb.RequestFullMessageInfoResponse_LG_SERVER_ERROR
			noMember = streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM
			dbDown   = streampb.RequestFullMessageInfoResponse_DATABASE_DOWN
		)
		missing, bad := nextUUID(), "no uuid"
		var twelve []string
		var answered []entry
		for i := range 12 {
			e := r.text(roomA, 0, fmt.Sprint(i))
			twelve = append(twelve, e.UUID)
			status := ok
			if i >= 10 {
				status = unknown
			}
			answered = append(answered, entry{e.UUID, status})
		}
		duplicates := lookupOf(roomA, complete, one.UUID, one.UUID, two.UUID, one.UUID)
		duplicates.MessageUuidList[0].AmountOfMessagesToRequest = chatpb.AmountOfMessage_ONLY_SKELETON
		badAmount := lookupOf(roomA, complete, one.UUID, two.UUID)
		badAmount.MessageUuidList[0].AmountOfMessagesToRequest = 77
		allBad := lookupOf(roomB, complete, bad, one.UUID) // and she is no member of that room
		allBad.MessageUuidList[1].AmountOfMessagesToRequest = 77
		nowhere := lookupOf("nowhere0", complete, one.UUID, one.UUID, bad)

		for _, tc := range []struct {
			name    string
			request *streampb.RequestFullMessageInfoRequest
			status  streampb.RequestFullMessageInfoResponse_RequestStatus
			entries []entry
			refused []string
		}{
			{"in order", lookupOf(roomA, complete, three.UUID, one.UUID, two.UUID), final, []entry{{three.UUID, ok}, {one.UUID, ok}, {two.UUID, ok}}, nil},
			{"nothing asked", lookupOf(roomA, complete), final, nil, nil},
			{"illegal room", lookupOf("nope", complete, one.UUID, bad), lgError, nil, []string{one.UUID, bad}},
			{"endless uuid", lookupOf(roomA, complete, one.UUID, strings.Repeat("x", 1024)), lgError, nil, []string{one.UUID, strings.Repeat("x", 1024)}},
			{"endless uuid behind the limit", lookupOf(roomA, complete, append(twelve[:10:10], strings.Repeat("x", 1024))...), final, append(answered[:10:10], entry{strings.Repeat("x", 1024), unknown}), nil},
			{"illegal and missing", lookupOf(roomA, complete, bad, missing, one.UUID), final, []entry{{bad, forget}, {missing, forget}, {one.UUID, ok}}, nil},
			{"another room's", lookupOf(roomA, complete, elsewhere.UUID), final, []entry{{elsewhere.UUID, forget}}, nil},
			{"illegal amount", badAmount, final, []entry{{one.UUID, unknown}, {two.UUID, ok}}, nil},
			{"nothing legal, membership not checked", allBad, final, []entry{{bad, forget}, {one.UUID, unknown}}, nil},
			{"no member", lookupOf(roomB, complete, elsewhere.UUID), noMember, nil, []string{elsewhere.UUID}},
			{"no room", nowhere, final, []entry{{one.UUID, forget}, {one.UUID, forget}, {bad, forget}}, nil},
			{"the first of the highest amount", duplicates, final, []entry{{one.UUID, unknown}, {one.UUID, ok}, {two.UUID, ok}, {one.UUID, unknown}}, nil},
			{"more than ten", lookupOf(roomA, complete, twelve...), final, answered, nil},
			{"a type that cannot be asked for", lookupOf(roomA, complete, join.UUID, missing, one.UUID), final, []entry{{join.UUID, unknown}, {missing, forget}, {one.UUID, ok}}, nil},
			{"broken store", lookupOf(roomA, complete, one.UUID), dbDown, nil, []string{one.UUID}},
		} {
			if tc.status == dbDown {
				r.log.set(func() { r.log.fail = errBroken })
			}
			got := ada.ask(r, tc.request)
			if len(got) != 1 || got[0].GetRequestStatus() != tc.status || got[0].GetChatRoomId() != tc.request.GetChatRoomId() {
				t.Errorf("%s: %v", tc.name, got)
				continue
			}
			var entries []entry
			for _, m := range got[0].GetFullMessages().GetFullMessageList() {
				entries = append(entries, entry{m.GetMessageUuid(), m.GetReturnStatus()})
				if m.GetReturnStatus() != ok && (m.GetMessage() != nil || m.GetTimestampStored() != 0) {
					t.Errorf("%s: more than a status in %v", tc.name, m)
				}
			}
			if fmt.Sprint(entries) != fmt.Sprint(tc.entries) {
				t.Errorf("%s: got %v, want %v", tc.name, entries, tc.entries)
			}
			if got := got[0].GetErrorMessages().GetMessageUuidList(); fmt.Sprint(got) != fmt.Sprint(tc.refused) {
				t.Errorf("%s: refused %v, want %v", tc.name, got, tc.refused)
			}
			if len(tc.entries) == 0 && got[0].GetFullMessages() != nil {
				t.Errorf("%s: has a list", tc.name)
			}
		}
		r.log.set(func() { r.log.fail = nil })
		if got := ada.ask(r, lookupOf(roomA, complete, two.UUID))[0].GetFullMessages().GetFullMessageList()[0]; textOf(got) != long {
			t.Errorf("the full text has %d bytes", len(textOf(got)))
		}
	})
}

// An invitation of two others is there, and says nothing: its place in the log is
// no secret.
func TestInvitationOfTwoOthersIsAnsweredWithoutContent(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.join(roomA, 2)
		invite := r.invite(roomA, 0, 1)
		for who, secret := range map[int]bool{0: false, 1: false, 2: true} {
			l := lookup{account: account(who), store: r.log, request: &streampb.RequestFullMessageInfoRequest{
				ChatRoomId: roomA,
				MessageUuidList: []*streampb.MessageUUIDWithAmountOfMessage{{
					MessageUuid: invite.UUID, AmountOfMessagesToRequest: chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO,
				}},
			}}
			m := l.run(r.t.Context())[0].GetRequestFullMessageInfoResponse().GetFullMessages().GetFullMessageList()[0]
			shown := specificsOf(m).GetInviteMessage()
			if m.GetReturnStatus() != chatpb.ReturnStatus_SUCCESS || shown.GetActiveMessageInfo().GetIsDeleted() != secret ||
				(shown.GetInvitedUserAccountOid() == "") != secret {
				t.Errorf("user %d is answered %v", who, m)
			}
		}
	})
}

func TestSecondRequestIsToldThatOneIsBeingAnswered(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		one := r.text(roomA, 0, "one")
		ada := r.connected(0)
		r.log.closeStateGate()
		ada.request(r, lookupOf(roomA, complete, one.UUID))
		r.settle()
		ada.request(r, lookupOf(roomA, complete, one.UUID, one.UUID))
		r.settle()
		if got := ada.lookups(); len(got) != 0 {
			t.Errorf("answered out of turn: %v", got)
		}
		live := r.text(roomA, 0, "not held up")
		r.settle()
		if got := times(ada.live()); len(got) != 1 || got[0] != live.Time {
			t.Errorf("a lookup holds up the room's messages: %v", got)
		}
		r.log.openStateGate()
		r.settle()
		got := ada.lookups()
		if len(got) != 2 || got[0].GetRequestStatus() != streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST ||
			got[1].GetRequestStatus() != streampb.RequestFullMessageInfoResponse_CURRENTLY_PROCESSING_UPDATE_REQUEST ||
			len(got[1].GetErrorMessages().GetMessageUuidList()) != 2 || got[1].GetChatRoomId() != roomA {
			t.Errorf("answered %v", got)
		}
		if got := ada.ask(r, lookupOf(roomA, complete, one.UUID)); got[0].GetRequestStatus() != streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST {
			t.Errorf("the next one is answered %v", got)
		}
	})
}

func TestAnswersThatDoNotFitAreSplit(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		var uuids []string
		for i := range 10 {
			size := []int{100_000, 10, 300_000, 10}[i%4]
			uuids = append(uuids, r.do(roomA, room.Post{UUID: nextUUID(), Sender: account(0), Kind: room.KindText, Body: textBody(strings.Repeat("x", size))})[0].UUID)
		}
		ada := r.connected(0)
		got := ada.ask(r, lookupOf(roomA, complete, uuids...))
		var answered []string
		for i, response := range got {
			want := streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST
			if i == len(got)-1 {
				want = streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST
			}
			if response.GetRequestStatus() != want {
				t.Errorf("response %d of %d is %v", i, len(got), response.GetRequestStatus())
			}
			size := 0
			for _, m := range response.GetFullMessages().GetFullMessageList() {
				answered = append(answered, m.GetMessageUuid())
				size += len(textOf(m))
			}
			if size > maxResponseBytes && len(response.GetFullMessages().GetFullMessageList()) > 1 {
				t.Errorf("response %d has %d bytes", i, size)
			}
		}
		if fmt.Sprint(answered) != fmt.Sprint(uuids) || len(got) < 3 {
			t.Errorf("%d responses, answered %v, asked %v", len(got), answered, uuids)
		}
	})
}

// A store that panics is a bug of ours; the client is answered all the same.
func TestRequestIsAnsweredAlsoWhenTheLookupPanics(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		one := r.text(roomA, 0, "one")
		ada := r.connected(0)
		r.log.set(func() { r.log.panics = true })
		got := ada.ask(r, lookupOf(roomA, complete, one.UUID))
		if len(got) != 1 || got[0].GetRequestStatus() != streampb.RequestFullMessageInfoResponse_DATABASE_DOWN {
			t.Errorf("answered %v", got)
		}
		r.log.set(func() { r.log.panics = false })
	})
}
