package embedded

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// request is one caller's change on its way through the committer.
type request struct {
	// stage decides the change against g and stages what it writes. It runs on
	// the committer. An error says that nothing was staged.
	stage func(g *group) error
	// taken is set by whoever comes first: the committer, which then carries
	// the request out, or a caller who no longer waits, and then it is not.
	taken atomic.Bool
	// err is what stage said; refusal is set instead when the group was lost.
	// Both are set before done is closed.
	err, refusal error
	done         chan struct{}
}

func (r *request) answer(what string) error {
	if r.refusal != nil {
		return fmt.Errorf("store: %s: %w", what, r.refusal)
	}
	return r.err
}

// submit has stage run by the committer and returns when what it staged is
// durable and visible. An error of stage is returned as it is; others say what
// was being done. When ctx ends first the change may still happen, unless the
// committer had not begun with it. What stage leaves in variables may be read
// only after submit returned nil.
func (s *Store) submit(ctx context.Context, what string, stage func(*group) error) error {
	early := s.usable(ctx)
	if early != nil {
		return fmt.Errorf("store: %s: %w", what, early)
	}
	r := &request{stage: stage, done: make(chan struct{})}
	select {
	case s.queue <- r:
		select {
		case <-r.done:
			return r.answer(what)
		case <-ctx.Done():
			early = ctx.Err()
		case <-s.failed:
			early = s.refusal()
		case <-s.stopped:
			early = s.refusal()
		}
	case <-ctx.Done():
		early = ctx.Err()
	case <-s.failed:
		early = s.refusal()
	case <-s.closing:
		early = s.refusal()
	}
	// The answer is the better one if it is there too.
	select {
	case <-r.done:
		return r.answer(what)
	default:
		r.taken.Store(true)
		return fmt.Errorf("store: %s: %w", what, early)
	}
}

// maxGroupBytes ends a group early, so that large messages make neither huge
// batches nor long syncs.
const maxGroupBytes = 4 << 20

// commitLoop is the committer. It ends when the store is closed and what was
// accepted is done, or when the store has failed.
func (s *Store) commitLoop() {
	defer func() {
		// A function of a caller may have ended this goroutine (runtime.Goexit).
		if s.refusal() == nil {
			s.fail(errors.New("the committer was ended by a decision"))
		}
		close(s.stopped)
	}()
	for {
		var first *request
		select {
		case first = <-s.queue:
		case <-s.failed:
			return
		case <-s.closing:
			select {
			case first = <-s.queue:
			default:
				return
			}
		}
		if s.commitGroup(first); s.Err() != nil {
			return
		}
	}
}

// commitGroup carries out first and what waits behind it.
func (s *Store) commitGroup(first *request) {
	g := s.newGroup()
	defer g.close()
	var requests []*request
	// Those whom the last group answered are about to send their next: let them,
	// or half of them would wait for another sync.
	runtime.Gosched()
	for r := first; r != nil; {
		if !r.taken.Swap(true) {
			r.err = g.run(r.stage)
			requests = append(requests, r)
		}
		if len(requests) >= s.cfg.MaxBatch || g.bytes >= maxGroupBytes {
			break
		}
		select {
		case r = <-s.queue:
		default:
			r = nil
		}
	}
	if !g.empty() {
		if err := g.commit(); err != nil {
			s.fail(err)
		}
		// Pebble reports a failed sync to its logger and then returns nil.
		if s.Err() == nil {
			s.publish(g)
		}
	}
	// Also those that wrote nothing wait until here: their answer, be it a
	// refusal or a repetition, may rest on what others of the group wrote.
	var refusal error
	if s.Err() != nil && !g.published {
		refusal = s.refusal()
	}
	for _, r := range requests {
		r.refusal = refusal
		close(r.done)
	}
}

// publish shows g, which is durable, in the order doc.go gives reasons for.
func (s *Store) publish(g *group) {
	groups := g.view.groups
	if len(g.events) > 0 {
		groups++
	}
	s.views.publish(s.db, groups)
	for id, p := range g.rooms {
		if p.changed {
			s.states.publish(id, p.state)
		}
	}
	if len(g.events) > 0 {
		s.ring.add(g.events)
	}
	g.published = true
}

// group is what one commit will write: the batch, and what it makes of rooms,
// uuids, seen times and accounts, for the requests that follow in the same
// group to be decided against. Only the committer touches it.
type group struct {
	s *Store
	// view is everything before the group, since nobody else writes.
	view  *view
	now   int64
	batch *pebble.Batch
	// events are the group's, in order.
	events []room.Event
	bytes  int

	rooms    map[string]*groupRoom
	uuids    map[string]groupUUID
	seen     map[seenBy]store.Seen
	accounts map[string]store.Account
	names    map[string]string

	published bool
}

type groupRoom struct {
	state room.State
	// members are those whose membership has changed.
	members map[string]struct{}
	changed bool
}

type groupUUID struct {
	event room.Event
	mark  fingerprint
}

type seenBy struct{ roomID, account string }

func (s *Store) newGroup() *group {
	return &group{
		s:     s,
		view:  s.views.acquire(),
		now:   s.cfg.Now().UnixMilli(),
		batch: s.db.NewBatch(),
		rooms: make(map[string]*groupRoom), uuids: make(map[string]groupUUID), seen: make(map[seenBy]store.Seen),
		accounts: make(map[string]store.Account), names: make(map[string]string),
	}
}

// close releases what the group held. A batch that was not committed well is
// left to the garbage collector: pebble may still be using it.
func (g *group) close() {
	if g.published || g.batch.Empty() {
		_ = g.batch.Close()
	}
	g.view.release()
}

func (g *group) empty() bool {
	return g.batch.Empty() && len(g.seen) == 0 && len(g.accounts) == 0
}

// run stages one request. What it calls are other packages' functions, and a
// panic in one must cost no one else his message; stages change the group only
// when nothing can go wrong any more, so there is nothing to take back.
func (g *group) run(stage func(*group) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.s.log.Error("panic while deciding a change", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("store: panic while deciding a change: %v", p)
		}
	}()
	return stage(g)
}

// commit completes the batch and writes and syncs it. nil does not mean that it
// succeeded, see pebbleLogger.Fatalf.
func (g *group) commit() (err error) {
	defer func() {
		// Pebble panics when it cannot write to its log.
		if p := recover(); p != nil {
			cause, ok := p.(error)
			if !ok {
				cause = fmt.Errorf("%v", p)
			}
			err = fmt.Errorf("pebble: commit: %w", cause)
		}
	}()
	if err := g.complete(); err != nil {
		return err
	}
	how := pebble.Sync
	if g.s.cfg.noSync {
		how = pebble.NoSync
	}
	if err := g.batch.Commit(how); err != nil {
		return fmt.Errorf("pebble: commit: %w", err)
	}
	return nil
}

// complete adds the projections: each once per group, however often it changed.
func (g *group) complete() error {
	var errs []error
	set := func(key, value []byte) { errs = append(errs, g.batch.Set(key, value, nil)) }
	for id, p := range g.rooms {
		if !p.changed {
			continue
		}
		set(roomKey(id), encodeHeader(&p.state.Header))
		for account := range p.members {
			m, _ := p.state.Member(account)
			set(memberKey(id, account), encodeMember(&m))
			if m.Present() {
				set(roomsOfKey(account, id), nil)
			} else {
				errs = append(errs, g.batch.Delete(roomsOfKey(account, id), nil))
			}
		}
	}
	for by, seen := range g.seen {
		set(seenKey(by.roomID, by.account), encodeSeen(seen))
	}
	for id, a := range g.accounts {
		set(accountKey(id), encodeAccount(&a))
	}
	for name, id := range g.names {
		set(nameKey(name), []byte(id))
	}
	return errors.Join(errs...)
}
