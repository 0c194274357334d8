package mongo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// request is one caller's op on its way through the committer.
type request struct {
	op store.Op
	// number is the request's within this process; it is in what it writes.
	number uint64
	mark   []byte
	// taken is set by whoever comes first: the committer, which then carries the
	// request out, or a caller who no longer waits, and then it is not.
	taken atomic.Bool
	// left says that the caller no longer waits; then the committer may drop what
	// it would have to try again.
	left atomic.Bool
	// The committer's: attempted is the last attempt of which it is not known what
	// became of it, attempts how many there were; blockedSince is when it was first
	// refused without a reason to be seen.
	attempted    []record
	attempts     int
	blockedSince time.Time
	// owned says that it was the committer who took it; guarded by Store.mu.
	owned bool

	// done and err are the answer, set before answered is closed.
	done     store.Appended
	err      error
	answered chan struct{}
}

// errMaybe: it is not known whether an attempt was stored, and no other can be made.
var errMaybe = fmt.Errorf("%w: it may have been stored, and may be sent again with the same uuid", store.ErrUnavailable)

// errMoved: the room was forgotten while the request waited. It is made again.
var errMoved = errors.New("the room was forgotten")

// Append implements store.Log. Decide runs on the committer, with everybody's
// next message behind it: it must be quick.
func (s *Store) Append(ctx context.Context, roomID string, op store.Op) (store.Appended, error) {
	what := "append to room " + roomID
	if err := op.Check(roomID); err != nil {
		return store.Appended{}, fmt.Errorf("store: %s: %w", what, err)
	}
	if err := s.usable(ctx); err != nil {
		return store.Appended{}, fmt.Errorf("store: %s: %w", what, err)
	}
	// Hashed here and not by the committer, of which there is only one.
	var mark []byte
	if op.UUID != "" {
		mark = op.Fingerprint()
	}
	q := &request{op: op, number: s.requests.Add(1), mark: mark}
	for {
		q.answered = make(chan struct{})
		q.taken.Store(false)
		q.owned = false
		done, err := s.append(ctx, roomID, q)
		var refusal refused
		switch {
		case err == nil:
			return done, nil
		case errors.As(err, &refusal):
			return store.Appended{}, refusal.err
		case !errors.Is(err, errMoved):
			return store.Appended{}, fmt.Errorf("store: %s: %w", what, err)
		}
	}
}

// refused wraps what Decide said, to be returned as it is.
type refused struct{ err error }

func (r refused) Error() string { return r.err.Error() }

func (s *Store) append(ctx context.Context, roomID string, q *request) (store.Appended, error) {
	r, err := s.enter(ctx, roomID)
	if err != nil {
		return store.Appended{}, s.failure(ctx, err)
	}
	err = s.enqueue(r, q)
	s.leave(r)
	if err != nil {
		return store.Appended{}, err
	}
	var early error
	select {
	case <-q.answered:
		return q.done, q.err
	case <-ctx.Done():
		early = ctx.Err()
	case <-s.stopped:
		early = s.refusal()
	}
	q.left.Store(true)
	// The answer is the better one if it is there too.
	select {
	case <-q.answered:
		return q.done, q.err
	default:
	}
	if !q.taken.Swap(true) {
		return store.Appended{}, early // nothing has been sent
	}
	return store.Appended{}, fmt.Errorf("%w: it may have been stored, and may be sent again with the same uuid: %w",
		store.ErrUnavailable, early)
}

// enqueue puts q behind the room's other requests.
func (s *Store) enqueue(r *tracked, q *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(); err != nil {
		return err
	}
	if r.dead {
		return errMoved
	}
	r.queue = append(r.queue, q)
	s.schedule(r)
	return nil
}

// decide asks the op what it makes of state. The error of Decide comes as refused;
// a panic in it costs nobody else his message.
func (s *Store) decide(q *request, state room.State) (drafts []room.Draft, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while deciding a change", "panic", p, "stack", string(debug.Stack()))
			drafts, err = nil, fmt.Errorf("panic while deciding a change: %v", p)
		}
	}()
	if drafts, err = q.op.Decide(state); err != nil {
		return nil, refused{err}
	}
	if len(drafts) == 0 {
		return nil, nil
	}
	if err := q.op.CheckDrafts(drafts, false); err != nil {
		return nil, err
	}
	return drafts, nil
}

// place gives drafts their places behind state.
func (s *Store) place(q *request, r *tracked, state room.State, now int64, drafts []room.Draft) ([]record, room.State) {
	records := make([]record, len(drafts))
	for i, d := range drafts {
		records[i] = record{
			Event: room.Event{Draft: d, Room: r.id, Seq: state.Seq + 1, Time: max(now, state.Time+1)},
			by:    author{s.process, q.number},
		}
		state = room.Fold(state, records[i].Event)
	}
	// Only the first draft is the client's.
	records[0].mark, records[0].viewed = q.mark, q.op.Viewed
	return records, state
}

// answer ends the request, at once.
func (q *request) answer(done store.Appended, err error) {
	q.done, q.err = done, err
	close(q.answered)
}

func eventsOf(records []record) []room.Event {
	events := make([]room.Event, len(records))
	for i := range records {
		events[i] = records[i].Event
	}
	return events
}
