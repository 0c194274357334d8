package accounts

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

// Login implements chatstreampb.AccountServiceServer. A login from the
// installation that is logged in, before its token expires, prolongs that
// token; any other login makes a new one and ends the session there was.
func (s *Service) Login(ctx context.Context, r *chatstreampb.LoginRequest) (*chatstreampb.LoginResponse, error) {
	if err := checkLogin(r); err != nil {
		return nil, invalid(err)
	}
	account, h, err := s.authenticate(ctx, r.GetName(), r.GetPassword())
	if err != nil {
		return nil, err
	}
	return s.openSession(ctx, account, h, r.GetInstallationId())
}

func checkLogin(r *chatstreampb.LoginRequest) error {
	if err := checkName(r.GetName()); err != nil {
		return err
	}
	if err := checkPassword(r.GetPassword()); err != nil {
		return err
	}
	if !room.ValidUUID(r.GetInstallationId()) {
		return errors.New("installation_id is malformed: it must be a uuid, like 123e4567-e89b-12d3-a456-426614174000")
	}
	return nil
}

// authenticate finds the account that name and password belong to. Its errors
// are the user's. An unknown name and a wrong password give the same error
// after the same work.
func (s *Service) authenticate(ctx context.Context, name, password string) (store.Account, hashed, error) {
	key, from := nameKey(name), caller(ctx)
	// Who has guessed too often is turned away here already, and does not queue
	// for hashing with the others.
	if wait := s.guesses.wait(s.cfg.Now(), key, from); wait > 0 {
		return store.Account{}, hashed{}, s.refuse(wait, from)
	}
	c, known := s.nobody, false
	account, err := s.accounts.AccountByName(ctx, key)
	switch {
	case err == nil:
		if c, err = decodeCredential(account.Credential); err != nil {
			s.cfg.Logger.Error("account cannot be read", "account", account.ID, "error", err)
			return store.Account{}, hashed{}, errDefect
		}
		known = true
	case !errors.Is(err, store.ErrNotFound):
		return store.Account{}, hashed{}, s.unavailable(ctx, "find an account by name", err, "try again later")
	}
	h, right, err := s.try(ctx, c, password, known, key, from)
	if err != nil {
		return store.Account{}, hashed{}, err
	}
	if !right {
		s.cfg.Logger.Debug("wrong name or password", "from", from)
		return store.Account{}, hashed{}, errWrong
	}
	return account, h, nil
}

// try is one guess at a password: it waits for its turn, takes the guess's
// tokens, hashes, and gives them back if the guess was right. The tokens are
// taken after the waiting, so that a crowd that logs in from one address
// does not refuse itself by what it holds while it waits.
func (s *Service) try(ctx context.Context, c credential, password string, known bool, key string, from netip.Prefix) (hashed, bool, error) {
	var (
		h     hashed
		right bool
		wait  time.Duration
	)
	err := s.hashing.do(ctx, func() {
		if wait = s.guesses.take(s.cfg.Now(), key, from); wait > 0 {
			return
		}
		h = c.hash(password)
		if right = c.accepts(h) && known; right {
			s.guesses.give(s.cfg.Now(), key, from)
		}
	})
	switch {
	case err != nil:
		return hashed{}, false, notHashed(err)
	case wait > 0:
		return hashed{}, false, s.refuse(wait, from)
	}
	return h, right, nil
}

func (s *Service) refuse(wait time.Duration, from netip.Prefix) error {
	s.refusals.Do(func() {
		s.cfg.Logger.Warn("login refused after too many wrong guesses (others in the same second are not logged)", "from", from)
	})
	return tooManyGuesses(wait)
}

// openSession logs account in with installation.
func (s *Service) openSession(ctx context.Context, account store.Account, h hashed, installation string) (*chatstreampb.LoginResponse, error) {
	var (
		session   store.Session
		token     string
		displaced bool
	)
	changing, cancel := seeThrough(ctx)
	defer cancel()
	err := s.accounts.UpdateSession(changing, account.ID, func(a store.Account) (store.Session, error) {
		if status := judgeStanding(a.Standing); status != chatpb.ReturnStatus_SUCCESS {
			return store.Session{}, refused(status)
		}
		now := s.cfg.Now()
		next := store.Session{
			Installation: installation,
			Nonce:        a.Session.Nonce,
			Expires:      now.Add(s.cfg.TokenLifetime).UnixMilli(),
		}
		if a.Session.Installation != installation || expired(a.Session, now) {
			next.Nonce = newNonce()
		}
		token = h.token(a.ID, installation, next.Nonce)
		next.TokenHash = tokenHash(token)
		session, displaced = next, displaces(installation, a.Session)
		return next, nil
	})
	if r := refused(0); errors.As(err, &r) {
		return nil, notLoggedIn(chatpb.ReturnStatus(r))
	}
	if err != nil {
		// It may be stored. If it is, the next try will find this installation
		// logged in and no other one to end.
		if displaces(installation, account.Session) {
			s.ended(account.ID, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, installation)
		}
		return nil, s.unavailable(ctx, "open a session", err, "try again later")
	}
	if displaced {
		s.ended(account.ID, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, installation)
	}
	s.cfg.Logger.Debug("logged in", "account", account.ID, "displaced", displaced)
	return &chatstreampb.LoginResponse{AccountId: account.ID, LoggedInToken: token, TokenExpiresAtMs: session.Expires}, nil
}

// displaces reports whether a login with installation ends another one's
// session. An expired one counts: its stream lives on, as the expiry alone ends
// no stream.
func displaces(installation string, s store.Session) bool {
	return !loggedOut(s) && s.Installation != installation
}
