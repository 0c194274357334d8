package accounts

import (
	"context"
	"errors"
	"testing"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// held is the session that login has opened.
func (f *fixture) held(login *chatpb.LoginToServerBasicInfo) *Held {
	f.t.Helper()
	account, status := f.Check(f.t.Context(), login)
	if status != chatpb.ReturnStatus_SUCCESS {
		f.t.Fatalf("not logged in: %v", status)
	}
	return f.Held(account)
}

func (f *fixture) wantStatus(h *Held, want chatpb.ReturnStatus) {
	f.t.Helper()
	if got, err := h.Status(f.t.Context()); err != nil || got != want {
		f.t.Errorf("the session: %v, %v, want %v", got, err, want)
	}
}

func TestHeldSessionEndsAsItWouldHere(t *testing.T) {
	const success, mismatch = chatpb.ReturnStatus_SUCCESS, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH
	for name, tc := range map[string]struct {
		happens func(f *fixture, login *chatpb.LoginToServerBasicInfo)
		want    chatpb.ReturnStatus
	}{
		"nothing":            {func(*fixture, *chatpb.LoginToServerBasicInfo) {}, success},
		"it expires":         {func(f *fixture, _ *chatpb.LoginToServerBasicInfo) { f.clock.add(2 * lifetime) }, success},
		"it is prolonged":    {func(f *fixture, _ *chatpb.LoginToServerBasicInfo) { f.clock.add(lifetime / 2); f.login("Ann", phone) }, success},
		"it has a new token": {func(f *fixture, _ *chatpb.LoginToServerBasicInfo) { f.clock.add(2 * lifetime); f.login("Ann", phone) }, success},
		"logout": {func(f *fixture, login *chatpb.LoginToServerBasicInfo) {
			if err := f.logout(login); err != nil {
				f.t.Fatal(err)
			}
		}, mismatch},
		"logout, and in again": {func(f *fixture, login *chatpb.LoginToServerBasicInfo) {
			if err := f.logout(login); err != nil {
				f.t.Fatal(err)
			}
			f.login("Ann", phone)
		}, mismatch},
		"login elsewhere": {func(f *fixture, _ *chatpb.LoginToServerBasicInfo) { f.login("Ann", tablet) }, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.create("Ann")
			login := f.login("Ann", phone)
			h := f.held(login)
			tc.happens(f, login)
			f.wantStatus(h, tc.want)
		})
	}
}

// A session that was given a new token after its time is ended as one with the
// first.
func TestHeldSessionWithANewTokenEndsToo(t *testing.T) {
	f := start(t)
	f.create("Ann")
	h := f.held(f.login("Ann", phone))
	f.clock.add(2 * lifetime)
	login := f.login("Ann", phone)
	f.wantStatus(h, chatpb.ReturnStatus_SUCCESS)
	if err := f.logout(login); err != nil {
		t.Fatal(err)
	}
	f.login("Ann", phone)
	f.wantStatus(h, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH)
}

// A server whose clock is behind does not take a new token for a logout.
func TestHeldSessionAllowsForClocks(t *testing.T) {
	f := start(t)
	f.create("Ann")
	h := f.held(f.login("Ann", phone))
	f.clock.add(lifetime)
	f.login("Ann", phone)
	f.clock.add(-clocks + 1)
	f.wantStatus(h, chatpb.ReturnStatus_SUCCESS)
}

func TestStoreCannotTellWhetherASessionHolds(t *testing.T) {
	f := start(t)
	f.create("Ann")
	h := f.held(f.login("Ann", phone))
	f.store.account = func() error { return store.ErrUnavailable }
	if status, err := h.Status(context.Background()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, %v", status, err)
	}
	f.store.account = func() error { return store.ErrNotFound }
	f.wantStatus(h, chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT)
}
