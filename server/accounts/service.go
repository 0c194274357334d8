package accounts

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

// Service is chatstream.v1.AccountService and the login check of everything
// else. Safe for concurrent use. It owns no goroutines and needs no closing.
type Service struct {
	chatstreampb.UnimplementedAccountServiceServer

	cfg      Config
	accounts store.Accounts
	hashing  *hashing
	guesses  *guesses
	// nobody is the credential that passwords of unknown names are tried with,
	// so that those take as long as the others.
	nobody credential

	// A store that is down, and somebody guessing, would fill the log.
	storeFailures, refusals rate.Sometimes
}

// New makes a service over accounts. Values of cfg that Validate refuses are
// replaced by defaults.
func New(accounts store.Accounts, cfg Config) *Service {
	cfg = cfg.withDefaults()
	return &Service{
		cfg:           cfg,
		accounts:      accounts,
		hashing:       newHashing(cfg.Hashes, cfg.HashesWaiting),
		guesses:       newGuesses(cfg.Hashes),
		nobody:        newCredential(cfg.Argon2),
		storeFailures: rate.Sometimes{Interval: time.Second},
		refusals:      rate.Sometimes{Interval: time.Second},
	}
}

// changeTimeout bounds a change that its caller no longer waits for.
const changeTimeout = 10 * time.Second

// seeThrough is the context of a change of a session. More depends on it than
// the answer: the stream of the session that ends has to be told. A client that
// goes away meanwhile must not leave the change stored and that stream open.
func seeThrough(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
}

func (s *Service) ended(account string, status chatpb.ReturnStatus, installation string) {
	if s.cfg.Ended != nil {
		s.cfg.Ended(account, status, installation)
	}
}

// refused is what the closures of UpdateSession return when the account, as it
// is by then, may not do what was asked. A type of its own, to tell it from
// errors of the store; what a closure leaves in variables may not be read after
// those, since the store may call it yet.
type refused chatpb.ReturnStatus

func (r refused) Error() string { return "refused: " + chatpb.ReturnStatus(r).String() }

func (s *Service) logStoreFailure(what string, err error) {
	s.storeFailures.Do(func() {
		s.cfg.Logger.Warn("the store failed for accounts (others in the same second are not logged)",
			slog.String("operation", what), slog.Any("error", err))
	})
}
