package engine

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// memLog is a store.Log in memory whose Watch can be held back, reordered and
// broken: what a store far away does.
type memLog struct {
	mu      sync.Mutex
	changed chan struct{}
	events  map[string][]room.Event
	states  map[string]room.State
	seen    map[string]map[string]store.Seen
	feed    []store.Batch
	// mangle, if not nil, makes what Watch shows of each batch.
	mangle func([]room.Event) []room.Event
	// lost makes Watch answer ErrHistoryLost for positions before it.
	lost int
	// held, if not negative, is how many batches Watch shows: the later ones are
	// stored, and everything but Watch knows of them.
	held int
	// fail, if not nil, is what reads return.
	fail error
	// reads counts Events calls; gate, if not nil, is waited for in each.
	reads atomic.Int64
	gate  chan struct{}
	// states counts State calls; stateGate and stateFail are gate and fail for
	// these alone. A gated State knows what it would have known at first.
	stateReads atomic.Int64
	stateGate  chan struct{}
	stateFail  error
	// stateLate makes a gated State know what is known when it goes on.
	stateLate bool
	// behind, if not nil, is what State says instead: a store that keeps states in
	// memory may know no more than what Watch has shown.
	behind map[string]room.State
	// panics makes Events and Event panic.
	panics bool
	// asked are the rooms of each SeenBy, raised what each RaiseViewed was given.
	asked  [][]string
	raised []map[string]int64
	// without is a room that RoomsOf does not know of.
	without string
	// watched are the positions Watch was called with; broken counts its breaks.
	watched []store.Position
	broken  int
	// claims are the newest; claimFail is what Claim and Claims return, and
	// claimsGate is waited for in Claims, which knows what it would have known at first.
	claims     map[string]store.Claim
	claimFail  error
	claimsGate chan struct{}
}

func (l *memLog) Claim(_ context.Context, account, installation string) (store.Claim, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claimFail != nil {
		return store.Claim{}, l.claimFail
	}
	c := store.Claim{Account: account, Generation: l.claims[account].Generation + 1, Installation: installation}
	l.claims[account] = c
	l.show(store.Batch{Claims: []store.Claim{c}})
	return c, nil
}

func (l *memLog) Claims(_ context.Context, accounts []string) ([]store.Claim, error) {
	l.mu.Lock()
	var claims []store.Claim
	for _, a := range accounts {
		if c, ok := l.claims[a]; ok {
			claims = append(claims, c)
		}
	}
	gate, fail := l.claimsGate, l.claimFail
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return claims, fail
}

// session has a session change on another server.
func (l *memLog) session(account string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.show(store.Batch{Sessions: []string{account}})
}

// show adds b to what Watch shows. Called with l.mu held.
func (l *memLog) show(b store.Batch) {
	b.After = store.Position(strconv.Itoa(len(l.feed) + 1))
	l.feed = append(l.feed, b)
	close(l.changed)
	l.changed = make(chan struct{})
}

// interrupt breaks off every Watch that is under way.
func (l *memLog) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken++
	close(l.changed)
	l.changed = make(chan struct{})
}

// watches are the positions from which was watched.
func (l *memLog) watches() []store.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.watched)
}

var _ store.Log = (*memLog)(nil)

func newMemLog() *memLog {
	return &memLog{
		changed: make(chan struct{}),
		held:    -1,
		events:  map[string][]room.Event{},
		claims:  map[string]store.Claim{},
		states:  map[string]room.State{},
		seen:    map[string]map[string]store.Seen{},
	}
}

func (l *memLog) Append(_ context.Context, id string, op store.Op) (store.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := l.states[id]
	if op.UUID != "" {
		for _, e := range l.events[id] {
			if e.UUID == op.UUID {
				return store.Appended{Events: []room.Event{e}, Repeated: true}, nil
			}
		}
	}
	drafts, err := op.Decide(state)
	if err != nil {
		return store.Appended{}, err
	}
	var events []room.Event
	for _, d := range drafts {
		e := room.Event{Draft: d, Room: id, Seq: state.Seq + 1, Time: max(time.Now().UnixMilli(), state.Time+1)}
		state = room.Fold(state, e)
		events = append(events, e)
	}
	l.states[id] = state
	l.events[id] = append(l.events[id], events...)
	shown := slices.Clone(events)
	if l.mangle != nil {
		shown = l.mangle(shown)
	}
	l.show(store.Batch{Events: shown})
	return store.Appended{Events: events}, nil
}

func (l *memLog) State(_ context.Context, id string) (room.State, error) {
	l.mu.Lock()
	l.stateReads.Add(1)
	state, gate, fail := l.states[id], l.stateGate, cmp.Or(l.fail, l.stateFail)
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stateLate {
		state = l.states[id]
	}
	if l.behind != nil {
		state = l.behind[id]
	}
	return state, fail
}

// set changes l while others use it.
func (l *memLog) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// hold makes Watch show nothing of what is stored from now on, until release.
func (l *memLog) hold() { l.set(func() { l.held = len(l.feed) }) }

// holdStates is hold for State, too: it is as on a server that shares the store
// and has lost touch with it.
func (l *memLog) holdStates() {
	l.hold()
	l.set(func() { l.behind = maps.Clone(l.states) })
}

// together makes what is held become visible together, with more behind it.
func (l *memLog) together(more []room.Event) {
	l.set(func() {
		first := &l.feed[l.held]
		for i := l.held + 1; i < len(l.feed); i++ {
			b := &l.feed[i]
			first.Events, first.Claims = append(first.Events, b.Events...), append(first.Claims, b.Claims...)
			b.Events, b.Claims = nil, nil
		}
		first.Events = append(first.Events, more...)
	})
}

func (l *memLog) release() {
	l.set(func() { l.held, l.behind = -1, nil })
	l.changedNow()
}

// changedNow makes Watch look.
func (l *memLog) changedNow() {
	l.set(func() {
		close(l.changed)
		l.changed = make(chan struct{})
	})
}

// lose makes Watch answer ErrHistoryLost for what was held.
func (l *memLog) lose() {
	l.set(func() {
		l.lost = len(l.feed)
		l.held = -1
	})
	l.changedNow()
}

// logOf is everything that is stored in a room.
func (l *memLog) logOf(id string) []room.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[id])
}

func (l *memLog) Events(_ context.Context, id string, after uint64, page store.Page) ([]room.Event, error) {
	l.mu.Lock()
	l.reads.Add(1)
	gate, fail, panics := l.gate, l.fail, l.panics
	all := l.events[id]
	l.mu.Unlock()
	if panics {
		panic("broken on purpose")
	}
	if gate != nil {
		<-gate
	}
	if fail != nil {
		return nil, fail
	}
	all = all[min(after, uint64(len(all))):]
	if page.Events > 0 {
		all = all[:min(len(all), page.Events)]
	}
	if page.Bytes > 0 {
		n, bytes := 0, 0
		for n < len(all) && (n == 0 || bytes+len(all[n].Body) <= page.Bytes) {
			bytes += len(all[n].Body)
			n++
		}
		all = all[:n]
	}
	return slices.Clone(all), nil
}

func (l *memLog) Event(_ context.Context, id, uuid string) (room.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panics {
		panic("broken on purpose")
	}
	for _, e := range l.events[id] {
		if e.UUID == uuid {
			return e, l.fail
		}
	}
	return room.Event{}, cmp.Or(l.fail, store.ErrNotFound)
}

func (l *memLog) SeqAt(_ context.Context, id string, t int64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var seq uint64
	for _, e := range l.events[id] {
		if e.Time <= t {
			seq = e.Seq
		}
	}
	return seq, l.fail
}

func (l *memLog) RoomsOf(_ context.Context, account string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id, s := range l.states {
		if s.Present(account) && id != l.without {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, l.fail
}

func (l *memLog) Seen(_ context.Context, id string) (map[string]store.Seen, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[id], l.fail
}

func (l *memLog) SeenBy(_ context.Context, account string, ids []string) (map[string]store.Seen, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, ids)
	seen := map[string]store.Seen{}
	for _, id := range ids {
		if s, ok := l.seen[id][account]; ok {
			seen[id] = s
		}
	}
	return seen, l.fail
}

func (l *memLog) RaiseViewed(_ context.Context, account string, viewed map[string]int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raised = append(l.raised, viewed)
	for id, t := range viewed {
		if l.seen[id] == nil {
			l.seen[id] = map[string]store.Seen{}
		}
		s := l.seen[id][account]
		s.Viewed = max(s.Viewed, t)
		l.seen[id][account] = s
	}
	return l.fail
}

func (l *memLog) Now(context.Context) (store.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return store.Position(strconv.Itoa(len(l.feed))), nil
}

func (l *memLog) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		at, err := strconv.Atoi(string(pos))
		if err != nil {
			yield(store.Batch{}, fmt.Errorf("position %q: %w", pos, err))
			return
		}
		l.mu.Lock()
		l.watched = append(l.watched, pos)
		broken := l.broken
		l.mu.Unlock()
		for {
			l.mu.Lock()
			lost, changed := l.lost, l.changed
			if broken != l.broken {
				l.mu.Unlock()
				yield(store.Batch{}, errBroken)
				return
			}
			var batches []store.Batch
			shown := len(l.feed)
			if l.held >= 0 {
				shown = min(l.held, shown)
			}
			if at < shown {
				batches = l.feed[at:shown:shown]
			}
			l.mu.Unlock()
			if at < lost {
				yield(store.Batch{}, store.ErrHistoryLost)
				return
			}
			for _, b := range batches {
				b.Events = slices.Clone(b.Events)
				if !yield(b, nil) {
					return
				}
				at++
			}
			if len(batches) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}
