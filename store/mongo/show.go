package mongo

import (
	"fmt"
	"math"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// The two ways events come to be shown: the change stream, and what the committer
// has written or read. tracked says how they go together.

// streamed takes over what the change stream has shown, in its order: events, and
// what goes with them. If the stream has left something out it stops there with an
// error; then all is to be forgotten (reset).
func (s *Store) streamed(records []record, claims []store.Claim, sessions []string) error {
	show := make([]room.Event, 0, len(records))
	var answers []func()
	var gap error
	s.mu.Lock()
	for i := range records {
		e := &records[i]
		r, ok := s.table.rooms[e.Room]
		if !ok {
			show = append(show, e.Event)
			continue
		}
		if e.Seq <= r.streamed {
			continue
		}
		if r.streamed != 0 && e.Seq != r.streamed+1 || r.read && e.Seq > r.state.Seq+1 {
			gap = fmt.Errorf("the change stream has brought event %d of room %s, but not the one before it", e.Seq, e.Room)
			break
		}
		r.streamed = e.Seq
		r.meet(s.process, e)
		switch {
		case !r.read:
			show = append(show, e.Event)
			if len(r.parked) < maxParked {
				r.parked = append(r.parked, *e)
			} else {
				r.overflow = true
			}
		case r.live && e.Seq <= r.state.Seq:
			// Shown already.
		default:
			r.fold(e)
			show = append(show, e.Event)
			r.live = e.Seq == r.state.Seq
		}
		answers = append(answers, r.release()...)
	}
	s.ring.Add(store.Batch{Events: show, Claims: claims, Sessions: sessions})
	s.mu.Unlock()
	for _, answer := range answers {
		answer()
	}
	return gap
}

// learned takes over events of one room, in order, that a majority has.
func (s *Store) learned(r *tracked, records []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.dead {
		return
	}
	var show []room.Event
	for i := range records {
		e := &records[i]
		if !r.fold(e) {
			continue
		}
		r.meet(s.process, e)
		if r.live {
			show = append(show, e.Event)
		}
	}
	s.ring.Add(store.Batch{Events: show})
	s.wantSnapshot(r)
}

// shown has answer called once event seq of r has been shown, or need not be
// waited for any more.
func (s *Store) shown(r *tracked, seq uint64, answer func()) {
	s.mu.Lock()
	if r.dead || r.live && r.state.Seq >= seq || r.streamed >= seq {
		s.mu.Unlock()
		answer()
		return
	}
	r.held = append(r.held, held{seq, answer})
	s.mu.Unlock()
	time.AfterFunc(heldFor, func() {
		s.mu.Lock()
		answers := r.releaseTo(seq)
		s.mu.Unlock()
		for _, answer := range answers {
			answer()
		}
	})
}

// release returns the answers that need not wait any more.
func (r *tracked) release() []func() {
	if len(r.held) == 0 {
		return nil
	}
	if r.live {
		return r.releaseTo(max(r.streamed, r.state.Seq))
	}
	return r.releaseTo(r.streamed)
}

func (r *tracked) releaseTo(seq uint64) []func() {
	var answers []func()
	rest := r.held[:0]
	for _, h := range r.held {
		if h.seq <= seq {
			answers = append(answers, h.answer)
		} else {
			rest = append(rest, h)
		}
	}
	r.held = rest
	return answers
}

// releaseAll gives all answers that wait for the stream.
func (s *Store) releaseAll() {
	s.mu.Lock()
	var answers []func()
	for _, r := range s.table.rooms {
		answers = append(answers, r.releaseTo(math.MaxUint64)...)
	}
	s.mu.Unlock()
	for _, answer := range answers {
		answer()
	}
}

// meet notes that another process writes to the room.
func (r *tracked) meet(self uint64, e *record) {
	if e.by.process == self {
		return
	}
	now := time.Now()
	for i := range r.foreign {
		if r.foreign[i].process == e.by.process {
			r.foreign[i].at = now
			return
		}
	}
	r.foreign = append(r.foreign, foreignWriter{e.by.process, now})
}

// rivals is how many other processes have written to the room lately.
func (r *tracked) rivals() int {
	now := time.Now()
	lately := r.foreign[:0]
	for _, w := range r.foreign {
		if now.Sub(w.at) < foreignFor {
			lately = append(lately, w)
		}
	}
	r.foreign = lately
	return len(lately)
}

// reset begins an epoch: what follows may lack events of before. Watchers are told
// (store.ErrHistoryLost), and no room is tracked any more, so that each is read
// anew, as of after the stream's beginning.
func (s *Store) reset() {
	s.mu.Lock()
	var answers []func()
	for _, r := range s.table.rooms {
		r.dead = true
		answers = append(answers, r.releaseTo(math.MaxUint64)...)
	}
	s.table = newTable(s.cfg.Rooms)
	s.ring.Begin()
	s.mu.Unlock()
	for _, answer := range answers {
		answer()
	}
}
