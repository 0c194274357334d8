package accounts

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// TestCheckOrder has a login in which everything is wrong, and repairs one
// thing after the other: each time the next complaint is the one that comes
// first in the order of the original.
func TestCheckOrder(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	good := f.login("Ann", phone)
	later := f.login("Ann", tablet) // good's token is replaced
	f.clock.add(lifetime)           // later's token is expired
	banned, suspended := f.put("banned", store.AccountBanned), f.put("suspended", store.Suspended)
	other := strings.Repeat("0", 24)

	login := &chatpb.LoginToServerBasicInfo{
		AdminInfoUsed: true, LetsGoVersion: 2, CurrentAccountId: "x", LoggedInToken: "y", InstallationId: "z",
	}
	for _, step := range []struct {
		repair func()
		want   chatpb.ReturnStatus
	}{
		{func() {}, chatpb.ReturnStatus_INVALID_USER_OID},
		{func() { login.CurrentAccountId = other }, chatpb.ReturnStatus_OUTDATED_VERSION},
		{func() { login.LetsGoVersion = 3 }, chatpb.ReturnStatus_INVALID_LOGIN_TOKEN},
		{func() { login.LoggedInToken = other }, chatpb.ReturnStatus_INVALID_INSTALLATION_ID},
		{func() { login.InstallationId = phone }, chatpb.ReturnStatus_INVALID_PARAMETER_PASSED},
		{func() { login.AdminInfoUsed = false }, chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT},
		{func() { login.CurrentAccountId = banned }, chatpb.ReturnStatus_ACCOUNT_BANNED},
		{func() { login.CurrentAccountId = suspended }, chatpb.ReturnStatus_ACCOUNT_SUSPENDED},
		{func() { login.CurrentAccountId = id }, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE},
		{func() { login.LoggedInToken = good.GetLoggedInToken() }, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE},
		{func() { login.InstallationId = tablet }, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH},
		{func() { login.LoggedInToken = later.GetLoggedInToken() }, chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED},
		{func() { login.LoggedInToken = f.login("Ann", tablet).GetLoggedInToken() }, chatpb.ReturnStatus_SUCCESS},
	} {
		step.repair()
		account, got := f.Check(t.Context(), login)
		if got != step.want {
			t.Fatalf("%v gives %v, want %v", login, got, step.want)
		}
		if got != chatpb.ReturnStatus_SUCCESS && account.ID != "" {
			t.Errorf("%v shows account %s", got, account.ID)
		}
	}
	if _, got := f.Check(t.Context(), nil); got != chatpb.ReturnStatus_INVALID_USER_OID {
		t.Errorf("no login gives %v", got)
	}
}

// A session of a banned or suspended account, which it had before, is worth
// nothing.
func TestCheckOfStanding(t *testing.T) {
	for standing, want := range map[store.AccountStanding]chatpb.ReturnStatus{
		store.Suspended:     chatpb.ReturnStatus_ACCOUNT_SUSPENDED,
		store.AccountBanned: chatpb.ReturnStatus_ACCOUNT_BANNED,
		200:                 chatpb.ReturnStatus_ACCOUNT_BANNED,
	} {
		f := start(t)
		f.create("Ann")
		login := f.login("Ann", phone)
		a, err := f.store.Account(t.Context(), login.GetCurrentAccountId())
		if err != nil {
			t.Fatal(err)
		}
		if got := judge(a, login, f.clock.now()); got != chatpb.ReturnStatus_SUCCESS {
			t.Fatal(got)
		}
		a.Standing = standing
		if got := judge(a, login, f.clock.now()); got != want {
			t.Errorf("standing %d gives %v, want %v", standing, got, want)
		}
	}
}

func TestCheckShowsTheAccount(t *testing.T) {
	f := start(t)
	id := f.create("ÄNN  Ａnn")
	login := f.login("änn ann", phone)
	login.CurrentAccountId, login.LoggedInToken = strings.ToUpper(id), strings.ToUpper(login.GetLoggedInToken())
	a, got := f.Check(t.Context(), login)
	if got != chatpb.ReturnStatus_SUCCESS || a.ID != id || a.Display != "ÄNN  Ａnn" || a.Credential != nil {
		t.Errorf("got %+v, %v", a, got)
	}
}

func TestCheckAtTheLastMoment(t *testing.T) {
	f := start(t)
	f.create("Ann")
	login := f.login("Ann", phone)
	f.clock.add(lifetime - 1e6)
	f.wantCheck(login, chatpb.ReturnStatus_SUCCESS)
	f.clock.add(1e6)
	f.wantCheck(login, chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED)
}

func TestCheckWritesNothing(t *testing.T) {
	f := start(t)
	f.create("Ann")
	login := f.login("Ann", phone)
	f.store.update = func() error { t.Error("a write"); return nil }
	f.store.create = f.store.update
	f.wantCheck(login, chatpb.ReturnStatus_SUCCESS)
	login.InstallationId = tablet
	f.wantCheck(login, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)
}

func TestCheckOfAStoreThatFails(t *testing.T) {
	f := start(t)
	f.create("Ann")
	login := f.login("Ann", phone)
	for _, err := range []error{store.ErrUnavailable, store.ErrClosed, errDisk, context.Canceled} {
		f.store.account = func() error { return fmt.Errorf("wrapped: %w", err) }
		f.wantCheck(login, chatpb.ReturnStatus_DATABASE_DOWN)
	}
	f.store.account = func() error { return fmt.Errorf("wrapped: %w", store.ErrNotFound) }
	f.wantCheck(login, chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT)
}

func TestMinVersion(t *testing.T) {
	f := start(t, func(c *Config) { c.MinVersion = 9 })
	f.create("Ann")
	login := f.login("Ann", phone)
	for version, want := range map[uint32]chatpb.ReturnStatus{
		8: chatpb.ReturnStatus_OUTDATED_VERSION, 9: chatpb.ReturnStatus_SUCCESS, 1 << 31: chatpb.ReturnStatus_SUCCESS,
	} {
		login := proto.Clone(login).(*chatpb.LoginToServerBasicInfo)
		login.LetsGoVersion = version
		f.wantCheck(login, want)
	}
}

// What may be a little old lets a login pass, and never refuses one.
func TestCheckOfRecentAccounts(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	phoned := f.login("Ann", phone)
	withPhone, _ := f.store.Account(t.Context(), id)
	var recent store.Account
	var failure error
	f.cfg.Recent = func(_ context.Context, asked string) (store.Account, error) {
		if asked != id {
			t.Errorf("asked for %q", asked)
		}
		return recent, failure
	}

	recent = withPhone
	f.wantCheck(phoned, chatpb.ReturnStatus_SUCCESS)
	tableted := f.login("Ann", tablet) // by way of another server
	f.wantCheck(phoned, chatpb.ReturnStatus_SUCCESS)
	f.wantCheck(tableted, chatpb.ReturnStatus_SUCCESS)
	recent, _ = f.store.Account(t.Context(), id)
	f.wantCheck(phoned, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)
	f.wantCheck(tableted, chatpb.ReturnStatus_SUCCESS)
	if a, _ := f.Check(t.Context(), tableted); a.Credential != nil {
		t.Error("the credential is shown")
	}
	failure = store.ErrUnavailable
	f.wantCheck(tableted, chatpb.ReturnStatus_DATABASE_DOWN)
	failure = store.ErrNotFound
	f.wantCheck(tableted, chatpb.ReturnStatus_SUCCESS)
}
