package engine

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// maxLookup is how many messages a client may ask for at once.
const maxLookup = 10

// lookUp answers a request for full messages: one answer for every uuid, in the
// order asked. One request at a time; another one meanwhile is told so.
func (s *Stream) lookUp(request *streampb.RequestFullMessageInfoRequest) {
	if !s.lookingUp.CompareAndSwap(false, true) {
		s.answer(func() *streampb.ChatToClientResponse {
			return lookupRefused(request, streampb.RequestFullMessageInfoResponse_CURRENTLY_PROCESSING_UPDATE_REQUEST)
		})
		return
	}
	r := newReply()
	r.answered = func() { s.lookingUp.Store(false) }
	s.push(&r.Link) // takes its place among the replies now
	respond := func(responses []*streampb.ChatToClientResponse) {
		for _, response := range responses {
			r.responses = append(r.responses, func() *streampb.ChatToClientResponse { return response })
		}
		s.complete(r)
	}
	var responses []*streampb.ChatToClientResponse
	read := func(ctx context.Context) error {
		l := lookup{account: s.account, store: s.engine.store, request: request}
		responses = l.run(ctx)
		return nil
	}
	done := func(err error) {
		if err != nil {
			responses = []*streampb.ChatToClientResponse{
				lookupRefused(request, streampb.RequestFullMessageInfoResponse_DATABASE_DOWN),
			}
		}
		respond(responses)
	}
	if err := s.engine.job(read, done); err != nil {
		done(err)
	}
}

// lookup is one request for full messages.
type lookup struct {
	account string
	store   store.Log
	request *streampb.RequestFullMessageInfoRequest
}

func (l *lookup) run(ctx context.Context) []*streampb.ChatToClientResponse {
	asked := l.request.GetMessageUuidList()
	if !room.ValidID(l.request.GetChatRoomId()) {
		return l.refused(streampb.RequestFullMessageInfoResponse_LG_SERVER_ERROR)
	}
	for _, a := range asked[:min(len(asked), maxLookup)] {
		if len(a.GetMessageUuid()) > room.MaxSimpleText {
			return l.refused(streampb.RequestFullMessageInfoResponse_LG_SERVER_ERROR)
		}
	}
	if len(asked) == 0 {
		return []*streampb.ChatToClientResponse{lookupResponse(l.request, streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST, nil)}
	}
	answers := make([]*chatpb.ChatMessageToClient, len(asked))
	chosen := l.choose(answers)
	if len(chosen) > 0 {
		state, err := l.store.State(ctx, l.request.GetChatRoomId())
		switch {
		case err != nil:
			return l.refused(streampb.RequestFullMessageInfoResponse_DATABASE_DOWN)
		case !state.Exists():
			for i := range asked {
				answers[i] = lookupFailed(asked[i], chatpb.ReturnStatus_VALUE_NOT_SET)
			}
			chosen = nil
		case !state.Present(l.account):
			return l.refused(streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM)
		}
	}
	for _, i := range chosen {
		answer, err := l.find(ctx, asked[i])
		if err != nil {
			return l.refused(streampb.RequestFullMessageInfoResponse_DATABASE_DOWN)
		}
		answers[i] = answer
	}
	return l.split(answers)
}

// choose answers what needs no look at the store, and returns the positions of
// the rest: of several requests for one uuid the first with the highest amount.
func (l *lookup) choose(answers []*chatpb.ChatMessageToClient) []int {
	asked := l.request.GetMessageUuidList()
	best := make(map[string]int)
	for i, a := range asked {
		uuid, amount := a.GetMessageUuid(), a.GetAmountOfMessagesToRequest()
		switch {
		case i >= maxLookup:
			answers[i] = lookupFailed(a, chatpb.ReturnStatus_UNKNOWN)
		case !room.ValidUUID(uuid):
			answers[i] = lookupFailed(a, chatpb.ReturnStatus_VALUE_NOT_SET)
		case chatpb.AmountOfMessage_name[int32(amount)] == "":
			answers[i] = lookupFailed(a, chatpb.ReturnStatus_UNKNOWN)
		default:
			if j, ok := best[uuid]; !ok || asked[j].GetAmountOfMessagesToRequest() < amount {
				best[uuid] = i
			}
		}
	}
	var chosen []int
	for i, a := range asked {
		if answers[i] != nil {
			continue
		}
		if best[a.GetMessageUuid()] == i {
			chosen = append(chosen, i)
		} else {
			answers[i] = lookupFailed(a, chatpb.ReturnStatus_UNKNOWN)
		}
	}
	return chosen
}

func (l *lookup) find(ctx context.Context, a *streampb.MessageUUIDWithAmountOfMessage) (*chatpb.ChatMessageToClient, error) {
	e, err := l.store.Event(ctx, l.request.GetChatRoomId(), a.GetMessageUuid())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lookupFailed(a, chatpb.ReturnStatus_VALUE_NOT_SET), nil
	case err != nil:
		return nil, err
	case e.Kind < room.KindText || e.Kind > lastActiveKind:
		return lookupFailed(a, chatpb.ReturnStatus_UNKNOWN), nil
	}
	m := Show(&e, Form{Amount: a.GetAmountOfMessagesToRequest()})
	if !IsFor(&e, l.account) { // two others' invitation
		m.GetMessage().MessageSpecifics = &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_InviteMessage{
			InviteMessage: &chatpb.InviteChatMessage{ActiveMessageInfo: &chatpb.ActiveMessageInfo{IsDeleted: true}},
		}}
	}
	m.ReturnStatus = chatpb.ReturnStatus_SUCCESS
	return m, nil
}

// lastActiveKind is the last of the kinds that can be asked for: text, picture,
// location, mime and invite.
const lastActiveKind room.Kind = 5

// split puts the answers into as many responses as their size asks for.
func (l *lookup) split(answers []*chatpb.ChatMessageToClient) []*streampb.ChatToClientResponse {
	var responses []*streampb.ChatToClientResponse
	first, size := 0, 0
	for i, a := range answers {
		n := proto.Size(a)
		if i > first && size+n > maxResponseBytes {
			responses = append(responses, lookupResponse(l.request, streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST, answers[first:i]))
			first, size = i, 0
		}
		size += n
	}
	return append(responses, lookupResponse(l.request, streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST, answers[first:]))
}

func (l *lookup) refused(why streampb.RequestFullMessageInfoResponse_RequestStatus) []*streampb.ChatToClientResponse {
	return []*streampb.ChatToClientResponse{lookupRefused(l.request, why)}
}

func lookupFailed(a *streampb.MessageUUIDWithAmountOfMessage, why chatpb.ReturnStatus) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{MessageUuid: a.GetMessageUuid(), ReturnStatus: why}
}

func lookupResponse(r *streampb.RequestFullMessageInfoRequest, s streampb.RequestFullMessageInfoResponse_RequestStatus, messages []*chatpb.ChatMessageToClient) *streampb.ChatToClientResponse {
	response := &streampb.RequestFullMessageInfoResponse{RequestStatus: s, ChatRoomId: r.GetChatRoomId()}
	if len(messages) > 0 {
		response.MessageListType = &streampb.RequestFullMessageInfoResponse_FullMessages{
			FullMessages: &streampb.RequestMessageInfoMessage{FullMessageList: messages},
		}
	}
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_RequestFullMessageInfoResponse{
		RequestFullMessageInfoResponse: response,
	}}
}

func lookupRefused(r *streampb.RequestFullMessageInfoRequest, s streampb.RequestFullMessageInfoResponse_RequestStatus) *streampb.ChatToClientResponse {
	uuids := make([]string, len(r.GetMessageUuidList()))
	for i, a := range r.GetMessageUuidList() {
		uuids[i] = a.GetMessageUuid()
	}
	return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_RequestFullMessageInfoResponse{
		RequestFullMessageInfoResponse: &streampb.RequestFullMessageInfoResponse{
			RequestStatus: s,
			ChatRoomId:    r.GetChatRoomId(),
			MessageListType: &streampb.RequestFullMessageInfoResponse_ErrorMessages{
				ErrorMessages: &streampb.RequestMessageInfoErrorMessage{MessageUuidList: uuids},
			},
		},
	}}
}
