package mongo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// attempts is how often a request may end in not knowing what became of it.
const attempts = 2

// settle finds out what became of the turns that are not simply stored: it reads
// what follows each room's state, and what is there under the requests' uuids. So
// it learns of the events that were first, of those of its own that were stored
// unheard, and of those that are there from before. What is told to a request
// with nothing to store is looked up too: it may be a repetition of one that had,
// rest on a state that others have changed, or have nothing left to store since an
// attempt of its own was carried out late.
func (s *Store) settle(turns []*turn) {
	found, err := s.look(turns)
	for _, t := range turns {
		if err != nil {
			s.giveUp(t, err)
		} else {
			s.settleTurn(t, found[t.room.id])
		}
	}
}

// look reads, for each room, the events behind its state and those of the
// uuids in doubt, in order.
func (s *Store) look(turns []*turn) (map[string][]record, error) {
	var which bson.A
	for _, t := range turns {
		var ids []string
		for _, g := range t.doubtful() {
			for i := range g.records {
				ids = append(ids, g.records[i].documentID())
			}
		}
		if q := t.refused; q != nil {
			if q.op.UUID != "" {
				ids = append(ids, eventID(t.room.id, q.op.UUID))
			}
			for i := range q.attempted {
				ids = append(ids, q.attempted[i].documentID())
			}
		}
		which = append(which, bson.D{{Key: "r", Value: t.room.id}, {Key: "s", Value: bson.D{{Key: "$gt", Value: int64(t.state.Seq)}}}})
		if len(ids) > 0 {
			which = append(which, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
		}
	}
	found := make(map[string][]record)
	err := s.causally(s.life, func(ctx context.Context) error {
		cursor, err := s.events.Find(ctx, bson.D{{Key: "$or", Value: which}})
		if err != nil {
			return err
		}
		return each(ctx, cursor, func(d *eventDocument) (bool, error) {
			e, err := d.record()
			found[d.Room] = append(found[d.Room], e)
			return true, err
		})
	})
	for _, records := range found {
		slices.SortFunc(records, func(a, b record) int { return int(a.Seq) - int(b.Seq) })
	}
	return found, err
}

// doubtful are the staged of which it is asked whether they are stored: all of
// them if that is not known, else the one that was refused, since those behind it
// were not tried.
func (t *turn) doubtful() []*staged {
	if rest := t.staged[t.stored:]; t.unknown != nil || len(rest) == 0 {
		return rest
	}
	return t.staged[t.stored : t.stored+1]
}

// giveUp tells all that could not be settled that they may be stored, or not.
func (s *Store) giveUp(t *turn, err error) {
	if t.unknown != nil {
		err = t.unknown
	}
	err = fmt.Errorf("%w: %w", errMaybe, s.secrets.told(err))
	if t.refused != nil {
		t.refused.answer(store.Appended{}, err)
	}
	for _, g := range t.staged[t.stored:] {
		g.answer(store.Appended{}, err)
	}
}

func (s *Store) settleTurn(t *turn, found []record) {
	s.learned(t.room, found)
	if q := t.refused; q != nil {
		if !s.answerFound(t.room, q, nil, found) {
			if s.overtaken(t) {
				s.again(t.room, q)
			} else {
				q.answer(store.Appended{}, t.verdict)
			}
		}
		return
	}
	var rest []*request
	for i, g := range t.staged[t.stored:] {
		switch {
		case s.answerFound(t.room, g.request, g.records, found):
		case i == 0 && t.broken != nil:
			g.answer(store.Appended{}, t.broken)
		case t.unknown != nil && g.attempt():
			g.answer(store.Appended{}, fmt.Errorf("%w: %w", errMaybe, t.unknown))
		case i == 0 && t.collided && !s.overtaken(t) && s.blocked(t.room, g.request):
			g.answer(store.Appended{}, fmt.Errorf("%w: the database refuses it, and shows nothing in its place", errMaybe))
		default:
			rest = append(rest, g.request)
		}
	}
	s.again(t.room, rest...)
}

// blocked notes that q was refused although nobody is to be seen who was first. He
// will be soon, so the room waits a little; it reports whether that has been so for
// too long.
func (s *Store) blocked(r *tracked, q *request) bool {
	now := time.Now()
	if q.blockedSince.IsZero() {
		q.blockedSince = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.notBefore = now.Add(time.Millisecond + rand.N(4*time.Millisecond))
	return now.Sub(q.blockedSince) > s.cfg.Timeout
}

// attempt counts an attempt that ended in not knowing, and reports whether it was
// the last.
func (g *staged) attempt() bool {
	g.attempted = g.records
	g.attempts++
	return g.attempts >= attempts
}

// overtaken reports whether the room has come forward since the turn began, or
// is not kept up any more.
func (s *Store) overtaken(t *turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.room.dead || t.room.state.Seq > t.state.Seq
}

// answerFound answers q if its uuid is in the room already, or that of another of
// its drafts.
func (s *Store) answerFound(r *tracked, q *request, staged, found []record) bool {
	uuid := q.op.UUID
	if uuid == "" && len(staged) > 0 {
		uuid = staged[0].UUID
	}
	var own []room.Event
	taken := false
	for i := range found {
		e := &found[i]
		switch {
		case e.by == author{s.process, q.number}:
			own = append(own, e.Event)
		case uuid != "" && e.UUID == uuid && q.mark != nil && slices.Equal(e.mark, q.mark):
			q.answer(store.Appended{Events: []room.Event{e.Event}, Repeated: true}, nil)
			return true
		case uuid != "" && e.UUID == uuid, slices.ContainsFunc(staged, func(mine record) bool { return mine.UUID == e.UUID }):
			uuid, taken = e.UUID, true
		}
	}
	switch {
	case len(own) > 0:
		s.shown(r, own[len(own)-1].Seq, func() { q.answer(store.Appended{Events: own}, nil) })
	case taken:
		q.answer(store.Appended{}, fmt.Errorf("%s: %w", uuid, store.ErrUUIDTaken))
	default:
		return false
	}
	return true
}
