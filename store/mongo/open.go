package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/pprof"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/chatstream/chatstream/store/ring"
)

// Dialer makes connections. Its method may be called by several goroutines at
// once.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// What the clients are called in the database's own log.
const (
	appName       = "chatstream"
	streamAppName = "chatstream stream"
)

const (
	selectTimeout    = 5 * time.Second
	connectTimeout   = 5 * time.Second
	bootstrapTimeout = time.Minute
)

// Open opens the store in a database of a replica set or a sharded cluster, and
// makes what it needs there. Its errors are one line that an operator understands,
// and have nothing of the URI in them but its hosts.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("mongo store: %w", err)
	}
	s, err := connect(cfg)
	if err != nil {
		return nil, fmt.Errorf("mongo store: %w", err)
	}
	if err := s.begin(ctx); err != nil {
		s.disconnect()
		var told *databaseError
		if !errors.As(err, &told) && ctx.Err() == nil {
			err = s.advice(err)
		}
		return nil, fmt.Errorf("mongo store: database at %s cannot be used: %w", s.Address(), err)
	}
	return s, nil
}

// connect makes the store and its clients, which do not wait for the database.
func connect(cfg Config) (*Store, error) {
	s := &Store{
		cfg: cfg, log: cfg.Logger, secrets: secretsOf(cfg.URI),
		process: rand.Uint64(), clock: &clock{local: cfg.local},
		table: newTable(cfg.Rooms), ring: ring.New(cfg.RingEvents, cfg.RingBytes), recent: newRecent(recentAccounts),
		raises: newRaises(cfg.MaxBatch), servers: servers{telling: make(chan struct{}, 1)},
		wake: make(chan struct{}, 1), dueWake: make(chan struct{}, 1),
		closing: make(chan struct{}), stopped: make(chan struct{}), failed: make(chan struct{}),
	}
	if cfg.Now != nil {
		s.clock.local, s.clock.fixed = cfg.Now, true
	}
	s.feed = &feed{s: s}
	s.life, s.end = context.WithCancel(context.Background())

	data := s.clientOptions().SetAppName(appName).
		SetMaxPoolSize(64).SetMinPoolSize(4).SetMaxConnecting(4).
		SetServerSelectionTimeout(selectTimeout).SetMaxConnIdleTime(10 * time.Minute).
		SetServerMonitor(s.watchMembers())
	// A change stream does not survive a timeout, so it has a client without any.
	streams := s.clientOptions().SetAppName(streamAppName).
		SetMaxPoolSize(4).SetMinPoolSize(1).SetMaxConnecting(2).
		SetServerSelectionTimeout(2 * selectTimeout).SetMonitor(s.feed.storm.monitor())
	data.Timeout, streams.Timeout = nil, nil
	if err := errors.Join(data.Validate(), streams.Validate()); err != nil {
		// What is wrong with it the driver says by showing it.
		return nil, errors.New("the URI is not valid (it is not shown, since it may have a password in it); it is like " +
			"mongodb://USER:PASSWORD@HOST:27017,HOST:27017/?replicaSet=NAME, with %XX for special characters")
	}
	s.hosts = data.Hosts
	var err error
	if s.client, err = driver.Connect(data); err != nil {
		return nil, s.secrets.told(err)
	}
	if s.streams, err = driver.Connect(streams); err != nil {
		s.disconnect()
		return nil, s.secrets.told(err)
	}
	s.database = s.client.Database(cfg.Database)
	s.events, s.rooms, s.members = s.database.Collection(eventsName), s.database.Collection(roomsName), s.database.Collection(membersName)
	s.seen, s.accounts, s.meta = s.database.Collection(seenName), s.database.Collection(accountsName), s.database.Collection(metaName)
	s.claims, s.leases = s.database.Collection(streamsName), s.database.Collection(serversName)
	s.watched = s.streams.Database(cfg.Database)
	return s, nil
}

// clientOptions are those of both clients: what the URI says, but for what the
// store rests on.
func (s *Store) clientOptions() *options.ClientOptions {
	o := options.Client().ApplyURI(s.cfg.URI).
		SetWriteConcern(writeconcern.Majority()).SetReadConcern(readconcern.Majority()).SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).SetRetryReads(true).SetConnectTimeout(connectTimeout).SetHeartbeatInterval(s.cfg.heartbeat)
	if s.cfg.Dialer != nil {
		o.SetDialer(s.cfg.Dialer)
	}
	return o
}

// begin checks the database, makes what is missing, and starts the goroutines.
func (s *Store) begin(ctx context.Context) error {
	first, err := s.prepare(ctx)
	for began := time.Now(); s.leaderless(err) && time.Since(began) < electionPatience; first, err = s.prepare(ctx) {
		s.log.Warn("the replica set is about to elect a primary; it is tried again", "error", s.secrets.told(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoff(2)):
		}
	}
	if err != nil {
		return err
	}
	role := func(name string, run func(context.Context)) {
		s.tasks.Go(func() { pprof.Do(s.life, pprof.Labels("role", name), run) })
	}
	role("committer", func(context.Context) { s.commitLoop() })
	role("viewed", s.keepRaising)
	role("feed", func(ctx context.Context) { s.feed.run(ctx, first) })
	role("snapshots", s.keepSnapshots)
	role("clock", s.keepClock)
	role("lease", s.keepLease)
	return nil
}

// electionPatience is for how long a store that is opened waits for a primary, if
// there are members that could elect one: longer than MongoDB's election timeout by
// default.
const electionPatience = 20 * time.Second

// leaderless reports whether err came of there being no primary: the one there was
// has just ceased to be it, or none is found. What the driver says of the latter is
// what it says of an address where nobody is.
func (s *Store) leaderless(err error) bool {
	return electing(err) || s.noPrimary.Load() && (driver.IsTimeout(err) || driver.IsNetworkError(err))
}

// watchMembers keeps noPrimary.
func (s *Store) watchMembers() *event.ServerMonitor {
	return &event.ServerMonitor{TopologyDescriptionChanged: func(e *event.TopologyDescriptionChangedEvent) {
		members, primary := false, false
		for _, server := range e.NewDescription.Servers {
			switch server.Kind { // as the driver's specification names them
			case "RSPrimary":
				primary = true
			case "RSSecondary", "RSArbiter", "RSOther":
				members = true
			}
		}
		s.noPrimary.Store(members && !primary)
	}}
}

// prepare checks the database, makes what is missing, and opens the first change
// stream.
func (s *Store) prepare(ctx context.Context) (*stream, error) {
	h, ahead, err := s.hello(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkDeployment(h); err != nil {
		return nil, &databaseError{text: err.Error()}
	}
	if !s.clock.fixed {
		if err := clockRefusal(ahead); err != nil {
			return nil, &databaseError{text: err.Error()}
		}
		if ahead.Abs() > clockNoted {
			s.log.Warn("this machine's clock and the database's differ", "database ahead by", ahead)
		}
	}
	if len(h.Arbiters) > 0 {
		s.log.Warn("the replica set has an arbiter: with one data member down nothing can be stored, since there is no majority; use three data members")
	}
	if err := s.bootstrap(ctx); err != nil {
		return nil, err
	}
	first, err := s.feed.begin(s.life)
	if err != nil && !s.leaderless(err) {
		err = fmt.Errorf("no change stream can be opened: %w", s.advice(err))
	}
	return first, err
}

// Address is where the store is, HOST,HOST/DATABASE, without user and password.
func (s *Store) Address() string {
	return s.secrets.hide(strings.Join(s.hosts, ",") + "/" + s.cfg.Database)
}
