package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// feed follows the one change stream of this process and shows what it brings. A
// stream that ends, for whatever reason, is opened again behind what was shown
// last. If the database refuses that, since its oplog does not go back so far or
// for any reason but that it cannot be reached, a stream is opened that begins
// now, and with it a new epoch: what lies between is told to nobody, but watchers
// are told so, and read it (S9).
type feed struct {
	s *Store
	// token is behind what was shown last. Nil: the stream begins behind start.
	token bson.Raw
	start bson.Timestamp
	// attempt counts the streams, and the attempts to open one, that have failed one
	// after the other.
	attempt int
	portion portion
	storm   storm
	// heard is when a stream has last said something. That it is open is nothing: it
	// may end before it has brought anything, again and again.
	heard atomic.Pointer[time.Time]
}

// Heard implements store.Shared.
func (s *Store) Heard() time.Time { return *s.feed.heard.Load() }

func (f *feed) hears() {
	now := time.Now()
	f.heard.Store(&now)
}

// reached is a moment up to which everything has been shown, now that a batch of n
// changes was, of which last was the last; it was asked for at asked. If all of them
// were passed over, last is zero, and the moment is as long ago as can be.
func (f *feed) reached(n int, last bson.Timestamp, asked time.Time) time.Time {
	if n == 0 { // there was no more
		return asked
	}
	behind := time.UnixMilli(f.s.clock.now()).Sub(time.Unix(int64(last.T), 0))
	return time.Now().Add(-max(0, behind))
}

const (
	// awaited is how long the database waits for something to show before it says
	// that there is nothing. Its word is the sign of life that silence looks for.
	awaited = time.Second
	// steady is how long a stream has to last for the one after it to be opened at
	// once.
	steady = time.Second
	// opening bounds the opening of a stream.
	opening = 5 * time.Second
)

var (
	// errSilent: the database has not even said that there is nothing. A primary
	// that is frozen, or a connection that is half open, says nothing for ever.
	errSilent = errors.New("the change stream is silent")
	// errLate: the database does not say that the stream is open.
	errLate = errors.New("the change stream is not opened in time")
	// errStorm: the driver resumes the stream again and again. It does that
	// without a pause, thousands of times a second.
	errStorm = errors.New("the change stream is resumed without end")
	// errGone: the collection was dropped or renamed.
	errGone = fmt.Errorf("the collection %s was dropped or renamed: what it held is no longer there; restore it and start again", eventsName)
)

// stream is one change stream.
type stream struct {
	*driver.ChangeStream
	session *driver.Session
	// ctx has no deadline, since a change stream that meets one is dead. It is
	// cancelled by whoever watches over the stream, with the reason.
	ctx    context.Context
	cancel context.CancelCauseFunc
	opened time.Time
}

// open opens a stream behind what was shown last, or at the beginning.
func (f *feed) open(ctx context.Context) (*stream, error) {
	// With the answer comes one event at most: however slow the network is, it opens.
	how := options.ChangeStream().SetMaxAwaitTime(awaited).SetBatchSize(1)
	if f.token != nil {
		how.SetResumeAfter(f.token)
	} else {
		how.SetStartAtOperationTime(&f.start)
	}
	session, err := f.s.streams.StartSession()
	if err != nil {
		return nil, err
	}
	c := &stream{session: session, opened: time.Now()}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	f.storm.watch(c)
	late := time.AfterFunc(opening, func() { c.cancel(errLate) })
	c.ChangeStream, err = f.s.watched.Watch(driver.NewSessionContext(c.ctx, session), driver.Pipeline{
		{{Key: "$match", Value: watchedChanges}},
		{{Key: "$project", Value: bson.D{
			{Key: "operationType", Value: 1}, {Key: "clusterTime", Value: 1}, {Key: "ns", Value: 1},
			{Key: "documentKey", Value: 1}, {Key: "fullDocument", Value: 1}, {Key: "updateDescription.updatedFields.c", Value: 1},
		}}},
	}, how)
	late.Stop()
	if err != nil {
		err = c.why(err)
		c.close()
		return nil, err
	}
	f.heard.CompareAndSwap(nil, &c.opened) // a store begins in touch
	return c, nil
}

// why is the reason for which the stream was cancelled, or err if it was not.
func (c *stream) why(err error) error {
	if cause := context.Cause(c.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// close gives the stream up. The database is told, if it listens.
func (c *stream) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.ChangeStream != nil {
		_ = c.ChangeStream.Close(ctx)
	}
	c.session.EndSession(ctx)
	c.cancel(nil)
}

// run follows c, and what comes after it, until ctx ends or the collection is gone.
func (f *feed) run(ctx context.Context, c *stream) {
	for c != nil {
		f.s.recent.follow(true)
		err := f.follow(c)
		f.s.recent.follow(false)
		c.close()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errGone) {
			f.s.fail(err)
			return
		}
		if errors.Is(err, errSilent) {
			f.portion.late()
		}
		if f.attempt++; time.Since(c.opened) > steady {
			f.attempt = 0
		}
		f.s.log.Warn("the change stream has ended; it is opened again", "error", f.s.secrets.told(err))
		c = f.reopen(ctx, err)
	}
}

// follow shows what c brings until it ends, and says why it did.
func (f *feed) follow(c *stream) error {
	silence := time.AfterFunc(f.s.cfg.silence, func() { c.cancel(errSilent) })
	defer silence.Stop()
	asked, cursor := c.opened, int64(0)
	for {
		var got shown
		n := 0
		// What came together is shown together.
		for more := true; more; more = c.RemainingBatchLength() > 0 {
			if !c.TryNext(c.ctx) {
				break
			}
			n++
			var change change
			err := c.Decode(&change)
			if err == nil {
				if !change.ClusterTime.After(f.start) {
					continue // the database takes the beginning with it
				}
				if change.ends() {
					return errors.Join(f.show(c, &got), errGone)
				}
				err = got.add(&change)
			}
			if err != nil {
				// It was not written by a store. If it stands in an event's place, the
				// next one of that room will show that one is missing.
				f.s.log.Error("the change stream brought what no store has written; it is passed over", "error", err)
			}
		}
		took := time.Since(asked)
		if err := f.show(c, &got); err != nil {
			return err
		}
		if err := c.Err(); err != nil {
			return c.why(err)
		}
		if c.ID() == 0 {
			return errGone
		}
		silence.Reset(f.s.cfg.silence)
		f.token = c.ResumeToken()
		// The driver may have opened it anew. That the answer to this has nothing in it
		// yet says only that it is open.
		if opened := c.ID() != cursor; !opened || n > 0 {
			f.hears()
			f.s.recent.reach(f.reached(n, got.last, asked))
			f.portion.came(n, took, f.s.cfg.silence)
		}
		c.SetBatchSize(f.portion.size())
		asked, cursor = time.Now(), c.ID()
	}
}

func (f *feed) show(c *stream, got *shown) error {
	if got.last.IsZero() {
		return nil
	}
	// Whoever is shown an event finds it in what he reads: also who has begun to
	// read an account when that is forgotten.
	f.s.known.advance(got.last, c.session.ClusterTime())
	f.s.recent.forget(got.sessions...)
	if err := f.s.streamed(got.records, got.claims, got.sessions); err != nil {
		return &gapError{err}
	}
	f.token = c.ResumeToken()
	return nil
}

// gapError: the stream has left something out, so it is of no use to go on with it.
type gapError struct{ error }

// reopen opens a stream after one that ended with err; nil when ctx ends.
func (f *feed) reopen(ctx context.Context, err error) *stream {
	var gap *gapError
	lost := errors.As(err, &gap)
	for ; ; f.attempt++ {
		if f.attempt > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(backoff(f.attempt)):
			}
		}
		var c *stream
		if !lost {
			if c, err = f.open(ctx); err == nil {
				return c
			}
			if ctx.Err() != nil {
				return nil
			}
			if unreachable(err) {
				f.s.log.Warn("the change stream cannot be opened; it is tried again", "error", f.s.secrets.told(err))
				continue
			}
			lost = true
			f.s.log.Warn("the change stream cannot go on where it was; it begins anew, and rooms are read instead",
				"error", f.s.secrets.told(err))
		}
		if c, err = f.begin(ctx); err == nil {
			f.s.reset()
			return c
		}
		if ctx.Err() != nil {
			return nil
		}
		f.s.log.Warn("no change stream can be opened; it is tried again", "error", f.s.secrets.told(err))
	}
}

// begin opens a stream that begins now. What is committed before it is in every
// read from here on: those begin after the moment at which it begins.
func (f *feed) begin(ctx context.Context) (*stream, error) {
	start, err := f.s.databaseTime(ctx)
	if err != nil {
		return nil, err
	}
	f.token, f.start = nil, start
	return f.open(ctx)
}

// databaseTime is the database's own time, of now.
func (s *Store) databaseTime(ctx context.Context) (bson.Timestamp, error) {
	err := s.causally(ctx, func(ctx context.Context) error {
		err := s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: schemaID}}).Err()
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		return err
	})
	at, _ := s.known.get()
	return at, err
}

// unreachable reports whether err says that the database could not be asked, or
// is about to elect, and nothing of the stream.
func unreachable(err error) bool {
	if errors.Is(err, errLate) || errors.Is(err, errSilent) || errors.Is(err, errStorm) || driver.IsNetworkError(err) || driver.IsTimeout(err) {
		return true
	}
	switch code(err) {
	case 0: // it has not come to a command
		return true
	case 6, 7, 89, 9001: // the network, as the driver's specification lists it
		return true
	}
	return electing(err)
}

// electing reports whether err says that the primary has just ceased to be it.
func electing(err error) bool {
	switch code(err) {
	case 91, 189, 10107, 11600, 11602, 13435, 13436: // as the driver's specification lists them
		return true
	}
	return false
}

// backoff grows from 50 ms to 2 s, with jitter.
func backoff(attempt int) time.Duration {
	longest := min(50*time.Millisecond<<min(attempt, 10), 2*time.Second)
	return longest/2 + rand.N(longest/2)
}

// storm counts how often the driver begins a stream: it resumes by itself, and
// there is no other way to see it.
type storm struct {
	mu     sync.Mutex
	stream *stream
	begun  []time.Time
}

// stormy is how many beginnings within a second are too many.
const stormy = 5

// watch counts for c from now on.
func (w *storm) watch(c *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream, w.begun = c, nil
}

func (w *storm) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "aggregate" {
			w.count(time.Now())
		}
	}}
}

func (w *storm) count(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = append(w.begun, now)
	for now.Sub(w.begun[0]) > time.Second {
		w.begun = w.begun[1:]
	}
	if len(w.begun) > stormy && w.stream != nil {
		w.stream.cancel(errStorm)
	}
}
