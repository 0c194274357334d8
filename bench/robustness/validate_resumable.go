package robustness

import "slices"

// resumable: a stream's first message of a room stands right behind what the
// device says that it has; of a room that it does not know, it is the first, or
// the join that happened meanwhile. Places and what was before them agree.
func resumable(h *History, found *report) {
	for _, s := range h.Streams {
		resumes(h, s, found)
		chained(h, s, found)
	}
}

func resumes(h *History, s *Stream, found *report) {
	started, gone, begun := make(map[string]*Record), make(map[string]bool), make(map[string]bool)
	for _, r := range s.Records {
		if r.Kind != KindMessage {
			continue
		}
		m := r.Message
		l := h.Logs[m.Room]
		switch {
		case m.Body == bodyStart:
			if s.claim(m.Room) != nil {
				found.add(seen(s.Open, r), "room %s: it is shown from its beginning to a device that has it", m.Room)
			}
			started[m.Room] = r
		case m.Body == bodyGone:
			gone[m.Room] = true
		case !m.Stored() || begun[m.Room] || l.Seq(m.UUID) == 0:
		default:
			begun[m.Room] = true
			begins(s, r, l, started[m.Room] != nil, gone[m.Room], found)
		}
	}
}

// begins judges r, the first message of a room on the stream.
func begins(s *Stream, r *Record, l *Log, started, gone bool, found *report) {
	seq, claim := l.Seq(r.Message.UUID), s.claim(l.Room)
	if s.Live(r) && (claim == nil || gone) && !started {
		if stay, in := l.In(s.Open.Account, seq); in && stay.from != seq {
			found.add(seen(s.Open, r), "room %s: it begins with place %d, not with the join at %d", l.Room, seq, stay.from)
		}
		return
	}
	has := uint64(0)
	switch {
	case claim != nil:
		has = claim.place(l, s.Open.Exact)
	case !started:
		found.add(seen(s.Open, r), "room %s: the device does not know it, and is told of it without being shown it", l.Room)
		return
	}
	if s.Live(r) && seq > has+1 {
		// Taken out and back in, between the opening and this.
		if stay, in := l.In(s.Open.Account, seq); in && stay.from == seq && l.Until(r.Message.Time) > has {
			if _, was := l.In(s.Open.Account, has); was {
				found.add(seen(s.Open, r), "room %s: it begins with the join at %d, and the device was not told how it was taken out", l.Room, seq)
			}
			return
		}
	}
	for missing := has + 1; missing < seq; missing++ {
		if claim == nil || !slices.Contains(claim.Have, l.At(missing).UUID) {
			found.add(seen(s.Open, r), "room %s: the device has come to place %d, and is told place %d next", l.Room, has, seq)
			return
		}
	}
}

// chained: a message's place is the log's, and what it says was before it is
// what the device was told, or has.
func chained(h *History, s *Stream, found *report) {
	last := make(map[string]uint64)
	h.messages(s, func(r *Record, l *Log, seq uint64) {
		m := r.Message
		before := last[l.Room]
		last[l.Room] = seq
		switch {
		case m.Seq == 0:
			return
		case m.Seq != seq:
			found.add(seen(r), "room %s: the message says that it is at place %d, the log has it at %d", l.Room, m.Seq, seq)
			return
		case m.Previous >= seq:
			found.add(seen(r), "room %s: place %d says that place %d was before it", l.Room, seq, m.Previous)
			return
		}
		if before == 0 {
			if c := s.claim(l.Room); c != nil {
				before = c.place(l, s.Open.Exact)
			}
		}
		if stay, in := l.In(s.Open.Account, seq); in && s.Live(r) && stay.from == seq {
			before = max(before, seq-1) // the room is shown up to its join elsewhere
		}
		if c := s.claim(l.Room); c != nil {
			for at := l.At(before + 1); before+1 < seq && at != nil && slices.Contains(c.Have, at.UUID); at = l.At(before + 1) {
				before++
			}
		}
		if m.Previous > before {
			found.add(seen(s.Open, r), "room %s: place %d says that place %d was before it, the device has come to %d", l.Room, seq, m.Previous, before)
		}
	})
}
