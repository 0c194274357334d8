package accounts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// What users are told. The texts say what was wrong and what to do.
var (
	errWrong     = status.Error(codes.Unauthenticated, "name or password is wrong: check both and try again")
	errBanned    = status.Error(codes.PermissionDenied, "this account is banned")
	errSuspended = status.Error(codes.PermissionDenied, "this account is suspended: try again later")
	errTaken     = status.Error(codes.AlreadyExists, "name is taken: choose another one")
	errDefect    = status.Error(codes.Internal, "internal error: the server's log has the details")
)

func invalid(err error) error { return status.Error(codes.InvalidArgument, err.Error()) }

// exhausted is RESOURCE_EXHAUSTED with the time to wait, in words for people
// and as RetryInfo for programs.
func exhausted(what string, wait time.Duration) error {
	wait = time.Duration(math.Ceil(wait.Seconds())) * time.Second
	s := status.New(codes.ResourceExhausted, fmt.Sprintf("%s: try again in %s", what, wait))
	if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		s = detailed
	}
	return s.Err()
}

func tooManyGuesses(wait time.Duration) error { return exhausted("too many wrong guesses", wait) }

// notHashed is for the errors of hashing.do.
func notHashed(err error) error {
	if errors.Is(err, errHashingBusy) {
		return exhausted("the server is busy with logins", time.Second)
	}
	return status.FromContextError(err).Err()
}

// unavailable is for an error of the store: the caller's own if the request has
// ended, else UNAVAILABLE, and what to do then.
func (s *Service) unavailable(ctx context.Context, what string, err error, advice string) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	s.logStoreFailure(what, err)
	return status.Error(codes.Unavailable, "the server's store is not available: "+advice)
}

// notLoggedIn says why a login check did not succeed. The malformed are told
// apart from the wrong, as account.proto has it.
func notLoggedIn(s chatpb.ReturnStatus) error {
	switch s {
	case chatpb.ReturnStatus_INVALID_USER_OID:
		return status.Error(codes.InvalidArgument, "current_account_id is malformed: it must have 24 hexadecimal digits")
	case chatpb.ReturnStatus_OUTDATED_VERSION:
		return status.Error(codes.InvalidArgument, "lets_go_version is too old: update the client")
	case chatpb.ReturnStatus_INVALID_LOGIN_TOKEN:
		return status.Error(codes.InvalidArgument, "logged_in_token is malformed: it must have 24 hexadecimal digits")
	case chatpb.ReturnStatus_INVALID_INSTALLATION_ID:
		return status.Error(codes.InvalidArgument, "installation_id is malformed: it must be a uuid")
	case chatpb.ReturnStatus_INVALID_PARAMETER_PASSED:
		return status.Error(codes.InvalidArgument, "admin_info_used must not be set")
	case chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT:
		return status.Error(codes.Unauthenticated, "there is no such account")
	case chatpb.ReturnStatus_ACCOUNT_BANNED:
		return errBanned
	case chatpb.ReturnStatus_ACCOUNT_SUSPENDED:
		return errSuspended
	case chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE:
		return status.Error(codes.Unauthenticated, "the account is logged in with another installation: log in again")
	case chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED:
		return status.Error(codes.Unauthenticated, "the token has expired: log in again")
	case chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH:
		return status.Error(codes.Unauthenticated, "the token is wrong or has been replaced: log in again")
	case chatpb.ReturnStatus_DATABASE_DOWN:
		return status.Error(codes.Unavailable, "the server's store is not available: try again later")
	default:
		return errDefect
	}
}
