package robustness

// sender: live, the account that caused a message gets its time, as it was
// acknowledged, and nobody else does; and it gets it before what came after.
func sender(h *History, found *report) {
	acks := make(map[string]*Record)
	for _, c := range h.Calls {
		if c.Done() && c.Sent.Op == OpSend {
			acks[c.Sent.Room+c.Sent.UUID] = c.Answer
		}
	}
	type got struct{ first, last uint64 }
	for _, s := range h.Streams {
		account := s.Open.Account
		told, live := make(map[string]bool), make(map[string]got)
		h.messages(s, func(r *Record, l *Log, seq uint64) {
			told[l.Room+r.Message.UUID] = true
			if !s.Live(r) {
				return
			}
			g, known := live[l.Room]
			if !known {
				g.first = seq
			}
			live[l.Room] = got{g.first, max(g.last, seq)}
			own, update := l.At(seq).Sender == account, r.Message.Body == bodyUpdate
			switch ack := acks[l.Room+r.Message.UUID]; {
			case own && !update:
				found.add(seen(s.Open, r), "room %s: the sender is told its own message", l.Room)
			case !own && update:
				found.add(seen(s.Open, r), "room %s: somebody else's message is told as %s's own", l.Room, account)
			case own && ack != nil && ack.Time != r.Message.Time:
				found.add(seen(ack, r), "room %s: acknowledged at %d, told at %d", l.Room, ack.Time, r.Message.Time)
			}
		})
		for room, g := range live {
			l := h.Logs[room]
			for seq := g.first; seq <= g.last; seq++ {
				m := l.At(seq)
				_, in := l.In(account, seq)
				if ack := acks[room+m.UUID]; ack != nil && ack.Account == account && in && !told[room+m.UUID] {
					found.add(seen(s.Open, ack), "room %s: the sender was told what came later than its message, and not that", room)
				}
			}
		}
	}
}
