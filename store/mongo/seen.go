package mongo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/store"
)

// When an account was last active in a room follows from the log, and so does
// what it has viewed as far as an op said it. So nothing is written for that but
// the event itself. The snapshot has it up to a point, and what is behind is read
// from the events: all as of one moment. Were each read as of its own, a snapshot
// that is being written could hide some of it, and an answer could have what came
// later without what came before it.

// Seen implements store.Log.
func (s *Store) Seen(ctx context.Context, roomID string) (map[string]store.Seen, error) {
	what := "who was seen in room " + roomID
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	if !store.StorableRoom(roomID) {
		return map[string]store.Seen{}, nil
	}
	all, err := s.readSeen(ctx, []string{roomID}, ofRoom(roomID), bson.D{},
		func(id string) string { return strings.TrimPrefix(id, roomID+"/") })
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	return all, nil
}

// seenRooms is of how many rooms at once it is read when an account was seen. It
// is less than pageStep, so that each query has one answer.
const seenRooms = 500

// SeenBy implements store.Log.
func (s *Store) SeenBy(ctx context.Context, account string, rooms []string) (map[string]store.Seen, error) {
	what := "where " + account + " was seen"
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	all := make(map[string]store.Seen, len(rooms))
	if !store.StorableAccount(account) {
		return all, nil
	}
	rooms = slices.DeleteFunc(slices.Clone(rooms), func(id string) bool { return !store.StorableRoom(id) })
	for some := range slices.Chunk(rooms, seenRooms) {
		ids := make([]string, len(some))
		for i, roomID := range some {
			ids[i] = in(roomID, account)
		}
		seen, err := s.readSeen(ctx, some, among(ids), bson.D{{Key: "u", Value: account}},
			func(id string) string { return strings.TrimSuffix(id, "/"+account) })
		if err != nil {
			return nil, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
		}
		maps.Copy(all, seen)
	}
	return all, nil
}

func among(ids []string) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}
}

// readSeen reads of the rooms what is in the documents of seen that are selected
// by documents, and in the events by those that senders selects. An entry is named
// after the _id that it has in seen, or would have. It costs three round trips,
// however many rooms there are, unless an answer has more than pageStep entries,
// and one more if the moment was chosen too early.
func (s *Store) readSeen(
	ctx context.Context, rooms []string, documents, senders bson.D, name func(id string) string,
) (all map[string]store.Seen, err error) {
	step := options.Find().SetBatchSize(pageStep)
	var folded map[string]uint64
	err = s.asOfOneMoment(ctx, func(ctx context.Context) error {
		folded = make(map[string]uint64, len(rooms))
		cursor, err := s.rooms.Find(ctx, among(rooms), step, options.Find().SetProjection(bson.D{{Key: "s", Value: 1}}))
		if err != nil {
			return err
		}
		return each(ctx, cursor, func(d *roomDocument) (bool, error) {
			folded[d.ID] = uint64(d.Seq)
			return true, nil
		})
	}, func(ctx context.Context) error {
		all = make(map[string]store.Seen)
		add := func(d *seenDocument) (bool, error) {
			id := name(d.ID)
			seen := all[id]
			all[id] = store.Seen{Activity: max(seen.Activity, d.Activity), Viewed: max(seen.Viewed, d.Viewed)}
			return true, nil
		}
		cursor, err := s.seen.Find(ctx, documents, step)
		if err != nil {
			return err
		}
		if err := each(ctx, cursor, add); err != nil {
			return err
		}
		logs := make(bson.A, len(rooms))
		for i, roomID := range rooms {
			logs[i] = behind(roomID, folded[roomID])
		}
		cursor, err = s.events.Aggregate(ctx, seenIn(append(bson.D{{Key: "$or", Value: logs}}, senders...)),
			// Else the database would weigh two indexes for each room.
			options.Aggregate().SetBatchSize(pageStep).SetHint(bson.D{{Key: "r", Value: 1}, {Key: "s", Value: 1}}))
		if err != nil {
			return err
		}
		return each(ctx, cursor, add)
	})
	return all, err
}

// seenIn makes of events the documents of seen that follow from them.
func seenIn(events bson.D) driver.Pipeline {
	return driver.Pipeline{
		{{Key: "$match", Value: events}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: bson.D{{Key: "$concat", Value: bson.A{"$r", "/", "$u"}}}},
			{Key: "a", Value: bson.D{{Key: "$max", Value: "$t"}}},
			{Key: "v", Value: bson.D{{Key: "$max", Value: "$v"}}},
		}}},
	}
}
