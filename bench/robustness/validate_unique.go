package robustness

// unique: everybody is told the same of a message: one time, one place, one
// sender, one text; and of a place.
func unique(h *History, found *report) {
	type key struct {
		room, uuid string
		time       int64
		seq        uint64
	}
	first := make(map[key]*Record)
	same := func(k key, r *Record, what string, equal func(a, b *Message) bool) {
		before := first[k]
		switch {
		case before == nil:
			first[k] = r
		case !equal(before.Message, r.Message):
			found.add(seen(before, r), "room %s: %s", r.Message.Room, what)
		}
	}
	for i := range h.Records {
		r := &h.Records[i]
		switch {
		case r.Kind == KindMessage && r.Message.Stored():
			m := r.Message
			same(key{room: m.Room, uuid: m.UUID}, r, "one message has two times or places", func(a, b *Message) bool {
				return a.Time == b.Time && (a.Seq == b.Seq || a.Seq == 0 || b.Seq == 0)
			})
			same(key{room: m.Room, time: m.Time}, r, "two messages have one time", func(a, b *Message) bool { return a.UUID == b.UUID })
			if m.Seq != 0 {
				same(key{room: m.Room, seq: m.Seq}, r, "two messages have one place", func(a, b *Message) bool { return a.UUID == b.UUID })
			}
			checkContent(h, r, found)
		case r.Kind == KindAnswer && r.Outcome == Done && r.UUID != "" && r.Time > 0:
			ack := *r
			ack.Message = &Message{Room: r.Room, UUID: r.UUID, Time: r.Time}
			same(key{room: r.Room, uuid: r.UUID}, &ack, "a message was acknowledged with another time", func(a, b *Message) bool { return a.Time == b.Time })
		}
	}
}

// shortest is how many bytes of a text are shown of it at least.
const shortest = 255

func checkContent(h *History, r *Record, found *report) {
	m := r.Message
	if m.Body == bodyText {
		want := textOf(m.UUID)
		switch m.Amount {
		case 0:
			want = ""
		case 10:
			want = want[:min(len(want), shortest)]
		}
		if m.Text != want {
			found.add(seen(r), "room %s: the message says %q, said was %q", m.Room, m.Text, want)
		}
	}
	stored := h.Logs[m.Room].At(h.Logs[m.Room].Seq(m.UUID))
	if stored == nil || m.Body == bodyUpdate {
		return
	}
	if m.Body != stored.Body || m.Sender != stored.Sender || m.Target != stored.Target {
		found.add(seen(r), "room %s: the log says %s by %s (%s)", m.Room, stored.Body, stored.Sender, stored.Target)
	}
}
