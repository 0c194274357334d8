package mongo

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// lively is a room with joins, leaves, kicks, bans and heirs, and its log.
func lively(t *testing.T, s *Store, id string) []room.Event {
	t.Helper()
	r := &storetest.Room{Store: s, ID: id}
	r.Create(t, storetest.Account(0))
	for i := 1; i < 6; i++ {
		r.Join(t, storetest.Account(i))
	}
	r.Leave(t, storetest.Account(0)) // 1 inherits
	r.Do(t, room.Expel{UUID: r.UUID(), Caller: storetest.Account(1), Target: storetest.Account(2)})
	r.Do(t, room.Expel{UUID: r.UUID(), Caller: storetest.Account(1), Target: storetest.Account(3), Ban: true})
	r.Join(t, storetest.Account(2))
	r.Leave(t, storetest.Account(1)) // 4 inherits
	r.Join(t, storetest.Account(0))
	r.Leave(t, storetest.Account(4)) // 5 inherits
	r.Join(t, storetest.Account(1))
	r.Post(t, storetest.Account(5), "the end")
	events, err := s.Events(t.Context(), id, 0, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// upTo is what is known of a room after the first n events of its log, with what
// has changed since after.
func upTo(log []room.Event, n int, after uint64) (state room.State, changed map[string]struct{}, active map[string]store.Seen) {
	changed, active = make(map[string]struct{}), make(map[string]store.Seen)
	for i := range log[:n] {
		e := record{Event: log[i]}
		before := state
		state = room.Fold(before, e.Event)
		if e.Seq > after {
			note(changed, active, before, state, &e)
		}
	}
	return state, changed, active
}

// Whatever snapshots there are, written by whom and in whatever order, a room that
// is read is what its log folds to: also when a snapshot was written in part, which
// leaves members that are further than the room.
func TestSnapshotsSayWhatTheLogSays(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	cfg.foldAfter = 1 << 40 // none by itself
	s := closing(t, open(t, cfg))
	ctx := bounded(t)
	log := lively(t, s, storetest.RoomID(0))
	want, _, _ := upTo(log, len(log), 0)
	wantSeen, err := s.Seen(ctx, storetest.RoomID(0))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, snapshot uint64) {
		t.Helper()
		read, err := s.readRoom(ctx, storetest.RoomID(0))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := storetest.SameState(read.state, want); diff != "" || read.snapshot != snapshot {
			t.Fatalf("%s: snapshot of %d, want %d: %s", what, read.snapshot, snapshot, diff)
		}
		seen, err := s.Seen(ctx, storetest.RoomID(0))
		if err != nil || !maps.Equal(seen, wantSeen) {
			t.Fatalf("%s: seen are %v, %v; want %v", what, seen, err, wantSeen)
		}
	}
	check("none", 0)
	write := func(n int, after uint64) {
		t.Helper()
		state, changed, active := upTo(log, n, after)
		if err := s.writeSnapshot(ctx, state, changed, active); err != nil {
			t.Fatal(err)
		}
	}
	for n := 2; n < len(log); n += 3 {
		write(n, uint64(max(0, n-3)))
		check("one after the other", uint64(n))
	}
	done := uint64(2 + (len(log)-3)/3*3)
	// An older one comes late.
	write(5, 0)
	check("an older one", done)
	// Members ahead of the room.
	state, changed, _ := upTo(log, len(log), 0)
	for account := range changed {
		m, _ := state.Member(account)
		update := ifNewer(in(state.ID, account), int64(state.Seq), memberFields(&m))
		if err := s.bulk(ctx, s.members, []driver.WriteModel{update}); err != nil {
			t.Fatal(err)
		}
	}
	check("members ahead", done)
	write(len(log), 0)
	check("the last", uint64(len(log)))
}

// Two servers write a room's snapshot at once, and both find that a member is not
// in it yet. The one that has an older state inserts first; the other's is the one
// that counts.
func TestOlderSnapshotWinsNoRace(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	s := closing(t, open(t, Config{URI: set.URI(), Logger: quiet, foldAfter: 1 << 40}))
	ctx := bounded(t)
	id, banned := storetest.RoomID(0), storetest.Account(1)
	r := &storetest.Room{Store: s, ID: id}
	r.Create(t, storetest.Account(0))
	r.Join(t, banned)
	r.Do(t, room.Expel{UUID: r.UUID(), Caller: storetest.Account(0), Target: banned, Ban: true})
	log, err := s.Events(ctx, id, 0, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	first, changed, active := upTo(log, 2, 0)
	if err := s.writeSnapshot(ctx, first, changed, active); err != nil {
		t.Fatal(err)
	}
	older, _, _ := upTo(log, len(log)-1, 2)
	newer, changed, active := upTo(log, len(log), 2)

	admin := database(t, Config{URI: set.URI(), Database: "admin"})
	const hang = "hangBeforeUpsertPerformsInsert"
	failpoint := func(mode string) {
		t.Helper()
		if err := admin.RunCommand(ctx, bson.D{{Key: "configureFailPoint", Value: hang}, {Key: "mode", Value: mode}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	failpoint("alwaysOn")
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := s.writeSnapshot(ctx, newer, changed, active); err != nil {
			t.Error(err)
		}
	})
	for hung := []bson.M(nil); len(hung) == 0; { // it has found nothing, and is about to insert
		found, err := admin.Aggregate(ctx, driver.Pipeline{
			{{Key: "$currentOp", Value: bson.D{}}}, {{Key: "$match", Value: bson.D{{Key: "failpointMsg", Value: hang}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := found.All(ctx, &hung); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := older.Member(banned)
	d := append(memberFields(&m), bson.E{Key: "_id", Value: in(id, banned)}, bson.E{Key: "s", Value: int64(older.Seq)})
	if _, err := s.members.InsertOne(ctx, d); err != nil {
		t.Fatal(err)
	}
	failpoint("off")
	writing.Wait()
	read, err := s.readRoom(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := storetest.SameState(read.state, newer); diff != "" || read.snapshot != newer.Seq {
		t.Errorf("the snapshot is of event %d, want %d; who was banned is present: %v: %s", read.snapshot, newer.Seq, read.state.Present(banned), diff)
	}
}

// By itself a snapshot is written every so many events, and read again by who
// opens the store next.
func TestSnapshotIsWritten(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	s := open(t, cfg)
	ctx := bounded(t)
	id := storetest.RoomID(0)
	log := lively(t, s, id)
	for {
		read, err := s.readRoom(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if read.snapshot >= uint64(len(log))-cfg.foldAfter {
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = closing(t, open(t, cfg))
	if got := storetest.CheckRoom(ctx, t, s, id); !slices.EqualFunc(got, log, storetest.Equal) {
		t.Errorf("the log is %+v", got)
	}
	r, err := s.enter(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	defer s.leave(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.snapshot == 0 || len(r.active) > int(cfg.foldAfter) {
		t.Errorf("the room was read from event %d on", r.snapshot+1)
	}
}
