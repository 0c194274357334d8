package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/chatstream/chatstream/store"
)

// The accounts that are to have one name are one object: the account that has it,
// nil if none does.

// inAccount is the one way to look at an account: by id and by name agree.
const inAccount aspect = "by id and by name"

// onName makes the step of an observation of a name.
func onName(name, text string, look func(*store.Account) (*store.Account, bool)) observation {
	return observation{object: "account " + name, aspect: inAccount, text: text, step: func(state any) (any, bool) {
		held, _ := state.(*store.Account)
		next, ok := look(held)
		if next == nil {
			return nil, ok
		}
		return next, ok
	}}
}

// shown names what a shows to have happened: that it was made, and logged in.
func shown(a store.Account) []string { return []string{string(a.Credential), a.Session.Installation} }

func (l *linearRun) createAccount(ctx context.Context, s store.Store, client int, id string) error {
	a := store.Account{ID: id, Name: l.name, Display: "The " + l.name, Credential: []byte(l.newUUID()), Created: 7}
	return l.write(client, func() ([]observation, error) {
		err := s.CreateAccount(ctx, a)
		taken := err
		text := fmt.Sprintf("CreateAccount %s, credential %.8s -> %v", id[20:], a.Credential, taken)
		o := onName(l.name, text, func(held *store.Account) (*store.Account, bool) {
			switch {
			case held == nil:
				return &a, taken == nil
			case held.ID == a.ID: // an id must be new, and what else is said is not agreed
				return held, taken != nil
			default:
				return held, errors.Is(taken, store.ErrNameTaken)
			}
		})
		o.lost = onName(l.name, text, func(held *store.Account) (*store.Account, bool) { return &a, held == nil }).step
		o.happened = func(shown map[string]bool) bool { return shown[string(a.Credential)] }
		if !unknown(err) {
			err = nil
		}
		return []observation{o}, err
	})
}

func (l *linearRun) updateSession(ctx context.Context, s store.Store, client int, id string) error {
	session := store.Session{Installation: l.newUUID(), Nonce: []byte("nonce"), Expires: rand.Int64N(1 << 40)}
	var refused error
	if rand.IntN(4) == 0 {
		refused = errors.New("refused")
	}
	return l.write(client, func() ([]observation, error) {
		var saw atomic.Pointer[store.Account] // it may be called after this one has been given up
		err := s.UpdateSession(ctx, id, func(a store.Account) (store.Session, error) {
			saw.Store(&a)
			return session, refused
		})
		outcome, missing := err, errors.Is(err, store.ErrNotFound)
		o := onName(l.name, fmt.Sprintf("UpdateSession %s to %.8s -> %v", id[20:], session.Installation, err), func(held *store.Account) (*store.Account, bool) {
			if held == nil || held.ID != id {
				return held, missing
			}
			before := saw.Load()
			if missing || before == nil || !sameAccount(*before, *held) {
				return held, false
			}
			if refused != nil {
				return held, errors.Is(outcome, refused)
			}
			next := *held
			next.Session = session
			return &next, true
		})
		o.shows = func() []string {
			if before := saw.Load(); before != nil {
				return shown(*before)
			}
			return nil
		}
		o.happened = func(shown map[string]bool) bool { return shown[session.Installation] }
		if missing || refused != nil && errors.Is(err, refused) {
			err = nil
		}
		return []observation{o}, err
	})
}

func (l *linearRun) account(ctx context.Context, s store.Store, client int, id string) error {
	return l.find(client, "Account "+id[20:], func() (store.Account, error) { return s.Account(ctx, id) },
		func(held store.Account) bool { return held.ID == id })
}

func (l *linearRun) accountByName(ctx context.Context, s store.Store, client int) error {
	return l.find(client, "AccountByName", func() (store.Account, error) { return s.AccountByName(ctx, l.name) },
		func(store.Account) bool { return true })
}

// find records a call that finds the account that has the name, if it is the one
// that is meant.
func (l *linearRun) find(client int, text string, call func() (store.Account, error), meant func(store.Account) bool) error {
	return l.read(client, func() ([]observation, error) {
		got, err := call()
		missing := errors.Is(err, store.ErrNotFound)
		if missing {
			err = nil
		}
		text = fmt.Sprintf("%s -> %.8s, session %.8s", text, got.Credential, got.Session.Installation)
		o := onName(l.name, text, func(held *store.Account) (*store.Account, bool) {
			if held == nil || !meant(*held) {
				return held, missing
			}
			return held, !missing && sameAccount(got, *held)
		})
		o.shows = func() []string { return shown(got) }
		return []observation{o}, err
	})
}
