package client

import (
	"context"
	"fmt"
)

// auth holds the login of a session and renews it.
type auth struct {
	// turn is held by whoever looks at the login or renews it: a renewal serves
	// all that wait for it.
	turn  chan struct{}
	creds Credentials
	login func(context.Context) (Credentials, error)
}

func newAuth(creds Credentials, login func(context.Context) (Credentials, error)) *auth {
	return &auth{turn: make(chan struct{}, 1), creds: creds, login: login}
}

// current returns the login in use.
func (a *auth) current(ctx context.Context) (Credentials, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
		return a.creds, nil
	case <-ctx.Done():
		return Credentials{}, context.Cause(ctx)
	}
}

// renew returns a login other than stale, which was refused: a new one, unless
// somebody else has renewed it meanwhile.
func (a *auth) renew(ctx context.Context, stale Credentials) (Credentials, error) {
	if a.login == nil {
		return Credentials{}, ErrTokenExpired
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return Credentials{}, context.Cause(ctx)
	}
	if a.creds != stale {
		return a.creds, nil
	}
	fresh, err := a.login(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("log in again: %w", err)
	}
	if fresh.AccountID != stale.AccountID {
		return Credentials{}, fmt.Errorf("log in again: got account %s instead of %s: %w", fresh.AccountID, stale.AccountID, ErrInvalid)
	}
	a.creds = fresh
	return fresh, nil
}
