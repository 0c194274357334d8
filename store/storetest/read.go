package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

func testPages(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	for i := range 8 {
		r.Post(t, Account(0), fmt.Sprintf("%0100d", i))
	}
	all := CheckRoom(ctx, t, s, r.ID)
	size := len(all[2].Body)
	for _, tt := range []struct {
		after uint64
		page  store.Page
		want  []room.Event
	}{
		{0, store.Page{}, all},
		{4, store.Page{}, all[4:]},
		{10, store.Page{}, nil},
		{11, store.Page{}, nil},
		{math.MaxUint64, store.Page{}, nil},
		{0, store.Page{Events: 3}, all[:3]},
		{7, store.Page{Events: 100}, all[7:]},
		{2, store.Page{Bytes: 1}, all[2:3]},
		{2, store.Page{Bytes: size}, all[2:3]},
		{2, store.Page{Bytes: 2*size - 1}, all[2:3]},
		{2, store.Page{Bytes: 2 * size}, all[2:4]},
		{2, store.Page{Bytes: 5 * size, Events: 2}, all[2:4]},
		{2, store.Page{Bytes: 2 * size, Events: 5}, all[2:4]},
	} {
		got, err := s.Events(ctx, r.ID, tt.after, tt.page)
		if err != nil || !slices.EqualFunc(got, tt.want, Equal) {
			t.Errorf("after %d, %+v: got %d events, %v; want %d", tt.after, tt.page, len(got), err, len(tt.want))
		}
	}
}

func testSeqAt(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	created(t, s, RoomID(1), Account(0)) // a neighbour, whose events are later
	for i := range 9 {
		r.Post(t, Account(0), fmt.Sprint(i))
	}
	at := func(time int64, want uint64) {
		t.Helper()
		if got, err := s.SeqAt(ctx, r.ID, time); err != nil || got != want {
			t.Errorf("at %d: got %d, %v; want %d", time, got, err, want)
		}
	}
	events := CheckRoom(ctx, t, s, r.ID)
	for i, e := range events {
		at(e.Time, e.Seq)
		if i == 0 || events[i-1].Time < e.Time-1 {
			at(e.Time-1, e.Seq-1)
		}
	}
	last := uint64(len(events))
	at(events[last-1].Time+1, last)
	at(math.MaxInt64, last)
	at(0, 0)
	at(-1, 0)
	at(math.MinInt64, 0)
}

func testEvent(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	other := created(t, s, RoomID(1), Account(0))
	e := r.Post(t, Account(0), "here")
	if got, err := s.Event(ctx, r.ID, e.UUID); err != nil || !Equal(got, e) {
		t.Errorf("got %+v, %v; want %+v", got, err, e)
	}
	for _, where := range [][2]string{{other.ID, e.UUID}, {r.ID, UUID(1<<20, 0)}, {r.ID, ""}, {r.ID, e.UUID[:35]}, {"", e.UUID}, {RoomID(9), e.UUID}} {
		if got, err := s.Event(ctx, where[0], where[1]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q in %q: got %+v, %v; want %v", where[1], where[0], got, err, store.ErrNotFound)
		}
	}
}

func testRoomsOf(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	var rooms [6]*Room
	for _, i := range []int{5, 0, 3, 1, 4, 2} {
		rooms[i] = created(t, s, RoomID(i), Account(0))
	}
	is := func(account string, want ...int) {
		t.Helper()
		ids := make([]string, 0, len(want))
		for _, i := range want {
			ids = append(ids, RoomID(i))
		}
		slices.Sort(ids)
		if got, err := s.RoomsOf(ctx, account); err != nil || !slices.Equal(got, ids) {
			t.Errorf("rooms of %s: got %v, %v; want %v", account, got, err, ids)
		}
	}
	is(Account(0), 0, 1, 2, 3, 4, 5)
	is(Account(1))
	for i := range 5 {
		rooms[i].Join(t, Account(1))
		rooms[i].Join(t, Account(2))
	}
	rooms[0].Leave(t, Account(0))
	rooms[1].Leave(t, Account(1))
	rooms[2].Do(t, room.Expel{UUID: rooms[2].UUID(), Caller: Account(0), Target: Account(1)})
	rooms[3].Do(t, room.Expel{UUID: rooms[3].UUID(), Caller: Account(0), Target: Account(1), Ban: true})
	is(Account(0), 1, 2, 3, 4, 5)
	is(Account(1), 0, 4)
	is(Account(2), 0, 1, 2, 3, 4)
	rooms[1].Join(t, Account(1))
	rooms[2].Join(t, Account(1))
	is(Account(1), 0, 1, 2, 4)
	// Account(1) inherited room 0; the room stays when everybody has left.
	rooms[0].Leave(t, Account(1))
	rooms[0].Leave(t, Account(2))
	is(Account(1), 1, 2, 4)
	is(Account(2), 1, 2, 3, 4)
	is("")
	is(Account(1)[:23])
	is(Account(1) + "0")
	for _, r := range rooms {
		CheckRoom(ctx, t, s, r.ID)
	}
}

// testRoomsApart: one room's id begins with the other's.
func testRoomsApart(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	a, b := created(t, s, "roomroo", Account(0)), created(t, s, "roomroom", Account(1))
	a.Join(t, Account(2))
	for i := range 300 {
		a.Post(t, Account(0), "a")
		if i%3 == 0 {
			b.Post(t, Account(1), "b")
		}
	}
	for _, tt := range []struct {
		r       *Room
		events  int
		members []string
	}{
		{a, 303, []string{Account(0), Account(2)}},
		{b, 102, []string{Account(1)}},
	} {
		if n := len(CheckRoom(ctx, t, s, tt.r.ID)); n != tt.events {
			t.Errorf("room %s has %d events, want %d", tt.r.ID, n, tt.events)
		}
		seen, err := s.Seen(ctx, tt.r.ID)
		if got := slices.Sorted(maps.Keys(seen)); err != nil || !slices.Equal(got, tt.members) {
			t.Errorf("room %s: seen are %v, %v; want %v", tt.r.ID, got, err, tt.members)
		}
		state, err := s.State(ctx, tt.r.ID)
		if err != nil || state.PresentCount() != len(tt.members) {
			t.Errorf("room %s: %d present, %v; want %d", tt.r.ID, state.PresentCount(), err, len(tt.members))
		}
	}
}

func testUnknownRoom(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	id := RoomID(0)
	if state, err := s.State(ctx, id); err != nil || state.Exists() || state.PresentCount() != 0 {
		t.Errorf("state: %+v, %v", state, err)
	}
	if events, err := s.Events(ctx, id, 0, store.Page{}); err != nil || len(events) != 0 {
		t.Errorf("events: %v, %v", events, err)
	}
	if seq, err := s.SeqAt(ctx, id, math.MaxInt64); err != nil || seq != 0 {
		t.Errorf("seq at: %d, %v", seq, err)
	}
	if seen, err := s.Seen(ctx, id); err != nil || len(seen) != 0 {
		t.Errorf("seen: %v, %v", seen, err)
	}
	if seen, err := s.SeenBy(ctx, Account(0), []string{id}); err != nil || len(seen) != 0 {
		t.Errorf("seen by: %v, %v", seen, err)
	}
	// Looking for a room does not hide that it is made later.
	created(t, s, id, Account(0))
	if state, err := s.State(ctx, id); err != nil || state.Seq != 2 {
		t.Errorf("state after it was made: %+v, %v", state.Header, err)
	}
}

func mustSeen(t testing.TB, s store.Store, roomID, account string) store.Seen {
	t.Helper()
	seen, err := s.SeenBy(t.Context(), account, []string{roomID})
	if err != nil {
		t.Fatal(err)
	}
	return seen[roomID]
}

func sameSeen(a, b map[string]store.Seen) bool { return maps.Equal(a, b) }

func testSeen(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := &Room{Store: s, ID: RoomID(0)}
	opening := r.Create(t, Account(0))
	joined := r.Join(t, Account(1))
	op := OpOf(room.Post{UUID: r.UUID(), Sender: Account(1), Kind: room.KindText, Body: Text("x")})
	op.Viewed = 500
	done, err := s.Append(ctx, r.ID, op)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]store.Seen{
		Account(0): {Activity: opening[1].Time},
		Account(1): {Activity: done.Events[0].Time, Viewed: 500},
	}
	if joined.Time >= want[Account(1)].Activity {
		t.Fatal("time does not increase")
	}
	check := func() {
		t.Helper()
		if got, err := s.Seen(ctx, r.ID); err != nil || !sameSeen(got, want) {
			t.Fatalf("seen: got %v, %v; want %v", got, err, want)
		}
		for account, seen := range want {
			if got := mustSeen(t, s, r.ID, account); got != seen {
				t.Fatalf("seen by %s: got %v, want %v", account, got, seen)
			}
		}
		if got := mustSeen(t, s, r.ID, Account(9)); got != (store.Seen{}) {
			t.Fatalf("seen by a stranger: %v", got)
		}
	}
	check()
	// Lower does not lower, in an op; the kick is its admin's activity and not
	// that of whom it removes.
	kick := OpOf(room.Expel{UUID: r.UUID(), Caller: Account(0), Target: Account(1)})
	kick.Viewed = 20
	if done, err = s.Append(ctx, r.ID, kick); err != nil {
		t.Fatal(err)
	}
	want[Account(0)] = store.Seen{Activity: done.Events[0].Time, Viewed: 20}
	check()
	r.Join(t, Account(1))
	op = OpOf(room.Post{UUID: r.UUID(), Sender: Account(1), Kind: room.KindText, Body: Text("y")})
	op.Viewed = 499
	if done, err = s.Append(ctx, r.ID, op); err != nil {
		t.Fatal(err)
	}
	want[Account(1)] = store.Seen{Activity: done.Events[0].Time, Viewed: 500}
	check()
}

// testSeenBy: one account, in as many rooms as are asked for, and no others.
func testSeenBy(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	want := make(map[string]store.Seen)
	var ids []string
	for i := range 6 {
		r := created(t, s, RoomID(i), Account(0))
		ids = append(ids, r.ID)
		if i%3 != 0 {
			want[r.ID] = store.Seen{Activity: r.Join(t, Account(1)).Time}
		}
		r.Post(t, Account(0), "later")
		if i%3 != 1 {
			if err := s.RaiseViewed(ctx, Account(1), map[string]int64{r.ID: int64(10 + i)}); err != nil {
				t.Fatal(err)
			}
			want[r.ID] = store.Seen{Activity: want[r.ID].Activity, Viewed: int64(10 + i)}
		}
	}
	unknown := []string{RoomID(7), "", "ODD\x00!!", ids[1], ids[0][:6]}
	for _, tt := range []struct {
		account string
		rooms   []string
		want    map[string]store.Seen
	}{
		{Account(1), ids, want},
		{Account(1), append(unknown, ids...), want},
		{Account(1), ids[2:3], map[string]store.Seen{ids[2]: want[ids[2]]}},
		{Account(1), unknown, map[string]store.Seen{ids[1]: want[ids[1]]}},
		{Account(1), nil, nil},
		{Account(2), ids, nil},
		{Account(1)[:23], ids, nil},
	} {
		if got, err := s.SeenBy(ctx, tt.account, tt.rooms); err != nil || !sameSeen(got, tt.want) {
			t.Errorf("%s in %q: got %v, %v; want %v", tt.account, tt.rooms, got, err, tt.want)
		}
	}
}

func testRaiseViewed(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	a, b := created(t, s, RoomID(0), Account(0)), created(t, s, RoomID(1), Account(0))
	activity := mustSeen(t, s, a.ID, Account(0)).Activity
	for _, step := range []struct {
		raise  map[string]int64
		wa, wb int64
	}{
		{map[string]int64{a.ID: 10}, 10, 0},
		{map[string]int64{a.ID: 9, b.ID: 5}, 10, 5},
		{map[string]int64{a.ID: 11, b.ID: 5}, 11, 5},
		{map[string]int64{a.ID: 11, b.ID: -1}, 11, 5},
		{nil, 11, 5},
	} {
		if err := s.RaiseViewed(ctx, Account(0), step.raise); err != nil {
			t.Fatal(err)
		}
		if got := mustSeen(t, s, a.ID, Account(0)); got != (store.Seen{Activity: activity, Viewed: step.wa}) {
			t.Fatalf("after %v: %v, want viewed %d", step.raise, got, step.wa)
		}
		if got := mustSeen(t, s, b.ID, Account(0)).Viewed; got != step.wb {
			t.Fatalf("after %v: %v, want viewed %d", step.raise, got, step.wb)
		}
	}
}

func sameAccount(a, b store.Account) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Display == b.Display && bytes.Equal(a.Credential, b.Credential) && a.Created == b.Created &&
		a.Standing == b.Standing && sameSession(a.Session, b.Session)
}

func sameSession(a, b store.Session) bool {
	return a.Installation == b.Installation && a.TokenHash == b.TokenHash && bytes.Equal(a.Nonce, b.Nonce) &&
		a.Expires == b.Expires
}
