package mongo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// postOf is a message of the room's creator.
func postOf(r *storetest.Room) room.Post {
	uuid := r.UUID()
	return room.Post{UUID: uuid, Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text(uuid)}
}

// post sends c until it is known what became of it.
func post(ctx context.Context, s store.Store, id string, c room.Command) (store.Appended, error) {
	for {
		done, err := s.Append(ctx, id, storetest.OpOf(c))
		if err == nil || !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return done, err
		}
	}
}

// losing dials connections that lose replies: after the database has done what it
// was asked.
type losing struct {
	net.Dialer
	// commands are what the replies to are lost, as they begin on the wire; left
	// is how many are yet to be.
	commands []string
	left     atomic.Int32
	lost     atomic.Int32
}

// As a command begins: an element of BSON with the command's name.
const (
	insertEvents = "\x02insert\x00\x07\x00\x00\x00events\x00"
	findEvents   = "\x02find\x00\x07\x00\x00\x00events\x00"
	commit       = "\x10commitTransaction\x00"
)

const always = 1 << 30

func (l *losing) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.Dialer.DialContext(ctx, network, address)
	return &losingConn{Conn: c, from: l}, err
}

type losingConn struct {
	net.Conn
	from *losing
	lose atomic.Bool
}

func (c *losingConn) Write(p []byte) (int, error) {
	for _, command := range c.from.commands {
		if bytes.Contains(p, []byte(command)) && c.from.left.Add(-1) >= 0 {
			c.lose.Store(true)
		}
	}
	return c.Conn.Write(p)
}

func (c *losingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.lose.Load() {
		c.from.lost.Add(1)
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

// A reply that is lost leaves it open whether the event was stored. It is stored
// once, and answered as such: by the driver's own retries, or by looking at what is
// there. If that cannot be done either the caller is told so, and may ask again.
func TestLostReply(t *testing.T) {
	t.Parallel()
	message := func(r *storetest.Room) room.Command { return postOf(r) }
	opening := func(r *storetest.Room) room.Command {
		return room.Create{Name: "n", Creator: storetest.Account(0), CapUUID: r.UUID(), JoinUUID: r.UUID()}
	}
	for what, tt := range map[string]struct {
		command  func(*storetest.Room) room.Command
		commands []string
		left     int32
		err      error
	}{
		"retried by the driver":          {message, []string{insertEvents}, 1, nil},
		"looked up":                      {message, []string{insertEvents}, always, nil},
		"given up":                       {message, []string{insertEvents, findEvents}, always, store.ErrUnavailable},
		"several, retried by the driver": {opening, []string{commit}, 1, nil},
		"several, tried again":           {opening, []string{insertEvents}, 2, nil},
		"several, looked up":             {opening, []string{commit}, always, nil},
		"several, given up":              {opening, []string{commit, findEvents}, always, store.ErrUnavailable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cfg := inTest(t)
			cfg.Timeout = time.Second // the driver tries again for as long
			dial := &losing{commands: tt.commands}
			cfg.Dialer = dial
			s := closing(t, open(t, cfg))
			r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
			other := &storetest.Room{Store: s, ID: storetest.RoomID(1)}
			other.Create(t, storetest.Account(0))
			c, first := tt.command(r), uint64(1)
			if _, ok := c.(room.Post); ok {
				first = r.Create(t, storetest.Account(0))[1].Seq + 1
			}
			if _, err := s.State(t.Context(), r.ID); err != nil { // so that it need not be read
				t.Fatal(err)
			}
			dial.left.Store(tt.left)
			done, err := s.Append(t.Context(), r.ID, storetest.OpOf(c))
			dial.left.Store(0)
			if dial.lost.Load() == 0 {
				t.Fatal("no reply was lost")
			}
			switch {
			case !errors.Is(err, tt.err):
				t.Errorf("got %+v, %v; want error %v", done, err, tt.err)
			case err == nil && (done.Repeated || len(done.Events) == 0 || done.Events[0].Seq != first):
				t.Errorf("got %+v, want event %d as stored now", done, first)
			}
			// The driver may yet be looking for the primary that has closed so many connections.
			again, err := post(bounded(t), s, r.ID, c)
			if err != nil || !again.Repeated || again.Events[0].Seq != first {
				t.Errorf("again: got %+v, %v; want event %d repeated", again, err, first)
			}
			log := storetest.CheckRoom(t.Context(), t, s, r.ID)
			if want := max(first, 2); uint64(len(log)) != want {
				t.Errorf("%d events, want %d", len(log), want)
			}
			if e := r.Post(t, storetest.Account(0), "next"); e.Seq != uint64(len(log))+1 {
				t.Errorf("the next one has number %d, want %d", e.Seq, len(log)+1)
			}
		})
	}
}

// An attempt may be carried out after it was looked for in vain. Then the rules
// refuse the next one, for what the first has done; yet the caller, who has no uuid
// to ask again with, is told that it was stored.
func TestAttemptThatIsCarriedOutLate(t *testing.T) {
	t.Parallel()
	opening := room.Create{Name: "n", Creator: storetest.Account(0), CapUUID: storetest.UUID(0, 1), JoinUUID: storetest.UUID(0, 2)}
	for what, command := range map[string]func(room.State) room.Command{
		"Create": func(room.State) room.Command { return opening },
		"Join": func(state room.State) room.Command {
			return room.Join{UUID: storetest.UUID(0, 3), Account: storetest.Account(1), Name: "b", Password: state.Password}
		},
		"Leave": func(room.State) room.Command {
			return room.Leave{UUID: storetest.UUID(0, 3), Account: storetest.Account(0)}
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := closing(t, open(t, inTest(t)))
			ctx := bounded(t)
			r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
			if what != "Create" {
				r.Do(t, opening)
			}
			state, err := s.State(ctx, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			c := command(state)
			op := store.Op{Decide: func(state room.State) ([]room.Draft, error) { return room.Decide(state, c) }}
			q := &request{op: op, number: s.requests.Add(1), answered: make(chan struct{})}
			drafts, err := op.Decide(state)
			if err != nil {
				t.Fatal(err)
			}
			g := &staged{request: q}
			g.records, _ = s.place(q, &tracked{id: r.ID}, state, s.clock.now(), drafts)
			g.attempt()
			w := watch(ctx, t, s, r.ID)
			if _, err := s.events.InsertMany(ctx, (&turn{staged: []*staged{g}}).documents()); err != nil {
				t.Fatal(err)
			}
			w.until(ctx, t, len(drafts))
			now, err := s.State(ctx, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := op.Decide(now); err == nil {
				t.Fatal("the rules do not refuse it a second time")
			}
			done, err := s.append(ctx, r.ID, q)
			if err != nil || !slices.EqualFunc(done.Events, eventsOf(g.records), storetest.Equal) {
				t.Errorf("got %+v, %v; want what was stored", done, err)
			}
			storetest.CheckRoom(ctx, t, s, r.ID)
		})
	}
}

// While the database does not answer, an append ends with the context of its
// caller, and says that it may be stored; and what is sent again later is stored
// once.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	set, err := mongotest.Start(mongotest.Mongod(t), mongotest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	var notes lockedBuffer
	s := closing(t, open(t, Config{
		URI: set.URI(), Logger: slog.New(slog.NewTextHandler(&notes, nil)), Timeout: time.Second,
		silence: 1500 * time.Millisecond, heartbeat: 500 * time.Millisecond,
	}))
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	pos, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // with nothing to show it says so
		hears(t, s, time.Now())
	}
	if err := set.Freeze(0); err != nil {
		t.Fatal(err)
	}
	c := postOf(r)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = s.Append(ctx, r.ID, storetest.OpOf(c))
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v by the caller's deadline", err, store.ErrUnavailable)
	}
	// Without a deadline of the caller's, the store's own counts.
	if _, err := s.Append(t.Context(), r.ID, storetest.OpOf(postOf(r))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := s.Events(t.Context(), r.ID, 0, store.Page{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Events: got %v, want %v", err, store.ErrUnavailable)
	}
	// What is in memory is still there.
	if state, err := s.State(t.Context(), r.ID); err != nil || state.Seq != 2 {
		t.Errorf("State: got %d, %v; want 2", state.Seq, err)
	}
	for !strings.Contains(notes.String(), errSilent.Error()) && time.Since(began) < time.Minute {
		time.Sleep(20 * time.Millisecond) // a frozen database leaves the stream waiting for ever
	}
	if after := s.Heard().Sub(began); after > 500*time.Millisecond {
		t.Errorf("the database was heard of %v after it was frozen", after)
	}
	if err := set.Thaw(0); err != nil {
		t.Fatal(err)
	}
	hears(t, s, time.Now())
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done, err := post(ctx, s, r.ID, c)
	if err != nil || len(done.Events) != 1 {
		t.Fatalf("afterwards: got %+v, %v", done, err)
	}
	last, err := post(ctx, s, r.ID, postOf(r))
	if err != nil {
		t.Fatal(err)
	}
	log := storetest.CheckRoom(ctx, t, s, r.ID)
	if n := slices.IndexFunc(log, func(e room.Event) bool { return e.UUID == c.UUID }); n < 0 || !storetest.Equal(log[n], done.Events[0]) {
		t.Errorf("what was answered is %+v; the log is %+v", done.Events[0], log)
	}
	if !strings.Contains(notes.String(), errSilent.Error()) {
		t.Error("nobody has noticed that the change stream was silent")
	}
	// The watch, which lived through it, shows all of it.
	var shown []room.Event
	for batch, err := range s.Watch(ctx, pos) {
		if err != nil {
			t.Fatal(err)
		}
		if shown = append(shown, batch.Events...); shown[len(shown)-1].Seq >= last.Events[0].Seq {
			break
		}
	}
	if !slices.EqualFunc(shown, log[2:], storetest.Equal) {
		t.Errorf("shown are %+v; the log is %+v", shown, log)
	}
}

// hears waits until s has heard of the database after that time.
func hears(t *testing.T, s *Store, after time.Time) {
	t.Helper()
	for late := time.After(soon); !s.Heard().After(after); {
		select {
		case <-late:
			t.Fatalf("the store has last heard of the database at %v; it is %v", s.Heard(), time.Now())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Without a majority nothing is acknowledged, shown or read, though the primary has
// it; when the majority is back, it is there once.
func TestNoMajority(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{Members: 3})
	s := closing(t, open(t, Config{URI: set.URI(), Logger: quiet, heartbeat: 500 * time.Millisecond, Timeout: 2 * time.Second}))
	ctx := bounded(t)
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	w := watch(ctx, t, s, r.ID)
	primary, err := set.Primary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if n != primary {
			if err := set.Freeze(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := postOf(r)
	if done, err := s.Append(ctx, r.ID, storetest.OpOf(c)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %+v, %v; want %v", done, err, store.ErrUnavailable)
	}
	if state, err := s.State(ctx, r.ID); err != nil || state.Seq != 2 {
		t.Errorf("the state is of event %d, %v; want 2", state.Seq, err)
	}
	w.mu.Lock()
	if len(w.events) > 0 {
		t.Errorf("shown are %+v, which no majority has", w.events)
	}
	w.mu.Unlock()
	for n := range 3 {
		if err := set.Thaw(n); err != nil {
			t.Fatal(err)
		}
	}
	done, err := post(ctx, s, r.ID, c)
	if err != nil || len(done.Events) != 1 || done.Events[0].Seq != 3 {
		t.Errorf("afterwards: got %+v, %v; want event 3", done, err)
	}
	log := storetest.CheckRoom(ctx, t, s, r.ID)
	if got := w.until(ctx, t, len(log)-2); !slices.EqualFunc(got, log[2:], storetest.Equal) {
		t.Errorf("shown are %+v, the log is %+v", got, log)
	}
}

// Close carries out what was accepted, and answers it.
func TestCloseAnswersAll(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	s := open(t, cfg)
	for i := range 4 {
		(&storetest.Room{Store: s, ID: storetest.RoomID(i)}).Create(t, storetest.Account(0))
	}
	ctx := bounded(t)
	var wg sync.WaitGroup
	var stored, refused atomic.Int32
	begun := make(chan struct{}, 100)
	for i := range 100 {
		wg.Go(func() {
			begun <- struct{}{}
			_, err := s.Append(ctx, storetest.RoomID(i%4), storetest.OpOf(room.Post{
				UUID: storetest.UUID(i, 1), Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text("x"),
			}))
			switch {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrUnavailable):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for range 50 {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s = closing(t, open(t, cfg))
	n := 0
	for i := range 4 {
		n += len(storetest.CheckRoom(ctx, t, s, storetest.RoomID(i))) - 2
	}
	if n != int(stored.Load()) || n+int(refused.Load()) != 100 {
		t.Errorf("%d messages are there; %d were acknowledged, %d refused", n, stored.Load(), refused.Load())
	}
}

// While the store is closed a room does not yield to its rivals any more; but one
// that the database refuses for no reason to be seen still waits before it is tried
// again, as long as that may go on.
func TestClosingStillWaitsForWhatIsBlocked(t *testing.T) {
	t.Parallel()
	for what, refused := range map[string]bool{"yields": false, "blocked": true} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := offline()
				r := track(s, logOf("room000", 2, 1), 2)
				q := &request{}
				r.queue = []*request{q}
				if refused {
					s.blocked(r, q)
				} else {
					r.notBefore = time.Now().Add(maxYield)
				}
				s.schedule(r)
				close(s.closing)
				want := max(0, time.Until(r.notBefore))
				if !refused {
					want = 0
				}
				began := time.Now()
				if turns := s.nextTurns(); len(turns) != 1 || turns[0].room != r {
					t.Errorf("picked %+v, want the room", turns)
				}
				if waited := time.Since(began); waited != want {
					t.Errorf("waited for %v, want %v", waited, want)
				}
			})
		})
	}
}

// Two stores, as two servers have them, write to the same rooms at once: whoever
// is acknowledged is in the log, once, and both show all of it in order.
func TestTwoStoresOneRoom(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	cfg.Rooms = 100
	const rooms, senders, each = 2, 4, 40
	stores := []*Store{closing(t, open(t, cfg)), closing(t, open(t, cfg))}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var wg sync.WaitGroup
	shown := make([][]room.Event, len(stores))
	for w, s := range stores {
		pos, err := s.Now(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for batch, err := range s.Watch(ctx, pos) {
				if err != nil {
					t.Error(err)
					return
				}
				if shown[w] = append(shown[w], batch.Events...); len(shown[w]) >= rooms*2+len(stores)*senders*each {
					return
				}
			}
		})
	}
	for i := range rooms {
		r := &storetest.Room{Store: stores[i%2], ID: storetest.RoomID(i)}
		r.Create(t, storetest.Account(0))
	}
	var mu sync.Mutex
	acknowledged := make(map[string]room.Event)
	for w, s := range stores {
		for c := range senders {
			wg.Go(func() {
				for n := range each {
					uuid := storetest.UUID(w*senders+c, n+1)
					id := storetest.RoomID((n + c) % rooms)
					done, err := post(ctx, s, id, room.Post{UUID: uuid, Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text(uuid)})
					if err != nil || len(done.Events) != 1 {
						t.Errorf("%+v, %v", done, err)
						return
					}
					mu.Lock()
					acknowledged[id+uuid] = done.Events[0]
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	n := 0
	for i := range rooms {
		id := storetest.RoomID(i)
		log := storetest.CheckRoom(ctx, t, stores[0], id)
		n += len(log) - 2
		for _, e := range log[2:] {
			if !storetest.Equal(acknowledged[id+e.UUID], e) {
				t.Errorf("room %s: event %d was acknowledged as %+v", id, e.Seq, acknowledged[id+e.UUID])
			}
		}
		for w := range shown {
			var of []room.Event
			for _, e := range shown[w] {
				if e.Room == id {
					of = append(of, e)
				}
			}
			if !slices.EqualFunc(of, log, storetest.Equal) {
				t.Errorf("room %s: store %d has shown %d events, in another way than the log of %d", id, w, len(of), len(log))
			}
		}
	}
	if want := len(stores) * senders * each; n != want || len(acknowledged) != want {
		t.Errorf("%d messages in the logs, %d acknowledged, want %d", n, len(acknowledged), want)
	}
}

// A rule is decided on what is there, not on what this process has heard of: the
// other store's join and leave count at once.
func TestDecidesOnWhatOthersHaveWritten(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	cfg := Config{URI: set.URI(), Logger: quiet}
	a, b := closing(t, open(t, cfg)), closing(t, open(t, cfg))
	// The change streams bring nothing, or late.
	defer failGetMore(t, a, 234)()
	ra := &storetest.Room{Store: a, ID: storetest.RoomID(0)}
	ra.Create(t, storetest.Account(0))
	me := storetest.Account(1)
	for i := range 5 {
		uuid := func(n int) string { return storetest.UUID(1000+i, n) }
		say := func(s store.Store, n int) error {
			_, err := s.Append(t.Context(), ra.ID, storetest.OpOf(room.Post{UUID: uuid(n), Sender: me, Kind: room.KindText, Body: storetest.Text("x")}))
			return err
		}
		ra.Join(t, me)
		if err := say(b, 1); err != nil {
			t.Fatalf("after a join at the other store: %v", err)
		}
		ra.Leave(t, me)
		if err := say(b, 2); !errors.Is(err, room.ErrNotMember) {
			t.Fatalf("after a leave at the other store: got %v, want %v", err, room.ErrNotMember)
		}
		// A repetition is one wherever it comes in.
		if done, err := b.Append(t.Context(), ra.ID, storetest.OpOf(room.Post{UUID: uuid(1), Sender: me, Kind: room.KindText, Body: storetest.Text("x")})); err != nil || !done.Repeated {
			t.Fatalf("repetition at the other store: %+v, %v", done, err)
		}
		if _, err := a.Append(t.Context(), ra.ID, storetest.OpOf(room.Post{UUID: uuid(1), Sender: me, Kind: room.KindText, Body: storetest.Text("y")})); !errors.Is(err, store.ErrUUIDTaken) {
			t.Fatalf("another message of that uuid: got %v, want %v", err, store.ErrUUIDTaken)
		}
	}
	storetest.CheckRoom(t.Context(), t, a, ra.ID)
	storetest.CheckRoom(t.Context(), t, b, ra.ID)
}

// The database finds an account's rooms by one look for each, however often it
// has come and gone.
func TestRoomsOfLooksOncePerRoom(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	s := closing(t, open(t, cfg))
	me := storetest.Account(1)
	for i := range 3 {
		r := &storetest.Room{Store: s, ID: storetest.RoomID(i)}
		r.Create(t, storetest.Account(0))
		for range 30 {
			r.Join(t, me)
			r.Leave(t, me)
		}
		if i > 0 {
			r.Join(t, me)
		}
	}
	if rooms, err := s.RoomsOf(t.Context(), me); err != nil || !slices.Equal(rooms, []string{storetest.RoomID(1), storetest.RoomID(2)}) {
		t.Errorf("rooms are %v, %v", rooms, err)
	}
	var explained bson.Raw
	err := s.database.RunCommand(t.Context(), bson.D{
		{Key: "explain", Value: bson.D{{Key: "aggregate", Value: eventsName}, {Key: "pipeline", Value: roomsOf(me)}, {Key: "cursor", Value: bson.D{}}}},
		{Key: "verbosity", Value: "executionStats"},
	}).Decode(&explained)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := explained.LookupErr("stages", "0", "$cursor", "executionStats")
	if err != nil {
		t.Fatalf("%v in %v", err, explained)
	}
	keys, documents := stats.Document().Lookup("totalKeysExamined").AsInt64(), stats.Document().Lookup("totalDocsExamined").AsInt64()
	if keys > 6 || documents != 0 {
		t.Errorf("%d keys and %d documents examined for 3 rooms, want 3 and none", keys, documents)
	}
}

// Rooms in which much waits get it all into a few commands, though there are several
// of them.
func TestBusyRooms(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	cfg.Rooms = 100
	s := closing(t, open(t, cfg))
	const others, waiting = 5, 100
	for i := range others + 1 {
		r := &storetest.Room{Store: s, ID: storetest.RoomID(i)}
		r.Create(t, storetest.Account(0))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := s.commands.Load()
	var wg sync.WaitGroup
	send := func(roomID string, uuid string) {
		wg.Go(func() {
			if _, err := s.Append(ctx, roomID, storetest.OpOf(room.Post{UUID: uuid, Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text(uuid)})); err != nil {
				t.Error(err)
			}
		})
	}
	for n := range waiting {
		send(storetest.RoomID(0), storetest.UUID(n, 1))
		for i := 1; i <= others; i++ {
			send(storetest.RoomID(i), storetest.UUID(n, 1))
		}
	}
	wg.Wait()
	if n := s.commands.Load() - before; n > waiting/2 {
		t.Errorf("%d commands for %d messages in each of %d rooms", n, waiting, others+1)
	}
	for i := range others + 1 {
		storetest.CheckRoom(ctx, t, s, storetest.RoomID(i))
	}
}
