package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/ring"
)

// Store is the embedded store. Make one with Open; all methods are safe for
// concurrent use.
type Store struct {
	cfg    Config
	log    *slog.Logger
	db     *pebble.DB
	lock   *pebble.Lock
	guard  *guard
	views  views
	states *states
	ring   *ring.Ring

	// opening is set while pebble.Open runs.
	opening atomic.Bool

	queue chan *request
	// memory is the committer's.
	memory memory
	// decided are groups on their way from the committer to the syncer. Who has
	// received from free may send one: so the syncer has at most one.
	decided chan *group
	free    chan struct{}
	// closing is closed when Close begins, stopped when the committer and the
	// syncer have ended.
	closing, stopped chan struct{}
	closeOnce        sync.Once
	closeErr         error

	// failed is closed after cause is set.
	failed chan struct{}
	cause  atomic.Pointer[error]
}

var _ store.Store = (*Store)(nil)

// closePatience is how long Close waits for pebble after a failure: it may be
// stuck on a disk that does not answer.
const closePatience = 2 * time.Second

// fail puts an end to the store; the first cause counts. It may be called from
// within pebble, with any of its locks held, so it calls nothing of it, and nor
// does who holds the ring's lock.
func (s *Store) fail(cause error) {
	if s.cause.CompareAndSwap(nil, &cause) {
		close(s.failed)
		s.ring.Finish(s.refusal)
		s.log.Error("store failed; restart to recover", "dir", s.cfg.Dir, "cause", cause)
	}
}

// refusal is what callers get from a store that has failed or was closed; nil
// while it works.
func (s *Store) refusal() error {
	if cause := s.cause.Load(); cause != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, *cause)
	}
	select {
	case <-s.closing:
		return store.ErrClosed
	default:
		return nil
	}
}

// view acquires the current view for a read; the caller releases it.
func (s *Store) view(ctx context.Context) (*view, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if v := s.views.acquire(); v != nil {
		return v, nil
	}
	return nil, store.ErrClosed
}

func (s *Store) usable(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.refusal()
}

// readError is for errors of the disk, which the contract calls unavailable.
func readError(err error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, err) }

// Failed implements store.Store.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err implements store.Store.
func (s *Store) Err() error {
	if cause := s.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Close implements store.Store. Requests that were accepted are carried out;
// reads under way end. After a failure it returns within a few seconds, with
// the cause, and may have to leave the database to the end of the process; the
// directory then stays locked. Further calls return the same.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		closed := make(chan error, 1)
		go func() { closed <- s.release() }()
		var patience <-chan time.Time
		failed := s.failed
		for {
			select {
			case err := <-closed:
				if s.Err() != nil {
					err = s.Err()
				}
				if err != nil {
					s.closeErr = fmt.Errorf("store: close %s: %w", s.cfg.Dir, err)
				}
				return
			case <-failed:
				failed = nil // from now on only patience ends the wait
				t := time.NewTimer(closePatience)
				defer t.Stop()
				patience = t.C
				continue
			case <-s.guard.stuck:
			case <-patience:
			}
			s.closeErr = fmt.Errorf("store: close %s: left open after: %w", s.cfg.Dir, s.Err())
			return
		}
	})
	return s.closeErr
}

// release waits for the committer and the readers and closes pebble.
func (s *Store) release() (err error) {
	// Pebble panics where it cannot go on after an error.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pebble: %v", p)
		}
	}()
	<-s.stopped
	s.views.close()
	s.guard.armed.Store(false)
	if err := s.db.Close(); err != nil {
		return err
	}
	return s.lock.Close()
}

var errLoadPanicked = errors.New("reading the room's state panicked")
