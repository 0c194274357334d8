package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// callTimeout is how long one attempt of a call may wait for the server. It
// includes waiting for a connection: while there is none, an attempt is only a
// wait.
const callTimeout = 10 * time.Second

// try makes one attempt of a call.
type try func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (chatpb.ReturnStatus, error)

// call makes one attempt after the other until one tells the outcome, or until
// ctx or the session ends. An attempt whose outcome is unknown may have taken
// effect, so it has to be a call that may be made twice.
func (s *Session) call(ctx context.Context, t try) error {
	ctx, cancel := s.bind(ctx)
	defer cancel()
	var last error
	for failures := 0; ; failures++ {
		if ctx.Err() != nil {
			return gaveUp(ctx, last)
		}
		last = s.attempt(ctx, t)
		if last == nil || ctx.Err() == nil && lasting(last) {
			return last
		}
		if sleep(ctx, s.backoff.delay(failures)) != nil {
			return gaveUp(ctx, last)
		}
	}
}

// gaveUp says why a call was not repeated, and what was wrong with it.
func gaveUp(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if last == nil || errors.Is(last, cause) || status.Code(last) == codes.Canceled {
		return cause
	}
	return fmt.Errorf("%w (%w)", cause, last)
}

// attempt calls once, and a second time if the login had expired.
func (s *Session) attempt(ctx context.Context, t try) error {
	creds, err := s.auth.current(ctx)
	if err != nil {
		return err
	}
	for renewed := false; ; renewed = true {
		outcome, err := t(ctx, creds.info())
		if err != nil {
			return explain(err)
		}
		if outcome != chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED || renewed {
			return check(outcome)
		}
		if creds, err = s.auth.renew(ctx, creds); err != nil {
			return err
		}
	}
}

// unary bounds the time of a call with one answer.
func unary(t try) try {
	return func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (chatpb.ReturnStatus, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return t(ctx, login)
	}
}

// patiently waits for a connection instead of failing for the lack of one.
var patiently = grpc.WaitForReady(true)
