package embedded

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// The disk begins to fail while clients are at work: nothing is acknowledged
// that is not there after a restart, everybody is told, and Close returns.
func TestDiskFails(t *testing.T) {
	for name, tt := range map[string]struct {
		fails func(op, name string) bool
		with  error
	}{
		"SyncOfLog":       {func(op, name string) bool { return op == opSync && isLog(name) }, syscall.EIO},
		"WriteOfLog":      {func(op, name string) bool { return op == opWrite && isLog(name) }, syscall.ENOSPC},
		"NewLog":          {func(op, name string) bool { return op == opCreate && isLog(name) }, syscall.ENOSPC},
		"NewTable":        {func(op, name string) bool { return op == opCreate && isTable(name) }, syscall.ENOSPC},
		"WriteOfTable":    {func(op, name string) bool { return op == opWrite && isTable(name) }, syscall.ENOSPC},
		"SyncOfTable":     {func(op, name string) bool { return op == opSync && isTable(name) }, syscall.EIO},
		"WriteOfManifest": {func(op, name string) bool { return op == opWrite && isManifest(name) }, syscall.ENOSPC},
		"SyncOfManifest":  {func(op, name string) bool { return op == opSync && isManifest(name) }, syscall.EIO},
		"Everything":      {func(string, string) bool { return true }, syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			d := &disk{FS: mem}
			cfg := inMemory(d)
			cfg.memTableBytes = 64 << 10
			s := open(t, cfg)
			load := &storetest.Load{Rooms: 3, Clients: 8}
			load.Run(t.Context(), t, s, 20)
			pos, err := s.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			watched := make(chan error, 1)
			go func() {
				var last error
				for _, err := range s.Watch(t.Context(), pos) {
					last = err
				}
				watched <- last
			}()

			var failed atomic.Bool
			d.during(func(op, name string) error {
				if tt.fails(op, name) {
					failed.Store(true)
					return tt.with
				}
				return nil
			})
			load.Run(t.Context(), t, s, 1<<30) // until the store fails
			select {
			case <-s.Failed():
			default:
				t.Fatal("clients got store.ErrUnavailable, but Failed is open")
			}
			if !failed.Load() {
				t.Fatal("the disk did not fail")
			}
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), tt.with.Error()) {
				t.Errorf("Err is %v, want to read of %v", err, tt.with)
			}
			told := load.Told()
			if err := <-watched; !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Watch ended with %v, want %v", err, store.ErrUnavailable)
			}
			_, err = s.State(t.Context(), storetest.RoomID(0))
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), tt.with.Error()) {
				t.Errorf("State: got %v, want %v with its cause", err, store.ErrUnavailable)
			}

			left := mem.CrashClone(vfs.CrashCloneCfg{})
			if err := s.Close(); err == nil || !errors.Is(err, s.Err()) {
				t.Errorf("Close: got %v, want the cause", err)
			}
			d.during(nil)
			close(s.cfg.thaw)
			after := open(t, inMemory(left))
			if lost := load.Check(t.Context(), t, after, told); lost > 0 {
				t.Errorf("%d acknowledged things are lost", lost)
			}
			if err := after.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The group whose sync fails is not acknowledged, and nothing of it shows.
func TestFailedSyncIsNotAcknowledged(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem}
	s := open(t, inMemory(d))
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	var syncs atomic.Int64
	d.during(func(op, name string) error {
		// Once: a disk that recovers must not help, since nobody knows what it
		// has kept.
		if op == opSync && isLog(name) && syncs.Add(1) == 1 {
			return syscall.EIO
		}
		return nil
	})
	post := func() error {
		_, err := s.Append(t.Context(), r.ID, storetest.OpOf(room.Post{
			UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText,
		}))
		return err
	}
	for i := range 3 {
		if err := post(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), syscall.EIO.Error()) {
			t.Errorf("append %d: got %v, want %v with its cause", i, err, store.ErrUnavailable)
		}
	}
	if n := syncs.Load(); n == 0 {
		t.Error("the log was not synced")
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); !errors.Is(err, s.Err()) {
		t.Errorf("Close: got %v, want %v", err, s.Err())
	}
	close(s.cfg.thaw)
	s = open(t, inMemory(left))
	if n := len(storetest.CheckRoom(t.Context(), t, s, r.ID)); n != 2 {
		t.Errorf("%d events, want the 2 that were acknowledged", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A failure from somewhere else in pebble, while a group syncs well, still
// keeps the group from being acknowledged.
func TestFatalWhileCommitting(t *testing.T) {
	d := &disk{FS: vfs.NewCrashableMem()}
	s := open(t, inMemory(d))
	h := holdSync(d)
	answer := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), storetest.RoomID(0), storetest.OpOf(room.Create{
			Creator: storetest.Account(0), CapUUID: storetest.UUID(1, 0), JoinUUID: storetest.UUID(2, 0),
		}))
		answer <- err
	}()
	<-h.waiting
	pebbleLogger{s}.Fatalf("%s", "a bug")
	if err := <-answer; !errors.Is(err, store.ErrUnavailable) { // while the disk still hangs
		t.Errorf("got %v, want %v", err, store.ErrUnavailable)
	}
	close(h.let)
	d.during(nil)
	<-s.stopped
	v := s.views.acquire()
	if header, err := v.header(storetest.RoomID(0)); err != nil || header.Seq != 0 {
		t.Errorf("the group was published: %+v, %v", header, err)
	}
	v.release()
	if err := s.Close(); !errors.Is(err, s.Err()) {
		t.Errorf("Close: got %v, want %v", err, s.Err())
	}
}

// Close returns even when pebble is stuck.
func TestCloseAfterFailureOnDiskThatHangs(t *testing.T) {
	d := &disk{FS: vfs.NewCrashableMem()}
	s := open(t, inMemory(d))
	h := holdSync(d)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := s.Append(ctx, storetest.RoomID(0), storetest.OpOf(room.Create{
			Creator: storetest.Account(0), CapUUID: storetest.UUID(1, 0), JoinUUID: storetest.UUID(2, 0),
		}))
		answer <- err
	}()
	<-h.waiting
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	s.fail(errors.New("given up"))
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "left open") {
		t.Errorf("Close: got %v, want to be told that the database was left open", err)
	}
	close(h.let)
	<-s.stopped
}

// A function that ends its goroutine ends the store, and nobody waits for ever.
func TestDecideEndsCommitter(t *testing.T) {
	s := open(t, inMemory(vfs.NewCrashableMem()))
	_, err := s.Append(t.Context(), storetest.RoomID(0), store.Op{Decide: func(room.State) ([]room.Draft, error) {
		runtime.Goexit()
		return nil, nil
	}})
	if !errors.Is(err, store.ErrUnavailable) || s.Err() == nil {
		t.Errorf("got %v, want %v", err, store.ErrUnavailable)
	}
	if err := s.Close(); !errors.Is(err, s.Err()) {
		t.Errorf("Close: got %v, want %v", err, s.Err())
	}
}

// A flush that failed is the end: pebble would try again for ever, and writes
// would pile up meanwhile.
func TestBackgroundErrorEndsTheStore(t *testing.T) {
	s := open(t, inMemory(vfs.NewCrashableMem()))
	pebbleLogger{s}.backgroundError(&errPath{syscall.ENOSPC})
	select {
	case <-s.Failed():
	default:
		t.Error("it goes on")
	}
	if err := s.Err(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("failed with %v", err)
	}
	if err := s.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
}

// Running out of file handles is not the end: pebble tries again.
func TestBackgroundErrorThatPasses(t *testing.T) {
	s := open(t, inMemory(vfs.NewCrashableMem()))
	pebbleLogger{s}.backgroundError(&errPath{syscall.EMFILE})
	if s.Err() != nil {
		t.Errorf("failed with %v", s.Err())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

type errPath struct{ err error }

func (e *errPath) Error() string { return "open: " + e.err.Error() }
func (e *errPath) Unwrap() error { return e.err }

// Close carries out what was accepted before it and refuses what comes after.
func TestCloseUnderLoad(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, inMemory(fs))
	load := &storetest.Load{Rooms: 3, Clients: 8}
	var wg sync.WaitGroup
	wg.Go(func() { load.Run(t.Context(), t, s, 1<<30) })
	for len(load.Told().Events) < 200 {
		if _, err := s.State(t.Context(), storetest.RoomID(0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s = open(t, inMemory(fs))
	if lost := load.Check(t.Context(), t, s, load.Told()); lost > 0 {
		t.Errorf("%d acknowledged things are lost", lost)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
