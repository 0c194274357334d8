package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

var oid = regexp.MustCompile(`^[0-9a-f]{24}$`)

func TestAccounts(t *testing.T) {
	noLeaks(t)
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, "--data="+data, "--token-lifetime=1h")
	a := dial(t, p.addr)
	create := func(name, password string) (*chatstreampb.CreateAccountResponse, error) {
		return a.accounts.CreateAccount(soon(t), &chatstreampb.CreateAccountRequest{Name: name, Password: password})
	}
	login := func(name, password, installation string) (*chatstreampb.LoginResponse, error) {
		return a.accounts.Login(soon(t), &chatstreampb.LoginRequest{Name: name, Password: password, InstallationId: installation})
	}
	const password = "correct horse battery"
	created, err := create("ada", password)
	if err != nil || !oid.MatchString(created.GetAccountId()) {
		t.Fatalf("create: %v, %v", created, err)
	}
	for name, tt := range map[string]struct{ name, password string }{
		"no name": {"", password}, "no password": {"eve", ""}, "endless name": {strings.Repeat("e", 10_000), password},
		"endless password": {"eve", strings.Repeat("e", 1<<20)}, "blank name": {"   ", password}, "control characters": {"e\x00v\ne", password},
	} {
		if _, err := create(tt.name, tt.password); status.Code(err) != codes.InvalidArgument {
			t.Errorf("create, %s: %v", name, err)
		}
	}
	for _, other := range []string{password, "another password"} {
		if _, err := create("ada", other); status.Code(err) != codes.AlreadyExists {
			t.Errorf("create again: %v", err)
		}
	}

	install := uuid.NewString()
	first, err := login("ada", password, install)
	if err != nil || first.GetAccountId() != created.GetAccountId() || !oid.MatchString(first.GetLoggedInToken()) {
		t.Fatalf("login: %v, %v", first, err)
	}
	if left := time.Until(time.UnixMilli(first.GetTokenExpiresAtMs())); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the token lives %v", left)
	}
	again, err := login("ada", password, install)
	if err != nil || again.GetLoggedInToken() != first.GetLoggedInToken() || again.GetTokenExpiresAtMs() < first.GetTokenExpiresAtMs() {
		t.Errorf("login again: %v, %v, first it was %v", again, err, first)
	}
	for name, tt := range map[string]struct {
		name, password, installation string
		want                         codes.Code
	}{
		"no name":              {"", password, install, codes.InvalidArgument},
		"no password":          {"ada", "", install, codes.InvalidArgument},
		"no installation":      {"ada", password, "", codes.InvalidArgument},
		"no such installation": {"ada", password, install[1:], codes.InvalidArgument},
		"wrong password":       {"ada", password + "x", install, codes.Unauthenticated},
		"unknown name":         {"eve", password, install, codes.Unauthenticated},
	} {
		if _, err := login(tt.name, tt.password, tt.installation); status.Code(err) != tt.want {
			t.Errorf("login, %s: %v, want %v", name, err, tt.want)
		}
	}
	_, wrong := login("ada", password+"x", install)
	_, unknown := login("eve", password, install)
	if wrong.Error() != unknown.Error() {
		t.Errorf("a wrong password says %q, an unknown name %q", wrong, unknown)
	}
	elsewhere, err := login("ada", password, uuid.NewString())
	if err != nil || elsewhere.GetLoggedInToken() == first.GetLoggedInToken() {
		t.Errorf("login elsewhere: %v, %v", elsewhere, err)
	}

	// Of many who want one name, one gets it.
	var got, taken atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := create("grace", password)
			switch status.Code(err) {
			case codes.OK:
				got.Add(1)
			case codes.AlreadyExists:
				taken.Add(1)
			default:
				t.Errorf("create: %v", err)
			}
		})
	}
	group.Wait()
	if got.Load() != 1 || taken.Load() != 7 {
		t.Errorf("one name was given %d times and refused %d times", got.Load(), taken.Load())
	}

	// Accounts and tokens outlive the server.
	p.kill()
	p = serve(t, "--data="+data, "--token-lifetime=1h")
	a = dial(t, p.addr)
	u := &user{api: a, name: "ada", password: password, id: created.GetAccountId(), token: elsewhere.GetLoggedInToken()}
	u.open(t).wantEnd(refused(chatpb.ReturnStatus_INVALID_INSTALLATION_ID)) // it has none
	if _, err := create("ada", password); status.Code(err) != codes.AlreadyExists {
		t.Errorf("create after a restart: %v", err)
	}
	if r, err := login("ada", password, install); err != nil || r.GetAccountId() != created.GetAccountId() {
		t.Errorf("login after a restart: %v, %v", r, err)
	}
}

// TestTokenOutlivesServer: a restart logs nobody out.
func TestTokenOutlivesServer(t *testing.T) {
	noLeaks(t)
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, "--data="+data)
	u := dial(t, p.addr).signUp(t)
	r := u.create(t, "hall")
	p.kill()
	back := *u
	back.api = dial(t, serve(t, "--data="+data).addr)
	back.open(t).initial()
	back.say(t, r, "still logged in")
}

// TestGuessing: whoever guesses is refused before it costs anything, and the
// rest of the world is not.
func TestGuessing(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	victim, other := a.signUp(t), a.signUp(t)
	guess := func(ctx context.Context, i int) error {
		_, err := a.accounts.Login(ctx, &chatstreampb.LoginRequest{Name: victim.name, Password: fmt.Sprint("this is guess ", i), InstallationId: uuid.NewString()})
		return err
	}
	guesses := 0
	for refused := false; !refused; guesses++ {
		switch err := guess(soon(t), guesses); status.Code(err) {
		case codes.Unauthenticated:
		case codes.ResourceExhausted:
			refused = true
		default:
			t.Fatalf("guess %d: %v", guesses, err)
		}
		if guesses > 200 {
			t.Fatal("200 guesses are not too many")
		}
	}
	t.Logf("refused after %d guesses", guesses)
	// Many more are refused in no time, much less than their hashes would take.
	began := time.Now()
	for i := range 100 {
		if err := guess(soon(t), i); status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("guess: %v", err)
		}
	}
	if took := time.Since(began); took > 2*time.Second && !raceBuild() {
		t.Errorf("100 refusals took %v", took)
	}
	if err := other.logIn(soon(t)); err != nil {
		t.Errorf("somebody else logs in: %v", err)
	}
	victim.open(t).initial() // its token is as good as before
}
