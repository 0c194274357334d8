package engine

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/proto/streampb"
)

// reply is the answer to one request of the client. Replies are written in the
// order of the requests; one that is not ready yet holds up later replies, but
// not the rooms' messages.
type reply struct {
	atomics.Link[producer]
	ready atomic.Bool
	// responses are set before ready is.
	responses []func() *streampb.ChatToClientResponse
	// answered, if not nil, is called when the last one is about to be written.
	answered func()
}

func newReply(responses ...func() *streampb.ChatToClientResponse) *reply {
	r := &reply{responses: responses}
	r.Init(r)
	return r
}

func (r *reply) fill(s *Stream, out *builder) outcome {
	if !out.empty() {
		return front
	}
	raw, err := proto.Marshal(r.responses[0]())
	if err != nil { // a message of the store that is not valid UTF-8
		raw, _ = proto.Marshal(&streampb.ChatToClientResponse{})
	}
	r.responses[0] = nil
	r.responses = r.responses[1:]
	out.set(raw, nil)
	if len(r.responses) > 0 {
		return front
	}
	if r.answered != nil {
		r.answered()
	}
	s.replySlots <- struct{}{}
	return done
}

// replyReady reports whether the oldest reply can be written.
func (s *Stream) replyReady() bool {
	l := s.turn.replies.Front()
	return l != nil && l.Owner().(*reply).ready.Load()
}

// complete makes r ready.
func (s *Stream) complete(r *reply) {
	r.ready.Store(true)
	s.slot.Schedule()
}

// MayRead waits until the stream's next Read may start: the initialization has
// been written, and not too many replies wait. It returns false when the stream
// ends instead. Each Read it allows is followed by one Handle, or is the last.
func (s *Stream) MayRead(ctx context.Context) bool {
	select {
	case <-s.replySlots:
		return !s.refs.Closed()
	case <-s.ended:
	case <-ctx.Done():
	}
	return false
}

// Handle takes up what a Read brought. Called by the reader only.
func (s *Stream) Handle(request *streampb.ChatToServerRequest) {
	if !s.acquire() {
		return
	}
	defer s.release()
	switch r := request.GetClientRequest().(type) {
	case *streampb.ChatToServerRequest_RequestFullMessageInfo:
		s.lookUp(r.RequestFullMessageInfo)
	case *streampb.ChatToServerRequest_RefreshChatStream:
		s.answer(s.refresh())
	case *streampb.ChatToServerRequest_Confirmation:
		c := &confirmation{positions: r.Confirmation.GetPositions()}
		c.Init(c)
		s.push(&c.Link)
	default: // nothing was asked
		s.replySlots <- struct{}{}
	}
}

// answer queues a reply that is ready.
func (s *Stream) answer(responses ...func() *streampb.ChatToClientResponse) {
	r := newReply(responses...)
	r.ready.Store(true)
	s.push(&r.Link)
}

// refreshable is the part of a stream's life in which it may be prolonged.
const refreshable = 0.95

// lateRefresh is how long before a stream's end a refresh is too late.
func (e *Engine) lateRefresh() time.Duration {
	return time.Duration(float64(e.cfg.StreamLifetime) * (1 - refreshable))
}

// refresh prolongs the stream, unless it comes too late, and returns the
// answer. What remains is computed when the answer is written.
func (s *Stream) refresh() func() *streampb.ChatToClientResponse {
	refreshed := s.engine.elapsed() < s.expires.Load()-int64(s.engine.lateRefresh())
	if refreshed {
		s.startTimer(s.engine.cfg.StreamLifetime)
	}
	return func() *streampb.ChatToClientResponse {
		left := time.Duration(s.expires.Load() - s.engine.elapsed()).Milliseconds()
		return &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_RefreshChatStreamResponse{
			RefreshChatStreamResponse: &streampb.RefreshChatStreamResponse{
				SuccessfullyRefreshedTime:          refreshed,
				TimeUntilChatStreamExpiresInMillis: max(1, left),
			},
		}}
	}
}
