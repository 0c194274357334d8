package accounts

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// Check judges a login, in the order of the original, and returns the account,
// without its credential, if the status is SUCCESS. Otherwise the status says why
// not; DATABASE_DOWN if the store failed. Safe for concurrent use.
//
// It writes nothing, and reads the store once at most if all is well. The original
// writes the outcome of every check into the account, so that every command costs
// a write even if it is refused; nothing ever reads that.
func (s *Service) Check(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (store.Account, chatpb.ReturnStatus) {
	if status := s.checkForm(login); status != chatpb.ReturnStatus_SUCCESS {
		return store.Account{}, status
	}
	if s.cfg.Recent != nil {
		account, status := s.check(ctx, login, s.cfg.Recent)
		if status == chatpb.ReturnStatus_SUCCESS || status == chatpb.ReturnStatus_DATABASE_DOWN {
			return account, status
		}
		// It may have logged in by way of another server a moment ago.
	}
	return s.check(ctx, login, s.accounts.Account)
}

// check is the part of the check that needs the account, which find finds.
func (s *Service) check(
	ctx context.Context, login *chatpb.LoginToServerBasicInfo, find func(context.Context, string) (store.Account, error),
) (store.Account, chatpb.ReturnStatus) {
	account, err := find(ctx, accountID(login))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Account{}, chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT
	case err != nil:
		if ctx.Err() == nil {
			s.logStoreFailure("check a login", err)
		}
		return store.Account{}, chatpb.ReturnStatus_DATABASE_DOWN
	}
	if status := judge(account, login, s.cfg.Now()); status != chatpb.ReturnStatus_SUCCESS {
		return store.Account{}, status
	}
	account.Credential = nil
	return account, chatpb.ReturnStatus_SUCCESS
}

// accountID is the id in the form it is stored in; clients may send either case.
func accountID(login *chatpb.LoginToServerBasicInfo) string {
	return strings.ToLower(login.GetCurrentAccountId())
}

// checkForm is the part of the check that needs no account.
func (s *Service) checkForm(login *chatpb.LoginToServerBasicInfo) chatpb.ReturnStatus {
	switch {
	case !room.ValidOID(login.GetCurrentAccountId()):
		return chatpb.ReturnStatus_INVALID_USER_OID
	case login.GetLetsGoVersion() < s.cfg.MinVersion:
		return chatpb.ReturnStatus_OUTDATED_VERSION
	case !room.ValidOID(login.GetLoggedInToken()):
		return chatpb.ReturnStatus_INVALID_LOGIN_TOKEN
	case !room.ValidUUID(login.GetInstallationId()):
		return chatpb.ReturnStatus_INVALID_INSTALLATION_ID
	case login.GetAdminInfoUsed():
		return chatpb.ReturnStatus_INVALID_PARAMETER_PASSED
	default:
		return chatpb.ReturnStatus_SUCCESS
	}
}

// judge judges an account's login.
func judge(account store.Account, login *chatpb.LoginToServerBasicInfo, now time.Time) chatpb.ReturnStatus {
	if status := judgeStanding(account.Standing); status != chatpb.ReturnStatus_SUCCESS {
		return status
	}
	session := account.Session
	if loggedOut(session) { // by itself, not from elsewhere
		return chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH
	}
	if session.Installation != login.GetInstallationId() {
		return chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE
	}
	hash := tokenHash(login.GetLoggedInToken())
	if subtle.ConstantTimeCompare(hash[:], session.TokenHash[:]) != 1 {
		return chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH
	}
	if expired(session, now) {
		return chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED
	}
	return chatpb.ReturnStatus_SUCCESS
}

func judgeStanding(standing store.AccountStanding) chatpb.ReturnStatus {
	switch standing {
	case store.Active:
		return chatpb.ReturnStatus_SUCCESS
	case store.Suspended:
		return chatpb.ReturnStatus_ACCOUNT_SUSPENDED
	default: // a standing of a newer version too
		return chatpb.ReturnStatus_ACCOUNT_BANNED
	}
}

func expired(s store.Session, now time.Time) bool { return now.UnixMilli() >= s.Expires }
