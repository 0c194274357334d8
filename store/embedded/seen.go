package embedded

import (
	"context"
	"fmt"

	"github.com/chatstream/chatstream/store"
)

// Seen implements store.Log.
func (s *Store) Seen(ctx context.Context, roomID string) (map[string]store.Seen, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: who was seen in room %s: %w", roomID, err)
	}
	defer v.release()
	all := make(map[string]store.Seen)
	if !store.StorableRoom(roomID) {
		return all, nil
	}
	prefix := scope(keySeen, roomID)
	err = v.scan(prefix, after(prefix), func(key, value []byte) (bool, error) {
		seen, err := decodeSeen(value)
		if err != nil {
			return false, err
		}
		all[string(key[len(prefix):])] = seen
		return true, ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: who was seen in room %s: %w", roomID, err)
	}
	return all, nil
}

// SeenBy implements store.Log.
func (s *Store) SeenBy(ctx context.Context, account string, rooms []string) (map[string]store.Seen, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: where %s was seen: %w", account, err)
	}
	defer v.release()
	all := make(map[string]store.Seen, len(rooms))
	if !store.StorableAccount(account) {
		return all, nil
	}
	for _, roomID := range rooms {
		if !store.StorableRoom(roomID) {
			continue
		}
		seen, err := v.seen(seenBy{roomID, account})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("store: where %s was seen: room %s: %w", account, roomID, err)
		}
		if seen != (store.Seen{}) {
			all[roomID] = seen
		}
	}
	return all, nil
}

// RaiseViewed implements store.Log. What is raised already, durably, is not
// brought before the committer.
func (s *Store) RaiseViewed(ctx context.Context, account string, viewed map[string]int64) error {
	what := "raise what " + account + " has viewed"
	if !store.StorableAccount(account) {
		return fmt.Errorf("store: %s: %w account", what, store.ErrMalformed)
	}
	v, err := s.view(ctx)
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	raise := make(map[seenBy]int64, len(viewed))
	err = func() error {
		defer v.release()
		for roomID, t := range viewed {
			if !store.StorableRoom(roomID) {
				return fmt.Errorf("%w room id %q", store.ErrMalformed, roomID)
			}
			by := seenBy{roomID, account}
			if was, err := v.seen(by); err != nil {
				return err
			} else if t > was.Viewed {
				raise[by] = t
			}
		}
		return nil
	}()
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	if len(raise) == 0 {
		return nil
	}
	return s.submit(ctx, what, func(g *group) error {
		entries := make([]*seenEntry, 0, len(raise))
		for by := range raise {
			e, err := g.seen(by)
			if err != nil {
				return fmt.Errorf("store: %s: %w", what, err)
			}
			entries = append(entries, e)
		}
		for _, e := range entries {
			if t := raise[e.seenBy]; t > e.is.Viewed {
				e.is.Viewed = t
				g.putSeen(e)
			}
		}
		return nil
	})
}

// seen returns when an account was seen, after what the group holds so far. Who
// changes it calls putSeen.
func (g *group) seen(by seenBy) (*seenEntry, error) {
	if e, ok := g.memory.seen.find(by); ok {
		return e, nil
	}
	is, err := g.view.seen(by)
	if err != nil {
		return nil, err
	}
	e := &seenEntry{seenBy: by, is: is}
	g.memory.seen.put(by, e)
	return e, nil
}

func (g *group) putSeen(e *seenEntry) {
	if e.group == g.number {
		return
	}
	e.group = g.number
	g.seenEntries = append(g.seenEntries, e)
	g.memory.seen.put(e.seenBy, e)
}

func (v *view) seen(by seenBy) (seen store.Seen, err error) {
	_, err = v.get(seenKey(by.roomID, by.account), func(value []byte) (err error) {
		seen, err = decodeSeen(value)
		return err
	})
	return seen, err
}
