package accounts

import (
	"context"
	"errors"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

// CreateAccount implements chatstreampb.AccountServiceServer.
func (s *Service) CreateAccount(ctx context.Context, r *chatstreampb.CreateAccountRequest) (*chatstreampb.CreateAccountResponse, error) {
	name, password := r.GetName(), r.GetPassword()
	if err := checkName(name); err != nil {
		return nil, invalid(err)
	}
	if err := checkPassword(password); err != nil {
		return nil, invalid(err)
	}
	key, from := nameKey(name), caller(ctx)
	if wait := s.guesses.waitTaken(s.cfg.Now(), from); wait > 0 {
		return nil, exhausted("too many names that are taken", wait)
	}
	// Asked before the password is hashed: a name that is taken costs little.
	switch _, err := s.accounts.AccountByName(ctx, key); {
	case err == nil:
		s.guesses.nameWasTaken(s.cfg.Now(), from)
		return nil, errTaken
	case !errors.Is(err, store.ErrNotFound):
		return nil, s.unavailable(ctx, "find an account by name", err, "try again later")
	}
	c := newCredential(s.cfg.Argon2)
	if err := s.hashing.do(ctx, func() { c.verifier = c.hash(password).verifier }); err != nil {
		return nil, notHashed(err)
	}
	account := store.Account{
		ID: newID(), Name: key, Display: name, Credential: c.encode(), Created: s.cfg.Now().UnixMilli(),
	}
	switch err := s.accounts.CreateAccount(ctx, account); {
	case errors.Is(err, store.ErrNameTaken): // since it was asked
		s.guesses.nameWasTaken(s.cfg.Now(), from)
		return nil, errTaken
	case err != nil:
		return nil, s.unavailable(ctx, "create an account", err,
			"the account may have been created all the same; try to log in, and to create it again if that fails")
	}
	s.cfg.Logger.Info("account created", "account", account.ID)
	return &chatstreampb.CreateAccountResponse{AccountId: account.ID}, nil
}
