package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// Config are the limits of an engine. Zero values mean the defaults.
type Config struct {
	// StreamLifetime is how long a stream lives unless it is refreshed: 30
	// minutes.
	StreamLifetime time.Duration
	// TailAge and TailBytes bound the recent events that are kept encoded, in
	// all rooms together: 60 s, 100 MiB. Older ones are read from the store.
	TailAge   time.Duration
	TailBytes int64
	// StallPatience is how long a stream may have something to say to a client
	// that does not read: 2 minutes.
	StallPatience time.Duration
	// GapPatience is how long a room waits for an event that is late before it
	// reads it from the store: 200 ms.
	GapPatience time.Duration
	// BookmarkEvery is about how often an idle stream tells its client that it
	// is up to date, if that asked for it: 30 s.
	BookmarkEvery time.Duration
	// Others, if not nil, returns the addresses of other servers that clients
	// could go to. Safe for concurrent use; it must not wait.
	Others func() []string
	// Claims, if not nil, is how servers that share the store agree on which
	// stream of an account is the newest.
	Claims Claims
	// Replies bounds the answers of one stream that wait to be written, and
	// with them the requests that are read: 16.
	Replies int
	// StoreTimeout bounds one read of the store: 10 s.
	StoreTimeout time.Duration
	// Box, if not nil, prepares an encoded element for the transport, once for
	// all the streams that it goes to. See Element.Boxed.
	Box func([]byte) any
	// Logger is where the engine logs; slog.Default() if nil.
	Logger *slog.Logger
}

// Validate reports every value that makes no sense.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, v int64) {
		if v < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative", name))
		}
	}
	positive("stream lifetime", int64(c.StreamLifetime))
	positive("tail age", int64(c.TailAge))
	positive("tail bytes", c.TailBytes)
	positive("stall patience", int64(c.StallPatience))
	positive("gap patience", int64(c.GapPatience))
	positive("bookmark interval", int64(c.BookmarkEvery))
	positive("replies", int64(c.Replies))
	positive("store timeout", int64(c.StoreTimeout))
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.StreamLifetime, 30*time.Minute)
	set(&c.TailAge, time.Minute)
	set(&c.StallPatience, 2*time.Minute)
	set(&c.GapPatience, 200*time.Millisecond)
	set(&c.StoreTimeout, 10*time.Second)
	set(&c.BookmarkEvery, 30*time.Second)
	if c.TailBytes == 0 {
		c.TailBytes = 100 << 20
	}
	if c.Replies == 0 {
		c.Replies = 16
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Engine delivers what is stored in rooms to the streams of their members. Safe
// for concurrent use. The three globals of the describing document are its
// fields: the open streams of users, the users of rooms, the pool.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	store    store.Log
	pool     *pool.Pool
	registry *Registry
	rooms    *Rooms
	feed     *feed

	tailBytes atomic.Int64
	counters  counters

	started   time.Time
	accepting atomic.Bool
	stop      context.CancelFunc
	running   sync.WaitGroup // feed and sweeper
	streams   sync.WaitGroup // handlers in Serve
	// gate is how many are in enter. A shutdown refuses first, then waits until
	// nobody is in there, then until the streams have ended.
	gate atomic.Int64
}

// New starts an engine over log. pool runs its turns and jobs, and is closed by
// whoever made it, after the engine.
func New(ctx context.Context, log store.Log, p *pool.Pool, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	cfg = cfg.withDefaults()
	e := &Engine{cfg: cfg, log: cfg.Logger, store: log, pool: p, registry: newRegistry(), started: time.Now()}
	e.rooms = newRooms(e)
	position, err := log.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("engine: open the store's watch: %w", err)
	}
	e.feed = &feed{engine: e, position: position}
	e.feed.after.Store(&position)
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.accepting.Store(true)
	e.running.Go(func() { pprof.Do(run, pprof.Labels("role", "feed"), e.feed.run) })
	e.running.Go(func() { pprof.Do(run, pprof.Labels("role", "sweeper"), e.sweep) })
	return e, nil
}

// Request is what opens a stream. The account has been logged in already.
type Request struct {
	Account      string
	Installation string
	Rooms        []KnownRoom
	Features     Features
	Conn         Conn
	// Holds, if not nil, says why the stream must end if the session that it was
	// opened with has been ended, nil if it has not. It is called, on a worker,
	// when that may have happened on another server; with an error it is called
	// again.
	Holds func(context.Context) (*Ending, error)
}

// Serve runs one stream from its opening to its end and returns why it ended.
// opened is called with the stream, before anything is written, so that its
// reader can be started. ctx is the connection's: when it ends the client is
// gone.
func (e *Engine) Serve(ctx context.Context, r Request, opened func(*Stream)) Ending {
	s, why, ok := e.begin(ctx, r)
	if !ok {
		return why
	}
	defer e.streams.Done()
	defer e.counters.finished.Add(1)
	finished := false
	defer func() {
		if !finished { // a panic: the stream must not outlive its handler
			s.End(failed(chatpb.ReturnStatus_LG_ERROR))
			s.finish()
		}
	}()
	e.prepare(ctx, s, r.Rooms, opened)
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.End(Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON})
	}
	why = s.finish()
	finished = true
	return why
}

// Open is Serve for a transport that has no goroutine to spare for each stream.
// It returns when all that the stream begins with is on its way, or when the
// stream has ended, and ctx bounds it until then. After that it is the transport
// that says when its client is gone, by End. ended is called once, at the stream's end, by Open or on a
// goroutine of its own.
func (e *Engine) Open(ctx context.Context, r Request, opened func(*Stream), ended func(Ending)) {
	s, why, ok := e.begin(ctx, r)
	if !ok {
		ended(why)
		return
	}
	defer s.then(func() {
		why := s.finish()
		e.counters.finished.Add(1)
		e.streams.Done()
		ended(why)
	})
	defer func() {
		if v := recover(); v != nil {
			e.log.Error("panic while a stream is opened", "account", s.account, "panic", v, "stack", string(debug.Stack()))
			s.End(failed(chatpb.ReturnStatus_LG_ERROR))
		}
	}()
	e.prepare(ctx, s, r.Rooms, opened)
	if ctx.Err() != nil {
		s.End(Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON})
	}
}

// begin makes a stream its account's, or says why not. streams.Done and
// counters.finished are to be called for it.
func (e *Engine) begin(ctx context.Context, r Request) (*Stream, Ending, bool) {
	if !e.enter() {
		return nil, Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN}, false
	}
	next, err := e.claim(ctx, &r)
	if err != nil {
		e.streams.Done()
		e.log.Warn("a stream could not be claimed for its account", "account", r.Account, "error", err)
		return nil, failed(statusOf(err)), false
	}
	s := newStream(e, r)
	if !e.registry.Replace(s, next) {
		e.streams.Done()
		return nil, e.registry.replacedBy(r.Account), false
	}
	e.counters.opened.Add(1)
	return s, Ending{}, true
}

// prepare brings a stream from its opening to being live, or ends it.
func (e *Engine) prepare(ctx context.Context, s *Stream, rooms []KnownRoom, opened func(*Stream)) {
	opened(s)
	if e.cfg.Claims != nil {
		e.fence([]string{s.account})
	}
	if !e.accepting.Load() { // the shutdown may not have seen it
		s.End(Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
	}
	if err := s.initialize(ctx, rooms); err != nil {
		e.initFailed(ctx, s, err)
	}
}

// enter counts a stream up, unless the engine takes no more.
func (e *Engine) enter() bool {
	e.gate.Add(1)
	defer e.gate.Add(-1)
	if !e.accepting.Load() {
		return false
	}
	e.streams.Add(1)
	return true
}

func (e *Engine) initFailed(ctx context.Context, s *Stream, err error) {
	switch {
	case errors.Is(err, errEnding) || ctx.Err() != nil:
		s.End(Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON})
		return
	case s.End(failed(statusOf(err))):
		e.log.Error("a stream could not be initialized", "account", s.account, "error", err)
	}
}

// statusOf is what a client is told of err.
func statusOf(err error) chatpb.ReturnStatus {
	if errors.Is(err, errStore) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) ||
		errors.Is(err, pool.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
		return chatpb.ReturnStatus_DATABASE_DOWN
	}
	return chatpb.ReturnStatus_LG_ERROR
}

// EndAccount ends the account's open stream, if it has one.
func (e *Engine) EndAccount(account string, why Ending) {
	if ref, ok := e.registry.Acquire(account); ok {
		ref.Stream().End(why)
		ref.Release()
	}
}

// EndElsewhere is EndAccount, unless the stream is one of that installation: it
// may have been opened after what is to end it happened.
func (e *Engine) EndElsewhere(account, installation string, why Ending) {
	if ref, ok := e.registry.Acquire(account); ok {
		if ref.Stream().installation != installation {
			ref.Stream().End(why)
		}
		ref.Release()
	}
}

// EndAccountWith ends the account's open stream with a status.
func (e *Engine) EndAccountWith(account string, status chatpb.ReturnStatus) {
	e.EndAccount(account, failed(status))
}

// TurnPanicked is for pool.Config.OnPanic: a panic in a stream's turn ends that
// stream, and nothing else. A room whose turn panicked is in an unknown state;
// its streams must come again, from the store.
func (e *Engine) TurnPanicked(t pool.Task, v any, stack []byte) {
	switch t := t.(type) {
	case *Stream:
		e.log.Error("panic in a stream's turn", "account", t.account, "panic", v, "stack", string(stack))
		t.End(failed(chatpb.ReturnStatus_LG_ERROR))
	case *hostedRoom:
		e.log.Error("panic in a room's turn", "room", t.id, "panic", v, "stack", string(stack))
		t.panicked()
	}
}

// elapsed is the time since the engine was made, in nanoseconds, never 0. It is
// what streams' lives are measured by: a step of the wall clock ends none and
// keeps none alive.
func (e *Engine) elapsed() int64 { return int64(time.Since(e.started)) + 1 }

// Streams is the number of open streams.
func (e *Engine) Streams() int { return e.registry.Len() }

// Accepting reports whether new streams are served.
func (e *Engine) Accepting() bool { return e.accepting.Load() }

// sweep looks after what nobody else wakes up for: streams whose client does
// not read, and tails of rooms in which nothing happens.
func (e *Engine) sweep(ctx context.Context) {
	interval := min(e.cfg.StallPatience/8, e.cfg.TailAge/4, e.cfg.BookmarkEvery/4, 5*time.Second)
	ticker := time.NewTicker(max(interval, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			e.registry.Range(func(s *Stream) {
				since := s.stalledSince.Load()
				if since != 0 && e.elapsed()-since >= int64(e.cfg.StallPatience) {
					s.End(Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT, Stalled: true})
				}
				s.bookmarkWhenIdle()
			})
			if e.tailBytes.Load() == 0 {
				continue
			}
			e.rooms.each(func(h *hostedRoom) {
				if h.tail.ring.Load() != nil {
					n := &trimNote{}
					n.Init(n)
					e.rooms.tell(h, &n.Link)
				}
			})
		}
	}
}
