package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/store"
)

// When an account was last active in a room follows from the log, and so does
// what it has viewed as far as an op said it. So nothing is written for that but
// the event itself. The snapshot has it up to a point, and what is behind is read
// from the events: all as of one moment, or a snapshot that is being written would
// hide some of it.

// Seen implements store.Log.
func (s *Store) Seen(ctx context.Context, roomID string) (map[string]store.Seen, error) {
	what := "who was seen in room " + roomID
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableRoom(roomID) {
		return map[string]store.Seen{}, nil
	}
	all, err := s.readSeen(ctx, roomID, "")
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return all, nil
}

// SeenBy implements store.Log.
func (s *Store) SeenBy(ctx context.Context, roomID, account string) (store.Seen, error) {
	what := "when " + account + " was seen in room " + roomID
	if err := s.usable(ctx); err != nil {
		return store.Seen{}, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableRoom(roomID) || !store.StorableAccount(account) {
		return store.Seen{}, nil
	}
	all, err := s.readSeen(ctx, roomID, account)
	if err != nil {
		return store.Seen{}, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return all[account], nil
}

// readSeen reads what is known of one account, or of all if it is empty.
func (s *Store) readSeen(ctx context.Context, roomID, account string) (map[string]store.Seen, error) {
	var all map[string]store.Seen
	err := s.asOfOneMoment(ctx, func(ctx context.Context) error {
		all = make(map[string]store.Seen)
		var d roomDocument
		err := s.rooms.FindOne(ctx, bson.D{{Key: "_id", Value: roomID}}).Decode(&d)
		if err != nil && !errors.Is(err, driver.ErrNoDocuments) {
			return err
		}
		which, of := behind(roomID, uint64(d.Seq)), ofRoom(roomID)
		if account != "" {
			which = append(which, bson.E{Key: "u", Value: account})
			of = bson.D{{Key: "_id", Value: in(roomID, account)}}
		}
		cursor, err := s.seen.Find(ctx, of, options.Find().SetBatchSize(pageStep))
		if err != nil {
			return err
		}
		err = each(ctx, cursor, func(d *seenDocument) (bool, error) {
			all[strings.TrimPrefix(d.ID, roomID+"/")] = store.Seen{Activity: d.Activity, Viewed: d.Viewed}
			return true, nil
		})
		if err != nil {
			return err
		}
		cursor, err = s.events.Find(ctx, which, options.Find().SetBatchSize(pageStep).SetProjection(
			bson.D{{Key: "u", Value: 1}, {Key: "t", Value: 1}, {Key: "v", Value: 1}}))
		if err != nil {
			return err
		}
		return each(ctx, cursor, func(d *eventDocument) (bool, error) {
			seen := all[d.Sender]
			seen.Activity, seen.Viewed = max(seen.Activity, d.Time), max(seen.Viewed, d.Viewed)
			all[d.Sender] = seen
			return true, nil
		})
	})
	return all, err
}

// RaiseViewed implements store.Log.
func (s *Store) RaiseViewed(ctx context.Context, account string, viewed map[string]int64) error {
	what := "raise what " + account + " has viewed"
	if !store.StorableAccount(account) {
		return fmt.Errorf("store: %s: %w account", what, store.ErrMalformed)
	}
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	var raises []driver.WriteModel
	for roomID, to := range viewed {
		if !store.StorableRoom(roomID) {
			return fmt.Errorf("store: %s: %w room id %q", what, store.ErrMalformed, roomID)
		}
		if to > 0 {
			raises = append(raises, raise(in(roomID, account), store.Seen{Viewed: to}))
		}
	}
	if err := s.bulk(ctx, s.seen, raises); err != nil {
		return fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return nil
}
