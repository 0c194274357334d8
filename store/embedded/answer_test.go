package embedded

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/store"
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
