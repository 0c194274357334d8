package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// Load is a number of clients who use a store at the same time, and what the
// store told them. Make one for each set of data; it can be run on one store
// after another.
type Load struct {
	// Rooms and Clients are how many there are.
	Rooms, Clients int

	mu   sync.Mutex
	told Told
	uuid int
}

// Told is what was acknowledged.
type Told struct {
	Events []room.Event
	// Viewed is the highest that was raised, by room and client.
	Viewed map[string]map[string]int64
	// Logins is how often each account's session was renewed; 0 for an account
	// that was made and never logged in.
	Logins map[string]int64
}

// Told is what was acknowledged until now.
func (l *Load) Told() Told {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := Told{
		Events: slices.Clone(l.told.Events),
		Viewed: make(map[string]map[string]int64),
		Logins: make(map[string]int64),
	}
	for id, viewed := range l.told.Viewed {
		told.Viewed[id] = make(map[string]int64)
		for account, at := range viewed {
			told.Viewed[id][account] = at
		}
	}
	for account, n := range l.told.Logins {
		told.Logins[account] = n
	}
	return told
}

// Run has each client do steps things in random rooms, or fewer if the store
// can no longer answer or ctx ends.
func (l *Load) Run(ctx context.Context, t testing.TB, s store.Store, steps int) {
	var wg sync.WaitGroup
	for c := range l.Clients {
		wg.Go(func() {
			for range steps {
				if err := l.step(ctx, s, c); ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) {
					return
				} else if err != nil {
					t.Errorf("client %d: %v", c, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// step does one thing. A refusal by the rules is not an error.
func (l *Load) step(ctx context.Context, s store.Store, client int) error {
	me, id := Account(client), RoomID(rand.IntN(l.Rooms))
	switch dice := rand.IntN(20); dice {
	case 0:
		return l.view(ctx, s, me, id)
	case 1:
		return l.login(ctx, s, me)
	case 2:
		return l.do(ctx, s, id, room.Leave{UUID: l.newUUID(), Account: me})
	case 3, 4:
		return l.do(ctx, s, id, room.Expel{
			UUID: l.newUUID(), Caller: me, Target: Account(rand.IntN(l.Clients)), Ban: dice == 4 && rand.IntN(8) == 0,
		})
	default:
		return l.do(ctx, s, id, room.Post{
			UUID: l.newUUID(), Sender: me, Kind: room.KindText, Body: Text(fmt.Sprintf("%0*d", rand.IntN(200), client)),
		})
	}
}

// do carries out c, and what must come before it if that is why it is refused.
func (l *Load) do(ctx context.Context, s store.Store, id string, c room.Command) error {
	op := OpOf(c)
	if rand.IntN(4) == 0 {
		op.Viewed = rand.Int64N(1 << 40)
	}
	done, err := s.Append(ctx, id, op)
	switch {
	case errors.Is(err, room.ErrNotMember), errors.Is(err, room.ErrNotAdmin):
		me := op.Sender
		join := room.Join{UUID: l.newUUID(), Account: me, Name: "name of " + me, Password: "secret"}
		op = OpOf(join)
		op.Decide = func(st room.State) ([]room.Draft, error) {
			if !st.Exists() {
				return room.Decide(st, room.Create{
					Name: "room " + id, Password: "secret", Creator: me, CreatorName: join.Name,
					CapUUID: join.UUID, JoinUUID: UUID(1<<24, int(join.UUID[7])),
				})
			}
			return room.Decide(st, join)
		}
		// The kind is not known before the decision, and so is no uuid.
		op.UUID = ""
		if done, err = s.Append(ctx, id, op); err != nil {
			return refusal(err)
		}
	case err != nil:
		return refusal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told.Events = append(l.told.Events, done.Events...)
	if op.Viewed != 0 {
		l.viewed(id, op.Sender, op.Viewed)
	}
	return nil
}

// refusal keeps what is not one of the rules.
func refusal(err error) error {
	for _, rule := range []error{
		room.ErrNoRoom, room.ErrRoomExists, room.ErrWrongPassword, room.ErrBanned, room.ErrAlreadyIn,
		room.ErrNotMember, room.ErrNotAdmin, room.ErrTarget,
	} {
		if errors.Is(err, rule) {
			return nil
		}
	}
	return err
}

func (l *Load) newUUID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uuid++
	return UUID(l.uuid, 1)
}

// viewed is called with mu held.
func (l *Load) viewed(id, account string, at int64) {
	if l.told.Viewed == nil {
		l.told.Viewed = make(map[string]map[string]int64)
	}
	if l.told.Viewed[id] == nil {
		l.told.Viewed[id] = make(map[string]int64)
	}
	l.told.Viewed[id][account] = max(l.told.Viewed[id][account], at)
}

func (l *Load) view(ctx context.Context, s store.Store, me, id string) error {
	at := rand.Int64N(1 << 40)
	if err := s.RaiseViewed(ctx, me, map[string]int64{id: at}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewed(id, me, at)
	return nil
}

func (l *Load) login(ctx context.Context, s store.Store, me string) error {
	var n int64
	err := s.UpdateSession(ctx, me, func(a store.Account) (store.Session, error) {
		n = a.Session.Expires + 1
		return store.Session{Installation: "phone of " + me, Expires: n}, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		n = 0
		err = s.CreateAccount(ctx, store.Account{ID: me, Name: "name of " + me, Created: 1})
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told.Logins == nil {
		l.told.Logins = make(map[string]int64)
	}
	l.told.Logins[me] = max(l.told.Logins[me], n)
	return nil
}

// Check checks that the store has all that was told, and that each room's log
// is whole (CheckRoom). It returns how many acknowledged things are missing
// instead of failing, if lost is not nil.
func (l *Load) Check(ctx context.Context, t testing.TB, s store.Store, told Told) (lost int) {
	t.Helper()
	logs := make(map[string][]room.Event)
	for i := range l.Rooms {
		logs[RoomID(i)] = CheckRoom(ctx, t, s, RoomID(i))
	}
	for _, e := range told.Events {
		if log := logs[e.Room]; e.Seq > uint64(len(log)) || !Equal(log[e.Seq-1], e) {
			lost++
		}
	}
	for id, viewed := range told.Viewed {
		seen, err := s.Seen(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for account, at := range viewed {
			if seen[account].Viewed < at {
				lost++
			}
		}
	}
	for id, n := range told.Logins {
		a, err := s.Account(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		byName, nameErr := s.AccountByName(ctx, "name of "+id)
		if (err == nil) != (nameErr == nil) || !sameAccount(a, byName) {
			t.Fatalf("account %s: by id %+v, %v; by name %+v, %v", id, a, err, byName, nameErr)
		}
		if err != nil || a.Session.Expires < n {
			lost++
		}
	}
	return lost
}

// testLoad: clients, watchers and readers at once; afterwards all that they
// were told and shown is compared with the logs.
func testLoad(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	l := &Load{Rooms: 5, Clients: 12}
	start := now(t, s)

	var observers sync.WaitGroup
	shown := make([][]room.Event, 3)
	for w := range shown {
		observers.Go(func() {
			for batch, err := range s.Watch(ctx, start) {
				if err != nil {
					t.Error(err)
					return
				}
				shown[w] = append(shown[w], batch.Events...)
			}
		})
	}
	read := make([]map[string][]room.Event, 2)
	for i := range read {
		read[i] = make(map[string][]room.Event)
		observers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := RoomID(n % l.Rooms)
				before, err := s.State(ctx, id)
				if err != nil {
					break
				}
				events, err := s.Events(ctx, id, uint64(len(read[i][id])), store.Page{Events: 64})
				if err != nil {
					break
				}
				read[i][id] = append(read[i][id], events...)
				if len(events) < 64 && uint64(len(read[i][id])) < before.Seq {
					t.Errorf("the state of room %s was of %d, its log ends at %d", id, before.Seq, len(read[i][id]))
				}
			}
		})
	}
	l.Run(ctx, t, s, 120)
	told := l.Told()
	end, _, err := watched(ctx, s, start, count(total(ctx, t, s, l.Rooms)))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	observers.Wait()

	ctx = bounded(t)
	if lost := l.Check(ctx, t, s, told); lost != 0 {
		t.Errorf("%d acknowledged things are not there", lost)
	}
	for i := range l.Rooms {
		id := RoomID(i)
		log := CheckRoom(ctx, t, s, id)
		if got := byRoom(end)[id]; !slices.EqualFunc(got, log, Equal) {
			t.Errorf("room %s: a watch from the start showed %d events, the log has %d", id, len(got), len(log))
		}
		for w := range shown {
			got := byRoom(shown[w])[id]
			if len(got) > len(log) || !slices.EqualFunc(got, log[:len(got)], Equal) {
				t.Errorf("room %s: watcher %d was not shown the beginning of the log", id, w)
			}
		}
		for r := range read {
			got := read[r][id]
			if len(got) > len(log) || !slices.EqualFunc(got, log[:len(got)], Equal) {
				t.Errorf("room %s: reader %d did not read the beginning of the log", id, r)
			}
		}
	}
}

func total(ctx context.Context, t testing.TB, s store.Store, rooms int) int {
	t.Helper()
	n := uint64(0)
	for i := range rooms {
		state, err := s.State(ctx, RoomID(i))
		if err != nil {
			t.Fatal(err)
		}
		n += state.Seq
	}
	return int(n)
}
