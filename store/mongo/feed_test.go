package mongo

import (
	"context"
	"errors"
	"fmt"
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
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// own starts a set of the test's own, for what would disturb others.
func own(t *testing.T, o mongotest.Options) *mongotest.Set {
	t.Helper()
	set, err := mongotest.Start(mongotest.Mongod(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Stop)
	return set
}

// watching collects what a Watch from now on shows, beginning anew where it is
// told that history is lost, as the engine's feed does: then rooms are read.
type watching struct {
	mu     sync.Mutex
	events []room.Event
	lost   int
	grown  chan struct{}
}

func watch(ctx context.Context, t *testing.T, s *Store, rooms ...string) *watching {
	t.Helper()
	w := &watching{grown: make(chan struct{}, 1)}
	pos, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]uint64)
	take := func(events []room.Event) {
		w.mu.Lock()
		for _, e := range events {
			if e.Seq > seen[e.Room] {
				seen[e.Room] = e.Seq
				w.events = append(w.events, e)
			} else if w.lost == 0 {
				t.Errorf("S5: event %d of room %s is shown after %d", e.Seq, e.Room, seen[e.Room])
			}
		}
		w.mu.Unlock()
		select {
		case w.grown <- struct{}{}:
		default:
		}
	}
	var done sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	done.Go(func() {
		for ctx.Err() == nil {
			var end error
			for batch, err := range s.Watch(ctx, pos) {
				if end = err; err == nil {
					take(batch.Events)
					pos = batch.After
				}
			}
			if !errors.Is(end, store.ErrHistoryLost) {
				return
			}
			w.mu.Lock()
			w.lost++
			w.mu.Unlock()
			if pos, err = s.Now(ctx); err != nil {
				return
			}
			for _, id := range rooms {
				events, err := s.Events(ctx, id, seen[id], store.Page{})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				take(events)
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return w
}

// until waits until n events have been shown.
func (w *watching) until(ctx context.Context, t *testing.T, n int) []room.Event {
	t.Helper()
	for {
		w.mu.Lock()
		events := slices.Clone(w.events)
		w.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-w.grown:
		case <-ctx.Done():
			t.Fatalf("%d events were shown, want %d", len(events), n)
		}
	}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// killStreams kills the cursors of all change streams on the database, of which
// there are n, while they are in use by a getMore, or while they are not.
func killStreams(ctx context.Context, t *testing.T, db *driver.Database, n int, idle bool) {
	t.Helper()
	kind := "op"
	if idle {
		kind = "idleCursor"
	}
	var cursors bson.A
	for len(cursors) != n {
		found, err := db.Client().Database("admin").Aggregate(ctx, driver.Pipeline{
			{{Key: "$currentOp", Value: bson.D{{Key: "allUsers", Value: true}, {Key: "idleCursors", Value: true}}}},
			{{Key: "$match", Value: bson.D{
				{Key: "type", Value: kind}, {Key: "ns", Value: bson.Regex{Pattern: "^" + db.Name() + `\.\$cmd`}}, {Key: "cursor.tailable", Value: true},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var ops []struct {
			Cursor struct {
				ID int64 `bson:"cursorId"`
			} `bson:"cursor"`
		}
		if err := found.All(ctx, &ops); err != nil {
			t.Fatal(err)
		}
		cursors = nil
		for _, op := range ops {
			cursors = append(cursors, op.Cursor.ID)
		}
	}
	kill := bson.D{{Key: "killCursors", Value: "$cmd.aggregate"}, {Key: "cursors", Value: cursors}}
	if err := db.RunCommand(ctx, kill).Err(); err != nil {
		t.Fatal(err)
	}
}

// A change stream whose cursor is killed, while the database waits for events or
// between, goes on behind what was shown last: it shows nothing twice.
func TestCursorKilled(t *testing.T) {
	t.Parallel()
	t.Run("during a getMore", func(t *testing.T) {
		cfg := inTest(t)
		var log lockedBuffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s, other := closing(t, open(t, cfg)), closing(t, open(t, cfg))
		ctx := bounded(t)
		w := watch(ctx, t, s, storetest.RoomID(0))
		r := &storetest.Room{Store: other, ID: storetest.RoomID(0)}
		r.Create(t, storetest.Account(0))
		w.until(ctx, t, 2)
		killStreams(ctx, t, database(t, cfg), 2, false)
		showsAll(ctx, t, w, r)
		if !strings.Contains(log.String(), "change stream has ended") {
			t.Errorf("the cursors were killed, but no stream has ended:\n%s", log.String())
		}
	})
	t.Run("between", func(t *testing.T) {
		cfg := inTest(t)
		s := closing(t, open(t, cfg))
		ctx := bounded(t)
		w := watch(ctx, t, s, storetest.RoomID(0))
		r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
		last := r.Create(t, storetest.Account(0))[1]
		w.until(ctx, t, 2)
		func() {
			s.mu.Lock() // the feed cannot show what comes next, nor ask for more
			defer s.mu.Unlock()
			e := logOf(r.ID, 3, 7)[2]
			e.UUID, e.Time = storetest.UUID(1<<20, 0), last.Time+1
			if _, err := s.events.InsertOne(ctx, e.document()); err != nil {
				t.Fatal(err)
			}
			killStreams(ctx, t, database(t, cfg), 1, true)
		}()
		showsAll(ctx, t, w, r)
	})
}

// showsAll posts a few messages and wants w to be shown the whole log.
func showsAll(ctx context.Context, t *testing.T, w *watching, r *storetest.Room) {
	t.Helper()
	for i := range 5 {
		r.Post(t, storetest.Account(0), fmt.Sprint(i))
	}
	log := storetest.CheckRoom(ctx, t, r.Store, r.ID)
	if got := w.until(ctx, t, len(log)); !slices.EqualFunc(got, log, storetest.Equal) {
		t.Errorf("shown are %d events, in another way than the log of %d", len(got), len(log))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != 0 {
		t.Error("watchers were told that history is lost")
	}
}

// When the oplog does not go back to what was shown last, a stream begins anew;
// watchers are told, and who then reads has everything.
func TestOplogRolledOver(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{Args: []string{"--oplogSize", "1", "--syncdelay", "1"}})
	cfg := Config{URI: set.URI(), Logger: quiet, silence: time.Minute}
	s, other := closing(t, open(t, cfg)), closing(t, open(t, cfg))
	ctx := bounded(t)
	ids := []string{storetest.RoomID(0), storetest.RoomID(1)}
	w := watch(ctx, t, s, ids...)
	rooms := []*storetest.Room{{Store: other, ID: ids[0]}, {Store: s, ID: ids[1]}}
	for _, r := range rooms {
		r.Create(t, storetest.Account(0))
	}
	w.until(ctx, t, 4)

	unlock := sync.OnceFunc(s.mu.Unlock)
	s.mu.Lock() // the feed stands still
	defer unlock()
	rooms[0].Post(t, storetest.Account(0), "nobody shows this")
	junk := other.database.Collection("junk")
	document := bson.D{{Key: "b", Value: make([]byte, 100_000)}}
	for range 160 {
		if _, err := junk.InsertOne(ctx, document); err != nil {
			t.Fatal(err)
		}
	}
	rolled := func() bool {
		var first struct {
			Time bson.Timestamp `bson:"ts"`
		}
		if err := other.client.Database("local").Collection("oplog.rs").FindOne(ctx, bson.D{}).Decode(&first); err != nil {
			t.Fatal(err)
		}
		at, _ := s.known.get()
		return first.Time.After(at)
	}
	for !rolled() {
		if _, err := junk.InsertOne(ctx, document); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // the database cuts it by and by
	}
	unlock()

	// Appends go on all the while, at both stores.
	for i := range 20 {
		rooms[i%2].Post(t, storetest.Account(0), fmt.Sprint(i))
	}
	all := 2 + 1 + 10 + 2 + 10
	got := w.until(ctx, t, all)
	w.mu.Lock()
	if w.lost == 0 {
		t.Error("watchers were not told that history is lost")
	}
	w.mu.Unlock()
	for _, id := range ids {
		var of []room.Event
		for _, e := range got {
			if e.Room == id {
				of = append(of, e)
			}
		}
		if log := storetest.CheckRoom(ctx, t, s, id); !slices.EqualFunc(of, log, storetest.Equal) {
			t.Errorf("room %s: %d events were shown or read, the log has %d", id, len(of), len(log))
		}
	}
	// The new epoch is as good as the old one.
	lost := w.lost
	for i := range 10 {
		rooms[i%2].Post(t, storetest.Account(0), fmt.Sprint(i))
	}
	w.until(ctx, t, all+10)
	if w.lost != lost {
		t.Error("history was lost once more")
	}
}

// fail has the database fail getMore, until the test ends or heal is called.
func failGetMore(t *testing.T, s *Store, code int, labels ...string) (heal func()) {
	t.Helper()
	set := func(mode any) error {
		return s.client.Database("admin").RunCommand(context.Background(), bson.D{
			{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: mode},
			{Key: "data", Value: bson.D{
				{Key: "failCommands", Value: bson.A{"getMore"}}, {Key: "errorCode", Value: code},
				{Key: "errorLabels", Value: labels}, {Key: "appName", Value: streamAppName},
			}},
		}).Err()
	}
	if err := set("alwaysOn"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := set("off"); err != nil {
			t.Fatal(err)
		}
	}
}

// aggregates is how many the server has begun.
func aggregates(t *testing.T, s *Store) int64 {
	t.Helper()
	var status struct {
		Metrics struct {
			Commands struct {
				Aggregate struct {
					Total int64 `bson:"total"`
				} `bson:"aggregate"`
			} `bson:"commands"`
		} `bson:"metrics"`
	}
	if err := s.client.Database("admin").RunCommand(context.Background(), bson.D{{Key: "serverStatus", Value: 1}}).Decode(&status); err != nil {
		t.Fatal(err)
	}
	return status.Metrics.Commands.Aggregate.Total
}

// A stream that fails again and again does not make the database's life harder:
// neither when the driver resumes it by itself, which it does thousands of times
// a second, nor when it is opened again. When that is over it goes on.
func TestResumeStorm(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	for name, labels := range map[string][]string{"by the driver": {"ResumableChangeStreamError"}, "by the feed": nil} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{URI: set.URI(), Database: mongotest.Database(), Logger: quiet}
			s, other := closing(t, open(t, cfg)), closing(t, open(t, cfg))
			ctx := bounded(t)
			id := storetest.RoomID(0)
			w := watch(ctx, t, s, id)
			r := &storetest.Room{Store: other, ID: id}
			heal := failGetMore(t, other, 234, labels...)
			before := aggregates(t, other)
			r.Create(t, storetest.Account(0)) // acknowledged without the stream
			time.Sleep(3 * time.Second)       // it is about what happens meanwhile
			if silent := time.Since(s.Heard()); silent < 1500*time.Millisecond {
				t.Errorf("the database was heard of %v ago, but has said no more than that a stream is open", silent)
			}
			if n := aggregates(t, other) - before; n > 200 || n < 4 {
				t.Errorf("%d streams were begun in 3 s, of two stores; want some, and 200 at most", n)
			}
			heal()
			r.Post(t, storetest.Account(0), "after it")
			if got := w.until(ctx, t, 3); w.lost == 0 && !slices.EqualFunc(got, storetest.CheckRoom(ctx, t, other, id), storetest.Equal) {
				t.Errorf("shown are %+v", got)
			}
		})
	}
}

// Without its collection the store is no store any more, and says so.
func TestCollectionDropped(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	s := open(t, cfg)
	ctx := bounded(t)
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	pos, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := database(t, cfg).Collection(eventsName).Drop(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Failed():
	case <-ctx.Done():
		t.Fatal("the store has not failed")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "collection events was dropped") {
		t.Errorf("Err: got %v", err)
	}
	var end error
	for _, err := range s.Watch(ctx, pos) {
		end = err
	}
	if !errors.Is(end, store.ErrUnavailable) {
		t.Errorf("Watch: got %v, want %v", end, store.ErrUnavailable)
	}
	if _, err := s.Append(ctx, r.ID, storetest.OpOf(postOf(r))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Append: got %v, want %v", err, store.ErrUnavailable)
	}
	if err := s.Close(); !errors.Is(err, s.Err()) {
		t.Errorf("Close: got %v, want %v", err, s.Err())
	}
}

// What somebody else has put into the collection stops nothing.
func TestStreamBringsWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	s := closing(t, open(t, inTest(t)))
	ctx := bounded(t)
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	w := watch(ctx, t, s, r.ID)
	_, err := s.events.InsertOne(ctx, bson.D{
		{Key: "_id", Value: "nonsense"}, {Key: "r", Value: "none"}, {Key: "s", Value: 1}, {Key: "t", Value: 1}, {Key: "k", Value: 1}, {Key: "u", Value: ""},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Create(t, storetest.Account(0))
	if got := w.until(ctx, t, 2); w.lost > 0 || !slices.EqualFunc(got, storetest.CheckRoom(ctx, t, s, r.ID), storetest.Equal) {
		t.Errorf("shown are %+v", got)
	}
}

// What somebody has changed by hand is passed over: the stream goes on as if it were
// not there.
func TestStreamBringsWhatNoStoreHasWritten(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	cfg := inTest(t)
	cfg.Logger, cfg.silence = slog.New(slog.NewTextHandler(&log, nil)), time.Minute
	s := closing(t, open(t, cfg))
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	w := watch(ctx, t, s, r.ID)
	r.Create(t, storetest.Account(0))
	for _, foreign := range []*driver.Collection{s.accounts, s.claims} {
		// Its key is an ObjectID.
		done, err := foreign.InsertOne(ctx, bson.D{{Key: "n", Value: "by hand"}, {Key: "c", Value: 7}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := foreign.DeleteOne(ctx, bson.D{{Key: "_id", Value: done.InsertedID}}); err != nil {
			t.Fatal(err)
		}
	}
	showsAll(ctx, t, w, r)
	if n := strings.Count(log.String(), "passed over"); n != 3 || strings.Contains(log.String(), "has ended") {
		t.Errorf("%d changes were passed over, want 3, and the stream is to go on:\n%s", n, log.String())
	}
}

// A stream that begins where the collection was dropped begins with what is there
// since then.
func TestStreamBeginsBehindADrop(t *testing.T) {
	t.Parallel()
	s := open(t, inTest(t))
	defer s.Close()
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	if err := s.CreateAccount(ctx, store.Account{ID: ada, Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	session, err := s.client.StartSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.EndSession(ctx)
	if err := s.events.Drop(driver.NewSessionContext(ctx, session)); err != nil {
		t.Fatal(err)
	}
	<-s.Failed() // its own stream does end there
	f := &feed{s: s, start: *session.OperationTime()}
	c, err := f.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	before := s.recent.moment()
	if _, err := s.accounts.UpdateOne(ctx, bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "v", Value: 1}}}}); err != nil {
		t.Fatal(err)
	}
	var looking sync.WaitGroup
	looking.Go(func() {
		defer cancel()
		for s.recent.moment() == before && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond) // what came behind the drop is yet to be shown
		}
	})
	if err := f.follow(c); errors.Is(err, errGone) {
		t.Errorf("the drop it begins behind has ended it: %v", err)
	}
	cancel()
	looking.Wait()
}

// slowLink makes connections that bring no more than so many bytes a second, if that
// is not 0.
type slowLink struct {
	net.Dialer
	perSecond atomic.Int64
}

type slowConn struct {
	net.Conn
	link *slowLink
}

func (l *slowLink) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &slowConn{c, l}, nil
}

func (c *slowConn) Read(p []byte) (int, error) {
	rate := c.link.perSecond.Load()
	if rate == 0 {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), int(rate/50))])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	return n, err
}

// Where all that comes at once takes longer than the stream may be silent, less comes
// at once, and as much as before when there is room for it again.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	var notes lockedBuffer
	link := &slowLink{}
	cfg := inTest(t)
	cfg.Dialer, cfg.silence, cfg.Logger = link, 1500*time.Millisecond, slog.New(slog.NewTextHandler(&notes, nil))
	s := open(t, cfg)
	defer s.Close()
	db := database(t, cfg) // by a connection that is not slow
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	w := watch(ctx, t, s)
	const all = 3600
	log := logOf(storetest.RoomID(0), all, 1)
	put := func(from, to int) {
		t.Helper()
		var documents []any
		for _, e := range log[from:to] {
			e.UUID, e.Body = storetest.UUID(1<<20, from+len(documents)), make([]byte, 500)
			documents = append(documents, e.document())
		}
		// The feed takes this up, and then does not go on before all are there.
		account := bson.D{{Key: "_id", Value: storetest.Account(from)}}
		if _, err := db.Collection(accountsName).InsertOne(ctx, account); err != nil {
			t.Fatal(err)
		}
		before := s.recent.moment()
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, err := db.Collection(accountsName).DeleteOne(ctx, account); err != nil {
			t.Fatal(err)
		}
		for s.recent.moment() == before && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if _, err := db.Collection(eventsName).InsertMany(ctx, documents); err != nil {
			t.Fatal(err)
		}
		if from == 0 {
			link.perSecond.Store(400_000)
		}
	}
	put(0, 900)
	w.until(ctx, t, 900)
	if n := strings.Count(notes.String(), errSilent.Error()); n == 0 || n > 10 {
		t.Errorf("the stream was opened again %d times; want some, until it has found its pace:\n%s", n, notes.String())
	}
	link.perSecond.Store(0)
	put(900, all)
	w.until(ctx, t, all)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := s.feed.portion.size(); got != streamBatch {
		t.Errorf("at the end %d come at a time, want %d", got, streamBatch)
	}
}

func TestPortion(t *testing.T) {
	const had = 4 * time.Second
	var p portion
	for i, step := range []struct {
		late bool
		n    int
		took time.Duration
		want int32
	}{
		{n: 1000, took: 0, want: 1000}, // there is no more than all
		{late: true, want: 500},
		{n: 500, took: time.Second, want: 500}, // no better than it has to be
		{n: 499, took: 0, want: 500},           // it says nothing of more
		{n: 500, took: time.Second - 1, want: 1000},
		{late: true, want: 500}, {late: true, want: 250}, {late: true, want: 125}, {late: true, want: 62}, {late: true, want: 31},
		{late: true, want: 15}, {late: true, want: 7}, {late: true, want: 3}, {late: true, want: 1}, {late: true, want: 1},
		{n: 0, took: 0, want: 1},
		{n: 1, took: 0, want: 3},
	} {
		if step.late {
			p.late()
		} else {
			p.came(step.n, step.took, had)
		}
		if got := p.size(); got != step.want {
			t.Fatalf("after step %d: %d, want %d", i, got, step.want)
		}
	}
}

// How far the stream has come is told by the database's clock, where there was
// something to show, and by ours, where there was nothing.
func TestHowFarTheStreamHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		clock := &clock{local: func() time.Time { return time.Now().Add(-20 * time.Second) }}
		clock.compare(clock.local(), clock.local(), now) // the database has the time of the bubble
		f := &feed{s: &Store{clock: clock}}
		asked := now.Add(-700 * time.Millisecond)
		at := func(d time.Duration) bson.Timestamp { return bson.Timestamp{T: uint32(now.Add(d).Unix()), I: 1} }
		for name, test := range map[string]struct {
			n    int
			last bson.Timestamp
			want time.Time
		}{
			"nothing new":                {0, bson.Timestamp{}, asked},
			"a change of now":            {3, at(0), now},
			"an old change":              {3, at(-time.Minute), now.Add(-time.Minute)},
			"a change that is yet to be": {3, at(time.Minute), now},
			"passed over":                {3, bson.Timestamp{}, time.Unix(0, 0)},
		} {
			if got := f.reached(test.n, test.last, asked); !got.Equal(test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}
	})
}

// A primary that resigns, again and again, under load: nothing acknowledged is
// lost or doubled, each uuid sent is stored once, and both servers show all of it
// in order without being told that history is lost.
func TestStepDown(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{Members: 3})
	cfg := Config{URI: set.URI(), Logger: quiet, heartbeat: 500 * time.Millisecond}
	stores := []*Store{closing(t, open(t, cfg)), closing(t, open(t, cfg))}
	ctx := bounded(t)
	const rooms, senders = 3, 4
	var ids []string
	for i := range rooms {
		ids = append(ids, storetest.RoomID(i))
	}
	var watches []*watching
	for _, s := range stores {
		watches = append(watches, watch(ctx, t, s, ids...))
	}
	for i, id := range ids {
		(&storetest.Room{Store: stores[i%2], ID: id}).Create(t, storetest.Account(0))
	}
	over := make(chan struct{})
	var mu sync.Mutex
	acknowledged := make(map[string]room.Event)
	var wg sync.WaitGroup
	for c := range 2 * senders {
		wg.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				uuid, id := storetest.UUID(c, n), ids[(c+n)%rooms]
				done, err := post(ctx, stores[c%2], id, room.Post{UUID: uuid, Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text(uuid)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[id+uuid] = done.Events[0]
				mu.Unlock()
			}
		})
	}
	for range 2 {
		if err := set.StepDown(ctx); err != nil {
			t.Error(err)
		}
		mu.Lock()
		n := len(acknowledged)
		mu.Unlock()
		for more := 0; more < 50 && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			more = len(acknowledged) - n
			mu.Unlock()
		}
	}
	close(over)
	wg.Wait()
	t.Logf("%d messages", len(acknowledged))
	total := 0
	logs := make(map[string][]room.Event)
	for _, id := range ids {
		logs[id] = storetest.CheckRoom(ctx, t, stores[0], id)
		total += len(logs[id])
		for _, e := range logs[id][2:] {
			if !storetest.Equal(acknowledged[id+e.UUID], e) {
				t.Errorf("room %s: event %d was acknowledged as %+v", id, e.Seq, acknowledged[id+e.UUID])
			}
		}
	}
	if total != len(acknowledged)+2*rooms {
		t.Errorf("%d messages in the logs, %d acknowledged", total-2*rooms, len(acknowledged))
	}
	for w := range watches {
		got := watches[w].until(ctx, t, total)
		for _, id := range ids {
			var of []room.Event
			for _, e := range got {
				if e.Room == id {
					of = append(of, e)
				}
			}
			if !slices.EqualFunc(of, logs[id], storetest.Equal) {
				t.Errorf("store %d has shown %d events of room %s, in another way than the log of %d", w, len(of), id, len(logs[id]))
			}
		}
		if watches[w].lost > 0 {
			t.Errorf("store %d: history was lost %d times", w, watches[w].lost)
		}
	}
}
