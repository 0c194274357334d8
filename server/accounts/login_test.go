package accounts

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

func TestSameInstallationKeepsTheToken(t *testing.T) {
	f := start(t)
	f.create("Ann")
	first := f.login("Ann", phone)
	if token := first.GetLoggedInToken(); !room.ValidOID(token) || strings.ToLower(token) != token {
		t.Errorf("token %q", token)
	}
	f.clock.add(lifetime - time.Millisecond)
	again := f.login("ann", phone)
	if first.GetLoggedInToken() != again.GetLoggedInToken() {
		t.Error("before the expiry: another token")
	}
	f.clock.add(lifetime - time.Millisecond)
	f.wantCheck(first, chatpb.ReturnStatus_SUCCESS) // it was prolonged

	f.clock.add(time.Millisecond)
	renewed := f.login("Ann", phone)
	if renewed.GetLoggedInToken() == first.GetLoggedInToken() {
		t.Error("after the expiry: the same token")
	}
	f.wantCheck(first, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH)
	f.wantCheck(renewed, chatpb.ReturnStatus_SUCCESS)
	f.wantEnded()
}

func TestAnotherInstallationTakesOver(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	first := f.login("Ann", phone)
	f.wantEnded()
	second := f.login("Ann", tablet)
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, tablet})
	if first.GetLoggedInToken() == second.GetLoggedInToken() {
		t.Error("the same token for another installation")
	}
	f.wantCheck(first, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)
	f.wantCheck(second, chatpb.ReturnStatus_SUCCESS)

	// Back on the first: not its old token.
	third := f.login("Ann", phone)
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, phone})
	if third.GetLoggedInToken() == first.GetLoggedInToken() {
		t.Error("a token came back")
	}
	f.wantCheck(first, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH)

	// A stream lives on when its token has expired, so it is told then too.
	f.clock.add(2 * lifetime)
	f.login("Ann", tablet)
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, tablet})
}

func TestLoginAfterLogoutHasANewToken(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	first := f.login("Ann", phone)
	if err := f.logout(first); err != nil {
		t.Fatal(err)
	}
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, ""})
	second := f.login("Ann", phone)
	f.wantEnded()
	if first.GetLoggedInToken() == second.GetLoggedInToken() {
		t.Error("a token came back")
	}
	f.login("Ann", tablet)
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, tablet})
}

// Logins of one installation at once must not replace each other's tokens.
func TestLoginsAtOnceAgree(t *testing.T) {
	f := start(t)
	f.create("Ann")
	const n = 20
	tokens := make([]string, n)
	together(n, func(i int) { tokens[i] = f.login("Ann", phone).GetLoggedInToken() })
	if slices.Sort(tokens); tokens[0] != tokens[n-1] {
		t.Errorf("different tokens: %v", tokens)
	}
}

// Of many installations at once, exactly one is logged in afterwards, and all
// others were told.
func TestInstallationsAtOnce(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	const n = 20
	logins := make([]*chatpb.LoginToServerBasicInfo, n)
	together(n, func(i int) { logins[i] = f.login("Ann", fmt.Sprintf("00000000-0000-0000-0000-%012d", i)) })
	in := 0
	for _, l := range logins {
		_, got := f.Check(t.Context(), l)
		switch got {
		case chatpb.ReturnStatus_SUCCESS:
			in++
		case chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE:
		default:
			t.Errorf("got %v", got)
		}
	}
	if in != 1 || len(f.ended) != n-1 {
		t.Errorf("%d are logged in, %d were displaced", in, len(f.ended))
	}
	for _, e := range f.ended {
		if e.account != id || e.status != chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE {
			t.Errorf("ended %v", e)
		}
	}
}

// TestStoreHoldsNoToken: neither the token nor what it is derived with.
func TestStoreHoldsNoToken(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	token := f.login("Ann", phone).GetLoggedInToken()
	a, err := f.store.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := decodeCredential(a.Credential)
	if err != nil {
		t.Fatal(err)
	}
	h := c.hash(right)
	if got := h.token(id, phone, a.Session.Nonce); got != token {
		t.Fatalf("the token is %s, not %s, and this test tests nothing", token, got)
	}
	raw, err := hex.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(a.Credential, a.Session.Nonce, a.Session.TokenHash[:], []byte(a.Session.Installation), []byte(a.ID+a.Name))
	for what, secret := range map[string][]byte{
		"token": []byte(token), "token's bits": raw, "key": h.key[:], "password": []byte(right),
	} {
		if bytes.Contains(all, secret) {
			t.Errorf("the store has the %s", what)
		}
	}
	if a.Session.TokenHash != tokenHash(token) || a.Session.TokenHash == [32]byte{} {
		t.Error("the store has another hash than the token's")
	}
	// What is stored derives nothing.
	if (hashed{key: c.verifier}).token(id, phone, a.Session.Nonce) == token {
		t.Error("the verifier is the key")
	}
}

func TestWrongPasswordAndUnknownNameLookAlike(t *testing.T) {
	f := start(t)
	f.create("Ann")
	_, wrongPassword := f.tryLogin(t.Context(), "Ann", wrong, phone)
	_, unknownName := f.tryLogin(t.Context(), "Bob", right, phone)
	wantError(t, wrongPassword, codes.Unauthenticated, "name or password")
	if wrongPassword.Error() != unknownName.Error() {
		t.Errorf("%v\n%v", wrongPassword, unknownName)
	}
	if s := f.session(f.login("Ann", phone).GetCurrentAccountId()); loggedOut(s) {
		t.Error("not logged in")
	}
}

// An unknown name costs a hash of the full price; seen by the memory that takes.
func TestUnknownNameCostsAsMuch(t *testing.T) {
	dear := Argon2{Time: 1, MemoryKiB: 16 << 10, Threads: 1}
	f := start(t, func(c *Config) { c.Argon2 = dear })
	f.create("Ann")
	for _, name := range []string{"Ann", "Bob"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := f.tryLogin(t.Context(), name, wrong, phone)
		runtime.ReadMemStats(&after)
		wantError(t, err, codes.Unauthenticated)
		if took := after.TotalAlloc - before.TotalAlloc; took < uint64(dear.MemoryKiB)<<10 {
			t.Errorf("%s: allocated %d bytes", name, took)
		}
	}
}

func TestLoginOfStanding(t *testing.T) {
	f := start(t)
	banned, suspended := f.put("banned", store.AccountBanned), f.put("suspended", store.Suspended)
	for name, id := range map[string]string{"banned": banned, "suspended": suspended} {
		_, err := f.tryLogin(t.Context(), name, right, phone)
		wantError(t, err, codes.PermissionDenied, name)
		// Only who knows the password learns that.
		_, err = f.tryLogin(t.Context(), name, wrong, phone)
		wantError(t, err, codes.Unauthenticated, "name or password")
		if s := f.session(id); !loggedOut(s) {
			t.Errorf("%s is logged in", name)
		}
	}
	f.wantEnded()
}

func TestLoginRefusesMalformedRequests(t *testing.T) {
	f := start(t)
	f.create("Ann")
	for _, c := range []struct{ name, password, installation, field string }{
		{"", right, phone, "name"},
		{"Ann ", right, phone, "name"},
		{strings.Repeat("n", 25), right, phone, "name"},
		{"Ann", "short 7", phone, "password"},
		{"Ann", strings.Repeat("p", 1024), phone, "password"},
		{"Ann", right, "", "installation_id"},
		{"Ann", right, strings.Repeat("1", 36), "installation_id"},
	} {
		_, err := f.tryLogin(t.Context(), c.name, c.password, c.installation)
		wantError(t, err, codes.InvalidArgument, c.field)
		if strings.Contains(fmt.Sprint(err), c.password) {
			t.Errorf("%v shows the password", err)
		}
	}
	if _, err := f.Login(t.Context(), nil); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no request gives %v", err)
	}
}

// The same password typed on systems that compose characters differently.
func TestPasswordIsComposed(t *testing.T) {
	f := start(t)
	if _, err := f.CreateAccount(t.Context(), &chatstreampb.CreateAccountRequest{Name: "Ann", Password: "caf\u00e9 au lait"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.tryLogin(t.Context(), "Ann", "cafe\u0301 au lait", phone); err != nil {
		t.Error(err)
	}
	_, err := f.tryLogin(t.Context(), "Ann", "CAF\u00c9 AU LAIT", phone)
	wantError(t, err, codes.Unauthenticated)
}

// Accounts made at another cost stay valid when the cost is changed.
func TestCostIsKeptWithTheAccount(t *testing.T) {
	f := start(t)
	f.create("Ann")
	before := f.login("Ann", phone)
	f.Service = New(f.store, Config{Argon2: Argon2{Time: 2, MemoryKiB: 16, Threads: 2}, Now: f.clock.now, Logger: f.cfg.Logger})
	f.create("Bob")
	if f.login("Ann", phone).GetLoggedInToken() != before.GetLoggedInToken() {
		t.Error("another token")
	}
	f.login("Bob", phone)
	a, err := f.store.AccountByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := decodeCredential(a.Credential); err != nil || c.cost.Time != 2 || c.cost.MemoryKiB != 16 || c.cost.Threads != 2 {
		t.Errorf("%+v, %v", c.cost, err)
	}
}

func TestLoginWithAStoreThatFails(t *testing.T) {
	f := start(t)
	f.create("Ann")
	unavailable := func() error { return fmt.Errorf("wrapped: %w", store.ErrUnavailable) }

	// More often than one may guess: it was nobody's guess.
	for range nameBurst + 1 {
		f.store.byName = unavailable
		_, err := f.tryLogin(t.Context(), "Ann", right, phone)
		wantError(t, err, codes.Unavailable, "try again")
	}
	f.store.byName, f.store.update = nil, unavailable
	for range nameBurst + 1 {
		_, err := f.tryLogin(t.Context(), "Ann", right, phone)
		wantError(t, err, codes.Unavailable, "try again")
	}
	f.store.update = nil
	f.login("Ann", phone)
	f.wantEnded()

	// The account went away between the two.
	f.store.update = func() error { return store.ErrNotFound }
	_, err := f.tryLogin(t.Context(), "Ann", right, phone)
	wantError(t, err, codes.Unavailable)
}

// TestLoginWhoseAnswerIsLost: the new session is stored but the store does not
// say so. The next try only prolongs it, so the other installation's stream has
// to be told at once.
func TestLoginWhoseAnswerIsLost(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	first := f.login("Ann", phone)
	f.store.lost = store.ErrUnavailable
	_, err := f.tryLogin(t.Context(), "Ann", right, tablet)
	wantError(t, err, codes.Unavailable)
	f.wantCheck(first, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, tablet})
	f.store.lost = nil
	f.login("Ann", tablet)
	f.wantEnded()
}

// TestClientThatGoesAway: what a login has begun to change is seen through.
func TestClientThatGoesAway(t *testing.T) {
	f := start(t)
	id := f.create("Ann")
	first := f.login("Ann", phone)
	ctx, cancel := context.WithCancel(t.Context())
	f.store.update = func() error { cancel(); return nil }
	if _, err := f.tryLogin(ctx, "Ann", right, tablet); err != nil {
		t.Error(err)
	}
	f.wantCheck(first, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)
	f.wantEnded(ending{id, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, tablet})

	// Before that, nothing is done for it.
	_, err := f.tryLogin(ctx, "Ann", right, phone)
	wantError(t, err, codes.Canceled)
	f.wantEnded()
}

// TestDamagedCredential: it is nobody's fault but ours, and logged.
func TestDamagedCredential(t *testing.T) {
	f := start(t)
	id := newID()
	if err := f.store.CreateAccount(t.Context(), store.Account{ID: id, Name: "broken", Credential: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	_, err := f.tryLogin(t.Context(), "broken", right, phone)
	wantError(t, err, codes.Internal)
	if !strings.Contains(f.log.String(), id) {
		t.Error("nothing is logged")
	}
}

// Whatever happens, the log has no names, passwords or tokens.
func TestLogKeepsSecrets(t *testing.T) {
	f := start(t)
	const name = "Zaphod"
	f.create(name)
	first := f.login(name, phone)
	second := f.login(name, tablet)
	for range nameBurst + 1 {
		_, _ = f.tryLogin(from(t, "192.0.2.1:5"), name, wrong, phone)
	}
	f.store.account = func() error { return errors.New("broken") }
	f.wantCheck(second, chatpb.ReturnStatus_DATABASE_DOWN)
	f.store.account = nil
	if err := f.logout(second); err != nil {
		t.Fatal(err)
	}
	log := f.log.String()
	for _, secret := range []string{name, strings.ToLower(name), right, wrong, first.GetLoggedInToken(), second.GetLoggedInToken()} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
	for _, event := range []string{"account created", "logged in", "wrong name or password", "192.0.2.1/32", "too many wrong guesses", "store failed", "logged out"} {
		if !strings.Contains(log, event) {
			t.Errorf("%q is not in the log:\n%s", event, log)
		}
	}
}
