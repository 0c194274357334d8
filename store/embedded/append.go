package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// Append implements store.Log. Decide runs on the committer, with everybody's
// next message behind it: it must be quick.
func (s *Store) Append(ctx context.Context, roomID string, op store.Op) (store.Appended, error) {
	c := command{roomID: roomID, op: &op, what: "append to room " + roomID}
	if err := c.prepare(ctx, s); err != nil {
		return store.Appended{}, fmt.Errorf("store: %s: %w", c.what, err)
	}
	if err := s.submit(ctx, c.what, c.stage); err != nil {
		return store.Appended{}, err
	}
	return store.Appended{Events: slices.Clone(c.events), Repeated: c.repeated}, nil
}

// command is an op on its way through the store.
type command struct {
	roomID, what string
	op           *store.Op

	// The following is found out by the caller, of whom there are many, and not
	// by the committer, of which there is only one.

	// sound says that op.Body can be the body of an event.
	sound bool
	// key is where the op's event is found in memory, mark what it is recognised
	// by. Both are empty when op.UUID is.
	key  string
	mark fingerprint
	// first is the event of that uuid after group number asOf, if known.
	first storedEvent
	known bool
	asOf  uint64

	// What became of it. The events are the group's.
	events   []room.Event
	repeated bool
}

// prepare does all that needs no state, and looks the uuid up in what is
// visible.
func (c *command) prepare(ctx context.Context, s *Store) error {
	if err := c.op.Check(c.roomID); err != nil {
		return err
	}
	c.sound = c.op.SoundBody()
	if c.op.UUID == "" {
		return nil
	}
	c.key, c.mark = c.roomID+c.op.UUID, fingerprint(c.op.Fingerprint())
	v, err := s.view(ctx)
	if err != nil {
		return err
	}
	defer v.release()
	c.asOf = v.number
	c.first, c.known, err = v.stored(c.roomID, c.op.UUID)
	return err
}

// stage decides the command and stages its events.
func (c *command) stage(g *group) error {
	if c.op.UUID != "" {
		first, known, err := c.repetition(g)
		switch {
		case err != nil:
			return fmt.Errorf("store: %s: %w", c.what, err)
		case known && first.mark == c.mark:
			c.events, c.repeated = []room.Event{*first.event}, true
			return nil
		case known:
			return fmt.Errorf("store: %s: %s: %w", c.what, c.op.UUID, store.ErrUUIDTaken)
		}
	}
	e, err := g.room(c.roomID)
	if err != nil {
		return fmt.Errorf("store: %s: %w", c.what, err)
	}
	drafts, err := c.op.Decide(e.state)
	if err != nil {
		return err
	}
	if len(drafts) == 0 {
		return nil
	}
	if err := c.check(g, drafts); err != nil {
		return fmt.Errorf("store: %s: %w", c.what, err)
	}
	c.events, err = g.append(e, drafts, c.mark, c.op.Viewed)
	if err != nil {
		return fmt.Errorf("store: %s: %w", c.what, err)
	}
	return nil
}

// repetition finds the event that the op's uuid has already. What the caller
// has found, or not found, holds unless a later group wrote it.
func (c *command) repetition(g *group) (storedEvent, bool, error) {
	if first, ok := g.memory.events.find(c.key); ok {
		return first, true, nil
	}
	if c.asOf >= g.memory.events.since {
		return c.first, c.known, nil
	}
	return g.view.stored(c.roomID, c.op.UUID)
}

// check says whether all of drafts can be stored; none is when one cannot.
func (c *command) check(g *group, drafts []room.Draft) error {
	if err := c.op.CheckDrafts(drafts, c.sound); err != nil {
		return err
	}
	for i := range drafts {
		if i == 0 && c.op.UUID != "" {
			continue // looked up already
		}
		if _, known, err := g.event(c.roomID, drafts[i].UUID); err != nil {
			return err
		} else if known {
			return fmt.Errorf("%s: %w", drafts[i].UUID, store.ErrUUIDTaken)
		}
	}
	return nil
}

// append stages checked drafts as the room's next events, and returns them. An
// error says that nothing was staged.
func (g *group) append(e *roomEntry, drafts []room.Draft, mark fingerprint, viewed int64) ([]room.Event, error) {
	// First all that may go wrong. What is appended to g.events meanwhile does
	// not count before g.events is set.
	state, all := e.state, g.events
	var changed []string
	for i := range drafts {
		before := state
		all = append(all, room.Event{Draft: drafts[i], Room: e.id, Seq: state.Seq + 1, Time: max(g.now, state.Time+1)})
		state = room.Fold(state, all[len(all)-1])
		if state.SameMembers(before) {
			continue
		}
		// Fold touches the target, and who becomes or ceases to be admin.
		for _, account := range [...]string{drafts[i].Target, before.Admin, state.Admin} {
			was, _ := before.Member(account)
			if is, ok := state.Member(account); ok && is != was {
				if !store.StorableAccount(account) {
					return nil, fmt.Errorf("%w member %q", store.ErrMalformed, account)
				}
				changed = append(changed, account)
			}
		}
	}
	events := all[len(g.events):]
	var one [1]*seenEntry
	seen := one[:0]
	for i := range events {
		s, err := g.seen(seenBy{e.id, events[i].Sender})
		if err != nil {
			return nil, err
		}
		seen = append(seen, s)
	}

	// From here on nothing fails.
	for i := range events {
		g.putEvent(&events[i], mark)
		mark = "" // only the first draft is the client's
		seen[i].is.Activity = max(seen[i].is.Activity, events[i].Time)
		if i == 0 { // the sender of the op is that of the first draft
			seen[i].is.Viewed = max(seen[i].is.Viewed, viewed)
		}
		g.putSeen(seen[i])
	}
	e.state = state
	g.putRoom(e, changed)
	g.events = all
	return events, nil
}

// putEvent stages e, which must not change any more, and its uuid.
func (g *group) putEvent(e *room.Event, mark fingerprint) {
	b := binary.BigEndian.AppendUint64(appendScope(g.scratch[:0], keyEvent, e.Room), e.Seq)
	n := len(b)
	b = appendEvent(b, e)
	g.set(b[:n], b[n:])
	g.bytes += len(b)
	b = append(appendScope(b[:0], keyUUID, e.Room), e.UUID...)
	n = len(b)
	b = appendUUID(b, uuidRecord{e.Seq, mark})
	g.set(b[:n], b[n:])
	g.scratch = b
	g.memory.events.put(e.Room+e.UUID, storedEvent{e, mark})
	g.memory.bytes += len(e.Body)
}

// putRoom stages that e has changed, and the membership of accounts in it.
func (g *group) putRoom(e *roomEntry, accounts []string) {
	if e.group != g.number {
		e.group, e.members = g.number, nil
		g.rooms = append(g.rooms, e)
		g.memory.rooms.put(e.id, e)
	}
	e.members = append(e.members, accounts...)
}

// room returns the room as it is after what the group holds so far. Who changes
// it calls putRoom.
func (g *group) room(roomID string) (*roomEntry, error) {
	if e, ok := g.memory.rooms.find(roomID); ok {
		return e, nil
	}
	// No group has changed the room that is not in the view, so it does not
	// matter what the syncer publishes meanwhile.
	state, err := g.s.states.get(context.Background(), roomID, func() (room.State, error) {
		return g.view.state(roomID)
	})
	if err != nil {
		// It may have been a reader's error, who came first and met the end of
		// the store. What was accepted before the end is still carried out.
		if state, err = g.view.state(roomID); err != nil {
			return nil, err
		}
	}
	e := &roomEntry{id: roomID, state: state}
	g.memory.rooms.put(roomID, e)
	return e, nil
}

// event finds an event by uuid, in the group or before it.
func (g *group) event(roomID, uuid string) (storedEvent, bool, error) {
	if first, ok := g.memory.events.find(roomID + uuid); ok {
		return first, true, nil
	}
	return g.view.stored(roomID, uuid)
}

// stored finds an event by uuid.
func (v *view) stored(roomID, uuid string) (storedEvent, bool, error) {
	u, known, err := v.uuid(roomID, uuid)
	if err != nil || !known {
		return storedEvent{}, false, err
	}
	e, err := v.event(roomID, u.seq)
	if err != nil {
		return storedEvent{}, false, err
	}
	return storedEvent{&e, u.mark}, true, nil
}
