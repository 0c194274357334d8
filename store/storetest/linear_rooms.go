package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// linearAppend is an Append that is under way, or was.
type linearAppend struct {
	room string
	op   store.Op
	text string
}

// onRoom makes the step of an observation of a room out of what looks at the
// model's, and of what it makes of it.
func onRoom(id, text string, look func(*modelRoom) (*modelRoom, bool)) observation {
	return observation{object: "room " + id, text: text, step: func(state any) (any, bool) {
		r, _ := state.(*modelRoom)
		if r == nil {
			r = (&Model{}).room(id)
		}
		return look(r)
	}}
}

// looked makes the observation of a call that changes nothing.
func looked(a aspect, id, text string, explains func(*modelRoom) bool) []observation {
	o := onRoom(id, text, func(r *modelRoom) (*modelRoom, bool) { return r, explains(r) })
	o.aspect = a
	return []observation{o}
}

// clone is r for what comes next; r stays as it is.
func (r *modelRoom) clone() *modelRoom {
	return &modelRoom{
		log: slices.Clip(r.log), state: r.state,
		first: maps.Clone(r.first), viewed: maps.Clone(r.viewed),
	}
}

// sameObject compares what objects have become by the same calls in another order:
// each event was given its place in the log by what its call returned.
func sameObject(a, b any) bool {
	switch x := a.(type) {
	case *modelRoom:
		y, ok := b.(*modelRoom)
		return ok && (x == y || x.state.Header == y.state.Header && maps.Equal(x.viewed, y.viewed))
	case *store.Account:
		y, ok := b.(*store.Account)
		return ok && (x == y || sameAccount(*x, *y))
	default:
		return a == b
	}
}

// command is something to append: often something that was sent before, or is
// being sent by another.
func (l *linearRun) command(id, me string) linearAppend {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) > 0 && rand.IntN(4) == 0 {
		again := l.sent[len(l.sent)-1-rand.IntN(min(len(l.sent), 3*linearClients))]
		again.text += " again"
		if rand.IntN(4) == 0 {
			again.op.Body = []byte("another")
			again.text += ", another"
		}
		return again
	}
	var c room.Command
	other := l.people[rand.IntN(len(l.people))]
	switch rand.IntN(12) {
	case 0, 1:
		c = room.Create{Name: "room " + id, Creator: me, CreatorName: "name of " + me, CapUUID: l.newUUID(), JoinUUID: l.newUUID()}
	case 2, 3:
		c = room.Join{UUID: l.newUUID(), Account: me, Name: "name of " + me}
	case 4:
		c = room.Leave{UUID: l.newUUID(), Account: me}
	case 5:
		c = room.Expel{UUID: l.newUUID(), Caller: me, Target: other, Ban: rand.IntN(8) == 0}
	default:
		uuid := l.newUUID()
		c = room.Post{UUID: uuid, Sender: me, Kind: room.KindText, Body: Text(uuid)}
	}
	a := linearAppend{room: id, op: OpOf(c)}
	if rand.IntN(4) == 0 {
		a.op.Viewed = 1 + rand.Int64N(1000)
	}
	a.text = fmt.Sprintf("%T by %s, uuid %.8s, viewed %d", c, me[20:], a.op.UUID, a.op.Viewed)
	l.sent = append(l.sent, a)
	return a
}

func (l *linearRun) newUUID() string { return UUID(int(l.uuid.Add(1)), 2) }

func (l *linearRun) append(ctx context.Context, s store.Store, client int, a linearAppend) error {
	if rand.IntN(16) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rand.N(200*time.Microsecond))
		defer cancel()
	}
	return l.write(client, func() ([]observation, error) {
		done, err := s.Append(ctx, a.room, a.op)
		text := fmt.Sprintf("%s -> %s", a.text, placesOf(done))
		if err != nil {
			text = fmt.Sprintf("%s -> %v", a.text, err)
		}
		refused := err
		o := onRoom(a.room, text, func(r *modelRoom) (*modelRoom, bool) { return r.appended(a.op, done, refused) })
		o.lost = onRoom(a.room, text, func(r *modelRoom) (*modelRoom, bool) { return r.lost(a.op, l.logs[a.room]) }).step
		o.happened = func(map[string]bool) bool { return indexOf(l.logs[a.room], a.op.UUID) >= 0 }
		if errors.Is(err, store.ErrUUIDTaken) || refusal(err) == nil {
			err = nil
		}
		if len(done.Events) > 0 && !done.Repeated {
			l.reached(done.Events[len(done.Events)-1])
		}
		return []observation{o}, err
	})
}

// lost is the room after an op of which it is not known what became of it, but the
// log at the end has its uuid: that is by this call, unless it is there already.
func (r *modelRoom) lost(op store.Op, log []room.Event) (*modelRoom, bool) {
	if r.has(op.UUID) {
		return r, true
	}
	want, _, err := r.expect(op)
	first := indexOf(log, op.UUID)
	if err != nil || first+len(want) > len(log) {
		return r, false
	}
	return r.appended(op, store.Appended{Events: log[first : first+len(want)]}, nil)
}

func indexOf(log []room.Event, uuid string) int {
	return slices.IndexFunc(log, func(e room.Event) bool { return e.UUID == uuid })
}

// reached keeps about where the log ends.
func (l *linearRun) reached(e room.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Seq > l.last[e.Room].Seq {
		l.last[e.Room] = e
	}
}

// near is about where the log ends.
func (l *linearRun) near(id string) (seq uint64, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.last[id]
	return e.Seq - min(e.Seq, uint64(rand.IntN(4))), e.Time - 2 + rand.Int64N(6)
}

// appended is the room after op, if what became of op is what must become of it.
func (r *modelRoom) appended(op store.Op, done store.Appended, err error) (*modelRoom, bool) {
	want, repeated, wantErr := r.expect(op)
	switch {
	case wantErr != nil:
		return r, errors.Is(err, wantErr)
	case err != nil:
		return r, false
	case repeated != nil:
		return r, done.Repeated && len(done.Events) == 1 && Equal(done.Events[0], *repeated)
	case done.Repeated || len(done.Events) != len(want):
		return r, false
	}
	last := r.state.Time
	for i, e := range done.Events {
		expected := room.Event{Draft: want[i], Room: e.Room, Seq: r.state.Seq + 1 + uint64(i), Time: e.Time}
		if !Equal(e, expected) || e.Time <= last {
			return r, false
		}
		last = e.Time
	}
	next := r.clone()
	next.apply(op, done.Events)
	return next, true
}

func placesOf(done store.Appended) string {
	if len(done.Events) == 0 {
		return "nothing"
	}
	text := fmt.Sprintf("%d at %d", done.Events[0].Seq, done.Events[0].Time)
	if done.Repeated {
		text += ", repeated"
	}
	return text
}

func (l *linearRun) state(ctx context.Context, s store.Store, client int, id string) error {
	return l.read(client, func() ([]observation, error) {
		got, err := s.State(ctx, id)
		return looked(inState, id, fmt.Sprintf("State -> %d", got.Seq), func(r *modelRoom) bool {
			return got.Seq == r.state.Seq && SameState(got, r.state) == ""
		}), err
	})
}

func (l *linearRun) events(ctx context.Context, s store.Store, client int, id string) error {
	after, _ := l.near(id)
	return l.page(ctx, s, client, id, after, store.Page{Events: 1 + rand.IntN(20)})
}

func (l *linearRun) wholeLog(ctx context.Context, s store.Store, client int, id string) error {
	return l.page(ctx, s, client, id, 0, store.Page{})
}

func (l *linearRun) page(ctx context.Context, s store.Store, client int, id string, after uint64, page store.Page) error {
	return l.read(client, func() ([]observation, error) {
		got, err := s.Events(ctx, id, after, page)
		text := fmt.Sprintf("Events after %d, %d at most -> %d", after, page.Events, len(got))
		return looked(inLog, id, text, func(r *modelRoom) bool {
			want := r.log[min(after, uint64(len(r.log))):]
			if page.Events > 0 {
				want = want[:min(len(want), page.Events)]
			}
			return slices.EqualFunc(got, want, Equal)
		}), err
	})
}

// aSent is one of what was sent last to the room; false if nothing was.
func (l *linearRun) aSent(id string) (linearAppend, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 4 {
		if len(l.sent) == 0 {
			break
		}
		if a := l.sent[len(l.sent)-1-rand.IntN(min(len(l.sent), 3*linearClients))]; a.room == id {
			return a, true
		}
	}
	return linearAppend{}, false
}

func (l *linearRun) event(ctx context.Context, s store.Store, client int, id string) error {
	a, ok := l.aSent(id)
	if !ok {
		return nil
	}
	return l.read(client, func() ([]observation, error) {
		got, err := s.Event(ctx, id, a.op.UUID)
		missing := errors.Is(err, store.ErrNotFound)
		if missing {
			err = nil
		}
		return looked(inLog, id, fmt.Sprintf("Event %.8s -> %d", a.op.UUID, got.Seq), func(r *modelRoom) bool {
			i := indexOf(r.log, a.op.UUID)
			return missing == (i < 0) && (missing || Equal(got, r.log[i]))
		}), err
	})
}

func (l *linearRun) seqAt(ctx context.Context, s store.Store, client int, id string) error {
	_, at := l.near(id)
	return l.read(client, func() ([]observation, error) {
		got, err := s.SeqAt(ctx, id, at)
		return looked(inLog, id, fmt.Sprintf("SeqAt %d -> %d", at, got), func(r *modelRoom) bool {
			n := uint64(0)
			for n < uint64(len(r.log)) && r.log[n].Time <= at {
				n++
			}
			return got == n
		}), err
	})
}

func (l *linearRun) roomsOf(ctx context.Context, s store.Store, client int, account string) error {
	return l.read(client, func() ([]observation, error) {
		got, err := s.RoomsOf(ctx, account)
		var made []observation
		for _, id := range l.rooms {
			in := slices.Contains(got, id)
			made = append(made, looked(inRoomsOf, id, fmt.Sprintf("RoomsOf %s -> %v", account[20:], in), func(r *modelRoom) bool {
				return in == r.state.Present(account)
			})...)
		}
		return made, err
	})
}

func (l *linearRun) seen(ctx context.Context, s store.Store, client int, id string) error {
	return l.read(client, func() ([]observation, error) {
		got, err := s.Seen(ctx, id)
		return looked(inSeen, id, fmt.Sprintf("Seen -> %+v", got), func(r *modelRoom) bool { return sameSeen(got, r.seen()) }), err
	})
}

func (l *linearRun) seenBy(ctx context.Context, s store.Store, client int, id, account string) error {
	return l.read(client, func() ([]observation, error) {
		got, err := s.SeenBy(ctx, account, []string{id})
		return looked(inSeen, id, fmt.Sprintf("SeenBy %s -> %+v", account[20:], got[id]), func(r *modelRoom) bool {
			return got[id] == r.seen()[account]
		}), err
	})
}

func (l *linearRun) raiseViewed(ctx context.Context, s store.Store, client int, me string) error {
	viewed := make(map[string]int64)
	for _, id := range l.rooms {
		if rand.IntN(2) == 0 {
			viewed[id] = 1 + rand.Int64N(1000)
		}
	}
	if len(viewed) == 0 {
		return nil
	}
	return l.write(client, func() ([]observation, error) {
		err := s.RaiseViewed(ctx, me, viewed)
		var made []observation
		for id, at := range viewed {
			o := onRoom(id, fmt.Sprintf("RaiseViewed %s to %d", me[20:], at), func(r *modelRoom) (*modelRoom, bool) {
				next := r.clone()
				next.viewed[me] = max(next.viewed[me], at)
				return next, true
			})
			o.aspect = inSeen // the others do not show it
			made = append(made, o)
		}
		return made, err
	})
}
