package embedded

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// State implements store.Log.
func (s *Store) State(ctx context.Context, roomID string) (room.State, error) {
	if err := s.usable(ctx); err != nil {
		return room.State{}, fmt.Errorf("store: state of room %s: %w", roomID, err)
	}
	if state, ok := s.states.cached(roomID); ok {
		return state, nil
	}
	if !store.StorableRoom(roomID) {
		return room.State{}, nil
	}
	state, err := s.states.get(ctx, roomID, func() (room.State, error) {
		v, err := s.view(context.Background())
		if err != nil {
			return room.State{}, err
		}
		defer v.release()
		return v.state(roomID)
	})
	if err != nil {
		return room.State{}, fmt.Errorf("store: state of room %s: %w", roomID, err)
	}
	return state, nil
}

// Events implements store.Log.
func (s *Store) Events(ctx context.Context, roomID string, after uint64, page store.Page) ([]room.Event, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: events of room %s: %w", roomID, err)
	}
	defer v.release()
	if !store.StorableRoom(roomID) || after+1 == 0 {
		return nil, nil
	}
	var events []room.Event
	bytes := 0
	err = v.events(roomID, after+1, func(e room.Event) (bool, error) {
		bytes += len(e.Body)
		if page.Bytes > 0 && bytes > page.Bytes && len(events) > 0 {
			return false, nil
		}
		events = append(events, e)
		if len(events)%64 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		return page.Events <= 0 || len(events) < page.Events, nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: events of room %s: %w", roomID, err)
	}
	return events, nil
}

// Event implements store.Log.
func (s *Store) Event(ctx context.Context, roomID, uuid string) (room.Event, error) {
	e, err := func() (room.Event, error) {
		v, err := s.view(ctx)
		if err != nil {
			return room.Event{}, err
		}
		defer v.release()
		if !store.StorableRoom(roomID) {
			return room.Event{}, store.ErrNotFound
		}
		u, known, err := v.uuid(roomID, uuid)
		if err != nil {
			return room.Event{}, err
		}
		if !known {
			return room.Event{}, store.ErrNotFound
		}
		return v.event(roomID, u.seq)
	}()
	if err != nil {
		return room.Event{}, fmt.Errorf("store: event %s of room %s: %w", uuid, roomID, err)
	}
	return e, nil
}

// SeqAt implements store.Log, by a binary search over the log: time increases
// with the sequence number, so no index of times is kept.
func (s *Store) SeqAt(ctx context.Context, roomID string, t int64) (uint64, error) {
	seq, err := func() (uint64, error) {
		v, err := s.view(ctx)
		if err != nil {
			return 0, err
		}
		defer v.release()
		if !store.StorableRoom(roomID) {
			return 0, nil
		}
		h, err := v.header(roomID)
		if err != nil || t >= h.Time {
			return h.Seq, err
		}
		// The smallest i for which event i+1 is later than t is the answer.
		seq := sort.Search(int(h.Seq), func(i int) bool {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return true
			}
			var at int64
			at, err = v.time(roomID, uint64(i)+1)
			return at > t
		})
		return uint64(seq), err
	}()
	if err != nil {
		return 0, fmt.Errorf("store: search room %s by time: %w", roomID, err)
	}
	return seq, nil
}

// RoomsOf implements store.Log. The index is written with the events, and read
// from the view that holds them: it is neither ahead of them nor behind.
func (s *Store) RoomsOf(ctx context.Context, account string) ([]string, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: rooms of %s: %w", account, err)
	}
	defer v.release()
	if !store.StorableAccount(account) {
		return nil, nil
	}
	var rooms []string
	prefix := scope(keyRoomsOf, account)
	err = v.scan(prefix, after(prefix), func(key, _ []byte) (bool, error) {
		rooms = append(rooms, string(key[len(prefix):]))
		return true, ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: rooms of %s: %w", account, err)
	}
	return rooms, nil
}

// state restores a room from its projection.
func (v *view) state(roomID string) (room.State, error) {
	h, err := v.header(roomID)
	if err != nil || h.Seq == 0 {
		return room.State{}, err
	}
	var members []room.Member
	prefix := scope(keyMember, roomID)
	err = v.scan(prefix, after(prefix), func(key, value []byte) (bool, error) {
		m, err := decodeMember(string(key[len(prefix):]), value)
		members = append(members, m)
		return true, err
	})
	if err != nil {
		return room.State{}, err
	}
	return room.Restore(h, slices.Values(members)), nil
}

// header returns the zero Header, without the id, for a room that does not exist.
func (v *view) header(roomID string) (h room.Header, err error) {
	_, err = v.get(roomKey(roomID), func(value []byte) (err error) {
		h, err = decodeHeader(roomID, value)
		return err
	})
	return h, err
}

// events calls each with the events from seq on until it says false.
func (v *view) events(roomID string, from uint64, each func(room.Event) (bool, error)) error {
	return v.scan(eventKey(roomID, from), after(scope(keyEvent, roomID)), func(key, value []byte) (bool, error) {
		e, err := decodeEvent(roomID, seqOf(key), value)
		if err != nil {
			return false, err
		}
		return each(e)
	})
}

func (v *view) event(roomID string, seq uint64) (e room.Event, err error) {
	found, err := v.get(eventKey(roomID, seq), func(value []byte) (err error) {
		e, err = decodeEvent(roomID, seq, value)
		return err
	})
	return e, missing(found, err, roomID, seq)
}

func (v *view) time(roomID string, seq uint64) (t int64, err error) {
	found, err := v.get(eventKey(roomID, seq), func(value []byte) (err error) {
		t, err = eventTime(value)
		return err
	})
	return t, missing(found, err, roomID, seq)
}

// missing is the error for an event that other records say must be there.
func missing(found bool, err error, roomID string, seq uint64) error {
	if err == nil && !found {
		err = fmt.Errorf("event %d of room %s is missing: %w", seq, roomID, errCorrupt)
	}
	return err
}

func (v *view) uuid(roomID, uuid string) (r uuidRecord, known bool, err error) {
	known, err = v.get(uuidKey(roomID, uuid), func(value []byte) (err error) {
		r, err = decodeUUID(value)
		return err
	})
	return r, known, err
}
