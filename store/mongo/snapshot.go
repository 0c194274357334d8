package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// A snapshot is what a room's events up to some point fold to: its members, who
// was seen in it, and then, last, the room itself with the number of that point.
// It saves reading the whole log, and nothing rests on it: a reader folds the
// events behind the point over it. It may find members that are further than the
// room says, since they are written first; then the events that brought them
// there are folded once more, and the last event that concerns a member says all
// about him, so the outcome is the same.
//
// Any number of processes may write snapshots of one room: none takes the place of
// a later one.

// roomRead is a room as it was read.
type roomRead struct {
	state    room.State
	snapshot uint64
	changed  map[string]struct{}
	active   map[string]store.Seen
}

// readRoom reads the snapshot and folds what is behind it.
func (s *Store) readRoom(ctx context.Context, roomID string) (read roomRead, err error) {
	err = s.causally(ctx, func(ctx context.Context) error {
		read = roomRead{changed: make(map[string]struct{}), active: make(map[string]store.Seen)}
		var d roomDocument
		switch err := s.rooms.FindOne(ctx, bson.D{{Key: "_id", Value: roomID}}).Decode(&d); {
		case err == nil:
			members, err := s.readMembers(ctx, roomID)
			if err != nil {
				return err
			}
			read.state, read.snapshot = room.Restore(d.header(), members), uint64(d.Seq)
		case !errors.Is(err, driver.ErrNoDocuments):
			return err
		}
		cursor, err := s.events.Find(ctx, behind(roomID, read.snapshot),
			options.Find().SetSort(bson.D{{Key: "s", Value: 1}}).SetBatchSize(pageStep))
		if err != nil {
			return err
		}
		return each(ctx, cursor, func(d *eventDocument) (bool, error) {
			e, err := d.record()
			if err != nil {
				return false, err
			}
			if e.Seq != read.state.Seq+1 {
				return false, fmt.Errorf("%w: event %d of room %s is missing", store.ErrUnavailable, read.state.Seq+1, roomID)
			}
			before := read.state
			read.state = room.Fold(before, e.Event)
			note(read.changed, read.active, before, read.state, &e)
			return true, nil
		})
	})
	return read, err
}

func (s *Store) readMembers(ctx context.Context, roomID string) (func(func(room.Member) bool), error) {
	cursor, err := s.members.Find(ctx, ofRoom(roomID), options.Find().SetBatchSize(pageStep))
	if err != nil {
		return nil, err
	}
	var members []room.Member
	err = each(ctx, cursor, func(d *memberDocument) (bool, error) {
		members = append(members, d.member())
		return true, nil
	})
	return func(yield func(room.Member) bool) {
		for _, m := range members {
			if !yield(m) {
				return
			}
		}
	}, err
}

// wantSnapshot has a snapshot of r written if the last is old; mu is held.
func (s *Store) wantSnapshot(r *tracked) {
	if r.snapshotting || r.state.Seq < r.snapshot+s.cfg.foldAfter {
		return
	}
	r.snapshotting = true
	s.due = append(s.due, r)
	select {
	case s.dueWake <- struct{}{}:
	default:
	}
}

// keepSnapshots writes the snapshots that are due until ctx ends.
func (s *Store) keepSnapshots(ctx context.Context) {
	for {
		s.mu.Lock()
		var r *tracked
		if len(s.due) > 0 {
			r, s.due = s.due[0], s.due[1:]
		}
		s.mu.Unlock()
		if r != nil {
			s.snapshot(ctx, r)
			continue
		}
		select {
		case <-s.dueWake:
		case <-ctx.Done():
			return
		}
	}
}

// snapshot writes r's snapshot. If that fails the next one tries again.
func (s *Store) snapshot(ctx context.Context, r *tracked) {
	s.mu.Lock()
	state, changed, active := r.state, r.changed, r.active
	r.changed, r.active = make(map[string]struct{}), make(map[string]store.Seen)
	s.mu.Unlock()

	err := s.writeSnapshot(ctx, state, changed, active)

	s.mu.Lock()
	defer s.mu.Unlock()
	r.snapshotting = false
	if err == nil {
		r.snapshot = state.Seq
		return
	}
	maps.Copy(r.changed, changed)
	for account, seen := range active {
		later := r.active[account]
		r.active[account] = store.Seen{Activity: max(seen.Activity, later.Activity), Viewed: max(seen.Viewed, later.Viewed)}
	}
	if ctx.Err() == nil {
		s.log.Warn("a room's snapshot could not be written; it will be tried again", "room", state.ID, "error", s.secrets.told(err))
	}
}

// writeSnapshot waits for a majority each time, so that after a failover there is
// no room without the members that belong to it.
func (s *Store) writeSnapshot(ctx context.Context, state room.State, changed map[string]struct{}, active map[string]store.Seen) error {
	seq := int64(state.Seq)
	var members []driver.WriteModel
	for account := range changed {
		m, ok := state.Member(account)
		if !ok {
			continue
		}
		members = append(members, ifNewer(in(state.ID, account), seq, memberFields(&m)))
	}
	var seen []driver.WriteModel
	for account, at := range active {
		seen = append(seen, raise(in(state.ID, account), at))
	}
	if err := s.bulk(ctx, s.members, members); err != nil {
		return err
	}
	if err := s.bulk(ctx, s.seen, seen); err != nil {
		return err
	}
	return s.bulk(ctx, s.rooms, []driver.WriteModel{ifNewer(state.ID, seq, bson.D{
		{Key: "n", Value: state.Name}, {Key: "p", Value: state.Password}, {Key: "c", Value: state.Created},
		{Key: "t", Value: state.Time}, {Key: "a", Value: state.Admin},
	})})
}

func memberFields(m *room.Member) bson.D {
	return bson.D{
		{Key: "u", Value: m.Account}, {Key: "n", Value: m.Name}, {Key: "st", Value: int32(m.Standing)},
		{Key: "p", Value: int64(m.Position)}, {Key: "ch", Value: int64(m.Changed)}, {Key: "si", Value: m.Since},
	}
}

// ifNewer sets fields of what is as of seq, unless what is there is as new. Then
// the insert that it would be is refused, being of the same _id; bulk sees to it.
func ifNewer(id string, seq int64, fields bson.D) driver.WriteModel {
	return driver.NewUpdateOneModel().SetUpsert(true).
		SetFilter(bson.D{{Key: "_id", Value: id}, {Key: "s", Value: bson.D{{Key: "$lt", Value: seq}}}}).
		SetUpdate(bson.D{{Key: "$set", Value: append(fields, bson.E{Key: "s", Value: seq})}})
}

// raise raises what is known of an account in a room, and never lowers it.
func raise(id string, to store.Seen) driver.WriteModel {
	var fields bson.D
	if to.Activity != 0 {
		fields = append(fields, bson.E{Key: "a", Value: to.Activity})
	}
	if to.Viewed > 0 {
		fields = append(fields, bson.E{Key: "v", Value: to.Viewed})
	}
	return driver.NewUpdateOneModel().SetUpsert(true).
		SetFilter(bson.D{{Key: "_id", Value: id}}).SetUpdate(bson.D{{Key: "$max", Value: fields}})
}

// bulk makes updates that are made by ifNewer or raise. One that was to insert and
// found that another had just done so is made once more, to what is there now. That
// may well be older: two who write the same for the first time both insert, and
// which of them is refused is a matter of chance.
func (s *Store) bulk(ctx context.Context, in *driver.Collection, updates []driver.WriteModel) error {
	for len(updates) > 0 {
		err := s.causally(ctx, func(ctx context.Context) error {
			_, err := in.BulkWrite(ctx, updates, options.BulkWrite().SetOrdered(false))
			return err
		})
		var refused driver.BulkWriteException
		if err == nil || !errors.As(err, &refused) || refused.WriteConcernError != nil || len(refused.WriteErrors) == 0 {
			return err
		}
		var rest []driver.WriteModel
		for _, w := range refused.WriteErrors {
			if w.Code != codeDuplicateKey {
				return err
			}
			rest = append(rest, updates[w.Index].(*driver.UpdateOneModel).SetUpsert(false))
		}
		updates = rest
	}
	return nil
}
