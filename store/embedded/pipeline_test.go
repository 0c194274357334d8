package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// stepSyncs has each sync of the log say that it has begun, and then wait for
// what comes of it.
func stepSyncs(d *disk) (begun chan struct{}, outcome chan error) {
	begun, outcome = make(chan struct{}, 64), make(chan error)
	d.during(func(op, name string) error {
		if op != opSync || !isLog(name) {
			return nil
		}
		begun <- struct{}{}
		return <-outcome
	})
	return begun, outcome
}

// appending is an Append under way. decided receives the state that Decide saw.
type appending struct {
	decided chan room.State
	answer  chan error
	done    store.Appended
}

func startAppend(ctx context.Context, s *Store, roomID string, c room.Command) *appending {
	a := &appending{decided: make(chan room.State, 1), answer: make(chan error, 1)}
	op := storetest.OpOf(c)
	decide := op.Decide
	op.Decide = func(state room.State) ([]room.Draft, error) {
		a.decided <- state
		return decide(state)
	}
	go func() {
		var err error
		a.done, err = s.Append(ctx, roomID, op)
		a.answer <- err
	}()
	return a
}

func (a *appending) open(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-a.answer:
		t.Fatalf("%s was answered: %v", what, err)
	default:
	}
}

// While a group is synced the next one decides against it, knows its uuids, and
// neither is shown or answered before its own sync.
func TestNextGroupIsDecidedDuringSync(t *testing.T) {
	d := &disk{FS: vfs.NewCrashableMem()}
	s := open(t, inMemory(d))
	ctx := t.Context()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	admin, joiner := storetest.Account(0), storetest.Account(1)
	r.Create(t, admin)
	shown := func() int {
		t.Helper()
		events, err := s.Events(ctx, r.ID, 2, store.Page{})
		if err != nil {
			t.Fatal(err)
		}
		if state, err := s.State(ctx, r.ID); err != nil || int(state.Seq) != 2+len(events) {
			t.Errorf("State is at %d, %v; Events shows %d", state.Seq, err, 2+len(events))
		}
		return len(events)
	}

	begun, outcome := stepSyncs(d)
	join := room.Join{UUID: r.UUID(), Account: joiner, Password: "secret"}
	first := startAppend(ctx, s, r.ID, join)
	<-first.decided
	<-begun
	next := startAppend(ctx, s, r.ID, room.Post{UUID: r.UUID(), Sender: joiner, Kind: room.KindText})
	if state := <-next.decided; state.Seq != 3 || !state.Present(joiner) {
		t.Errorf("the next group decided against %+v, want to see the join", state.Header)
	}
	again := startAppend(ctx, s, r.ID, join)
	eventually(t, "the repetition is taken", func() bool { return len(s.queue) == 0 })
	if n := shown(); n != 0 {
		t.Errorf("%d events show before any sync", n)
	}
	first.open(t, "the first")

	outcome <- nil
	if err := <-first.answer; err != nil {
		t.Fatal(err)
	}
	<-begun
	if n := shown(); n != 1 {
		t.Errorf("%d events show while the second group is synced, want 1", n)
	}
	next.open(t, "the next")
	d.during(nil)
	outcome <- nil
	if err := <-next.answer; err != nil {
		t.Error(err)
	}
	if err := <-again.answer; err != nil || !again.done.Repeated || again.done.Events[0].Seq != 3 {
		t.Errorf("the repetition gave %+v, %v", again.done, err)
	}
	if n := shown(); n != 2 {
		t.Errorf("%d events show in the end, want 2", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// When a sync fails, the group that was decided meanwhile is refused too, and
// it is not on the disk, not even unsynced.
func TestFailedSyncTakesNextGroupAlong(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem}
	s := open(t, inMemory(d))
	ctx := t.Context()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	begun, outcome := stepSyncs(d)
	post := func() *appending {
		return startAppend(ctx, s, r.ID, room.Post{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText})
	}
	first := post()
	<-begun
	next := post()
	<-next.decided
	outcome <- syscall.EIO
	for i, a := range []*appending{first, next} {
		if err := <-a.answer; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("append %d: got %v, want %v", i, err, store.ErrUnavailable)
		}
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	if err := s.Close(); !errors.Is(err, s.Err()) {
		t.Errorf("Close: got %v, want %v", err, s.Err())
	}
	d.during(nil)
	close(s.cfg.thaw)
	s = open(t, inMemory(left))
	// The first may have been kept, since its sync only said that it failed.
	if n := len(storetest.CheckRoom(ctx, t, s, r.ID)); n > 3 {
		t.Errorf("%d events, want the next not to be written", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A caller looks his uuid up before the same uuid is stored, and gets to the
// committer only afterwards: at once, or so late that the committer has
// forgotten it. Either way he gets the first event (S8).
func TestRepetitionRacesWithFirst(t *testing.T) {
	for _, later := range []int{0, 4 * maxRecentEvents} {
		t.Run(fmt.Sprintf("%d events later", later), func(t *testing.T) {
			s := open(t, inMemory(vfs.NewCrashableMem()))
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			ctx := t.Context()
			r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
			r.Create(t, storetest.Account(0))
			op := storetest.OpOf(room.Post{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text("once")})
			late := command{roomID: r.ID, op: &op, what: "test"}
			if err := late.prepare(ctx, s); err != nil || late.known {
				t.Fatal(late.known, err)
			}
			first, err := s.Append(ctx, r.ID, op)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; n < later; n += 1024 {
				var drafts []room.Draft
				for range 1024 {
					drafts = append(drafts, room.Draft{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText})
				}
				if _, err := s.Append(ctx, r.ID, store.Op{Decide: func(room.State) ([]room.Draft, error) { return drafts, nil }}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.submit(ctx, late.what, late.stage); err != nil {
				t.Fatal(err)
			}
			if !late.repeated || late.events[0].Seq != first.Events[0].Seq || late.events[0].Time != first.Events[0].Time {
				t.Errorf("got %+v (repeated: %v), want %+v", late.events, late.repeated, first.Events)
			}
		})
	}
}

// What no view shows yet is not forgotten, however much there is.
func TestUnpublishedIsNotForgotten(t *testing.T) {
	r := newRecent[string, int]()
	r.put("first", 1)
	if !r.forget(true, 1, 0) { // group 1 was handed over; no view shows it
		t.Fatal("young is as large as ever")
	}
	r.put("second", 2)
	if r.forget(true, 2, 0) {
		t.Error("group 1 is forgotten, and no view shows it")
	}
	if v, ok := r.find("first"); !ok || v != 1 || r.since != 0 {
		t.Errorf("found %d, %v since %d", v, ok, r.since)
	}
	if !r.forget(true, 2, 1) || r.since != 1 {
		t.Errorf("since %d, want group 1 to be forgotten when a view shows it", r.since)
	}
	if _, ok := r.find("first"); ok {
		t.Error("group 1 is still there")
	}
	if v, ok := r.find("second"); !ok || v != 2 {
		t.Errorf("found %d, %v of group 2, which no view shows", v, ok)
	}
}
