package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/ring"
	"github.com/chatstream/chatstream/store/storetest"
)

// offline is a store that has no database, for tests of what it makes of what it
// is told.
func offline() *Store {
	cfg, err := Config{URI: "mongodb://nowhere/", Logger: quiet}.withDefaults()
	if err != nil {
		panic(err)
	}
	return &Store{
		cfg: cfg, log: quiet, process: 1, table: newTable(cfg.Rooms), ring: ring.New(cfg.RingEvents, cfg.RingBytes),
		dueWake: make(chan struct{}, 1), closing: make(chan struct{}), failed: make(chan struct{}),
	}
}

// logOf is a room's log of n events, written by process.
func logOf(id string, n int, process uint64) []record {
	records := make([]record, n)
	for i := range records {
		records[i] = record{
			Event: room.Event{
				Draft: room.Draft{UUID: storetest.UUID(i, 0), Kind: room.KindText, Sender: storetest.Account(0)},
				Room:  id, Seq: uint64(i) + 1, Time: int64(i) + 1,
			},
			by: author{process, 1},
		}
	}
	return records
}

// track has s track the room with the first n events of log read.
func track(s *Store, log []record, n int) *tracked {
	r := s.table.get(log[0].Room)
	r.read = true
	for i := range log[:n] {
		r.fold(&log[i])
	}
	return r
}

// shownOf is what was shown, as numbers, and checks that it is of one epoch.
func shownOf(t *testing.T, s *Store, from store.Position) []uint64 {
	t.Helper()
	now := s.ring.Now()
	if from == now {
		return nil
	}
	var seqs []uint64
	for batch, err := range s.ring.Watch(t.Context(), from) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch.Events {
			seqs = append(seqs, e.Seq)
		}
		if batch.After == now {
			break
		}
	}
	return seqs
}

func isShown(t *testing.T, s *Store, from store.Position, want ...uint64) {
	t.Helper()
	if got := shownOf(t, s, from); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("shown are events %v, want %v", got, want)
	}
}

func bring(t *testing.T, s *Store, records ...record) {
	t.Helper()
	if err := s.streamed(records, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// Of a room that nobody uses here all is shown, as the stream brings it.
func TestShowsRoomsNobodyUses(t *testing.T) {
	s := offline()
	from := s.ring.Now()
	log := logOf("room000", 5, 2)
	bring(t, s, log[2:4]...)
	bring(t, s, log[4])
	isShown(t, s, from, 3, 4, 5)
	if len(s.table.rooms) != 0 {
		t.Error("the room is tracked")
	}
}

// Until the stream has caught up with what was read, only the stream shows:
// otherwise what it is about to bring would come late, behind a later event.
func TestOnlyTheStreamShowsUntilLive(t *testing.T) {
	s := offline()
	from := s.ring.Now()
	log := logOf("room000", 7, 1)
	r := track(s, log, 3) // of which the stream has yet to bring 3
	s.learned(r, log[3:4])
	isShown(t, s, from)
	bring(t, s, log[2])
	isShown(t, s, from, 3)
	s.learned(r, log[4:5])
	isShown(t, s, from, 3)
	bring(t, s, log[3], log[4])
	isShown(t, s, from, 3, 4, 5)
	// Now it is live.
	s.learned(r, log[5:6])
	isShown(t, s, from, 3, 4, 5, 6)
	bring(t, s, log[5])
	isShown(t, s, from, 3, 4, 5, 6)
	bring(t, s, log[6]) // before its acknowledgement
	s.learned(r, log[6:])
	isShown(t, s, from, 3, 4, 5, 6, 7)
	if r.state.Seq != 7 {
		t.Errorf("the state is of event %d, want 7", r.state.Seq)
	}
}

// Whatever the order in which the stream, acknowledgements and reads tell of
// events, each is shown once and in order, and the state has at least that.
func TestShownOnceInOrder(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := offline()
		from := s.ring.Now()
		const n = 30
		log := logOf("room000", n, 1)
		begun := random.IntN(5) // what was there before the stream
		streamed := begun
		known := begun
		var r *tracked
		for streamed < n {
			switch {
			case r == nil && random.IntN(3) == 0:
				known = streamed + random.IntN(n-streamed+1)
				r = track(s, log, known)
			case r != nil && known < n && random.IntN(2) == 0:
				next := known + 1 + random.IntN(n-known)
				s.learned(r, log[random.IntN(known+1):next])
				known = next
			default:
				next := streamed + 1 + random.IntN(min(4, n-streamed))
				bring(t, s, log[streamed:next]...)
				streamed = next
				known = max(known, streamed)
			}
			got := shownOf(t, s, from)
			for i, seq := range got {
				if seq != uint64(begun+i)+1 {
					t.Fatalf("seed %d: shown %v, from %d on", seed, got, begun+1)
				}
			}
			if r != nil && len(got) > 0 && r.state.Seq < got[len(got)-1] {
				t.Fatalf("S10, seed %d: shown %v, the state is of %d", seed, got, r.state.Seq)
			}
		}
		if got := shownOf(t, s, from); len(got) != n-begun {
			t.Fatalf("seed %d: shown %v of %d, from %d on", seed, got, n, begun+1)
		}
	}
}

// What comes while a room is being read is shown, and folded when it is read.
func TestStreamWhileReading(t *testing.T) {
	s := offline()
	from := s.ring.Now()
	log := logOf("room000", 5, 1)
	r := s.table.get("room000")
	r.loading = &load{done: make(chan struct{})}
	bring(t, s, log[1], log[2], log[3])
	isShown(t, s, from, 2, 3, 4)
	if len(r.parked) != 3 {
		t.Fatalf("%d events are parked, want 3", len(r.parked))
	}
	all := logOf("room000", maxParked+10, 1)
	bring(t, s, all[4:]...)
	if len(r.parked) != maxParked || !r.overflow {
		t.Errorf("%d events are parked, overflow %v; want %d at most", len(r.parked), r.overflow, maxParked)
	}
}

// A room that is read while the stream goes on has what either brought, and is live.
func TestRoomIsReadWhileStreamed(t *testing.T) {
	t.Parallel()
	s := closing(t, open(t, inTest(t)))
	ctx := bounded(t)
	all := logOf(storetest.RoomID(0), maxParked+20, 2)
	for name, tt := range map[string]struct{ there, brought int }{
		"more than was read": {2, 5}, "less than was read": {5, 3}, "too much to keep": {maxParked + 20, maxParked + 20},
	} {
		id := storetest.RoomID(tt.there)
		log := slices.Clone(all)
		documents := make([]any, tt.there)
		for i := range log {
			log[i].Room = id
			if i < tt.there {
				documents[i] = log[i].document()
			}
		}
		l := &load{done: make(chan struct{})}
		s.mu.Lock()
		r := s.table.get(id)
		r.users++
		r.loading = l
		s.mu.Unlock()
		bring(t, s, log[:tt.brought]...) // before the database's own stream does
		if _, err := s.events.InsertMany(ctx, documents); err != nil {
			t.Fatal(err)
		}
		s.load(r, l)
		s.mu.Lock()
		if want := uint64(max(tt.there, tt.brought)); l.err != nil || r.state.Seq != want || r.live != (r.streamed == want) || r.parked != nil || r.overflow {
			t.Errorf("%s: %v, state of %d, want %d; live %v, streamed %d", name, l.err, r.state.Seq, want, r.live, r.streamed)
		}
		r.users--
		s.mu.Unlock()
	}
}

// A stream that leaves something out is noticed.
func TestGapInStream(t *testing.T) {
	log := logOf("room000", 9, 1)
	for name, live := range map[string]bool{"live": true, "not yet live": false} {
		s := offline()
		from := s.ring.Now()
		track(s, log, 3)
		if live {
			bring(t, s, log[2])
		}
		shown := len(shownOf(t, s, from))
		if err := s.streamed(log[5:6], nil, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := shownOf(t, s, from); len(got) != shown {
			t.Errorf("%s: shown %v", name, got)
		}
	}
	s := offline()
	track(s, log, 8)
	bring(t, s, log[2])
	if err := s.streamed(log[4:5], nil, nil); err == nil {
		t.Error("a gap in what was read already: no error")
	}
	// What came before it is shown, and what came behind is not missing: rooms stay
	// as they are.
	s = offline()
	from := s.ring.Now()
	track(s, log, 3)
	other := track(s, logOf("room001", 9, 1), 3)
	bring(t, s, log[2], logOf("room001", 9, 1)[2])
	if err := s.streamed([]record{log[3], log[5], logOf("room001", 9, 1)[3]}, nil, nil); err == nil {
		t.Error("a gap among others: no error")
	}
	if isShown(t, s, from, 3, 3, 4); other.state.Seq != 3 || other.streamed != 3 {
		t.Errorf("room001 is at %d, streamed %d, but nothing of it was shown", other.state.Seq, other.streamed)
	}
}

// An answer waits for its event to be shown, if only the stream shows the room.
func TestAnswerWaitsForStream(t *testing.T) {
	s := offline()
	log := logOf("room000", 6, 1)
	r := track(s, log, 3)
	answered := 0
	answer := func() { answered++ }
	s.learned(r, log[3:5])
	s.shown(r, 4, answer)
	s.shown(r, 5, answer)
	if answered != 0 {
		t.Fatal("answered before it was shown")
	}
	bring(t, s, log[2], log[3])
	if answered != 1 {
		t.Fatalf("%d answers after the first was shown", answered)
	}
	bring(t, s, log[4])
	if answered != 2 {
		t.Fatalf("%d answers after the second was shown", answered)
	}
	s.learned(r, log[5:])
	if s.shown(r, 6, answer); answered != 3 {
		t.Error("in a live room nothing has to be waited for")
	}
	// An epoch that ends leaves nobody waiting.
	r = track(s, logOf("room001", 3, 1), 3)
	s.shown(r, 3, answer)
	if s.reset(); answered != 4 {
		t.Error("an answer still waits for an epoch that has ended")
	}
	if s.shown(r, 3, answer); answered != 5 {
		t.Error("an answer waits for a room that is not kept up any more")
	}
}

// Watchers of an epoch that has ended are told so; rooms are read anew.
func TestResetEndsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := offline()
		from := s.ring.Now()
		log := logOf("room000", 4, 1)
		r := track(s, log, 3)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var end error
		go func() {
			for _, err := range s.Watch(ctx, from) {
				end = err
			}
		}()
		synctest.Wait()
		s.reset()
		synctest.Wait()
		if !errors.Is(end, store.ErrHistoryLost) {
			t.Errorf("the watch ended with %v, want %v", end, store.ErrHistoryLost)
		}
		if len(s.table.rooms) != 0 || !r.dead {
			t.Error("a room is still tracked")
		}
		s.learned(r, log[3:])
		if r.state.Seq != 3 {
			t.Error("a room that is not kept up any more has taken something in")
		}
	})
}

// Rooms leave the table in the order of use, but for those that are needed.
func TestTableIsBounded(t *testing.T) {
	s := offline()
	s.table = newTable(3)
	logs := make([][]record, 8)
	for i := range logs {
		logs[i] = logOf(storetest.RoomID(i), 3, 1)
	}
	used := track(s, logs[0], 3)
	used.users++
	// It has shown event 3, which the stream has yet to bring.
	ahead := track(s, logs[1], 2)
	bring(t, s, logs[1][1])
	s.learned(ahead, logs[1][2:])
	for i := 2; i < len(logs); i++ {
		track(s, logs[i], 3)
	}
	if n := len(s.table.rooms); n > 4 {
		t.Errorf("%d rooms are tracked, of which 2 must be; the limit is 3", n)
	}
	if used.dead || ahead.dead {
		t.Error("a room that is needed was forgotten")
	}
	from := s.ring.Now()
	bring(t, s, logs[1][2])
	isShown(t, s, from)
	if used.users--; true {
		s.table.get("another")
		s.table.get("another1")
		s.table.get("another2")
	}
	if !used.dead || s.table.order.Len() != len(s.table.rooms) {
		t.Errorf("the room used last is still there: %v; %d rooms in the order, %d in the table", !used.dead, s.table.order.Len(), len(s.table.rooms))
	}
}

func TestRivals(t *testing.T) {
	s := offline()
	a, b := logOf("room000", 4, 2), logOf("room000", 4, 3)
	r := track(s, a, 1)
	if n := r.rivals(); n != 0 {
		t.Errorf("%d rivals before any was met", n)
	}
	bring(t, s, a[0], a[1], b[2], logOf("room000", 4, s.process)[3])
	if n := r.rivals(); n != 2 {
		t.Errorf("%d rivals, want 2", n)
	}
	s.latency = 1e9
	s.yield(r)
	if r.notBefore.IsZero() {
		t.Error("the room does not yield")
	}
	for i := range r.foreign {
		r.foreign[i].at = r.foreign[i].at.Add(-foreignFor)
	}
	if n := r.rivals(); n != 0 {
		t.Errorf("%d rivals, want none after a while", n)
	}
}
