package accounts

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

func TestLogout(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	login := f.login("Ann", phone)
	login.CurrentAccountId = strings.ToUpper(id)
	if err := f.logout(login); err != nil {
		t.Fatal(err)
	}
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, ""})
	f.wantCheck(login, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH)
	if s := f.session(id); !reflect.DeepEqual(s, store.Session{}) {
		t.Errorf("left: %+v", s)
	}
	// Again, as a client does that has not heard the answer. Nothing is written.
	f.store.update = func() error { t.Error("a write"); return nil }
	if err := f.logout(login); err != nil {
		t.Error(err)
	}
	f.wantEnded()
}

func TestLogoutRefused(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	good := f.login("Ann", phone)
	for _, c := range []struct {
		change func(*chatpb.LoginToServerBasicInfo)
		code   codes.Code
		word   string
	}{
		{func(l *chatpb.LoginToServerBasicInfo) { l.CurrentAccountId = "" }, codes.InvalidArgument, "current_account_id"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.LetsGoVersion = 2 }, codes.InvalidArgument, "lets_go_version"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.LoggedInToken = "" }, codes.InvalidArgument, "logged_in_token"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.InstallationId = "" }, codes.InvalidArgument, "installation_id"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.AdminInfoUsed = true }, codes.InvalidArgument, "admin_info_used"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.CurrentAccountId = newID() }, codes.Unauthenticated, "no such account"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.CurrentAccountId = f.put("b", store.AccountBanned) }, codes.PermissionDenied, "banned"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.CurrentAccountId = f.put("s", store.Suspended) }, codes.PermissionDenied, "suspended"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.InstallationId = tablet }, codes.Unauthenticated, "another installation"},
		{func(l *chatpb.LoginToServerBasicInfo) { l.LoggedInToken = newID() }, codes.Unauthenticated, "token is wrong"},
	} {
		login := proto.Clone(good).(*chatpb.LoginToServerBasicInfo)
		c.change(login)
		wantError(t, f.logout(login), c.code, c.word)
	}
	f.wantEnded()
	f.wantCheck(good, chatpb.ReturnStatus_SUCCESS)
	if loggedOut(f.session(id)) {
		t.Error("logged out")
	}
}

// A stream outlives its token, so an expired token can still end it.
func TestLogoutWithAnExpiredToken(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	login := f.login("Ann", phone)
	f.clock.add(lifetime)
	stranger := proto.Clone(login).(*chatpb.LoginToServerBasicInfo)
	stranger.LoggedInToken = newID()
	wantError(t, f.logout(stranger), codes.Unauthenticated)
	f.wantEnded()
	if err := f.logout(login); err != nil {
		t.Fatal(err)
	}
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, ""})
}

// TestLogoutThatComesTooLate: another installation logs in after the logout's
// token was found right and before the session is cleared.
func TestLogoutThatComesTooLate(t *testing.T) {
	f := start(t)
	f.create("Ann")
	old := f.login("Ann", phone)
	var fresh *chatpb.LoginToServerBasicInfo
	f.store.update = func() error {
		f.store.update = nil
		fresh = f.login("Ann", tablet)
		f.ended = nil
		return nil
	}
	wantError(t, f.logout(old), codes.Unauthenticated, "another installation")
	f.wantCheck(fresh, chatpb.ReturnStatus_SUCCESS)
	f.wantEnded()
}

func TestLogoutWithAStoreThatFails(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	login := f.login("Ann", phone)
	f.store.account = func() error { return store.ErrClosed }
	wantError(t, f.logout(login), codes.Unavailable, "try again")
	f.wantEnded()

	f.store.account, f.store.lost = nil, store.ErrUnavailable
	wantError(t, f.logout(login), codes.Unavailable, "try again")
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, ""})
	f.store.lost = nil
	if err := f.logout(login); err != nil {
		t.Error(err)
	}
}

func TestLogoutOfAClientThatGoesAway(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	login := f.login("Ann", phone)
	ctx, cancel := context.WithCancel(t.Context())
	f.store.update = func() error { cancel(); return nil }
	if _, err := f.Logout(ctx, &chatstreampb.LogoutRequest{LoginInfo: login}); err != nil {
		t.Error(err)
	}
	if !loggedOut(f.session(id)) {
		t.Error("still logged in")
	}
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, ""})
}

// Ended is optional.
func TestNobodyIsTold(t *testing.T) {
	f := start(t, func(c *Config) { c.Ended = nil })
	f.create("Ann")
	f.login("Ann", phone)
	if err := f.logout(f.login("Ann", tablet)); err != nil {
		t.Error(err)
	}
}
