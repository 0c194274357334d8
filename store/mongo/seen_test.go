package mongo

import (
	"context"
	"encoding/binary"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// counting dials connections that count what is sent, each command with the
// collection it is for: "find events".
type counting struct {
	Dialer
	mu   sync.Mutex
	sent map[string]int
	// held, if not nil, is waited for before an update of seen is sent.
	held chan struct{}
}

func newCounting(d Dialer) *counting { return &counting{Dialer: d, sent: make(map[string]int)} }

func (c *counting) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countingConn{conn, c}, nil
}

// reset returns what was sent since the last time.
func (c *counting) reset() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = make(map[string]int)
	return sent
}

func (c *counting) count(what string) (held chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[what]++
	if what != updateSeen {
		return nil
	}
	return c.held
}

const updateSeen = "update " + seenName

// hold keeps updates of seen back until what it returns is called.
func (c *counting) hold() (release func()) {
	held := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held = nil
		close(held)
	}
}

type countingConn struct {
	net.Conn
	from *counting
}

// Write expects one message, as the driver writes them.
func (c *countingConn) Write(p []byte) (int, error) {
	// A header of 16 bytes, of which the last 4 are the kind of message, flags, and
	// the number of a section: the command.
	if len(p) > 25 && binary.LittleEndian.Uint32(p[12:]) == 2013 && p[20] == 0 {
		command := bson.Raw(p[21 : 21+binary.LittleEndian.Uint32(p[21:])])
		name := command.Index(0).Key()
		collection := command.Index(0).Value()
		if name == "getMore" {
			collection = command.Lookup("collection")
		}
		of, _ := collection.StringValueOK()
		if held := c.from.count(name + " " + of); held != nil {
			<-held
		}
	}
	return c.Conn.Write(p)
}

// trips are the round trips of sent that concern any of the collections in which
// it says who was seen.
func trips(sent map[string]int) (n int) {
	for _, of := range []string{roomsName, seenName, eventsName} {
		for _, command := range []string{"find ", "aggregate ", "getMore ", "update "} {
			n += sent[command+of]
		}
	}
	return n
}

// Where an account was seen costs three round trips, however many rooms it is asked
// of, up to a bound; and the answer has what is in the documents of seen and what
// only the events behind each room's own snapshot say.
func TestSeenByCostsThreeRoundTrips(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	sent := newCounting(&net.Dialer{})
	cfg.Dialer = sent
	s := closing(t, open(t, cfg))
	ctx := bounded(t)
	me, other := storetest.Account(0), storetest.Account(1)
	const rooms = 300
	var ids []string
	var snapshots, seen, events []any
	want := make(map[string]store.Seen)
	for i := range rooms {
		id := storetest.RoomID(i)
		ids = append(ids, id)
		event := func(seq int64, sender string, time, viewed int64) {
			e := record{Event: room.Event{
				Draft: room.Draft{UUID: storetest.UUID(i, int(seq)), Kind: room.KindText, Sender: sender}, Room: id, Seq: uint64(seq), Time: time,
			}, viewed: viewed}
			events = append(events, e.document())
		}
		event(1, me, 1000, 0)
		switch i % 4 {
		case 0: // all is behind the snapshot, of which there is none
			event(2, me, 1001, 7)
			event(3, other, 1002, 8)
			want[id] = store.Seen{Activity: 1001, Viewed: 7}
		case 1: // all is in the snapshot
			snapshots = append(snapshots, roomDocument{ID: id, Seq: 1})
			seen = append(seen, seenDocument{ID: in(id, me), Activity: 1000, Viewed: 9}, seenDocument{ID: in(id, other), Viewed: 10})
			event(2, other, 1001, 11)
			want[id] = store.Seen{Activity: 1000, Viewed: 9}
		case 2: // some is
			snapshots = append(snapshots, roomDocument{ID: id, Seq: 1})
			seen = append(seen, seenDocument{ID: in(id, me), Activity: 1000, Viewed: 12})
			event(2, me, 1001, 3)
			want[id] = store.Seen{Activity: 1001, Viewed: 12}
		case 3: // what is before the snapshot is not read
			snapshots = append(snapshots, roomDocument{ID: id, Seq: 1})
			delete(want, id)
		}
	}
	err := s.causally(ctx, func(ctx context.Context) (err error) {
		_, err = s.rooms.InsertMany(ctx, snapshots)
		if err == nil {
			_, err = s.seen.InsertMany(ctx, seen)
		}
		if err == nil {
			_, err = s.events.InsertMany(ctx, events)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(rooms []string, chunks int) {
		t.Helper()
		sent.reset()
		got, err := s.SeenBy(ctx, me, rooms)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("of %d rooms: %d entries, %v; want %d", len(rooms), len(got), err, len(want))
		}
		// The moment may be chosen anew, once, after the first query.
		by := sent.reset()
		if n := by["find "+roomsName]; n > 2*chunks || trips(by)-n != 2*chunks {
			t.Errorf("of %d rooms: %d round trips, want 3, or 4, times %d: %v", len(rooms), trips(by), chunks, by)
		}
	}
	ask(ids, 1)
	for len(ids) < 3*seenRooms {
		ids = append(ids, storetest.RoomID(len(ids)))
	}
	slices.Reverse(ids)
	ask(ids, 3)
	clear(want)
	ask(ids[:seenRooms], 1)
	ask(nil, 0)
}

// What this process knows of is in the answer, also if the database, asked as of one
// moment, would choose one that is before it: what is written, but not yet with a
// majority. Only the first query is made again.
func TestSeenByWaitsForWhatIsKnown(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{Members: 3})
	sent := newCounting(&net.Dialer{})
	s := closing(t, open(t, Config{URI: set.URI(), Logger: quiet, heartbeat: 500 * time.Millisecond, Dialer: sent, Timeout: 20 * time.Second}))
	ctx := bounded(t)
	primary, err := set.Primary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	thaw := func() {
		for n := range 3 {
			if err := set.Thaw(n); err != nil {
				t.Error(err)
			}
		}
	}
	defer thaw()
	for n := range 3 {
		if n != primary {
			if err := set.Freeze(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	me, id := storetest.Account(0), storetest.RoomID(0)
	alone := s.database.Collection(seenName, options.Collection().SetWriteConcern(writeconcern.W1()))
	err = s.causally(ctx, func(ctx context.Context) error {
		_, err := alone.InsertOne(ctx, seenDocument{ID: in(id, me), Viewed: 7})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sent.reset()
	done := make(chan struct{})
	var seen map[string]store.Seen
	go func() {
		defer close(done)
		seen, err = s.SeenBy(ctx, me, []string{id})
	}()
	for asked := false; !asked; {
		select {
		case <-done:
			asked = true
		default:
			runtime.Gosched()
			sent.mu.Lock()
			asked = sent.sent["find "+roomsName] > 1
			sent.mu.Unlock()
		}
	}
	thaw()
	<-done
	if want := (store.Seen{Viewed: 7}); err != nil || seen[id] != want {
		t.Errorf("got %v, %v; want %v", seen, err, want)
	}
	if by := sent.reset(); trips(by) != 4 {
		t.Errorf("%d round trips, want 4: %v", trips(by), by)
	}
}
