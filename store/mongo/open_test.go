package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// refuses wants an error of Open that is one line and has all of wants in it.
func refuses(t *testing.T, cfg Config, wants ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Open(ctx, cfg)
	if err == nil {
		t.Errorf("opened; want an error with %q", wants)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return nil
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q, want one line with %q", err, want)
		}
	}
	return err
}

func database(t *testing.T, cfg Config) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(cfg.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond) // its server may be gone
		defer cancel()
		_ = client.Disconnect(ctx)
	})
	return client.Database(cfg.Database)
}

func TestBadConfig(t *testing.T) {
	const good = "mongodb://127.0.0.1:1/"
	for name, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"no URI":      {Config{}, "the URI is not set"},
		"database":    {Config{URI: good, Database: "a.b"}, `database name "a.b"`},
		"bad bound":   {Config{URI: good, MaxBatch: -1}, "MaxBatch must not be negative, is -1"},
		"scheme":      {Config{URI: "postgres://u:secret@h/"}, "the URI is not valid"},
		"bad port":    {Config{URI: "mongodb://u:secret@h:port/"}, "the URI is not valid"},
		"bad option":  {Config{URI: "mongodb://u:secret@h/?w=-5"}, "the URI is not valid"},
		"raw at sign": {Config{URI: "mongodb://u:se@cret:pass/word@h/"}, "the URI is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Logger = quiet
			if err := refuses(t, tt.cfg, tt.want); err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "cret")) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	// Nobody listens there.
	refuses(t, Config{URI: "mongodb://user:secret@127.0.0.1:1/", Database: "d", Logger: quiet},
		"database at 127.0.0.1:1/d cannot be used", "cannot be reached")
}

func TestStandaloneIsRefused(t *testing.T) {
	t.Parallel()
	set, err := mongotest.Start(mongotest.Mongod(t), mongotest.Options{Standalone: true})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	refuses(t, Config{URI: set.URI(), Logger: quiet}, "standalone", "--replSet", "rs.initiate()")
}

func TestDeploymentsThatAreRefused(t *testing.T) {
	good := hello{SetName: "rs0", MaxWireVersion: 17}
	if err := checkDeployment(good); err != nil {
		t.Error(err)
	}
	if err := checkDeployment(hello{Message: "isdbgrid", MaxWireVersion: 17}); err != nil {
		t.Errorf("a sharded cluster: %v", err)
	}
	for want, h := range map[string]hello{
		"older than MongoDB 5.0": {SetName: "rs0", MaxWireVersion: 9},
		"rs.initiate()":          {IsReplicaSet: true, MaxWireVersion: 17},
		"standalone":             {MaxWireVersion: 17},
	} {
		if err := checkDeployment(h); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", h, err, want)
		}
	}
}

// Opening again, and many at once, finds or makes the same.
func TestBootstrapIsIdempotent(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(context.Background(), cfg)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ctx := t.Context()
	db := database(t, cfg)
	// Somebody was interrupted: all but the version is there.
	if _, err := db.Collection(metaName).DeleteMany(ctx, bson.D{}); err != nil {
		t.Fatal(err)
	}
	s := closing(t, open(t, cfg))
	if version, err := s.schema(ctx); err != nil || version != schemaVersion {
		t.Errorf("schema is %d, %v", version, err)
	}
	hasAll(t, db)
}

// hasAll wants the collection of events to have its validator and its indexes.
func hasAll(t *testing.T, db *driver.Database) {
	t.Helper()
	cursor, err := db.Collection(eventsName).Indexes().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var indexes []struct {
		Name   string `bson:"name"`
		Unique bool   `bson:"unique"`
	}
	if err := cursor.All(t.Context(), &indexes); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, i := range indexes {
		got[i.Name] = i.Unique
	}
	if len(got) != 4 || !got["bySeq"] || got["byTime"] || got["byTarget"] {
		t.Errorf("indexes of %s: %v", eventsName, got)
	}
	if _, err := db.Collection(eventsName).InsertOne(t.Context(), bson.D{{Key: "r", Value: "room"}}); code(err) != codeValidation {
		t.Errorf("what is no event: got %v, want a refusal", err)
	}
}

// What was lost since it was made is made again, whatever meta says: as when the
// collection of events was dropped, and an insert has made it again.
func TestBootstrapMakesWhatWasLost(t *testing.T) {
	t.Parallel()
	events := func(db *driver.Database) *driver.Collection { return db.Collection(eventsName) }
	for what, lose := range map[string]func(*testing.T, *driver.Database) error{
		"unique index": func(t *testing.T, db *driver.Database) error {
			return events(db).Indexes().DropOne(t.Context(), "bySeq")
		},
		"all indexes": func(t *testing.T, db *driver.Database) error { return events(db).Indexes().DropAll(t.Context()) },
		"validator": func(t *testing.T, db *driver.Database) error {
			return db.RunCommand(t.Context(), bson.D{{Key: "collMod", Value: eventsName}, {Key: "validator", Value: bson.D{}}}).Err()
		},
		"everything but documents": func(t *testing.T, db *driver.Database) error {
			if err := events(db).Drop(t.Context()); err != nil {
				return err
			}
			_, err := events(db).InsertOne(t.Context(), eventDocument{ID: "room/uuid", Room: "room", Seq: 1, Time: 1, Sender: "u"})
			return err
		},
		"collection that needs nothing": func(t *testing.T, db *driver.Database) error { return db.Collection(membersName).Drop(t.Context()) },
	} {
		t.Run(what, func(t *testing.T) {
			cfg := inTest(t)
			if err := open(t, cfg).Close(); err != nil {
				t.Fatal(err)
			}
			db := database(t, cfg)
			if err := lose(t, db); err != nil {
				t.Fatal(err)
			}
			var opening sync.WaitGroup
			for range 3 {
				opening.Go(func() {
					s, err := Open(t.Context(), cfg)
					if err != nil {
						t.Error(err)
						return
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			opening.Wait()
			hasAll(t, db)
			if missing, err := closing(t, open(t, cfg)).missing(t.Context()); err != nil || len(missing) > 0 {
				t.Errorf("still missing: %v, %v", missing, err)
			}
		})
	}
}

// An index that somebody has made by hand is as good: a shell's numbers may be of
// another type.
func TestIndexMadeByHandIsOne(t *testing.T) {
	t.Parallel()
	s := closing(t, open(t, inTest(t)))
	if err := s.events.Indexes().DropOne(t.Context(), "byTime"); err != nil {
		t.Fatal(err)
	}
	if missing, err := s.missing(t.Context()); err != nil || len(missing) != 1 {
		t.Errorf("missing are %v, %v; want one", missing, err)
	}
	_, err := s.events.Indexes().CreateOne(t.Context(), driver.IndexModel{
		Keys: bson.D{{Key: "r", Value: 1.0}, {Key: "t", Value: 1.0}}, Options: options.Index().SetName("byTime"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := s.missing(t.Context()); err != nil || len(missing) != 0 {
		t.Errorf("missing are %v, %v; want none", missing, err)
	}
}

// An index that another server is only making is waited for: until it is there it
// lets two events into one place.
func TestBootstrapWaitsForAnIndexThatIsBeingMade(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	cfg := Config{URI: set.URI(), Database: mongotest.Database(), Logger: quiet}
	s := closing(t, open(t, cfg))
	ctx := bounded(t)
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	if err := s.events.Indexes().DropOne(ctx, "bySeq"); err != nil {
		t.Fatal(err)
	}
	admin := database(t, cfg).Client().Database("admin")
	failpoint := func(mode string) {
		t.Helper()
		err := admin.RunCommand(ctx, bson.D{{Key: "configureFailPoint", Value: "hangAfterStartingIndexBuild"}, {Key: "mode", Value: mode}}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	failpoint("alwaysOn")
	var opening sync.WaitGroup
	defer opening.Wait()
	defer failpoint("off")
	opens := func() <-chan struct{} {
		ended := make(chan struct{})
		opening.Go(func() {
			defer close(ended)
			s, err := Open(ctx, cfg)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return ended
	}
	opens()
	for named := false; !named; { // it is being made, and listed with those that are there
		specifications, err := s.events.Indexes().ListSpecifications(ctx)
		if err != nil {
			t.Fatal(err)
		}
		named = slices.ContainsFunc(specifications, func(i driver.IndexSpecification) bool { return i.Name == "bySeq" })
	}
	ended := opens()
	for waiting := []bson.M(nil); len(waiting) < 2; {
		select {
		case <-ended:
			t.Fatal("a store is open, and has not waited for the index")
		default:
		}
		found, err := admin.Aggregate(ctx, driver.Pipeline{
			{{Key: "$currentOp", Value: bson.D{}}},
			// The database's own thread, which makes the index, has no connection.
			{{Key: "$match", Value: bson.D{
				{Key: "command.createIndexes", Value: eventsName}, {Key: "connectionId", Value: bson.D{{Key: "$exists", Value: true}}},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := found.All(ctx, &waiting); err != nil {
			t.Fatal(err)
		}
	}
	failpoint("off")
	opening.Wait()
	hasAll(t, s.database)
}

func TestBootstrapRefuses(t *testing.T) {
	t.Parallel()
	t.Run("newer schema", func(t *testing.T) {
		cfg := inTest(t)
		_, err := database(t, cfg).Collection(metaName).InsertOne(t.Context(), bson.D{{Key: "_id", Value: schemaID}, {Key: "version", Value: schemaVersion + 1}})
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, cfg, "schema 2", "newer than this program")
	})
	t.Run("index of another shape", func(t *testing.T) {
		cfg := inTest(t)
		_, err := database(t, cfg).Collection(eventsName).Indexes().CreateOne(t.Context(), driver.IndexModel{
			Keys: bson.D{{Key: "r", Value: 1}, {Key: "s", Value: 1}}, Options: options.Index().SetName("bySeq"),
		})
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, cfg, "index bySeq", "collection events", "drop it")
	})
	t.Run("index that has become another", func(t *testing.T) {
		cfg := inTest(t)
		if err := open(t, cfg).Close(); err != nil {
			t.Fatal(err)
		}
		indexes := database(t, cfg).Collection(eventsName).Indexes()
		if err := indexes.DropOne(t.Context(), "bySeq"); err != nil {
			t.Fatal(err)
		}
		_, err := indexes.CreateOne(t.Context(), driver.IndexModel{
			Keys: bson.D{{Key: "r", Value: 1}, {Key: "s", Value: 1}}, Options: options.Index().SetName("bySeq"),
		})
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, cfg, "index bySeq", "collection events", "drop it")
	})
	t.Run("log that was dropped", func(t *testing.T) {
		cfg := inTest(t)
		if err := open(t, cfg).Close(); err != nil {
			t.Fatal(err)
		}
		if err := database(t, cfg).Collection(eventsName).Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
		refuses(t, cfg, "collection events was dropped", "restore it")
	})
	t.Run("two events in one place", func(t *testing.T) {
		cfg := inTest(t)
		if err := open(t, cfg).Close(); err != nil {
			t.Fatal(err)
		}
		events := database(t, cfg).Collection(eventsName)
		if err := events.Indexes().DropOne(t.Context(), "bySeq"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"room/a", "room/b"} {
			if _, err := events.InsertOne(t.Context(), eventDocument{ID: id, Room: "room", Seq: 1, Time: 1, Sender: "u"}); err != nil {
				t.Fatal(err)
			}
		}
		refuses(t, cfg, "unique index bySeq of collection events is missing", "not unique", "restore the collection")
	})
	t.Run("data of another program", func(t *testing.T) {
		cfg := inTest(t)
		_, err := database(t, cfg).Collection(accountsName).InsertMany(t.Context(), []any{bson.D{{Key: "n", Value: 1}}, bson.D{{Key: "n", Value: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, cfg, "index byName", "another program's")
	})
}

// A validator keeps out what is no event, and what a change stream could not carry.
func TestDatabaseRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	s := closing(t, open(t, cfg))
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	events := database(t, cfg).Collection(eventsName)
	good := bson.D{{Key: "r", Value: "room"}, {Key: "s", Value: int64(1)}, {Key: "t", Value: int64(1)}, {Key: "k", Value: 1}, {Key: "u", Value: "u"}}
	for name, d := range map[string]bson.D{
		"no time":   {good[0], good[1], good[3], good[4]},
		"too large": append(bson.D{{Key: "b", Value: make([]byte, 1<<20+5000)}}, good...),
		"text seq":  {good[0], {Key: "s", Value: "1"}, good[2], good[3], good[4]},
	} {
		if _, err := events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: name}}, d...)); code(err) != codeValidation {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	if _, err := events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "good"}}, good...)); err != nil {
		t.Error(err)
	}
}

// A user without rights, a wrong password: each is told what to do; and the
// password is in no error and in no line of the log, whatever happens.
func TestCredentials(t *testing.T) {
	t.Parallel()
	const password, escaped = "sec/ret:pass@word", "sec%2Fret%3Apass%40word"
	set, err := mongotest.Start(mongotest.Mongod(t), mongotest.Options{User: "root", Password: "rootsecret"})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	admin := database(t, Config{URI: set.URI(), Database: "admin"})
	user := func(name string, roles ...bson.D) string {
		err := admin.RunCommand(t.Context(), bson.D{{Key: "createUser", Value: name}, {Key: "pwd", Value: password}, {Key: "roles", Value: roles}}).Err()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Replace(set.URI(), "root:rootsecret", name+":"+escaped, 1)
	}
	role := func(name string) bson.D { return bson.D{{Key: "role", Value: name}, {Key: "db", Value: "chat"}} }

	var log lockedBuffer
	cfg := Config{
		Database: "chat", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Timeout: 2 * time.Second, silence: time.Second, heartbeat: 500 * time.Millisecond,
	}
	var told []string
	try := func(uri string, wants ...string) {
		t.Helper()
		cfg.URI = uri
		if err := refuses(t, cfg, wants...); err != nil {
			told = append(told, err.Error())
		}
	}
	try(user("reader", role("read")), "lacks a right", "readWrite", "database chat")
	user("writer", role("readWrite"))
	try(strings.Replace(set.URI(), "rootsecret", "wrongsecret", 1), "not accepted")
	try(strings.Replace(set.URI(), "root:rootsecret@", "", 1), "lacks a right")

	cfg.URI = user("owner", role("readWrite"), role("dbAdmin"))
	s := open(t, cfg)
	host, _, _ := strings.Cut(strings.SplitAfterN(set.URI(), "@", 2)[1], "/")
	if want := host + "/chat"; s.Address() != want {
		t.Errorf("address is %q, want %q", s.Address(), want)
	}
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	// Once all is there, reading and writing are enough; no index need be made.
	err = admin.RunCommand(t.Context(), bson.D{
		{Key: "createRole", Value: "makesNothing"}, {Key: "roles", Value: bson.A{role("read")}},
		{Key: "privileges", Value: bson.A{bson.D{
			{Key: "resource", Value: bson.D{{Key: "db", Value: "chat"}, {Key: "collection", Value: ""}}},
			{Key: "actions", Value: bson.A{"insert", "update", "remove"}},
		}}},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	cfg.URI = strings.Replace(cfg.URI, "owner:", "modest:", 1)
	user("modest", bson.D{{Key: "role", Value: "makesNothing"}, {Key: "db", Value: "admin"}})
	if err := open(t, cfg).Close(); err != nil {
		t.Error(err)
	}
	cfg.URI = strings.Replace(cfg.URI, "modest:", "writer:", 1)
	if err := open(t, cfg).Close(); err != nil {
		t.Error(err)
	}
	set.Kill(0)
	for name, call := range map[string]func() error{
		"Append": func() error { _, err := s.Append(t.Context(), r.ID, storetest.OpOf(postOf(r))); return err },
		"Seen":   func() error { _, err := s.Seen(t.Context(), r.ID); return err },
	} {
		err := call()
		if err == nil {
			t.Errorf("%s: no error without a database", name)
			continue
		}
		told = append(told, err.Error())
	}
	if err := s.Close(); err != nil { // nothing is under way
		t.Error(err)
	}
	for _, text := range append(told, log.String(), fmt.Sprint(s.Address())) {
		for _, secret := range []string{password, escaped, "rootsecret", "wrongsecret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %q", secret, text)
			}
		}
	}
	if !strings.Contains(log.String(), "change stream") {
		t.Errorf("the log says nothing of the change stream:\n%s", log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The database's clock corrects this machine's, up to a point.
func TestClock(t *testing.T) {
	t.Parallel()
	cfg := inTest(t)
	behind := func(by time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(-by) } }
	cfg.local = behind(time.Minute)
	refuses(t, cfg, "clock", "differ by", "NTP")
	cfg.local = behind(-time.Minute)
	refuses(t, cfg, "clock", "differ by", "NTP")

	var log lockedBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.local = behind(20 * time.Second)
	s := closing(t, open(t, cfg))
	if !strings.Contains(log.String(), "clock") {
		t.Errorf("20 s are not worth a line of the log:\n%s", log.String())
	}
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	e := r.Create(t, storetest.Account(0))[0]
	if off := time.Since(time.UnixMilli(e.Time)); off.Abs() > 5*time.Second {
		t.Errorf("an event is stamped %v away from the database's clock", off)
	}
}

// A store that is opened while a primary is elected waits for it.
func TestOpensWhenThePrimaryIsElected(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	cfg := Config{URI: set.URI(), Logger: quiet}
	first := closing(t, open(t, cfg))
	// Twice for the driver, which tries again by itself, and twice more.
	err := first.client.Database("admin").RunCommand(t.Context(), bson.D{
		{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: bson.D{{Key: "times", Value: 4}}},
		{Key: "data", Value: bson.D{
			{Key: "failCommands", Value: bson.A{"aggregate"}}, {Key: "errorCode", Value: 11602}, {Key: "appName", Value: streamAppName},
		}},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	closing(t, open(t, cfg))
	if !strings.Contains(log.String(), "about to elect a primary") {
		t.Errorf("it has not met an election:\n%s", log.String())
	}
}

// So does one that finds no primary, but members that could elect one.
func TestOpensWhenThereIsAPrimary(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	ctx := bounded(t)
	member := database(t, Config{URI: set.Direct(0), Database: "admin"})
	if err := member.RunCommand(ctx, bson.D{{Key: "replSetStepDown", Value: 60}, {Key: "force", Value: true}}).Err(); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	opened := make(chan struct{})
	var opening sync.WaitGroup
	opening.Go(func() {
		defer close(opened)
		s, err := Open(ctx, Config{URI: set.URI(), Logger: slog.New(slog.NewTextHandler(&log, nil)), Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	defer opening.Wait()
	for !strings.Contains(log.String(), "about to elect a primary") {
		select {
		case <-opened:
			t.Fatalf("it has not waited for a primary:\n%s", log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := member.RunCommand(ctx, bson.D{{Key: "replSetFreeze", Value: 0}}).Err(); err != nil { // then it stands for election
		t.Fatal(err)
	}
}

// That there is no primary for good is told as such.
func TestNoPrimaryIsTold(t *testing.T) {
	s := offline()
	if err := s.advice(context.DeadlineExceeded); !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("got %v", err)
	}
	s.watchMembers().TopologyDescriptionChanged(&event.TopologyDescriptionChangedEvent{
		NewDescription: event.TopologyDescription{Servers: []event.ServerDescription{{Kind: "Unknown"}, {Kind: "RSSecondary"}}},
	})
	if err := s.advice(context.DeadlineExceeded); !strings.Contains(err.Error(), "has no primary") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
