package robustness

import "slices"

// memberOnly: live, an account is told only of its stays; a room's history only
// while it is in the room; and nothing at all of rooms it has never been in.
func memberOnly(h *History, found *report) {
	for _, s := range h.Streams {
		account := s.Open.Account
		last := make(map[string]*Record) // of the initialization
		h.messages(s, func(r *Record, l *Log, seq uint64) {
			switch _, in := l.In(account, seq); {
			case len(l.Stays(account)) == 0:
				found.add(seen(s.Open, r), "room %s: %s was never in it", l.Room, account)
			case !s.Live(r):
				last[l.Room] = r
			case !in:
				found.add(seen(s.Open, r), "room %s: %s is told place %d, and was not in it then: %v", l.Room, account, seq, l.Stays(account))
			}
		})
		if s.Complete == nil {
			continue // there may have been more to come
		}
		for room, r := range last {
			l := h.Logs[room]
			// Who joins meanwhile gets the history before the join, and then the join.
			if end := shownUpTo(l, s, l.Seq(r.Message.UUID)); !l.Member(account, end) && !l.Member(account, end+1) {
				found.add(seen(s.Open, r), "room %s: %s was shown its history up to place %d, and was not in it then: %v", room, account, end, l.Stays(account))
			}
		}
	}
	for _, c := range h.Calls {
		for _, r := range c.Shown {
			if l := h.Logs[r.Message.Room]; l != nil && len(l.Stays(c.Sent.Account)) == 0 {
				found.add(seen(c.Sent, r), "room %s: %s was never in it, and it is shown to him", l.Room, c.Sent.Account)
				break
			}
		}
	}
}

// shownUpTo is how far the history goes whose last message was at seq, with what
// the device did not want again.
func shownUpTo(l *Log, s *Stream, seq uint64) uint64 {
	if c := s.claim(l.Room); c != nil {
		for m := l.At(seq + 1); m != nil && slices.Contains(c.Have, m.UUID); m = l.At(seq + 1) {
			seq++
		}
	}
	return seq
}
