package conformance

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/server"
	"github.com/chatstream/chatstream/server/accounts"
	"github.com/chatstream/chatstream/store"
)

// patience is how long a rule waits for what is to come: a safety net, nothing
// is ever expected to take as long.
const patience = 30 * time.Second

// soon is a context that ends when the test has waited long enough.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("never: %s", what)
		case <-time.After(2 * time.Millisecond): // there is nothing to wait for but the thing itself
		}
	}
}

// harness is what a rule is checked with.
type harness struct {
	open func(*testing.T) store.Store
	// shared is the server that a section's rules share, each with accounts of
	// its own. It has the configuration of the defaults.
	shared *served
}

// dial connects to the shared server.
func (h *harness) dial(t testing.TB) *api { return h.shared.dial(t) }

// serve starts a server of a rule's own.
func (h *harness) serve(t *testing.T, change ...func(*server.Config)) *served {
	t.Helper()
	st := h.store(t)
	return serveOn(t, st, change...)
}

// store opens a store, which is closed after the servers that are started on it.
func (h *harness) store(t *testing.T) *tapped {
	t.Helper()
	st := h.open(t)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return tap(st)
}

// served is a server in this process, on a port of loopback.
type served struct {
	*server.Server
	t      testing.TB
	addr   string
	store  *tapped
	once   sync.Once
	served sync.WaitGroup
}

func serveOn(t *testing.T, st *tapped, change ...func(*server.Config)) *served {
	t.Helper()
	cfg := server.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		// What passwords are worth is package accounts' business.
		Accounts: accounts.Config{Argon2: accounts.Argon2{Time: 1, MemoryKiB: 64, Threads: 1}},
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := server.New(t.Context(), st.asShared(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &served{Server: s, t: t, addr: l.Addr().String(), store: st}
	v.served.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(v.stop)
	return v
}

// stop shuts the server down, if nobody has yet, and holds it against what must
// be true in the end: every stream that began has ended.
func (v *served) stop() {
	v.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := v.Shutdown(ctx); err != nil {
			v.t.Errorf("shutdown: %v", err)
		}
		v.served.Wait()
		if s := v.Stats().Engine; s.StreamsOpened != s.StreamsFinished || s.Streams != 0 {
			v.t.Errorf("%d streams began, %d ended, %d are left", s.StreamsOpened, s.StreamsFinished, s.Streams)
		}
	})
}

// awaitStreams waits until the server has n open streams.
func (v *served) awaitStreams(t testing.TB, n int) {
	t.Helper()
	late := time.After(patience)
	for v.Stats().Engine.Streams != n {
		select {
		case <-late:
			t.Fatalf("the server has %d open streams, want %d", v.Stats().Engine.Streams, n)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// clock is a clock that a rule sets.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
