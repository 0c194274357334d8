package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/store"
)

const (
	// leaseEvery is how often a server says that it is alive, and asks who else
	// is; lease is how long its word is taken for it. Both by the database's clock.
	leaseEvery = 5 * time.Second
	lease      = 15 * time.Second
	// leaseKept is how long the database keeps a server that says nothing.
	leaseKept = time.Minute
)

// servers is who else is there. Each server has a document in the collection of
// that name while it is alive, and has announced where.
type servers struct {
	// telling is full while the database is told: a lease that is being renewed must
	// not outlive its withdrawal.
	telling chan struct{}

	mu sync.Mutex // guards what follows
	// own is this server's address, "" while it is not announced.
	own    string
	others []string
}

// serverDocument is a server's.
type serverDocument struct {
	ID      string `bson:"_id"`
	Address string `bson:"a"`
}

// turn waits until nobody else tells the database, for as long as ctx lasts, and
// returns what is to be called when that is done.
func (v *servers) turn(ctx context.Context) (done func(), err error) {
	select {
	case v.telling <- struct{}{}:
		return func() { <-v.telling }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Store) serverID() string { return strconv.FormatUint(s.process, 16) }

// Servers implements store.Shared.
func (s *Store) Servers() []string {
	s.servers.mu.Lock()
	defer s.servers.mu.Unlock()
	return slices.Clone(s.servers.others)
}

// Announce implements store.Shared.
func (s *Store) Announce(ctx context.Context, address string) error {
	s.servers.mu.Lock()
	before := s.servers.own
	s.servers.own = address
	s.servers.mu.Unlock()
	if before != "" {
		return errors.New("store: announce a server: it has been announced already")
	}
	if err := s.renewLease(ctx); err != nil {
		return fmt.Errorf("store: announce the server at %s: %w", address, err)
	}
	return nil
}

// Withdraw implements store.Shared.
func (s *Store) Withdraw(ctx context.Context) error {
	done, err := s.servers.turn(ctx)
	if err != nil {
		return fmt.Errorf("store: withdraw the server: %w", s.failure(ctx, err))
	}
	defer done()
	s.servers.mu.Lock()
	s.servers.own = ""
	s.servers.mu.Unlock()
	err = s.causally(ctx, func(ctx context.Context) error {
		_, err := s.leases.DeleteOne(ctx, bson.D{{Key: "_id", Value: s.serverID()}})
		return err
	})
	if err != nil {
		return fmt.Errorf("store: withdraw the server: %w", s.failure(ctx, err))
	}
	return nil
}

// keepLease renews this server's lease and reads the others' until ctx ends. A
// database that cannot be asked leaves the others as they were known.
func (s *Store) keepLease(ctx context.Context) {
	for {
		if err := s.renewLease(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("the lease could not be renewed; it is tried again", "error", s.secrets.told(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leaseEvery):
		}
	}
}

// renewLease tells the database that this server is alive, and reads which others
// are. One that writes, but has heard nothing for as long as a lease, is of no use to
// clients, so its lease lapses.
func (s *Store) renewLease(ctx context.Context) error {
	done, err := s.servers.turn(ctx)
	if err != nil {
		return s.failure(ctx, err)
	}
	defer done()
	s.servers.mu.Lock()
	own := s.servers.own
	s.servers.mu.Unlock()
	if time.Since(s.Heard()) >= lease {
		own = ""
	}
	var documents []serverDocument
	err = s.causally(ctx, func(ctx context.Context) error {
		if own != "" {
			if _, err := s.leases.UpdateOne(ctx, bson.D{{Key: "_id", Value: s.serverID()}},
				bson.A{bson.D{{Key: "$set", Value: bson.D{
					{Key: "a", Value: bson.D{{Key: "$literal", Value: own}}}, {Key: "t", Value: "$$NOW"},
				}}}},
				options.UpdateOne().SetUpsert(true)); err != nil {
				return err
			}
		}
		alive := bson.D{{Key: "$gt", Value: bson.A{"$t", bson.D{{Key: "$subtract", Value: bson.A{"$$NOW", lease.Milliseconds()}}}}}}
		found, err := s.leases.Find(ctx, bson.D{
			{Key: "_id", Value: bson.D{{Key: "$ne", Value: s.serverID()}}}, {Key: "$expr", Value: alive},
		})
		if err != nil {
			return err
		}
		return found.All(ctx, &documents)
	})
	if err != nil {
		return s.failure(ctx, err)
	}
	var others []string
	for _, d := range documents {
		others = append(others, d.Address)
	}
	slices.Sort(others)
	s.servers.mu.Lock()
	s.servers.others = slices.Compact(others)
	s.servers.mu.Unlock()
	return nil
}

var _ store.Shared = (*Store)(nil)
