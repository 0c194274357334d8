package robustness

// ordered: per stream and room, times ascend, and so do places. The same message
// once more is a duplicate, and no breach.
func ordered(h *History, found *report) {
	judge := func(records []*Record) {
		last, known := make(map[string]*Record), make(map[string]int64)
		for _, r := range records {
			m := r.Message
			if r.Kind != KindMessage || !m.Stored() {
				continue
			}
			key := m.Room + m.UUID
			before := last[m.Room]
			switch at, again := known[key]; {
			case again && at == m.Time:
				continue
			case before == nil:
			case m.Time <= before.Message.Time:
				found.add(seen(before, r), "room %s: a message of %d comes after one of %d", m.Room, m.Time, before.Message.Time)
			case m.Seq != 0 && m.Seq <= before.Message.Seq:
				found.add(seen(before, r), "room %s: place %d comes after place %d", m.Room, m.Seq, before.Message.Seq)
			}
			last[m.Room], known[key] = r, m.Time
		}
	}
	for _, s := range h.Streams {
		judge(s.Records)
	}
	for _, c := range h.Calls {
		judge(c.Shown)
	}
}
