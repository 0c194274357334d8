package accounts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// Held is the session that a stream was opened with, as it is asked for again
// when it may have been ended by way of another server. Safe for concurrent use.
type Held struct {
	service          *Service
	id, installation string

	mu      sync.Mutex
	hash    [32]byte
	expires int64
}

// Held is the session of account, as Check returned it.
func (s *Service) Held(account store.Account) *Held {
	return &Held{
		service: s, id: account.ID, installation: account.Session.Installation,
		hash: account.Session.TokenHash, expires: account.Session.Expires,
	}
}

// clocks is how far the clocks of servers may be apart.
const clocks = time.Minute

// Status is SUCCESS as long as the session holds: until a logout, or a login of
// another installation, or until the account may not log in any more. That its
// token has expired, and that its installation has been given another one since,
// is no end of it. The error says that the store cannot tell.
func (h *Held) Status(ctx context.Context) (chatpb.ReturnStatus, error) {
	account, err := h.service.accounts.Account(ctx, h.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT, nil
	case err != nil:
		return 0, fmt.Errorf("look whether a session still holds: %w", err)
	}
	session := account.Session
	if status := judgeStanding(account.Standing); status != chatpb.ReturnStatus_SUCCESS {
		return status, nil
	}
	switch {
	case loggedOut(session):
		return chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, nil
	case session.Installation != h.installation:
		return chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// A new token before the old one's time was over: there was a logout between.
	if session.TokenHash != h.hash && h.service.cfg.Now().Add(clocks).UnixMilli() < h.expires {
		return chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, nil
	}
	h.hash, h.expires = session.TokenHash, session.Expires
	return chatpb.ReturnStatus_SUCCESS, nil
}
