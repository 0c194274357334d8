package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Session is an account that is online: it keeps one chat stream alive until it
// is closed, or until the account may not have one any more. It is safe for
// concurrent use; only Events is for one goroutine at a time.
//
// What a session tells of its rooms is what the events handed out so far say:
// after JoinRoom, the room is in Rooms when its RoomEntered has been handed out.
type Session struct {
	client  *Client
	backoff Backoff
	auth    *auth
	account string

	inbox   *inbox
	lookups *lookups
	taking  atomic.Bool
	// doubts and moved wake the keeper: see book.doubts, book.moved.
	doubts, moved chan struct{}

	mu   sync.Mutex
	book *book
	// replace ends the stream that is open, nil if there is none.
	replace context.CancelCauseFunc

	// ctx ends with the session, its cause is why.
	ctx  context.Context
	stop context.CancelCauseFunc
	done chan struct{} // closed when the goroutines have ended
}

// SessionOption changes how a session works.
type SessionOption func(*sessionConfig)

type sessionConfig struct {
	book    bookConfig
	backoff Backoff
	login   func(context.Context) (Credentials, error)
	resume  *State
}

// Relogin renews a login that has expired. Without it the session ends then.
// login is called while no stream is open; it should not wait for the session.
func Relogin(login func(ctx context.Context) (Credentials, error)) SessionOption {
	return func(c *sessionConfig) { c.login = login }
}

// WithBackoff changes how long to wait between attempts.
func WithBackoff(b Backoff) SessionOption {
	return func(c *sessionConfig) { c.backoff = b }
}

// FullText asks for the rest of texts that come cut, before they are handed out.
// What happens later in the same room waits meanwhile. A text is handed out as
// it is, not Complete, if the server cannot give the rest, or if more messages
// wait than memory should hold.
func FullText() SessionOption {
	return func(c *sessionConfig) { c.book.fullText = true }
}

// FullHistory asks for the newest n texts of the history of a room before it is
// entered. History comes without texts otherwise, except for the newest ten of a
// room that was joined just now.
func FullHistory(n int) SessionOption {
	return func(c *sessionConfig) { c.book.fullHistory = n }
}

// HistoryLimit is how many messages of each room the session keeps. The default
// is 500.
func HistoryLimit(n int) SessionOption {
	return func(c *sessionConfig) { c.book.historyLimit = max(n, 0) }
}

// Resume continues where another session of the account was: see State.
func Resume(state State) SessionOption {
	return func(c *sessionConfig) { c.resume = &state }
}

// Open goes online with a login. It does not wait for a connection: Events tells
// what becomes of it. Take events all the time, and close the session when done.
func (c *Client) Open(creds Credentials, opts ...SessionOption) (*Session, error) {
	cfg := sessionConfig{book: bookConfig{historyLimit: 500}}
	for _, o := range opts {
		o(&cfg)
	}
	s := &Session{
		client:  c,
		backoff: cfg.backoff.withDefaults(),
		auth:    newAuth(creds, cfg.login),
		account: creds.AccountID,
		inbox:   newInbox(),
		lookups: newLookups(),
		doubts:  make(chan struct{}, 1),
		moved:   make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	cfg.book.want, cfg.book.reopen, cfg.book.doubt = s.want, s.reopen, func() { signal(s.doubts) }
	cfg.book.moved = func() { signal(s.moved) }
	s.book = newBook(Member{Account: creds.AccountID, Name: creds.Name}, cfg.book)
	if cfg.resume != nil {
		if err := s.book.restore(*cfg.resume); err != nil {
			return nil, fmt.Errorf("resume: %w", err)
		}
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	go s.run()
	return s, nil
}

// Close goes offline and waits until all goroutines of the session have ended.
// Calls that wait return ErrClosed, the loop over Events ends without an error.
func (s *Session) Close() {
	s.stop(ErrClosed)
	<-s.done
}

// Events hands out what happens, until the loop is left. It may be called again
// then and continues where it was. It ends with an error when the session is
// over, which says why, or when ctx is done; without one when the session was
// closed.
//
// The loop may call all methods of the session.
func (s *Session) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if s.taking.Swap(true) {
			yield(nil, ErrBusy)
			return
		}
		defer s.taking.Store(false)
		for {
			e, err := s.next(ctx)
			if e == nil {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *Session) next(ctx context.Context) (Event, error) {
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(context.Cause(s.ctx), ErrClosed):
		return nil, nil
	}
	// Once an event is made it is handed out, whatever happens to ctx: the book
	// says that it was.
	for i := (item{}); ; {
		s.mu.Lock()
		s.book.feed(i)
		e := s.book.next()
		s.mu.Unlock()
		if e != nil {
			return e, nil
		}
		var ok bool
		var err error
		if i, ok, err = s.inbox.take(ctx); !ok {
			return nil, err
		}
	}
}

// Account is the id of the account.
func (s *Session) Account() string { return s.account }

// Rooms are the rooms the account is in, by name.
func (s *Session) Rooms() []Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Room, 0, len(s.book.rooms))
	for _, r := range s.book.rooms {
		out = append(out, r.info)
	}
	slices.SortFunc(out, func(a, b Room) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Room is one of the rooms the account is in.
func (s *Session) Room(id string) (Room, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.book.rooms[id]
	if r == nil {
		return Room{}, false
	}
	return r.info, true
}

// Members are the members of a room, the account itself first. Nil if the
// account is not in the room.
func (s *Session) Members(id string) []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.book.rooms[id]
	if r == nil {
		return nil
	}
	return r.present(s.book.self)
}

// History are the newest n messages of a room that the session holds, oldest
// first. They may lack their text: see RequestFull.
func (s *Session) History(id string, n int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.book.rooms[id]
	if r == nil {
		return nil
	}
	return slices.Clone(r.history[max(0, len(r.history)-n):])
}

// reopen replaces the stream that is open. Called with mu held.
func (s *Session) reopen() {
	if s.replace != nil {
		s.replace(errReplace)
	}
}

// want asks for messages in full. Called with mu held.
func (s *Session) want(room string, uuids []string) {
	epoch := s.book.epoch
	for chunk := range slices.Chunk(uuids, maxLookup) {
		s.lookups.add(&lookup{room: room, uuids: slices.Clone(chunk), epoch: epoch, done: func(l *lookup, err error) {
			found := make(map[string]*message, len(l.uuids))
			for _, uuid := range l.uuids {
				found[uuid] = l.found[uuid]
			}
			s.inbox.push(item{full: &answers{room: room, epoch: epoch, found: found, outside: errors.Is(err, ErrNotInRoom)}})
		}})
	}
}

// bind is a context that ends with ctx or the session, whichever is first.
func (s *Session) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
