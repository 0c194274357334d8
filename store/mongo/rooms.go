package mongo

import (
	"container/list"
	"context"
	"errors"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// tracked is what this process knows of one room: its state after the last event
// it has learned of, be it from the change stream, from an acknowledgement or by
// reading, all of which tell only of what a majority has. All of it is guarded by
// Store.mu.
//
// The change stream shows each room's events in order and without a gap, so it
// could show them all by itself. But who sends a message should not wait for it.
// So an event of our own is shown when it is acknowledged, if that keeps the
// order: in a room that is live. A room becomes live when the stream has shown
// the last event that the state has, and is live from then on, since both come
// forward together: what is learned from anywhere is folded and shown if it is
// the next one, and dropped if it is not new. Until then only the stream shows
// the room's events, and what is learned otherwise is folded only.
type tracked struct {
	id string
	// loading is the reading of state under way; read says that state is there.
	loading *load
	read    bool
	state   room.State
	live    bool
	// streamed is the last event that the stream has shown; 0 for none since the
	// room is tracked.
	streamed uint64
	// parked are the events the stream has shown while the state was being read;
	// overflow says that they were too many to keep.
	parked   []record
	overflow bool
	// snapshot is how far the room's snapshot goes, as far as we know; changed
	// are the members it does not have as they are, seen who was active since.
	snapshot     uint64
	changed      map[string]struct{}
	active       map[string]store.Seen
	snapshotting bool

	// queue are the requests that wait to be committed. scheduled: the committer
	// has the room on its list or at hand.
	queue     []*request
	scheduled bool
	// notBefore is until when the room yields to other processes' writers, of
	// which foreign are those seen last.
	notBefore time.Time
	foreign   []foreignWriter
	// held are answers that wait for the stream to show their event.
	held []held

	// users are those who have been given the room and have not left it.
	users int
	// dead: the table has forgotten the room, and it is kept up no more.
	dead bool
	// place is the room's place in the order of use.
	place *list.Element
}

type load struct {
	done chan struct{}
	err  error // set before done is closed
}

type foreignWriter struct {
	process uint64
	at      time.Time
}

// foreignFor is how long a writer of another process counts.
const foreignFor = 250 * time.Millisecond

// held is an answer that waits for the stream to show event seq.
type held struct {
	seq    uint64
	answer func()
}

// heldFor is how long an answer waits for that. It need not: the event will be
// shown, whenever that is. But who has the answer and asks for Now should get a
// position behind it.
const heldFor = 200 * time.Millisecond

// maxParked bounds what is kept of a room while it is being read.
const maxParked = 1000

// table are the rooms this process tracks; guarded by Store.mu. Those that nobody
// uses leave it when there are too many.
type table struct {
	limit int
	rooms map[string]*tracked
	// order has the rooms used last at its front.
	order *list.List
}

func newTable(limit int) *table {
	return &table{limit: limit, rooms: make(map[string]*tracked), order: list.New()}
}

func (t *table) get(roomID string) *tracked {
	if r, ok := t.rooms[roomID]; ok {
		t.order.MoveToFront(r.place)
		return r
	}
	r := &tracked{id: roomID, changed: make(map[string]struct{}), active: make(map[string]store.Seen)}
	r.place = t.order.PushFront(r)
	t.rooms[roomID] = r
	t.shrink()
	return r
}

// shrink forgets the room not used for longest. One that cannot be forgotten now
// is put to the front, so that the table may grow for a while but each look is
// short.
func (t *table) shrink() {
	for tries := 0; len(t.rooms) > t.limit && tries < 8; tries++ {
		last := t.order.Back()
		r := last.Value.(*tracked)
		if !r.forgettable() {
			t.order.MoveToFront(last)
			continue
		}
		t.order.Remove(last)
		delete(t.rooms, r.id)
		r.dead = true
	}
}

// forgettable reports whether nothing would be shown twice, and nobody left
// alone, without the room. A live room may have shown what the stream has yet to
// bring: without the room it would be shown again.
func (r *tracked) forgettable() bool {
	return r.users == 0 && r.loading == nil && !r.scheduled && len(r.held) == 0 && !r.snapshotting &&
		(!r.live || r.streamed >= r.state.Seq)
}

var errForgotten = errors.New("the room was forgotten while it was read")

// enter returns the room with its state read. The caller leaves it.
func (s *Store) enter(ctx context.Context, roomID string) (*tracked, error) {
	for {
		s.mu.Lock()
		if err := s.refusal(); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		r := s.table.get(roomID)
		r.users++
		l := r.loading
		if r.read {
			s.mu.Unlock()
			return r, nil
		}
		if l == nil {
			l = &load{done: make(chan struct{})}
			r.loading = l
			s.tasks.Go(func() { s.load(r, l) })
		}
		s.mu.Unlock()
		var err error
		select {
		case <-l.done:
			if err = l.err; err == nil {
				return r, nil
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.leave(r)
		if !errors.Is(err, errForgotten) {
			return nil, err
		}
	}
}

func (s *Store) leave(r *tracked) {
	s.mu.Lock()
	r.users--
	s.mu.Unlock()
}

// load reads the room's state for all who wait for it.
func (s *Store) load(r *tracked, l *load) {
	for {
		read, err := s.readRoom(s.life, r.id)
		s.mu.Lock()
		if err == nil && !r.dead && r.overflow {
			// What came meanwhile was too much to keep: once more.
			r.parked, r.overflow = nil, false
			s.mu.Unlock()
			continue
		}
		switch {
		case r.dead:
			err = errForgotten
		case err == nil:
			r.state, r.snapshot, r.changed, r.active = read.state, read.snapshot, read.changed, read.active
			r.read = true
			for i := range r.parked {
				r.fold(&r.parked[i])
			}
			r.live = r.streamed > 0 && r.streamed >= r.state.Seq
		}
		r.parked, r.loading = nil, nil
		l.err = err
		s.mu.Unlock()
		close(l.done)
		return
	}
}

// fold takes e into the state if it is the next one, and reports whether it is.
func (r *tracked) fold(e *record) bool {
	if e.Seq != r.state.Seq+1 {
		return false
	}
	before := r.state
	r.state = room.Fold(before, e.Event)
	note(r.changed, r.active, before, r.state, e)
	return true
}

// note keeps which members e may have changed, its target and who became or
// ceased to be admin, and that its sender was active.
func note(changed map[string]struct{}, active map[string]store.Seen, before, after room.State, e *record) {
	for _, account := range [...]string{e.Target, before.Admin, after.Admin} {
		if account != "" {
			changed[account] = struct{}{}
		}
	}
	seen := active[e.Sender]
	seen.Activity, seen.Viewed = max(seen.Activity, e.Time), max(seen.Viewed, e.viewed)
	active[e.Sender] = seen
}
