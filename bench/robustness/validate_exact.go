package robustness

// exact: on a stream that resumes by places nothing comes that the device says
// that it has, and nothing comes twice.
func exact(h *History, found *report) {
	for _, s := range h.Streams {
		if !s.Open.Exact {
			continue
		}
		told := make(map[string]*Record)
		h.messages(s, func(r *Record, l *Log, seq uint64) {
			if c := s.claim(l.Room); c != nil && seq <= c.Seq {
				found.add(seen(s.Open, r), "room %s: the device has come to place %d, and is told place %d", l.Room, c.Seq, seq)
			}
			if before := told[l.Room+r.Message.UUID]; before != nil {
				found.add(seen(s.Open, before, r), "room %s: place %d is told twice", l.Room, seq)
			}
			told[l.Room+r.Message.UUID] = r
		})
		for _, r := range s.Records {
			if r.Kind == KindMessage && r.Message.Lost {
				found.add(seen(s.Open, r), "room %s: the position is lost, in the room's only log", r.Message.Room)
			}
			if r.Kind != KindBookmark {
				continue
			}
			for _, c := range r.Claims {
				if m := h.Logs[c.Room].At(c.Seq); m == nil || m.Time != c.Updated {
					found.add(seen(s.Open, r), "room %s: a bookmark of place %d at %d is none of the log", c.Room, c.Seq, c.Updated)
				}
			}
		}
	}
}
