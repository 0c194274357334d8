package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/ring"
)

// Store is the MongoDB store. Make one with Open; all methods are safe for
// concurrent use.
type Store struct {
	cfg     Config
	log     *slog.Logger
	secrets secrets
	hosts   []string
	// process tells this store's events from those of others.
	process  uint64
	requests atomic.Uint64
	clock    *clock
	known    known
	feed     *feed
	ring     *ring.Ring
	recent   *recent
	raises   *raises

	client, streams                              *driver.Client
	database                                     *driver.Database
	events, rooms, members, seen, accounts, meta *driver.Collection
	claims, leases                               *driver.Collection
	// watched is the database, for the change stream.
	watched *driver.Database
	servers servers
	// noPrimary: members of a replica set are seen, and no primary among them.
	noPrimary atomic.Bool

	// mu guards the rooms, and that what is folded into one is shown in the same
	// order. The ring's mutex is taken within it, and no other.
	mu    sync.Mutex
	table *table
	// ready are the rooms with requests; wake says that there may be some.
	ready []*tracked
	wake  chan struct{}
	// asides are the goroutines that carry out what goes aside of the committer;
	// latency is how long a command of his takes, smoothed.
	asides  int
	latency time.Duration
	// due are the rooms whose snapshot is to be written; dueWake as wake.
	due     []*tracked
	dueWake chan struct{}

	// lastMany is the committer's: whether its last command was of many rooms.
	lastMany bool
	// commands counts what the committer has sent.
	commands atomic.Uint64

	// life ends, by end, what the store does in the background.
	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup
	// closing is closed when Close begins, stopped when the committer has ended.
	closing, stopped chan struct{}
	closeOnce        sync.Once
	closeErr         error

	// failed is closed after cause is set.
	failed chan struct{}
	cause  atomic.Pointer[error]
}

var _ store.Store = (*Store)(nil)

// fail puts an end to the store; the first cause counts.
func (s *Store) fail(cause error) {
	if s.cause.CompareAndSwap(nil, &cause) {
		close(s.failed)
		s.log.Error("store failed", "database", s.Address(), "cause", cause)
		s.ring.Finish(s.refusal)
	}
}

// refusal is what callers get from a store that has failed or was closed; nil
// while it works.
func (s *Store) refusal() error {
	if cause := s.cause.Load(); cause != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, *cause)
	}
	if s.isClosing() {
		return store.ErrClosed
	}
	return nil
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func (s *Store) usable(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.refusal()
}

// Failed implements store.Store: it is closed when the collection of events is
// gone. A database that cannot be reached is no such failure; it comes back.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err implements store.Store.
func (s *Store) Err() error {
	if cause := s.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Close implements store.Store. Requests that were accepted are carried out, or
// answered with store.ErrUnavailable if the database does not answer in time.
// Further calls return the same.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock() // so that no request is accepted behind it
		close(s.closing)
		s.mu.Unlock()
		<-s.stopped
		<-s.raises.stopped
		s.end()
		s.tasks.Wait()
		s.ring.Finish(s.refusal)
		if err := errors.Join(s.disconnect(), s.Err()); err != nil {
			s.closeErr = fmt.Errorf("store: close %s: %w", s.Address(), s.secrets.told(err))
		}
	})
	return s.closeErr
}

// disconnect waits for what is under way, for as long as it may take.
func (s *Store) disconnect() error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	var errs []error
	for _, client := range []*driver.Client{s.client, s.streams} {
		if client != nil {
			errs = append(errs, client.Disconnect(ctx))
		}
	}
	return errors.Join(errs...)
}
