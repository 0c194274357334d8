package client

import (
	"slices"
	"sync"
	"time"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

const (
	// maxLookup is how many messages one request may ask for.
	maxLookup = 10
	// lookupRetry is how long to wait before a request is repeated that the
	// server could not answer, lookupTries how often it may be unable to.
	lookupRetry = 50 * time.Millisecond
	lookupTries = 3
)

// lookup is one request for messages in full, all of one room.
type lookup struct {
	room  string
	uuids []string
	found map[string]*message
	tries int
	// epoch is the stream it belongs to; 0: a caller waits, whatever the stream.
	epoch int
	// done is called once, without a lock, with the outcome.
	done func(l *lookup, err error)
}

// lookups are the requests that wait, and the one that the server is answering:
// it answers one at a time.
type lookups struct {
	mu      sync.Mutex
	waiting []*lookup
	asked   *lookup
	// notBefore delays the next request.
	notBefore time.Time
	// wake tells the writer of the stream that there may be something to ask.
	wake chan struct{}
}

func newLookups() *lookups { return &lookups{wake: make(chan struct{}, 1)} }

// add queues a request, together with the last one if that is like it.
func (ls *lookups) add(l *lookup) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if n := len(ls.waiting); n > 0 && l.epoch != 0 {
		last := ls.waiting[n-1]
		if last.epoch == l.epoch && last.room == l.room && len(last.uuids)+len(l.uuids) <= maxLookup {
			last.uuids = append(last.uuids, l.uuids...)
			return
		}
	}
	ls.waiting = append(ls.waiting, l)
	signal(ls.wake)
}

// cancel forgets a request that nobody waits for any more.
func (ls *lookups) cancel(l *lookup) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.waiting = slices.DeleteFunc(ls.waiting, func(other *lookup) bool { return other == l })
}

// next is the request to send now, nil if there is none, and otherwise how long
// to wait before asking again.
func (ls *lookups) next() (*streampb.ChatToServerRequest, time.Duration) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.asked != nil || len(ls.waiting) == 0 {
		return nil, 0
	}
	if wait := time.Until(ls.notBefore); wait > 0 {
		return nil, wait
	}
	l := ls.waiting[0]
	ls.waiting = ls.waiting[1:]
	ls.asked = l
	l.found = make(map[string]*message, len(l.uuids))
	asked := make([]*streampb.MessageUUIDWithAmountOfMessage, len(l.uuids))
	for i, uuid := range l.uuids {
		asked[i] = &streampb.MessageUUIDWithAmountOfMessage{
			MessageUuid:               uuid,
			AmountOfMessagesToRequest: chatpb.AmountOfMessage_COMPLETE_MESSAGE_INFO,
		}
	}
	return &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{
		RequestFullMessageInfo: &streampb.RequestFullMessageInfoRequest{ChatRoomId: l.room, MessageUuidList: asked},
	}}, 0
}

// answer takes an answer of the server.
func (ls *lookups) answer(r *streampb.RequestFullMessageInfoResponse) {
	l, err, over := ls.match(r)
	if over {
		l.done(l, err)
	}
}

func (ls *lookups) match(r *streampb.RequestFullMessageInfoResponse) (l *lookup, err error, over bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l = ls.asked
	if l == nil || l.room != r.GetChatRoomId() {
		return nil, nil, false
	}
	for _, m := range r.GetFullMessages().GetFullMessageList() {
		if m.GetReturnStatus() == chatpb.ReturnStatus_SUCCESS {
			l.found[m.GetMessageUuid()] = m
		}
	}
	switch r.GetRequestStatus() {
	case streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST:
		return nil, nil, false
	case streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST:
	case streampb.RequestFullMessageInfoResponse_CURRENTLY_PROCESSING_UPDATE_REQUEST:
		ls.again(l)
		return nil, nil, false
	case streampb.RequestFullMessageInfoResponse_DATABASE_DOWN:
		if l.tries++; l.tries < lookupTries {
			ls.again(l)
			return nil, nil, false
		}
		err = ErrServer
	case streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM:
		err = ErrNotInRoom
	default:
		err = ErrServer
	}
	ls.asked = nil
	signal(ls.wake)
	return l, err, true
}

// again puts the request back that was asked, for a little later.
func (ls *lookups) again(l *lookup) {
	ls.asked = nil
	ls.waiting = append([]*lookup{l}, ls.waiting...)
	ls.notBefore = time.Now().Add(lookupRetry)
	signal(ls.wake)
}

// reset forgets the requests of an earlier stream. Those of callers are asked
// again on the next.
func (ls *lookups) reset() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.asked != nil {
		ls.waiting = append([]*lookup{ls.asked}, ls.waiting...)
		ls.asked = nil
	}
	ls.waiting = slices.DeleteFunc(ls.waiting, func(l *lookup) bool { return l.epoch != 0 })
	ls.notBefore = time.Time{}
	signal(ls.wake)
}
