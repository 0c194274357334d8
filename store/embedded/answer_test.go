package embedded

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// The committer's own answer to a request whose group was lost is a refusal. Callers
// learn of the failure by another way, too, and mostly sooner: so this asks in the queue
// itself.
func TestCommitterRefusesWhatWasLost(t *testing.T) {
	d := &disk{FS: vfs.NewCrashableMem()}
	s := open(t, inMemory(d))
	h := holdSync(d)
	r := &request{done: make(chan struct{}), stage: func(g *group) error {
		return g.batch.Set([]byte("key"), nil, nil)
	}}
	s.queue <- r
	<-h.waiting
	pebbleLogger{s}.Fatalf("%s", "a bug")
	close(h.let)
	d.during(nil)
	<-r.done
	if err := r.answer("test"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the answer is %v, want %v", err, store.ErrUnavailable)
	}
	if err := s.Close(); !errors.Is(err, s.Err()) {
		t.Errorf("Close: got %v, want %v", err, s.Err())
	}
}

// A view that nobody holds any more stays closed, and the store stays open while one is
// held.
func TestViewIsClosedForGood(t *testing.T) {
	if new(view).acquire() {
		t.Error("a closed view was acquired")
	}
	s := open(t, inMemory(vfs.NewCrashableMem()))
	v := s.views.acquire()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.stopped
	select {
	case <-closed:
		t.Error("the store was closed while it was read")
	case <-time.After(50 * time.Millisecond): // it would have been, without the wait
	}
	v.release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A group takes no more requests than it may, so that a sync does not grow with load.
func TestGroupIsBounded(t *testing.T) {
	cfg := inMemory(vfs.NewCrashableMem())
	cfg.MaxBatch = 4
	s := open(t, cfg)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	before := s.views.current.Load().groups
	release := occupy(t, s)
	var posts []func() error
	for range 4 { // as many as the queue holds, behind the one that holds it up
		op := storetest.OpOf(room.Post{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText})
		posts = append(posts, func() error { _, err := s.Append(t.Context(), r.ID, op); return err })
	}
	answers := enqueue(s, posts...)
	if err := release(); err != nil {
		t.Error(err)
	}
	for _, answer := range answers {
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}
	if n := s.views.current.Load().groups - before; n != 2 {
		t.Errorf("5 requests were carried out in %d groups of at most 4", n)
	}
}
