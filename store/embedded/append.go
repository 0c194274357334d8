package embedded

import (
	"context"
	"fmt"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// Append implements store.Log. Decide runs on the committer, with everybody's
// next message behind it: it must be quick.
func (s *Store) Append(ctx context.Context, roomID string, op store.Op) (store.Appended, error) {
	what := "append to room " + roomID
	if err := op.Check(roomID); err != nil {
		return store.Appended{}, fmt.Errorf("store: %s: %w", what, err)
	}
	// Hashed here and not by the committer, of which there is only one.
	var mark fingerprint
	if op.UUID != "" {
		mark = fingerprint(op.Fingerprint())
	}
	var done store.Appended
	err := s.submit(ctx, what, func(g *group) error {
		if op.UUID != "" {
			first, known, err := g.event(roomID, op.UUID)
			switch {
			case err != nil:
				return fmt.Errorf("store: %s: %w", what, err)
			case known && first.mark == mark:
				done = store.Appended{Events: []room.Event{first.event}, Repeated: true}
				return nil
			case known:
				return fmt.Errorf("store: %s: %s: %w", what, op.UUID, store.ErrUUIDTaken)
			}
		}
		p, err := g.room(roomID)
		if err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		}
		drafts, err := op.Decide(p.state)
		if err != nil {
			return err
		}
		if len(drafts) == 0 {
			return nil
		}
		if err := g.check(roomID, &op, drafts); err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		}
		done.Events, err = g.append(roomID, p, drafts, mark, op.Viewed)
		if err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		}
		return nil
	})
	if err != nil {
		return store.Appended{}, err
	}
	return done, nil
}

// check says whether all of drafts can be stored; none is when one cannot.
func (g *group) check(roomID string, op *store.Op, drafts []room.Draft) error {
	if err := op.CheckDrafts(drafts); err != nil {
		return err
	}
	for i := range drafts {
		if i == 0 && op.UUID != "" {
			continue // looked up already
		}
		if _, known, err := g.event(roomID, drafts[i].UUID); err != nil {
			return err
		} else if known {
			return fmt.Errorf("%s: %w", drafts[i].UUID, store.ErrUUIDTaken)
		}
	}
	return nil
}

// append stages checked drafts as the room's next events. An error says that
// nothing was staged.
func (g *group) append(
	roomID string, p *groupRoom, drafts []room.Draft, mark fingerprint, viewed int64,
) ([]room.Event, error) {
	// First all that may go wrong.
	state := p.state
	events := make([]room.Event, len(drafts))
	var changed []string
	for i, d := range drafts {
		before := state
		events[i] = room.Event{Draft: d, Room: roomID, Seq: state.Seq + 1, Time: max(g.now, state.Time+1)}
		state = room.Fold(state, events[i])
		// Fold touches the target, and who becomes or ceases to be admin.
		for _, account := range [...]string{d.Target, before.Admin, state.Admin} {
			was, _ := before.Member(account)
			if is, ok := state.Member(account); ok && is != was {
				if !store.StorableAccount(account) {
					return nil, fmt.Errorf("%w member %q", store.ErrMalformed, account)
				}
				changed = append(changed, account)
			}
		}
	}
	seen := make(map[seenBy]store.Seen, 1)
	for i := range events {
		by := seenBy{roomID, events[i].Sender}
		was, ok := seen[by]
		if !ok {
			var err error
			if was, err = g.seenBy(by); err != nil {
				return nil, err
			}
		}
		was.Activity = max(was.Activity, events[i].Time)
		seen[by] = was
	}
	if viewed != 0 {
		// The sender of the op is that of the first draft.
		by := seenBy{roomID, events[0].Sender}
		was := seen[by]
		was.Viewed = max(was.Viewed, viewed)
		seen[by] = was
	}
	values := make([][]byte, len(events))
	for i := range events {
		values[i] = encodeEvent(&events[i])
	}

	// From here on nothing fails: Set on a batch only copies.
	for i := range events {
		e := &events[i]
		_ = g.batch.Set(eventKey(roomID, e.Seq), values[i], nil)
		_ = g.batch.Set(uuidKey(roomID, e.UUID), encodeUUID(uuidRecord{e.Seq, mark}), nil)
		g.uuids[roomID+e.UUID] = groupUUID{*e, mark}
		mark = "" // only the first draft is the client's
		g.bytes += len(values[i])
	}
	for by, is := range seen {
		g.seen[by] = is
	}
	for _, account := range changed {
		p.members[account] = struct{}{}
	}
	p.state, p.changed = state, true
	g.events = append(g.events, events...)
	return events, nil
}

// room returns the room as it is after what the group holds so far.
func (g *group) room(roomID string) (*groupRoom, error) {
	if p, ok := g.rooms[roomID]; ok {
		return p, nil
	}
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
	p := &groupRoom{state: state, members: make(map[string]struct{})}
	g.rooms[roomID] = p
	return p, nil
}

// event finds an event by uuid, in the group or before it.
func (g *group) event(roomID, uuid string) (groupUUID, bool, error) {
	if u, ok := g.uuids[roomID+uuid]; ok {
		return u, true, nil
	}
	u, known, err := g.view.uuid(roomID, uuid)
	if err != nil || !known {
		return groupUUID{}, false, err
	}
	e, err := g.view.event(roomID, u.seq)
	if err != nil {
		return groupUUID{}, false, err
	}
	return groupUUID{e, u.mark}, true, nil
}

func (g *group) seenBy(by seenBy) (store.Seen, error) {
	if seen, ok := g.seen[by]; ok {
		return seen, nil
	}
	return g.view.seen(by)
}
