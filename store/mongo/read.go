package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// Every read is of what a majority has, and begins after everything this process
// was told or shown (causally). So are the states in memory.

// State implements store.Log.
func (s *Store) State(ctx context.Context, roomID string) (room.State, error) {
	what := "state of room " + roomID
	if err := s.usable(ctx); err != nil {
		return room.State{}, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableRoom(roomID) {
		return room.State{}, nil
	}
	r, err := s.enter(ctx, roomID)
	if err != nil {
		return room.State{}, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.users--
	return r.state, nil
}

// pageStep is how many events the database sends at a time.
const pageStep = 1000

// Events implements store.Log.
func (s *Store) Events(ctx context.Context, roomID string, after uint64, page store.Page) ([]room.Event, error) {
	what := "events of room " + roomID
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableRoom(roomID) || after >= math.MaxInt64 {
		return nil, nil
	}
	var events []room.Event
	err := s.causally(ctx, func(ctx context.Context) error {
		events = nil
		how := options.Find().SetSort(bson.D{{Key: "s", Value: 1}}).SetBatchSize(pageStep)
		if page.Events > 0 {
			how.SetLimit(int64(page.Events)).SetBatchSize(int32(min(page.Events, pageStep)))
		}
		cursor, err := s.events.Find(ctx, behind(roomID, after), how)
		if err != nil {
			return err
		}
		bytes := 0
		return each(ctx, cursor, func(d *eventDocument) (bool, error) {
			bytes += len(d.Body)
			if page.Bytes > 0 && bytes > page.Bytes && len(events) > 0 {
				return false, nil
			}
			e, err := d.record()
			events = append(events, e.Event)
			return true, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return events, nil
}

// behind selects the room's events after seq.
func behind(roomID string, seq uint64) bson.D {
	return bson.D{{Key: "r", Value: roomID}, {Key: "s", Value: bson.D{{Key: "$gt", Value: int64(seq)}}}}
}

// each decodes what cursor yields until found says that it is enough, and closes
// the cursor.
func each[D any](ctx context.Context, cursor *driver.Cursor, found func(*D) (more bool, err error)) error {
	for cursor.Next(ctx) {
		var d D
		if err := cursor.Decode(&d); err != nil {
			return errors.Join(err, cursor.Close(ctx))
		}
		if more, err := found(&d); err != nil || !more {
			return errors.Join(err, cursor.Close(ctx))
		}
	}
	return errors.Join(cursor.Err(), cursor.Close(ctx))
}

// Event implements store.Log.
func (s *Store) Event(ctx context.Context, roomID, uuid string) (room.Event, error) {
	e, err := func() (room.Event, error) {
		if err := s.usable(ctx); err != nil {
			return room.Event{}, err
		}
		if !store.StorableRoom(roomID) || uuid == "" {
			return room.Event{}, store.ErrNotFound
		}
		var d eventDocument
		err := s.causally(ctx, func(ctx context.Context) error {
			return found(s.events.FindOne(ctx, bson.D{{Key: "_id", Value: eventID(roomID, uuid)}}).Decode(&d))
		})
		if err != nil {
			return room.Event{}, s.failure(ctx, err)
		}
		e, err := d.record()
		return e.Event, err
	}()
	if err != nil {
		return room.Event{}, fmt.Errorf("store: event %s of room %s: %w", uuid, roomID, err)
	}
	return e, nil
}

// found makes store.ErrNotFound of the driver's error.
func found(err error) error {
	if errors.Is(err, driver.ErrNoDocuments) {
		return store.ErrNotFound
	}
	return err
}

// SeqAt implements store.Log.
func (s *Store) SeqAt(ctx context.Context, roomID string, t int64) (uint64, error) {
	what := "search room " + roomID + " by time"
	if err := s.usable(ctx); err != nil {
		return 0, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableRoom(roomID) {
		return 0, nil
	}
	var d eventDocument
	err := s.causally(ctx, func(ctx context.Context) error {
		err := s.events.FindOne(ctx,
			bson.D{{Key: "r", Value: roomID}, {Key: "t", Value: bson.D{{Key: "$lte", Value: t}}}},
			options.FindOne().SetSort(bson.D{{Key: "t", Value: -1}}).SetProjection(bson.D{{Key: "s", Value: 1}}),
		).Decode(&d)
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return uint64(d.Seq), nil
}

// RoomsOf implements store.Log. It is read from the log itself: of the events
// whose target the account is, the last one of each room. The index byTarget has
// them in this order, and the database looks at one entry of it for each room, so
// no list of an account's rooms has to be kept, nor to be kept up.
func (s *Store) RoomsOf(ctx context.Context, account string) ([]string, error) {
	what := "rooms of " + account
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableAccount(account) {
		return nil, nil
	}
	var rooms []string
	err := s.causally(ctx, func(ctx context.Context) error {
		rooms = nil
		cursor, err := s.events.Aggregate(ctx, roomsOf(account))
		if err != nil {
			return err
		}
		return each(ctx, cursor, func(d *struct {
			Room   string `bson:"_id"`
			Action int32  `bson:"a"`
		},
		) (bool, error) {
			if room.Action(d.Action) == room.Add {
				rooms = append(rooms, d.Room)
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	slices.Sort(rooms)
	return rooms, nil
}

func roomsOf(account string) driver.Pipeline {
	return driver.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "g", Value: account}}}},
		{{Key: "$sort", Value: bson.D{{Key: "r", Value: 1}, {Key: "s", Value: -1}}}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: "$r"}, {Key: "a", Value: bson.D{{Key: "$first", Value: "$a"}}},
		}}},
	}
}
