package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// Model is what a store must be like for a single client: the logs, and beside
// them only what does not follow from them.
type Model struct {
	rooms map[string]*modelRoom
}

type modelRoom struct {
	log   []room.Event
	state room.State
	// first is the event each client's uuid leads to, with its command.
	first  map[string]modelCommand
	viewed map[string]int64
}

type modelCommand struct {
	event  room.Event
	sender string
	kind   room.Kind
	body   string
}

func (m *Model) room(id string) *modelRoom {
	if m.rooms == nil {
		m.rooms = make(map[string]*modelRoom)
	}
	if m.rooms[id] == nil {
		m.rooms[id] = &modelRoom{first: make(map[string]modelCommand), viewed: make(map[string]int64)}
	}
	return m.rooms[id]
}

// has reports whether the room has an event of that uuid.
func (r *modelRoom) has(uuid string) bool {
	return slices.ContainsFunc(r.log, func(e room.Event) bool { return e.UUID == uuid })
}

// expect says what must become of op: these drafts, or a repetition of this
// event, or this error.
func (r *modelRoom) expect(op store.Op) (want []room.Draft, repeated *room.Event, err error) {
	if op.UUID != "" && r.has(op.UUID) {
		c, client := r.first[op.UUID]
		if !client || c.sender != op.Sender || c.kind != op.Kind || c.body != string(op.Body) {
			return nil, nil, store.ErrUUIDTaken
		}
		return nil, &c.event, nil
	}
	want, err = op.Decide(r.state)
	for i, d := range want {
		if r.has(d.UUID) || slices.ContainsFunc(want[:i], func(o room.Draft) bool { return o.UUID == d.UUID }) {
			return nil, nil, store.ErrUUIDTaken
		}
	}
	return want, nil, err
}

// apply takes over what was stored.
func (r *modelRoom) apply(op store.Op, events []room.Event) {
	for i, e := range events {
		r.log, r.state = append(r.log, e), room.Fold(r.state, e)
		if i == 0 && op.UUID != "" {
			r.first[op.UUID] = modelCommand{e, op.Sender, op.Kind, string(op.Body)}
		}
	}
	if len(events) > 0 && op.Viewed != 0 {
		r.viewed[op.Sender] = max(r.viewed[op.Sender], op.Viewed)
	}
}

func (r *modelRoom) seen() map[string]store.Seen {
	seen := make(map[string]store.Seen)
	for _, e := range r.log {
		seen[e.Sender] = store.Seen{Activity: e.Time}
	}
	for account, viewed := range r.viewed {
		s := seen[account]
		s.Viewed = viewed
		seen[account] = s
	}
	return seen
}

// testProperties: random commands of a single client do to the store what they
// do to the model, across restarts. A few uuids are used again and again.
func testProperties(t *testing.T, h Harness) {
	s := h.Open(t, nil)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	trial := 0
	rapid.Check(t, func(rt *rapid.T) {
		trial++ // each has rooms and accounts of its own, in the same store
		const rooms, accounts = 3, 4
		var m Model
		var touched []string // the rooms to look at after a step
		anyRoom := rapid.Custom(func(rt *rapid.T) string { return RoomID(trial*rooms + rapid.IntRange(0, rooms-1).Draw(rt, "room")) })
		anyAccount := rapid.Custom(func(rt *rapid.T) string {
			return Account(trial*accounts + rapid.IntRange(0, accounts-1).Draw(rt, "account"))
		})
		anyUUID := rapid.Custom(func(rt *rapid.T) string { return UUID(rapid.IntRange(0, 40).Draw(rt, "uuid"), 0) })
		anyPassword := rapid.SampledFrom([]string{"", "", "", "p"})
		append1 := func(rt *rapid.T, c room.Command) {
			id, op := anyRoom.Draw(rt, "in"), OpOf(c)
			op.Viewed = rapid.SampledFrom([]int64{0, 0, 5, 9}).Draw(rt, "viewed")
			r := m.room(id)
			touched = append(touched, id)
			want, repeated, wantErr := r.expect(op)
			done, err := s.Append(ctx, id, op)
			switch {
			case wantErr != nil:
				if !errors.Is(err, wantErr) {
					rt.Fatalf("%T %+v: got %+v, %v; want %v", c, c, done, err, wantErr)
				}
			case err != nil:
				rt.Fatalf("%T %+v: got %v", c, c, err)
			case repeated != nil:
				if !done.Repeated || len(done.Events) != 1 || !Equal(done.Events[0], *repeated) {
					rt.Fatalf("%T %+v: got %+v, want %+v again", c, c, done, *repeated)
				}
			default:
				if done.Repeated || len(done.Events) != len(want) {
					rt.Fatalf("%T %+v: got %+v, want %+v", c, c, done, want)
				}
				last := r.state.Time
				for i, e := range done.Events {
					expected := room.Event{Draft: want[i], Room: id, Seq: r.state.Seq + 1 + uint64(i), Time: e.Time}
					if !Equal(e, expected) || e.Time <= last {
						rt.Fatalf("%T %+v: stored %+v after time %d, want %+v", c, c, e, last, expected)
					}
					last = e.Time
				}
				r.apply(op, done.Events)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				append1(rt, room.Create{
					Name: "n", Password: anyPassword.Draw(rt, "password"), Creator: anyAccount.Draw(rt, "creator"),
					CapUUID: anyUUID.Draw(rt, "cap"), JoinUUID: anyUUID.Draw(rt, "join"),
				})
			},
			"join": func(rt *rapid.T) {
				append1(rt, room.Join{
					UUID: anyUUID.Draw(rt, "uuid"), Account: anyAccount.Draw(rt, "who"), Name: "somebody",
					Password: anyPassword.Draw(rt, "password"),
				})
			},
			"leave": func(rt *rapid.T) {
				append1(rt, room.Leave{UUID: anyUUID.Draw(rt, "uuid"), Account: anyAccount.Draw(rt, "who")})
			},
			"expel": func(rt *rapid.T) {
				append1(rt, room.Expel{
					UUID: anyUUID.Draw(rt, "uuid"), Caller: anyAccount.Draw(rt, "by"), Target: anyAccount.Draw(rt, "who"),
					Ban: rapid.Bool().Draw(rt, "ban"),
				})
			},
			"post": func(rt *rapid.T) {
				append1(rt, room.Post{
					UUID: anyUUID.Draw(rt, "uuid"), Sender: anyAccount.Draw(rt, "who"), Kind: room.KindText,
					Body: Text(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "text")),
				})
			},
			"view": func(rt *rapid.T) {
				who, id, at := anyAccount.Draw(rt, "who"), anyRoom.Draw(rt, "in"), rapid.Int64Range(1, 20).Draw(rt, "at")
				if err := s.RaiseViewed(ctx, who, map[string]int64{id: at}); err != nil {
					rt.Fatal(err)
				}
				touched = append(touched, id)
				m.room(id).viewed[who] = max(m.room(id).viewed[who], at)
			},
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "seldom") > 0 {
					rt.Skip()
				}
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = h.Open(t, nil)
				touched = slices.Collect(maps.Keys(m.rooms))
			},
			"": func(rt *rapid.T) {
				if err := m.check(ctx, s, touched, 2); err != nil {
					rt.Fatal(err)
				}
				touched = touched[:0]
			},
		})
		if err := m.check(ctx, s, slices.Collect(maps.Keys(m.rooms)), math.MaxInt); err != nil {
			rt.Fatal(err)
		}
	})
}

// check compares all that can be read of some rooms, but looks for single events
// only among the last few of each.
func (m *Model) check(ctx context.Context, s store.Store, ids []string, few int) error {
	accounts := make(map[string]bool)
	for _, id := range ids {
		r := m.room(id)
		state, err := s.State(ctx, id)
		if err != nil {
			return err
		}
		if diff := SameState(state, r.state); diff != "" {
			return fmt.Errorf("room %s: %s", id, diff)
		}
		log, err := s.Events(ctx, id, 0, store.Page{})
		if err != nil || !slices.EqualFunc(log, r.log, Equal) {
			return fmt.Errorf("room %s: log is %+v, %w; want %+v", id, log, err, r.log)
		}
		seen, err := s.Seen(ctx, id)
		if err != nil || !sameSeen(seen, r.seen()) {
			return fmt.Errorf("room %s: seen are %+v, %w; want %+v", id, seen, err, r.seen())
		}
		for _, e := range r.log[max(0, len(r.log)-few):] {
			if got, err := s.Event(ctx, id, e.UUID); err != nil || !Equal(got, e) {
				return fmt.Errorf("room %s: uuid %s leads to %+v, %w; want %+v", id, e.UUID, got, err, e)
			}
			if seq, err := s.SeqAt(ctx, id, e.Time); err != nil || seq != e.Seq {
				return fmt.Errorf("room %s: at time %d is event %d, %w; want %d", id, e.Time, seq, err, e.Seq)
			}
		}
		for member := range r.state.Members() {
			accounts[member.Account] = true
		}
	}
	for account := range accounts {
		var in []string
		for id, r := range m.rooms {
			if r.state.Present(account) {
				in = append(in, id)
			}
		}
		slices.Sort(in)
		if got, err := s.RoomsOf(ctx, account); err != nil || !slices.Equal(got, in) {
			return fmt.Errorf("rooms of %s are %v, %w; want %v", account, got, err, in)
		}
	}
	return nil
}
