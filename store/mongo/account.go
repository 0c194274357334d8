package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// errExists: an account has that id already. Ids are drawn at random by the
// server, so nobody is expected to ask for this error.
var errExists = errors.New("account id is taken")

// maxName bounds an account's name, in bytes, since it is a key.
const maxName = 4096

// CreateAccount implements store.Accounts.
func (s *Store) CreateAccount(ctx context.Context, a store.Account) error {
	what := "create account " + a.ID
	switch {
	case !room.ValidOID(a.ID) || strings.ToLower(a.ID) != a.ID:
		return fmt.Errorf("store: %s: %w id", what, store.ErrMalformed)
	case a.Name == "" || len(a.Name) > maxName:
		return fmt.Errorf("store: %s: %w name of %d bytes", what, store.ErrMalformed, len(a.Name))
	}
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	err := s.causally(ctx, func(ctx context.Context) error {
		_, err := s.accounts.InsertOne(ctx, accountDocument{
			ID: a.ID, Name: a.Name, Display: a.Display, Credential: a.Credential, Created: a.Created,
			Standing: int32(a.Standing), Session: newSessionDocument(&a.Session),
		})
		if code(err) != codeDuplicateKey {
			return err
		}
		// Which of the two it is, the name or the id, its text would say, but may
		// not say both.
		var held accountDocument
		switch err := found(s.accounts.FindOne(ctx, bson.D{{Key: "n", Value: a.Name}}).Decode(&held)); {
		case err == nil && held.ID != a.ID:
			return store.ErrNameTaken
		case err == nil || errors.Is(err, store.ErrNotFound):
			return errExists
		default:
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return nil
}

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, id string) (store.Account, error) {
	d, err := s.findAccount(ctx, "_id", id)
	if err != nil {
		return store.Account{}, fmt.Errorf("store: account %s: %w", id, err)
	}
	return d.account(), nil
}

// RecentAccount implements store.Shared.
func (s *Store) RecentAccount(ctx context.Context, id string) (store.Account, error) {
	if err := s.usable(ctx); err != nil {
		return store.Account{}, fmt.Errorf("store: account %s: %w", id, err)
	}
	d, held := s.recent.get(id)
	if !held {
		var err error
		if d, err = s.findAccount(ctx, "_id", id); err != nil {
			return store.Account{}, fmt.Errorf("store: account %s: %w", id, err)
		}
	}
	d.Credential = nil
	return d.account(), nil
}

// AccountByName implements store.Accounts. The name is not in its errors.
func (s *Store) AccountByName(ctx context.Context, name string) (store.Account, error) {
	d, err := s.findAccount(ctx, "n", name)
	if err != nil {
		return store.Account{}, fmt.Errorf("store: account by name: %w", err)
	}
	return d.account(), nil
}

func (s *Store) findAccount(ctx context.Context, key, value string) (d accountDocument, err error) {
	if err := s.usable(ctx); err != nil {
		return d, err
	}
	moment := s.recent.moment()
	err = s.causally(ctx, func(ctx context.Context) error {
		return found(s.accounts.FindOne(ctx, bson.D{{Key: key, Value: value}}).Decode(&d))
	})
	if err != nil {
		return d, s.failure(ctx, err)
	}
	s.recent.keep(d, moment)
	return d, nil
}

// UpdateSession implements store.Accounts: it replaces the session of the version
// it has seen, and begins anew if another was first.
func (s *Store) UpdateSession(ctx context.Context, id string, f func(store.Account) (store.Session, error)) error {
	what := "update session of account " + id
	defer s.recent.forget(id) // also after an error: it may have been replaced
	for {
		d, err := s.findAccount(ctx, "_id", id)
		if err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		}
		session, err := s.newSession(d.account(), f)
		if err != nil {
			return err
		}
		var replaced int64
		err = s.causally(ctx, func(ctx context.Context) error {
			done, err := s.accounts.UpdateOne(ctx,
				bson.D{{Key: "_id", Value: id}, {Key: "v", Value: d.Version}},
				bson.D{{Key: "$set", Value: bson.D{
					{Key: "se", Value: newSessionDocument(&session)}, {Key: "v", Value: d.Version + 1},
				}}})
			if err == nil {
				replaced = done.MatchedCount
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
		}
		if replaced == 1 {
			return nil
		}
		select {
		case <-time.After(rand.N(5 * time.Millisecond)):
		case <-ctx.Done():
			return fmt.Errorf("store: %s: %w", what, ctx.Err())
		}
	}
}

func (s *Store) newSession(a store.Account, f func(store.Account) (store.Session, error)) (_ store.Session, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while deciding a session", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("store: update session of account %s: panic: %v", a.ID, p)
		}
	}()
	return f(a)
}
