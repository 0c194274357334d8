package client

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// What can be wrong, for errors.Is. The errors of this package wrap one of these
// or the gRPC status of the call.
var (
	// ErrClosed: the session was closed by the program.
	ErrClosed = errors.New("the session is closed")
	// ErrBusy: two loops took events of one session at once.
	ErrBusy = errors.New("the events are being taken by another loop")

	// ErrNameTaken: another account has the name.
	ErrNameTaken = errors.New("the name is taken: log in, or choose another one")
	// ErrBadLogin: there is no such name, or the password is wrong.
	ErrBadLogin = errors.New("the name or the password is wrong")

	// ErrLoggedInElsewhere: the account was logged in with another installation,
	// which ended this one.
	ErrLoggedInElsewhere = errors.New("the account is in use from another installation")
	// ErrReplaced: another stream of the account took over. Two programs with
	// one installation id would otherwise end each other's streams for ever.
	ErrReplaced = errors.New("another stream of the account took over")
	// ErrLoggedOut: the account was logged out, or its token was replaced.
	ErrLoggedOut = errors.New("the account was logged out: log in again")
	// ErrTokenExpired: the login ran out, and there was no way to renew it.
	ErrTokenExpired = errors.New("the login has expired: log in again")
	// ErrAccountBanned and ErrAccountSuspended: the account may not be used.
	ErrAccountBanned    = errors.New("the account is banned")
	ErrAccountSuspended = errors.New("the account is suspended")
	// ErrNoAccount: the account does not exist any more.
	ErrNoAccount = errors.New("there is no such account")
	// ErrOutdated: the server wants a newer client.
	ErrOutdated = errors.New("this program is too old for the server: update it")

	// ErrNotInRoom: the account is not a member of the room.
	ErrNotInRoom = errors.New("not a member of that room: join it first")
	// ErrInvalid: a value is not acceptable.
	ErrInvalid = errors.New("not acceptable")
	// ErrNoRoom: there is no room with that id.
	ErrNoRoom = errors.New("there is no such room")
	// ErrWrongPassword: the room's password is another one.
	ErrWrongPassword = errors.New("the room's password is another one")
	// ErrBannedFromRoom: an admin of the room banned the account.
	ErrBannedFromRoom = errors.New("banned from that room")
	// ErrAlreadyInRoom: the account is a member already.
	ErrAlreadyInRoom = errors.New("already a member of that room")
	// ErrNotAllowed: only an admin of the room may do that, to a plain member.
	ErrNotAllowed = errors.New("only an admin of the room may do that, and only to a plain member of it")
	// ErrServer: the server could not do it, for a reason of its own.
	ErrServer = errors.New("the server failed: try again later")
	// ErrUnreachable: there is no connection to the server, or it is shutting
	// down.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrTooMany: the server has too much to do, or there were too many tries.
	ErrTooMany = errors.New("too many requests: wait a little, then try again")
)

// statusErrors says what each ReturnStatus means to a caller. What is not in it
// is ErrServer.
var statusErrors = map[chatpb.ReturnStatus]error{
	chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE:       ErrLoggedInElsewhere,
	chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED:       ErrTokenExpired,
	chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT:       ErrNoAccount,
	chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH: ErrLoggedOut,
	chatpb.ReturnStatus_ACCOUNT_SUSPENDED:         ErrAccountSuspended,
	chatpb.ReturnStatus_ACCOUNT_BANNED:            ErrAccountBanned,
	chatpb.ReturnStatus_OUTDATED_VERSION:          ErrOutdated,
	chatpb.ReturnStatus_INVALID_USER_OID:          ErrInvalid,
	chatpb.ReturnStatus_INVALID_LOGIN_TOKEN:       ErrInvalid,
	chatpb.ReturnStatus_INVALID_INSTALLATION_ID:   ErrInvalid,
	chatpb.ReturnStatus_INVALID_PARAMETER_PASSED:  ErrInvalid,
	chatpb.ReturnStatus_CORRUPTED_FILE:            ErrInvalid,
}

// transient are the outcomes of a stream that may be different the next time.
var transient = map[chatpb.ReturnStatus]bool{
	chatpb.ReturnStatus_VALUE_NOT_SET:               true,
	chatpb.ReturnStatus_FUNCTION_CALLED_TOO_QUICKLY: true,
	chatpb.ReturnStatus_DATABASE_DOWN:               true,
	chatpb.ReturnStatus_LG_ERROR:                    true,
	chatpb.ReturnStatus_UNKNOWN:                     true,
}

// repeatable are the outcomes of a call after which it is made again. A defect of
// the server is not among them: the call that met it would meet it for ever.
var repeatable = map[chatpb.ReturnStatus]bool{
	chatpb.ReturnStatus_FUNCTION_CALLED_TOO_QUICKLY: true,
	chatpb.ReturnStatus_DATABASE_DOWN:               true,
}

// joinErrors says why a room was not joined.
var joinErrors = map[commandspb.ChatRoomStatus]error{
	commandspb.ChatRoomStatus_ACCOUNT_WAS_BANNED:         ErrBannedFromRoom,
	commandspb.ChatRoomStatus_ALREADY_IN_CHAT_ROOM:       ErrAlreadyInRoom,
	commandspb.ChatRoomStatus_CHAT_ROOM_DOES_NOT_EXIST:   ErrNoRoom,
	commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_ID:       ErrNoRoom,
	commandspb.ChatRoomStatus_INVALID_CHAT_ROOM_PASSWORD: ErrWrongPassword,
}

// StatusError is a refusal by the server as a ReturnStatus.
type StatusError struct{ Status chatpb.ReturnStatus }

func (e *StatusError) Error() string {
	return fmt.Sprintf("%v (%v)", e.Unwrap(), e.Status)
}

// Unwrap is the error of this package that the status means.
func (e *StatusError) Unwrap() error {
	if err := statusErrors[e.Status]; err != nil {
		return err
	}
	return ErrServer
}

// EndError is how a stream ended.
type EndError struct {
	// Reason is what the server said in the trailing metadata; not Stated, it
	// said nothing, and Err is what there is.
	Reason streampb.StreamDownReasons
	Stated bool
	// Status is set with the reason RETURN_STATUS_ATTACHED.
	Status chatpb.ReturnStatus
	// Installation is the id of the installation that took over, with the
	// reason STREAM_CANCELED_BY_ANOTHER_STREAM.
	Installation string
	// Err is the gRPC status, if it was not OK.
	Err error
}

func (e *EndError) Error() string {
	if !e.Stated {
		if e.Err == nil {
			return "the stream ended without a reason"
		}
		return "the connection is lost: " + status.Convert(e.Err).Message()
	}
	switch e.Reason {
	case streampb.StreamDownReasons_RETURN_STATUS_ATTACHED:
		return (&StatusError{Status: e.Status}).Error()
	case streampb.StreamDownReasons_STREAM_TIMED_OUT:
		return "the stream's time ran out"
	case streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM:
		return fmt.Sprintf("%v (installation %s)", e.Unwrap(), e.Installation)
	case streampb.StreamDownReasons_SERVER_SHUTTING_DOWN:
		return "the server is shutting down"
	}
	return "the server ended the stream"
}

// Unwrap is the error of this package that the end means, or the gRPC status.
func (e *EndError) Unwrap() error {
	if !e.Stated {
		return e.Err
	}
	switch e.Reason {
	case streampb.StreamDownReasons_RETURN_STATUS_ATTACHED:
		return &StatusError{Status: e.Status}
	case streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM:
		return ErrReplaced
	}
	return e.Err
}

// callError is a gRPC status, with what it means in words. Both are in its chain.
type callError struct{ meaning, err error }

func (e *callError) Error() string {
	return e.meaning.Error() + ": " + status.Convert(e.err).Message()
}

func (e *callError) Unwrap() []error { return []error{e.meaning, e.err} }

// explain adds what the gRPC status of a call means.
func explain(err error) error {
	meaning := map[codes.Code]error{
		codes.AlreadyExists:     ErrNameTaken,
		codes.Unauthenticated:   ErrBadLogin,
		codes.InvalidArgument:   ErrInvalid,
		codes.ResourceExhausted: ErrTooMany,
		codes.Unavailable:       ErrUnreachable,
	}[status.Code(err)]
	if meaning == nil {
		return err
	}
	return &callError{meaning: meaning, err: err}
}

// check is the error of a status, nil for success.
func check(s chatpb.ReturnStatus) error {
	if s == chatpb.ReturnStatus_SUCCESS {
		return nil
	}
	return &StatusError{Status: s}
}

// lasting reports whether a call that failed with err will fail again. A call
// that failed otherwise may have taken effect.
func lasting(err error) bool {
	var refused *StatusError
	if errors.As(err, &refused) {
		return !repeatable[refused.Status]
	}
	s, ok := status.FromError(err)
	if !ok {
		return true
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
		return true
	}
	return false
}
