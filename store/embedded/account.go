package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

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
	a = copyAccount(a) // the caller keeps its slices
	return s.submit(ctx, what, func(g *group) error {
		if _, err := g.account(a.ID); err == nil {
			return fmt.Errorf("store: %s: %w", what, errExists)
		} else if !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("store: %s: %w", what, err)
		}
		if _, taken, err := g.accountID(a.Name); err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		} else if taken {
			return fmt.Errorf("store: %s: %w", what, store.ErrNameTaken)
		}
		g.putAccount(a)
		g.putName(a.Name, a.ID)
		return nil
	})
}

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, id string) (store.Account, error) {
	a, err := func() (store.Account, error) {
		v, err := s.view(ctx)
		if err != nil {
			return store.Account{}, err
		}
		defer v.release()
		return v.account(id)
	}()
	if err != nil {
		return store.Account{}, fmt.Errorf("store: account %s: %w", id, err)
	}
	return a, nil
}

// AccountByName implements store.Accounts. The name is not in its errors.
func (s *Store) AccountByName(ctx context.Context, name string) (store.Account, error) {
	a, err := func() (store.Account, error) {
		v, err := s.view(ctx)
		if err != nil {
			return store.Account{}, err
		}
		defer v.release()
		id, known, err := v.accountID(name)
		if err != nil {
			return store.Account{}, err
		}
		if !known {
			return store.Account{}, store.ErrNotFound
		}
		return v.account(id)
	}()
	if err != nil {
		return store.Account{}, fmt.Errorf("store: account by name: %w", err)
	}
	return a, nil
}

// UpdateSession implements store.Accounts. f runs on the committer: it must be
// quick. The session shows when it is durable, as everything else: nobody can
// use a login that a power cut could take back.
func (s *Store) UpdateSession(ctx context.Context, id string, f func(store.Account) (store.Session, error)) error {
	what := "update session of account " + id
	return s.submit(ctx, what, func(g *group) error {
		a, err := g.account(id)
		if err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		}
		session, err := f(copyAccount(a))
		if err != nil {
			return err
		}
		a.Session = session
		g.putAccount(copyAccount(a))
		return nil
	})
}

func copyAccount(a store.Account) store.Account {
	a.Credential = bytes.Clone(a.Credential)
	a.Session.Nonce = bytes.Clone(a.Session.Nonce)
	return a
}

func (g *group) account(id string) (store.Account, error) {
	if a, ok := g.memory.accounts.find(id); ok {
		return a, nil
	}
	return g.view.account(id)
}

// putAccount stages a, which must not change any more.
func (g *group) putAccount(a store.Account) {
	g.set(accountKey(a.ID), encodeAccount(&a))
	g.memory.accounts.put(a.ID, a)
}

func (g *group) accountID(name string) (id string, known bool, err error) {
	if id, known = g.memory.names.find(name); known {
		return id, true, nil
	}
	return g.view.accountID(name)
}

func (g *group) putName(name, id string) {
	g.set(nameKey(name), []byte(id))
	g.memory.names.put(name, id)
}

// account returns store.ErrNotFound if there is none.
func (v *view) account(id string) (a store.Account, err error) {
	found, err := v.get(accountKey(id), func(value []byte) (err error) {
		a, err = decodeAccount(id, value)
		return err
	})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return a, err
}

func (v *view) accountID(name string) (id string, known bool, err error) {
	known, err = v.get(nameKey(name), func(value []byte) error {
		id = string(value)
		return nil
	})
	return id, known, err
}
