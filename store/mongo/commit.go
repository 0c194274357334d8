package mongo

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// turn is one room's part in a round of the committer.
type turn struct {
	room *tracked
	// state is the room's at the beginning of the round. The committer alone
	// decides on it; if others come first, the unique index on (room, seq) says so.
	state room.State
	// staged are the requests with something to store, in order. together: it is
	// one, with several events, which are stored all or none.
	staged   []*staged
	together bool
	// refused is a request with nothing to store. Then there are none staged.
	refused *request
	verdict error

	// What came of it: how many of the staged are stored, and of the next one
	// whether a unique index refused it (collided) or why the database never will
	// take it (broken). unknown is set instead if it is not known what became of
	// all of them.
	stored   int
	collided bool
	broken   error
	unknown  error
}

// staged is a request and what it decided.
type staged struct {
	*request
	records []record
}

func (g *staged) last() uint64 { return g.records[len(g.records)-1].Seq }

func (t *turn) documents() []any {
	var documents []any
	for _, g := range t.staged {
		for i := range g.records {
			documents = append(documents, g.records[i].document())
		}
	}
	return documents
}

// commitLoop is the committer. It ends when the store is closed and what was
// accepted is done, or when the store has failed.
func (s *Store) commitLoop() {
	for turns := s.nextTurns(); turns != nil; turns = s.nextTurns() {
		s.round(turns)
	}
	s.releaseAll() // who waits for the stream now waits for nothing
	close(s.stopped)
}

// schedule puts the room on the committer's list; mu is held.
func (s *Store) schedule(r *tracked) {
	if r.scheduled {
		return
	}
	r.scheduled = true
	s.ready = append(s.ready, r)
	s.wakeCommitter()
}

func (s *Store) wakeCommitter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// nextTurns waits for requests and returns the next round's turns; nil when the
// store has ended.
func (s *Store) nextTurns() []*turn {
	// Those whom the last round answered are about to send their next: let them.
	runtime.Gosched()
	closing := s.closing
	for {
		turns, wait, over := s.pick()
		if over || turns != nil {
			return turns
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-closing: // then nothing yields any more
			closing = nil
		}
		timer.Stop()
	}
}

// pick takes rooms from the list: one alone, which may then send all that waits in
// it, or many with one event each. If many rooms have something to send, those in
// which several wait are sent alone in between, or a busy room would get no more
// than one event into each command.
func (s *Store) pick() (turns []*turn, wait time.Duration, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closing := s.isClosing()
	now := time.Now()
	wait = time.Hour
	var rooms, rest []*tracked
	for _, r := range s.ready {
		if until := r.notBefore.Sub(now); until > 0 && (!closing || r.refused()) {
			wait = min(wait, until)
			rest = append(rest, r)
		} else {
			rooms = append(rooms, r)
		}
	}
	if len(rooms) == 0 {
		return nil, wait, closing && len(rest) == 0 && s.asides == 0
	}
	alone := len(rooms) == 1
	if !alone && s.lastMany {
		if i := slices.IndexFunc(rooms, func(r *tracked) bool { return len(r.queue) > 1 }); i >= 0 {
			alone = true
			rest = append(append(rest, rooms[:i]...), rooms[i+1:]...)
			rooms = rooms[i : i+1]
		}
	}
	if len(rooms) > s.cfg.MaxBatch {
		rest = append(rest, rooms[s.cfg.MaxBatch:]...)
		rooms = rooms[:s.cfg.MaxBatch]
	}
	s.lastMany, s.ready = !alone, rest
	for _, r := range rooms {
		turns = append(turns, &turn{room: r, state: r.state})
	}
	return turns, 0, false
}

// refused reports whether the room's first request was refused without a reason to
// be seen (blocked); mu is held. Then the room waits also while the store is closed:
// that is no courtesy to others.
func (r *tracked) refused() bool {
	return len(r.queue) > 0 && !r.queue[0].blockedSince.IsZero()
}

// maxBatchBytes ends a batch early, so that large messages make neither huge
// commands nor long waits.
const maxBatchBytes = 4 << 20

// round lets the requests decide, sends what they have decided, and answers. What
// needs more than one command goes aside.
func (s *Store) round(turns []*turn) {
	limit := 1
	if len(turns) == 1 {
		limit = s.cfg.MaxBatch
	}
	bytes := 0
	for _, t := range turns {
		s.stage(t, limit, &bytes)
	}
	var shared, refused, doubtful, done []*turn
	for _, t := range turns {
		switch {
		case t.together:
			s.aside(t)
		case t.refused != nil:
			refused = append(refused, t)
		case len(t.staged) == 0:
			done = append(done, t)
		default:
			shared = append(shared, t)
		}
	}
	s.aside(refused...)
	if len(shared) > 0 {
		s.sendShared(shared)
	}
	for _, t := range shared {
		if s.acknowledge(t); t.stored < len(t.staged) {
			doubtful = append(doubtful, t)
		} else {
			done = append(done, t)
		}
	}
	s.aside(doubtful...)
	s.finish(done)
}

// aside carries out what turns need beyond the command that all rooms share, so
// that the committer does not wait for it: a transaction, and looking into the
// database for what became of a request. Their rooms have no other turn until
// then.
func (s *Store) aside(turns ...*turn) {
	if len(turns) == 0 {
		return
	}
	s.mu.Lock()
	s.asides++
	s.mu.Unlock()
	s.tasks.Go(func() {
		var doubtful []*turn
		for _, t := range turns {
			if t.together {
				s.sendTogether(t)
				s.acknowledge(t)
			}
			if t.refused != nil || t.stored < len(t.staged) {
				doubtful = append(doubtful, t)
			}
		}
		if len(doubtful) > 0 {
			s.settle(doubtful)
		}
		s.finish(turns)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asides--
		s.wakeCommitter() // it may be waiting for this to end
	})
}

// finish lets the rooms have further turns.
func (s *Store) finish(turns []*turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range turns {
		if t.room.scheduled = false; len(t.room.queue) > 0 {
			s.schedule(t.room)
		}
	}
}

// stage lets the room's requests decide, each on the state after the one before.
// It ends at one that has nothing to store: what that is told may rest on what
// those before it are about to store, so it comes first in a round of its own.
func (s *Store) stage(t *turn, limit int, bytes *int) {
	state, now := t.state, s.clock.now()
	uuids := make(map[string]struct{})
	for len(t.staged) < limit && *bytes < maxBatchBytes && !t.together {
		q := s.first(t.room)
		if q == nil {
			return
		}
		if _, again := uuids[q.op.UUID]; again {
			return // a repetition, as will turn out in a later round
		}
		drafts, err := s.decide(q, state)
		if len(drafts) > 0 && len(q.attempted) > 0 && drafts[0].UUID != q.attempted[0].UUID {
			// That attempt may yet turn out to have succeeded: it would be stored
			// under both uuids.
			drafts, err = nil, errMaybe
		}
		switch {
		case len(drafts) == 0 && len(t.staged) == 0:
			s.remove(t.room, q)
			t.refused, t.verdict = q, err
			return
		case len(drafts) == 0, len(drafts) > 1 && len(t.staged) > 0:
			return
		}
		s.remove(t.room, q)
		g := &staged{request: q}
		g.records, state = s.place(q, t.room, state, now, drafts)
		for i := range drafts {
			uuids[drafts[i].UUID] = struct{}{}
			*bytes += g.records[i].Size()
		}
		t.staged = append(t.staged, g)
		t.together = len(drafts) > 1
	}
}

// first returns the room's first request that somebody still waits for, and says
// that it is being carried out.
func (s *Store) first(r *tracked) *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(r.queue) > 0 {
		q := r.queue[0]
		switch {
		case q.left.Load():
			q.taken.Store(true)
		case r.dead:
			q.answer(store.Appended{}, errMoved)
		case q.owned || !q.taken.Swap(true):
			q.owned = true
			return q
		}
		r.queue = r.queue[1:]
	}
	r.queue = nil
	return nil
}

// remove takes q, which is the first, out of the queue.
func (s *Store) remove(r *tracked, q *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.queue = r.queue[1:]
}

// again puts requests back to where they were.
func (s *Store) again(r *tracked, requests ...*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.queue = append(slices.Clip(requests), r.queue...)
}

// acknowledge shows and answers what is stored.
func (s *Store) acknowledge(t *turn) {
	if t.stored == 0 {
		return
	}
	var records []record
	for _, g := range t.staged[:t.stored] {
		records = append(records, g.records...)
	}
	s.learned(t.room, records)
	for _, g := range t.staged[:t.stored] {
		s.shown(t.room, g.last(), func() { g.answer(store.Appended{Events: eventsOf(g.records)}, nil) })
	}
	s.yield(t.room)
}

// maxYield bounds what a room yields, whatever the number of rivals.
const maxYield = 500 * time.Millisecond

// yield lets other processes go first that write to the same room: whoever has
// just won knows the room's last event before they do, and would win again.
func (s *Store) yield(r *tracked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := r.rivals(); n > 0 && s.latency > 0 {
		longest := min(4*s.latency*time.Duration(n), maxYield)
		r.notBefore = time.Now().Add(rand.N(longest))
	}
}
