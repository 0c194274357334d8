package embedded

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// hold is a disk whose log does not sync until it is let.
type hold struct {
	waiting chan struct{} // receives when a sync has begun
	let     chan struct{}
}

func holdSync(d *disk) hold {
	h := hold{make(chan struct{}, 1), make(chan struct{})}
	d.during(func(op, name string) error {
		if op == opSync && isLog(name) {
			select {
			case h.waiting <- struct{}{}:
			default:
			}
			<-h.let
		}
		return nil
	})
	return h
}

// occupy keeps the committer in the middle of a group until release is called.
func occupy(t *testing.T, s *Store) (release func() error) {
	t.Helper()
	deciding, decide := make(chan struct{}), make(chan struct{})
	answer := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), storetest.RoomID(99), store.Op{Decide: func(room.State) ([]room.Draft, error) {
			close(deciding)
			<-decide
			return nil, nil
		}})
		answer <- err
	}()
	<-deciding
	return func() error {
		close(decide)
		return <-answer
	}
}

// enqueue has each of calls wait for the committer, in this order.
func enqueue(s *Store, calls ...func() error) (answers []chan error) {
	for _, call := range calls {
		before := len(s.queue)
		answer := make(chan error, 1)
		answers = append(answers, answer)
		go func() { answer <- call() }()
		for len(s.queue) == before {
			runtime.Gosched()
		}
	}
	return answers
}

// Pebble shows what it has not synced yet; the store must not, in any way.
func TestNothingShowsBeforeSync(t *testing.T) {
	d := &disk{FS: vfs.NewCrashableMem()}
	s := open(t, inMemory(d))
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	admin, joiner, creator := storetest.Account(0), storetest.Account(1), storetest.Account(2)
	old := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	young := storetest.RoomID(1)
	old.Create(t, admin)
	if err := s.CreateAccount(ctx, store.Account{ID: admin, Name: "old"}); err != nil {
		t.Fatal(err)
	}
	pos, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}

	var durable atomic.Bool
	watching, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	var shown []room.Event
	watcher.Go(func() {
		for batch, err := range s.Watch(watching, pos) {
			if err != nil {
				t.Error(err)
				return
			}
			if !durable.Load() {
				t.Errorf("Watch showed what was not synced: %+v", batch)
			}
			if shown = append(shown, batch.Events...); len(shown) == 4 {
				return
			}
		}
	})

	h := holdSync(d)
	post := storetest.OpOf(room.Post{
		UUID: old.UUID(), Sender: admin, Kind: room.KindText, Body: storetest.Text("unsynced"),
	})
	post.Viewed = 5
	join := storetest.OpOf(room.Join{UUID: old.UUID(), Account: joiner, Password: "secret"})
	create := storetest.OpOf(room.Create{
		Creator: creator, CapUUID: storetest.UUID(7, 0), JoinUUID: storetest.UUID(7, 1),
	})
	refused := storetest.OpOf(room.Join{UUID: old.UUID(), Account: joiner, Password: "secret"})
	release := occupy(t, s)
	answers := enqueue(s,
		func() error { _, err := s.Append(ctx, old.ID, post); return err },
		func() error { _, err := s.Append(ctx, old.ID, join); return err },
		func() error { _, err := s.Append(ctx, young, create); return err },
		func() error { _, err := s.Append(ctx, old.ID, post); return err }, // a repetition
		func() error { _, err := s.Append(ctx, old.ID, refused); return err },
		func() error {
			return s.CreateAccount(ctx, store.Account{ID: joiner, Name: "new"})
		},
		func() error {
			return s.UpdateSession(ctx, admin, func(store.Account) (store.Session, error) {
				return store.Session{Installation: "phone"}, nil
			})
		},
		func() error { return s.RaiseViewed(ctx, joiner, map[string]int64{young: 3}) },
	)
	released := make(chan error, 1)
	go func() { released <- release() }()
	select {
	case <-h.waiting:
	case err := <-released:
		d.during(nil)
		t.Fatalf("answered before a sync: %v", err)
	}
	// Wait until pebble itself shows it, or the test would prove nothing.
	for {
		_, closer, err := s.db.Get(nameKey("new"))
		if err == nil {
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
			break
		}
		if !errors.Is(err, pebble.ErrNotFound) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}

	look := func(done bool) {
		t.Helper()
		want := func(what string, shows bool) {
			t.Helper()
			if shows != done {
				t.Errorf("%s shows: %v, synced: %v", what, shows, done)
			}
		}
		st, err := s.State(ctx, old.ID)
		want("State", st.Seq == 4 && st.Present(joiner) && err == nil)
		if !done && (st.Seq != 2 || err != nil) {
			t.Errorf("State is %+v, %v before the sync", st.Header, err)
		}
		st, err = s.State(ctx, young)
		want("State of a new room", st.Exists() && err == nil)
		events, err := s.Events(ctx, old.ID, 2, store.Page{})
		want("Events", len(events) == 2 && err == nil)
		_, err = s.Event(ctx, old.ID, post.UUID)
		want("Event", err == nil)
		seq, err := s.SeqAt(ctx, old.ID, 1<<60)
		want("SeqAt", seq == 4 && err == nil)
		rooms, err := s.RoomsOf(ctx, joiner)
		want("RoomsOf after a join", slices.Equal(rooms, []string{old.ID}) && err == nil)
		rooms, err = s.RoomsOf(ctx, creator)
		want("RoomsOf after a creation", slices.Equal(rooms, []string{young}) && err == nil)
		seen, err := s.Seen(ctx, old.ID)
		want("Seen", len(seen) == 2 && seen[admin].Viewed == 5 && err == nil)
		by, err := s.SeenBy(ctx, joiner, []string{old.ID, young})
		want("SeenBy", by[old.ID].Activity != 0 && err == nil)
		want("SeenBy after RaiseViewed", by[young].Viewed == 3 && err == nil)
		_, err = s.Account(ctx, joiner)
		want("Account", err == nil)
		_, err = s.AccountByName(ctx, "new")
		want("AccountByName", err == nil)
		a, err := s.Account(ctx, admin)
		want("Session", a.Session.Installation == "phone" && err == nil)
		at, err := s.Now(ctx)
		want("Now", at != pos && err == nil)
	}
	look(false)
	for i, answer := range answers {
		select {
		case err := <-answer:
			t.Errorf("request %d was answered before the sync: %v", i, err)
		default:
		}
	}

	durable.Store(true)
	d.during(nil)
	close(h.let)
	if err := <-released; err != nil {
		t.Error(err)
	}
	for i, answer := range answers {
		err := <-answer
		if want := map[int]error{4: room.ErrAlreadyIn}[i]; !errors.Is(err, want) {
			t.Errorf("request %d: got %v, want %v", i, err, want)
		}
	}
	look(true)
	if t.Failed() {
		cancel() // it may wait for what does not come
	}
	watcher.Wait()
	cancel()
	if len(shown) != 4 {
		t.Errorf("Watch showed %d events, want 4", len(shown))
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%s: not in 20 s", what)
			return
		}
	}
}

// The order in which a group is published, which S7 and S10 rest on: view,
// states, ring, answers. Whoever is shown one finds all those before it. Each
// step is held up in turn; those before it must be done, those after it not.
func TestOrderOfPublishing(t *testing.T) {
	s := open(t, inMemory(vfs.NewCrashableMem()))
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	seq := uint64(2)
	hasView := func() bool {
		events, err := s.Events(t.Context(), r.ID, seq-1, store.Page{})
		return err == nil && len(events) == 1
	}
	hasState := func() bool {
		state, ok := s.states.cached(r.ID)
		return ok && state.Seq == seq
	}
	post := func() chan error {
		answer := make(chan error, 1)
		op := storetest.OpOf(room.Post{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText})
		seq++
		go func() {
			_, err := s.Append(t.Context(), r.ID, op)
			answer <- err
		}()
		return answer
	}
	open := func(answer chan error) {
		t.Helper()
		select {
		case err := <-answer:
			t.Errorf("answered (%v) before it was published", err)
			answer <- err
		default:
		}
	}

	before := s.ring.Now()
	s.states.mu.Lock()
	answer := post()
	eventually(t, "the view, while the states are held up", hasView)
	now, release := s.ring.Hold()
	if now != before || hasState() {
		t.Errorf("the ring is at %s, was at %s; the state is new: %v, while the states are held up", now, before, hasState())
	}
	open(answer)
	s.states.mu.Unlock()
	eventually(t, "the state, while the ring is held up", hasState)
	open(answer)
	release()
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	if s.ring.Now() == before {
		t.Error("answered before it was added to the ring")
	}
}

// A caller who leaves before the committer has begun with his request leaves
// nothing behind.
func TestAbandonedInQueueIsNotStored(t *testing.T) {
	s := open(t, inMemory(vfs.NewCrashableMem()))
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	ctx, cancel := context.WithCancel(t.Context())
	release := occupy(t, s)
	answers := enqueue(s, func() error {
		_, err := s.Append(ctx, r.ID, storetest.OpOf(room.Post{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText}))
		return err
	})
	cancel()
	if err := <-answers[0]; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	r.Post(t, storetest.Account(0), "the next")
	if n := len(storetest.CheckRoom(t.Context(), t, s, r.ID)); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}
