package robustness

import "slices"

// complete: no stream has a hole; no device says that it has come to a place
// without having been told all there is up to it; and at the end, everybody who
// is in a room has been told all of it.
func complete(h *History, found *report) {
	for _, s := range h.Streams {
		noHoles(h, s, found)
	}
	for _, c := range h.Calls {
		shownWhole(h, c, found)
	}
	has := make(map[shelfOf]*prefix)
	streams := make(map[int64]*Stream, len(h.Streams))
	for _, s := range h.Streams {
		streams[s.Open.Stream] = s
	}
	last := make(map[string]*Record) // account -> its last complete, with the last servers
	for i := range h.Records {
		r := &h.Records[i]
		switch {
		case r.Kind == KindMessage && r.Message.Stored():
			if seq := h.Logs[r.Message.Room].Seq(r.Message.UUID); seq > 0 {
				prefixOf(has, r, r.Message.Room).add(seq)
			}
		case r.Kind == KindOpen && !r.Audit:
			for _, c := range r.Claims {
				l := h.Logs[c.Room]
				if l == nil {
					continue // durable says so
				}
				if p, at := prefixOf(has, r, c.Room), c.place(l, r.Exact); at > p.upTo {
					found.add(seen(r), "room %s: the device has come to place %d, and was never told place %d", c.Room, at, p.upTo+1)
				}
			}
		case r.Kind == KindLast:
			clear(last) // they are asked once more when the last servers are there
		case r.Kind == KindComplete && streams[r.Stream] != nil:
			last[r.Account] = r
		}
	}
	if len(h.Logs) == 0 {
		return // the run was given up before the end
	}
	for account, r := range last {
		for _, l := range h.Logs {
			if p := prefixOf(has, r, l.Room); l.Member(account, l.Head()) && p.upTo < l.Head() {
				found.add(seen(r), "room %s: at the end its member was never told place %d of %d", l.Room, p.upTo+1, l.Head())
			}
		}
	}
}

// shelfOf is one room on one device, for one account.
type shelfOf struct{ device, account, room string }

// prefix is a set of places, and up to which it has all.
type prefix struct {
	upTo  uint64
	later map[uint64]bool
}

func prefixOf(all map[shelfOf]*prefix, r *Record, room string) *prefix {
	key := shelfOf{r.Device, r.Account, room}
	if all[key] == nil {
		all[key] = &prefix{later: make(map[uint64]bool)}
	}
	return all[key]
}

func (p *prefix) add(seq uint64) {
	if seq <= p.upTo {
		return
	}
	p.later[seq] = true
	for p.later[p.upTo+1] {
		p.upTo++
		delete(p.later, p.upTo)
	}
}

// noHoles: what a stream was told of a room is contiguous, but for what the
// device said that it has, and for the time between two stays.
func noHoles(h *History, s *Stream, found *report) {
	last := make(map[string]*Record)
	h.messages(s, func(r *Record, l *Log, seq uint64) {
		before := last[l.Room]
		last[l.Room] = r
		if before == nil {
			return // resumable looks at the first
		}
		from := l.Seq(before.Message.UUID)
		if seq <= from+1 || betweenStays(l, s.Open.Account, from, seq) {
			return
		}
		claim := s.claim(l.Room)
		for missing := from + 1; missing < seq; missing++ {
			if claim == nil || !slices.Contains(claim.Have, l.At(missing).UUID) {
				found.add(seen(s.Open, before, r), "room %s: place %d comes after place %d, place %d is missing", l.Room, seq, from, missing)
				return
			}
		}
	})
}

// betweenStays: account was taken out of the room at from and came back at to.
func betweenStays(l *Log, account string, from, to uint64) bool {
	old, was := l.In(account, from)
	now, is := l.In(account, to)
	return was && is && old.to == from && now.from == to
}

// shownWhole: what JoinChatRoom showed to its end is all there was up to the
// join.
func shownWhole(h *History, c *Call, found *report) {
	next := uint64(1)
	for _, r := range c.Shown {
		m := r.Message
		l := h.Logs[m.Room]
		if l == nil {
			return
		}
		switch seq := l.Seq(m.UUID); {
		case !m.Stored() || seq == 0:
		case seq != next:
			found.add(seen(c.Sent, r), "room %s: the join shows place %d, where place %d was to come", m.Room, seq, next)
			return
		default:
			next++
		}
	}
}
