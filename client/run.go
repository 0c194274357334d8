package client

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

const (
	// openTimeout is how long the first message of a stream may take.
	openTimeout = 20 * time.Second
	// steady is how long a stream lives that counts as a success: a server that
	// accepts streams and ends them at once is not to be hammered.
	steady = 5 * time.Second
	// replacedAgain is the time within which a second stream of our own
	// installation means that another program uses it, and not that the server
	// took our own attempts in another order.
	replacedAgain = time.Minute
)

// longestRetry bounds what a server may ask for: a number that makes no sense
// must not keep us away.
const longestRetry = 5 * time.Minute

var (
	errReplace  = errors.New("the stream is replaced")
	errNoAnswer = errors.New("the server does not answer")
)

// run keeps a stream open until the session is over.
func (s *Session) run() {
	err := s.keep()
	s.stop(err)
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	s.inbox.close(err)
	close(s.done)
}

// keep returns why the session is over.
func (s *Session) keep() error {
	var failures int
	var replaced time.Time
	renewed := false // since a stream was accepted last
	for s.ctx.Err() == nil {
		creds, err := s.login()
		var end ended
		if err == nil {
			end = s.stream(creds)
			end.fresh, err = renewed, end.err
		}
		if end.opened {
			renewed = false
		}
		if s.ctx.Err() != nil {
			break
		}
		if end.lived >= steady {
			failures = 0
		}
		own := end.replacedBy(creds.InstallationID)
		switch {
		case errors.Is(err, errReplace):
			// No need to tell: if the next stream opens, nothing has happened.
		case own && time.Since(replaced) < replacedAgain:
			return err
		case !own && s.final(end, err):
			return err
		case errors.Is(err, ErrTokenExpired) || errors.Is(err, ErrLoggedOut):
			if _, err = s.auth.renew(s.ctx, creds); err == nil {
				renewed = true
				if failures++; failures == 1 {
					continue
				}
			} else if lasting(err) && s.ctx.Err() == nil {
				return err
			} else {
				s.inbox.push(item{mark: Disconnected{Why: err}})
			}
		default:
			s.inbox.push(item{mark: Disconnected{Why: err}})
		}
		if own {
			replaced = time.Now()
		}
		if sleep(s.ctx, max(s.backoff.delay(failures), end.retry)) != nil {
			break
		}
		failures++
	}
	return context.Cause(s.ctx)
}

// login returns the login for the next stream, a new one if the one there is has
// expired by our clock.
func (s *Session) login() (Credentials, error) {
	creds, err := s.auth.current(s.ctx)
	if err != nil || s.auth.login == nil || creds.Expires.IsZero() || time.Now().Before(creds.Expires) {
		return creds, err
	}
	return s.auth.renew(s.ctx, creds)
}

// final reports whether no further stream may be opened.
func (s *Session) final(end ended, err error) bool {
	var e *EndError
	if !errors.As(err, &e) {
		return lasting(err) // of a login
	}
	if !e.Stated {
		switch status.Code(e.Err) {
		case codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
			return true
		}
		return false
	}
	switch e.Reason {
	case streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM:
		return true
	case streampb.StreamDownReasons_RETURN_STATUS_ATTACHED:
		switch e.Status {
		case chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED:
			return s.auth.login == nil
		case chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH:
			// A stream that was open was logged out. One that was not has a token
			// that the server does not know any more.
			return s.auth.login == nil || end.opened || end.fresh
		}
		return !transient[e.Status]
	}
	return false
}

// ended is how a stream came to its end.
type ended struct {
	err error
	// opened: the login had been accepted.
	opened bool
	// fresh: the login was made because the one before was refused.
	fresh bool
	lived time.Duration
	// retry is how long the server asks to wait before the next stream.
	retry time.Duration
}

// replacedBy reports whether another stream of the installation took over.
func (e ended) replacedBy(installation string) bool {
	var end *EndError
	return errors.As(e.err, &end) && end.Stated && end.Installation == installation &&
		end.Reason == streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM
}

// stream opens a stream, reads it to its end, and returns what the end was.
func (s *Session) stream(creds Credentials) (end ended) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	fields := loginFields(creds)
	s.mu.Lock()
	// In this order and in one piece: what the list says is what has been handed
	// out, and what was not is forgotten.
	s.inbox.reset()
	s.lookups.reset()
	s.book.reset()
	rooms := s.book.listings()
	s.replace = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.replace = nil
		s.mu.Unlock()
	}()
	values, positions := roomValues(rooms, roomsBudget(fields))
	if values != "" {
		fields = append(fields, keyRooms, values)
	}
	if positions != "" {
		fields = append(fields, keyPositions, positions)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, fields...)

	// A stream may be silent, but not before its first message.
	overdue := time.AfterFunc(openTimeout, func() { cancel(errNoAnswer) })
	defer overdue.Stop()
	st, err := s.client.streams.StreamChatRPC(ctx)
	if err != nil {
		end.err = endError(ctx, nil, err)
		return end
	}
	k := &keeper{session: s, stream: st, cancel: cancel, answers: make(chan *streampb.RefreshChatStreamResponse, 1)}
	defer func() {
		cancel(nil)
		k.wait()
	}()
	for {
		r, err := st.Recv()
		if err != nil {
			end.err = endError(ctx, st.Trailer(), err)
			return end
		}
		overdue.Stop()
		switch r := r.GetServerResponse().(type) {
		case *streampb.ChatToClientResponse_InitialConnectionPrimerResponse:
			if !end.opened {
				end.opened = true
				opened := time.Now()
				defer func() { end.lived = time.Since(opened) }()
			}
			s.inbox.push(item{mark: Connected{}})
			k.start(ctx, time.Duration(r.InitialConnectionPrimerResponse.GetTimeUntilChatStreamExpiresInMillis())*time.Millisecond)
		case *streampb.ChatToClientResponse_InitialConnectionMessagesResponse:
			err = s.inbox.put(ctx, r.InitialConnectionMessagesResponse.GetMessagesList())
		case *streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse:
			s.inbox.push(item{mark: CaughtUp{}})
		case *streampb.ChatToClientResponse_ReturnNewChatMessage:
			err = s.inbox.put(ctx, r.ReturnNewChatMessage.GetMessagesList())
		case *streampb.ChatToClientResponse_RequestFullMessageInfoResponse:
			s.lookups.answer(r.RequestFullMessageInfoResponse)
		case *streampb.ChatToClientResponse_RefreshChatStreamResponse:
			k.answered(r.RefreshChatStreamResponse)
		case *streampb.ChatToClientResponse_Bookmark:
			err = s.inbox.put(ctx, places(r.Bookmark.GetPositions()))
		case *streampb.ChatToClientResponse_GoAway:
			if r.GoAway.GetReason() == chatstreampb.GoAway_REASON_TIME_UP {
				cancel(errReplace)
				break
			}
			end.retry = min(time.Duration(r.GoAway.GetRetryAfterMillis())*time.Millisecond, longestRetry)
			s.inbox.push(item{mark: GoingAway{RetryAfter: end.retry, Servers: r.GoAway.GetServers()}})
		}
		if err != nil {
			end.err = endError(ctx, nil, err)
			return end
		}
	}
}

// endError says how the stream of ctx ended. The trailing metadata may be
// missing: gRPC does not promise it.
func endError(ctx context.Context, trailer metadata.MD, err error) error {
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if errors.Is(cause, errReplace) {
			return cause
		}
		return &EndError{Err: cause}
	}
	e := &EndError{}
	if !errors.Is(err, io.EOF) {
		e.Err = err
	}
	if reason, ok := number(trailer, keyReason); ok {
		e.Stated, e.Reason = true, streampb.StreamDownReasons(reason)
	}
	if s, ok := number(trailer, keyStatus); ok {
		e.Status = chatpb.ReturnStatus(s)
	}
	if v := trailer.Get(keyReplacer); len(v) > 0 {
		e.Installation = v[0]
	}
	return e
}

func number(md metadata.MD, key string) (int32, bool) {
	v := md.Get(key)
	if len(v) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(v[0], 10, 32)
	return int32(n), err == nil
}
