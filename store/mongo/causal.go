package mongo

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// known is how far into the database's order of things this process has come: by
// an answer it got, or by what it was shown. Every read begins there (S10), also
// on a primary that was elected a moment ago and does not yet know what the one
// before it had confirmed.
type known struct {
	mu      sync.Mutex
	time    bson.Timestamp
	cluster bson.Raw
}

func (k *known) advance(time bson.Timestamp, cluster bson.Raw) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.time.Before(time) {
		return
	}
	k.time = time
	if cluster != nil {
		k.cluster = cluster
	}
}

func (k *known) get() (bson.Timestamp, bson.Raw) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.time, k.cluster
}

// causally has do run in a session that begins after everything this process
// knows, and takes over what it learns. do may take no longer than Config.Timeout.
func (s *Store) causally(ctx context.Context, do func(context.Context) error) error {
	return s.within(ctx, options.Session().SetCausalConsistency(true), func(ctx context.Context, session *driver.Session) error {
		return do(ctx)
	})
}

// asOfOneMoment has first and then rest read the database as it was at one moment,
// after everything this process knows, whatever the number of their queries. The
// database chooses the moment when first reads, which is then done again if it is
// too early: what we know of may be confirmed a little later, or the primary may
// just have been elected.
func (s *Store) asOfOneMoment(ctx context.Context, first, rest func(context.Context) error) error {
	from, _ := s.known.get()
	how := options.Session().SetSnapshot(true)
	for {
		early := false
		err := s.within(ctx, how, func(ctx context.Context, session *driver.Session) error {
			if err := first(ctx); err != nil {
				return err
			}
			if early = session.SnapshotTime().Before(from); early {
				return nil
			}
			return rest(ctx)
		})
		if err != nil || !early {
			return err
		}
		how = options.Session().SetSnapshot(true).SetSnapshotTime(from)
	}
}

func (s *Store) within(
	ctx context.Context, how *options.SessionOptionsBuilder, do func(context.Context, *driver.Session) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	session, err := s.client.StartSession(how)
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	time, cluster := s.known.get()
	if cluster != nil {
		if err := session.AdvanceClusterTime(cluster); err != nil {
			return err
		}
	}
	if !time.IsZero() {
		if err := session.AdvanceOperationTime(&time); err != nil {
			return err
		}
	}
	err = do(driver.NewSessionContext(ctx, session), session)
	if reached := session.OperationTime(); reached != nil {
		s.known.advance(*reached, session.ClusterTime())
	}
	return err
}
