package embedded

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
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
	var syncer sync.WaitGroup
	syncer.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("role", "syncer"), func(context.Context) { s.syncLoop() })
	})
	g := s.newGroup()
	ended := false
	defer func() {
		// A function of a caller may have ended this goroutine (runtime.Goexit).
		if !ended {
			s.fail(errors.New("the committer was ended by a decision"))
		}
		g.drop()
		close(s.decided)
		syncer.Wait()
		s.ring.Finish(s.refusal) // behind the last group
		close(s.stopped)
	}()
	for !ended {
		if s.gather(g) {
			g.complete()
			s.decided <- g
			g = s.newGroup()
		} else {
			ended = true
		}
	}
}

// gather lets requests decide in g until the syncer is free to take it. false
// is the end.
func (s *Store) gather(g *group) bool {
	for {
		free, closing := s.free, s.closing
		if g.drain(); len(g.requests) == 0 {
			free = nil
		} else {
			closing = nil
		}
		queue := s.queue
		if g.full() {
			queue = nil
		}
		select {
		case r := <-queue:
			g.take(r)
		case <-free:
			// Those who were just answered are about to send their next: let
			// them, or they would wait for another sync.
			for more := true; more; more = g.drain() {
				runtime.Gosched()
			}
			return true
		case <-s.failed:
			return false
		case <-closing:
			return false
		}
	}
}

// syncLoop is the syncer. It has one group at a time, and ends after the last
// or when the store has failed.
func (s *Store) syncLoop() {
	for g := range s.decided {
		if s.finish(g); s.Err() != nil {
			return
		}
		s.free <- struct{}{}
	}
}

// finish makes g durable and visible, and answers those who are in it.
func (s *Store) finish(g *group) {
	published := false
	if !g.batch.Empty() {
		if err := s.commit(g.batch); err != nil {
			s.fail(err)
		}
		// Pebble reports a failed sync to its logger and then returns nil.
		if s.Err() == nil {
			s.publish(g)
			published = true
		}
	}
	if published || g.batch.Empty() {
		_ = g.batch.Close()
	} // else pebble may still be using it
	// Also those that wrote nothing wait until here: their answer, be it a
	// refusal or a repetition, may rest on what others of the group wrote.
	var refusal error
	if s.Err() != nil && !published {
		refusal = s.refusal()
	}
	g.answer(refusal)
}

// commit writes and syncs batch. nil does not mean that it succeeded, see
// pebbleLogger.Fatalf.
func (s *Store) commit(batch *pebble.Batch) (err error) {
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
	how := pebble.Sync
	if s.cfg.noSync {
		how = pebble.NoSync
	}
	if err := batch.Commit(how); err != nil {
		return fmt.Errorf("pebble: commit: %w", err)
	}
	return nil
}

// publish shows g, which is durable, in the order doc.go gives reasons for.
func (s *Store) publish(g *group) {
	groups := s.views.current.Load().groups
	if len(g.events) > 0 {
		groups = s.ring.Expect()
	}
	s.views.publish(s.db, g.number, groups)
	for _, state := range g.states {
		s.states.publish(state.ID, state)
	}
	if len(g.events) > 0 {
		s.ring.Add(store.Batch{Events: g.events})
	}
}

// group is what one commit will write. The committer fills it and then hands it
// to the syncer; what both would need, the states of the rooms, is copied.
type group struct {
	s *Store
	// number counts groups that wrote something, from 1.
	number   uint64
	requests []*request
	batch    *pebble.Batch
	// events are the group's, in order.
	events []room.Event
	bytes  int
	// states are those of the rooms that changed.
	states []room.State

	// The rest is the committer's. view and memory together are the store after
	// the last staged change; view is nil before the first request.
	view   *view
	memory *memory
	now    int64
	// What changed is written once, however often it did.
	rooms       []*roomEntry
	seenEntries []*seenEntry
	// scratch is where keys and values are made before they are copied into batch.
	scratch []byte
}

func (s *Store) newGroup() *group {
	return &group{
		s: s, number: s.memory.last + 1, memory: &s.memory, batch: s.db.NewBatch(),
	}
}

func (g *group) full() bool {
	return len(g.requests) >= g.s.cfg.MaxBatch || g.bytes >= maxGroupBytes
}

// drain takes what waits, and reports whether there was anything.
func (g *group) drain() (any bool) {
	for !g.full() {
		select {
		case r := <-g.s.queue:
			g.take(r)
			any = true
		default:
			return any
		}
	}
	return false
}

// take lets r decide, unless nobody waits for it any more.
func (g *group) take(r *request) {
	if r.taken.Swap(true) {
		return
	}
	if g.view == nil {
		g.view = g.s.views.acquire()
		g.memory.forget(g.view.number)
	}
	g.now = g.s.cfg.Now().UnixMilli()
	r.err = g.run(r.stage)
	g.requests = append(g.requests, r)
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

// set stages one key. The batch copies both; it has no index, so this does not
// fail.
func (g *group) set(key, value []byte) { _ = g.batch.Set(key, value, nil) }

// complete adds the projections and leaves g to the syncer.
func (g *group) complete() {
	b := g.scratch
	for _, e := range g.rooms {
		id := e.id
		b = appendScope(b[:0], keyRoom, id)
		n := len(b)
		b = appendHeader(b, &e.state.Header)
		g.set(b[:n], b[n:])
		for _, account := range e.members {
			m, _ := e.state.Member(account)
			g.set(memberKey(id, account), encodeMember(&m))
			if m.Present() {
				g.set(roomsOfKey(account, id), nil)
			} else {
				_ = g.batch.Delete(roomsOfKey(account, id), nil)
			}
		}
		g.states = append(g.states, e.state)
	}
	for _, e := range g.seenEntries {
		b = append(appendScope(b[:0], keySeen, e.roomID), e.account...)
		n := len(b)
		b = appendSeen(b, e.is)
		g.set(b[:n], b[n:])
	}
	if !g.batch.Empty() {
		g.memory.last = g.number
	}
	g.view.release()
	g.view = nil
}

// answer tells everybody in g what became of his request.
func (g *group) answer(refusal error) {
	for _, r := range g.requests {
		r.refusal = refusal
		close(r.done)
	}
}

// drop gives g up at the end of the store.
func (g *group) drop() {
	_ = g.batch.Close()
	if g.view != nil {
		g.view.release()
	}
	g.answer(g.s.refusal())
}
