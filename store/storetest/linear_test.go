package storetest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/embedded"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Pebble leaves it behind when its Open fails late.
		goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

// Stores that are wrong in one thing. Each is the embedded one, and would be
// linearizable without it.

// staleState answers State now and then with what it was a while ago, as a cache
// does that is not told.
type staleState struct {
	store.Store
	mu  sync.Mutex
	was map[string]room.State
}

func (s *staleState) State(ctx context.Context, id string) (room.State, error) {
	got, err := s.Store.State(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.was[id]; ok && rand.IntN(4) == 0 {
		return old, err
	}
	s.was[id] = got
	return got, err
}

// forgetsUUIDs does once more what was sent again.
type forgetsUUIDs struct{ store.Store }

func (s forgetsUUIDs) Append(ctx context.Context, id string, op store.Op) (store.Appended, error) {
	done, err := s.Store.Append(ctx, id, op)
	if err != nil || !done.Repeated {
		return done, err
	}
	decide := op.Decide
	op.UUID, op.Decide = "", func(st room.State) ([]room.Draft, error) {
		drafts, err := decide(st)
		for i := range drafts {
			drafts[i].UUID = UUID(int(rand.Uint32()), int(rand.Uint32()))
		}
		return drafts, err
	}
	return s.Store.Append(ctx, id, op)
}

// acksEarly acknowledges what it does afterwards.
type acksEarly struct {
	store.Store
	later *sync.WaitGroup
}

func (s acksEarly) RaiseViewed(ctx context.Context, account string, viewed map[string]int64) error {
	ctx = context.WithoutCancel(ctx)
	s.later.Go(func() { _ = s.Store.RaiseViewed(ctx, account, viewed) })
	return nil
}

func (s acksEarly) Close() error {
	s.later.Wait()
	return s.Store.Close()
}

// showsLate does not show the last event of a room, once it has been acknowledged,
// to who asks for the first time.
type showsLate struct {
	store.Store
	mu    sync.Mutex
	shown map[string]uint64
}

func (s *showsLate) Events(ctx context.Context, id string, after uint64, page store.Page) ([]room.Event, error) {
	events, err := s.Store.Events(ctx, id, after, page)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range events {
		if e.Seq > s.shown[id] {
			s.shown[id] = e.Seq
			return events[:i], err
		}
	}
	return events, err
}

// losesSessions lets two logins at once see the same account.
type losesSessions struct{ store.Store }

func (s losesSessions) UpdateSession(ctx context.Context, id string, f func(store.Account) (store.Session, error)) error {
	a, err := s.Account(ctx, id)
	if err != nil {
		return err
	}
	session, err := f(a)
	if err != nil {
		return err
	}
	return s.Store.UpdateSession(ctx, id, func(store.Account) (store.Session, error) { return session, nil })
}

// sharesNames does not ask whether a name is taken.
type sharesNames struct{ store.Store }

func (s sharesNames) CreateAccount(ctx context.Context, a store.Account) error {
	if _, err := s.AccountByName(ctx, a.Name); err == nil {
		return nil
	}
	return s.Store.CreateAccount(ctx, a)
}

// forgetsMembers is late in telling who is in a room.
type forgetsMembers struct {
	store.Store
	mu  sync.Mutex
	was map[string][]string
}

func (s *forgetsMembers) RoomsOf(ctx context.Context, account string) ([]string, error) {
	got, err := s.Store.RoomsOf(ctx, account)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.was[account]
	s.was[account] = got
	return before, err
}

// inMemory is a harness of embedded stores, each of which wrong makes wrong.
// Where the power is cut, kept is what is left of the disk.
func inMemory(wrong func(store.Store) store.Store, kept func(before, now *vfs.MemFS) *vfs.MemFS) Harness {
	fs := vfs.NewCrashableMem()
	var before *vfs.MemFS
	return Harness{
		Open: func(t *testing.T, now func() time.Time) store.Store {
			t.Helper()
			before = fs.CrashClone(vfs.CrashCloneCfg{})
			s, err := embedded.Open(embedded.Config{
				Dir: "data", FS: fs, Now: now, StateRooms: 3,
				Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			return wrong(s)
		},
		Crash: func(t *testing.T, s store.Store) {
			t.Helper()
			old := fs
			fs = kept(before, old)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		},
	}
}

func right(s store.Store) store.Store { return s }

func synced(_, now *vfs.MemFS) *vfs.MemFS { return now.CrashClone(vfs.CrashCloneCfg{}) }

// refused runs histories until one has no order. A check that refuses none in so
// many cannot fail.
func refused(t *testing.T, h Harness, run func(context.Context, store.Store, *linearRun) (store.Store, error)) {
	t.Helper()
	ctx := bounded(t)
	s := h.Open(t, nil)
	defer func() { closed(t, s) }()
	for n := range 20 {
		var err error
		l := newLinearRun(n)
		l.patience = time.Second
		if s, err = run(ctx, s, l); errors.Is(err, errNotLinearizable) {
			return
		} else if err != nil && !errors.Is(err, errUndecided) {
			t.Fatal(err)
		}
	}
	t.Error("every history of it was found to be linearizable")
}

func TestWrongStoresAreNotLinearizable(t *testing.T) {
	for name, wrong := range map[string]func(store.Store) store.Store{
		"stale State":                       func(s store.Store) store.Store { return &staleState{Store: s, was: make(map[string]room.State)} },
		"forgets uuids":                     func(s store.Store) store.Store { return forgetsUUIDs{s} },
		"acknowledges before it has raised": func(s store.Store) store.Store { return acksEarly{s, new(sync.WaitGroup)} },
		"acknowledges before it shows":      func(s store.Store) store.Store { return &showsLate{Store: s, shown: make(map[string]uint64)} },
		"loses a session":                   func(s store.Store) store.Store { return losesSessions{s} },
		"gives a name twice":                func(s store.Store) store.Store { return sharesNames{s} },
		"forgets who is in a room":          func(s store.Store) store.Store { return &forgetsMembers{Store: s, was: make(map[string][]string)} },
	} {
		t.Run(name, func(t *testing.T) {
			h := inMemory(wrong, synced)
			refused(t, h, func(ctx context.Context, s store.Store, l *linearRun) (store.Store, error) {
				return linear(ctx, t, h, s, l, 40)
			})
		})
	}
}

// A disk that loses what was synced since the store was opened.
func TestStoreThatLosesWhatItAcknowledgedIsNotLinearizable(t *testing.T) {
	h := inMemory(right, func(before, _ *vfs.MemFS) *vfs.MemFS { return before })
	refused(t, h, func(ctx context.Context, s store.Store, l *linearRun) (store.Store, error) {
		return linearWithCrashes(ctx, t, h, s, l, 2, 15)
	})
}

// What the others are, but right: the check refuses them for what they do wrong.
func TestRightStoreIsLinearizable(t *testing.T) {
	t.Run("closed", func(t *testing.T) { testLinearizable(t, inMemory(right, synced)) })
	t.Run("crashed", func(t *testing.T) { testLinearizableAcrossCrashes(t, inMemory(right, synced)) })
}
