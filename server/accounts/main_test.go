package accounts

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	phone    = "11111111-aaaa-bbbb-cccc-000000000001"
	tablet   = "22222222-aaaa-bbbb-cccc-000000000002"
	right    = "correct horse"
	wrong    = "battery staple"
	lifetime = 30 * time.Minute
)

// cheap is a hash that takes microseconds.
var cheap = Argon2{Time: 1, MemoryKiB: 8, Threads: 1}

var errDisk = errors.New("disk on fire")

// clock is a clock that stands still.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// hooked is a store whose methods can be made to fail, or something to happen
// before them. lost is an answer of UpdateSession that gets lost.
type hooked struct {
	store.Accounts
	account, byName, create, update func() error
	lost                            error
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (h *hooked) Account(ctx context.Context, id string) (store.Account, error) {
	if err := call(h.account); err != nil {
		return store.Account{}, err
	}
	return h.Accounts.Account(ctx, id)
}

func (h *hooked) AccountByName(ctx context.Context, name string) (store.Account, error) {
	if err := call(h.byName); err != nil {
		return store.Account{}, err
	}
	return h.Accounts.AccountByName(ctx, name)
}

func (h *hooked) CreateAccount(ctx context.Context, a store.Account) error {
	if err := call(h.create); err != nil {
		return err
	}
	return h.Accounts.CreateAccount(ctx, a)
}

func (h *hooked) UpdateSession(ctx context.Context, id string, f func(store.Account) (store.Session, error)) error {
	if err := call(h.update); err != nil {
		return err
	}
	err := h.Accounts.UpdateSession(ctx, id, f)
	if err == nil && h.lost != nil {
		return h.lost
	}
	return err
}

// ending is a call of Config.Ended.
type ending struct {
	account      string
	status       chatpb.ReturnStatus
	installation string
}

// fixture is a service over a real store.
type fixture struct {
	*Service
	t     testing.TB
	store *hooked
	clock *clock
	log   *bytes.Buffer

	mu    sync.Mutex
	ended []ending
}

func start(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &clock{t: time.UnixMilli(1_700_000_000_000)}, log: new(bytes.Buffer)}
	logger := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	st, err := embedded.Open(embedded.Config{
		Dir: "data", FS: vfs.NewMem(), CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), Now: f.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	f.store = &hooked{Accounts: st}
	cfg := Config{
		Argon2: cheap, Hashes: 4, Now: f.clock.now, Logger: logger,
		Ended: func(account string, status chatpb.ReturnStatus, installation string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.ended = append(f.ended, ending{account, status, installation})
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	f.Service = New(f.store, cfg)
	return f
}

// create makes an account with the right password.
func (f *fixture) create(name string) (id string) {
	f.t.Helper()
	r, err := f.CreateAccount(f.t.Context(), &chatstreampb.CreateAccountRequest{Name: name, Password: right})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.GetAccountId()
}

// put stores an account as it could not be made through the service.
func (f *fixture) put(name string, standing store.AccountStanding) (id string) {
	f.t.Helper()
	c := newCredential(cheap)
	c.verifier = c.hash(right).verifier
	a := store.Account{ID: newID(), Name: nameKey(name), Display: name, Credential: c.encode(), Standing: standing}
	if err := f.store.Accounts.CreateAccount(f.t.Context(), a); err != nil {
		f.t.Fatal(err)
	}
	return a.ID
}

func (f *fixture) tryLogin(ctx context.Context, name, password, installation string) (*chatstreampb.LoginResponse, error) {
	return f.Login(ctx, &chatstreampb.LoginRequest{Name: name, Password: password, InstallationId: installation})
}

// login logs in with the right password, which must succeed.
func (f *fixture) login(name, installation string) *chatpb.LoginToServerBasicInfo {
	f.t.Helper()
	r, err := f.tryLogin(f.t.Context(), name, right, installation)
	if err != nil {
		f.t.Fatal(err)
	}
	if want := f.clock.now().Add(lifetime).UnixMilli(); r.GetTokenExpiresAtMs() != want {
		f.t.Errorf("token expires at %d, want %d", r.GetTokenExpiresAtMs(), want)
	}
	return &chatpb.LoginToServerBasicInfo{
		LetsGoVersion: 3, CurrentAccountId: r.GetAccountId(), LoggedInToken: r.GetLoggedInToken(), InstallationId: installation,
	}
}

func (f *fixture) logout(login *chatpb.LoginToServerBasicInfo) error {
	_, err := f.Logout(f.t.Context(), &chatstreampb.LogoutRequest{LoginInfo: login})
	return err
}

func (f *fixture) wantCheck(login *chatpb.LoginToServerBasicInfo, want chatpb.ReturnStatus) {
	f.t.Helper()
	if _, got := f.Check(f.t.Context(), login); got != want {
		f.t.Errorf("check gives %v, want %v", got, want)
	}
}

// wantEnded compares the calls of Ended since it was last asked.
func (f *fixture) wantEnded(want ...ending) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.ended, want) {
		f.t.Errorf("ended %v, want %v", f.ended, want)
	}
	f.ended = nil
}

// session is what the store has.
func (f *fixture) session(id string) store.Session {
	f.t.Helper()
	a, err := f.store.Accounts.Account(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return a.Session
}

// wantError wants a status whose text has every one of words.
func wantError(t testing.TB, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("got %v, want code %v", err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(status.Convert(err).Message(), w) {
			t.Errorf("%q is not in %q", w, err)
		}
	}
}

// retryIn is the RetryInfo of an error.
func retryIn(t testing.TB, err error) time.Duration {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration()
		}
	}
	t.Errorf("no RetryInfo in %v", err)
	return 0
}

// from is a context of a request from an address.
func from(t testing.TB, addr string) context.Context {
	return peer.NewContext(t.Context(), &peer.Peer{Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))})
}

// together runs f n times at once and returns when all have returned.
func together(n int, f func(i int)) {
	var begin, end sync.WaitGroup
	begin.Add(1)
	for i := range n {
		end.Go(func() {
			begin.Wait()
			f(i)
		})
	}
	begin.Done()
	end.Wait()
}
