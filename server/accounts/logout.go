package accounts

import (
	"context"
	"errors"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

// Logout implements chatstreampb.AccountServiceServer. It needs the token of the
// session, but not in time: a stream outlives its token, so who has an expired
// one must still be able to end it. An account that is logged out already is
// logged out, whatever the token: a client that has not heard the answer may
// ask again.
func (s *Service) Logout(ctx context.Context, r *chatstreampb.LogoutRequest) (*chatstreampb.LogoutResponse, error) {
	login := r.GetLoginInfo()
	if status := s.checkForm(login); status != chatpb.ReturnStatus_SUCCESS {
		return nil, notLoggedIn(status)
	}
	id := accountID(login)
	account, err := s.accounts.Account(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, notLoggedIn(chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT)
	case err != nil:
		return nil, s.unavailable(ctx, "find an account", err, "try again later")
	}
	// Judged here too, where it costs no write.
	if status := s.judgeLogout(account, login); status != chatpb.ReturnStatus_SUCCESS {
		return nil, notLoggedIn(status)
	}
	if loggedOut(account.Session) {
		return &chatstreampb.LogoutResponse{}, nil
	}
	changing, cancel := seeThrough(ctx)
	defer cancel()
	err = s.accounts.UpdateSession(changing, id, func(a store.Account) (store.Session, error) {
		// Another login since then is not ended by the token it replaced.
		if status := s.judgeLogout(a, login); status != chatpb.ReturnStatus_SUCCESS {
			return store.Session{}, refused(status)
		}
		return store.Session{}, nil
	})
	if r := refused(0); errors.As(err, &r) {
		return nil, notLoggedIn(chatpb.ReturnStatus(r))
	}
	// Also when the store cannot say whether it is done: if it is, the next try
	// will find nothing to end, and to end it is what was asked for.
	s.ended(id, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, "")
	if err != nil {
		return nil, s.unavailable(ctx, "close a session", err, "you may be logged out or not; try again later")
	}
	s.cfg.Logger.Debug("logged out", "account", id)
	return &chatstreampb.LogoutResponse{}, nil
}

func (s *Service) judgeLogout(a store.Account, login *chatpb.LoginToServerBasicInfo) chatpb.ReturnStatus {
	status := judge(a, login, s.cfg.Now())
	active := judgeStanding(a.Standing) == chatpb.ReturnStatus_SUCCESS
	if status == chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED || active && loggedOut(a.Session) {
		return chatpb.ReturnStatus_SUCCESS
	}
	return status
}
