package robustness

import "github.com/chatstream/chatstream/proto/chatpb"

// durable: everything that was acknowledged, or seen by anybody, is in the log
// with that time; what was refused is not; and what is there somebody sent.
func durable(h *History, found *report) {
	for _, c := range h.Calls {
		if c.Done() && c.Sent.Op == OpCreateAccount {
			accountStays(h, c, found)
		}
	}
	if len(h.Logs) == 0 {
		return // the run was given up before the end
	}
	made := make(map[string]bool)     // rooms, as their makers know
	sends := make(map[string][]*Call) // room and uuid -> who tried
	for _, c := range h.Calls {
		if c.Sent.UUID != "" {
			key := c.Sent.Room + c.Sent.UUID
			sends[key] = append(sends[key], c)
		}
		if c.Done() {
			acknowledged(h, c, found)
			if c.Sent.Op == OpCreate {
				made[c.Answer.Room] = true
			}
		}
	}
	for _, tried := range sends {
		againTheSame(tried, found)
	}
	for i := range h.Records {
		r := &h.Records[i]
		if r.Kind != KindMessage || !r.Message.Stored() {
			continue
		}
		m := r.Message
		if h.Logs[m.Room] == nil && !made[m.Room] {
			continue // its maker never learned of it, and the auditor learned too late
		}
		if stored := h.Logs[m.Room].At(h.Logs[m.Room].Seq(m.UUID)); stored == nil || stored.Time != m.Time {
			found.add(seen(r), "room %s: message %s of %d was seen and is not in the log", m.Room, m.UUID, m.Time)
		}
	}
	for _, l := range h.Logs {
		for _, m := range l.Events {
			tried := sends[l.Room+m.UUID]
			switch {
			case m.Body != bodyText && m.Body != bodyKicked && m.Body != bodyBanned:
			case len(tried) == 0 || tried[0].Sent.Account != m.Sender:
				found.add(nil, "room %s: nobody sent %s %s of %d, which is in the log", l.Room, m.Body, m.UUID, m.Time)
			case refused(tried):
				found.add(seen(tried[0].Sent, tried[0].Answer), "room %s: it was refused, and is in the log", l.Room)
			}
		}
	}
}

// againTheSame: what was acknowledged is, whenever it is sent again.
func againTheSame(tried []*Call, found *report) {
	var first *Call
	for _, c := range tried {
		switch {
		case c.Done() && first == nil:
			first = c
		case first == nil || c.Answer == nil || c.Sent.N < first.Answer.N:
		case c.Answer.Outcome == Refused && c.Answer.Status == chatpb.ReturnStatus_SUCCESS.String():
			found.add(seen(first.Answer, c.Sent, c.Answer), "room %s: it was acknowledged, and is refused when it is sent again", c.Sent.Room)
		}
	}
}

// refused: every attempt was.
func refused(tried []*Call) bool {
	for _, c := range tried {
		if c.Answer == nil || c.Answer.Outcome != Refused {
			return false
		}
	}
	return true
}

// accountStays: nobody who was made is refused.
func accountStays(h *History, c *Call, found *report) {
	for _, other := range h.Calls {
		if other.Sent.Op == OpLogin && other.Sent.Account == c.Answer.Account && other.Answer != nil && other.Answer.Outcome == Refused {
			found.add(seen(c.Answer, other.Answer), "an account that was made cannot log in")
			return
		}
	}
}

func acknowledged(h *History, c *Call, found *report) {
	sent, at := c.Sent, c.Answer.Time
	l := h.Logs[c.Answer.Room]
	lost := func() {
		found.add(seen(sent, c.Answer), "room %s: %s was acknowledged at %d and is not in the log", c.Answer.Room, sent.Op, at)
	}
	switch sent.Op {
	case OpSend, OpKick, OpBan:
		if stored := l.At(l.Seq(sent.UUID)); at > 0 && (stored == nil || stored.Time != at) {
			lost()
		}
	case OpCreate, OpJoin:
		if l == nil || at > 0 && !l.has(bodyJoined, sent.Account, at) {
			lost()
		}
	case OpLeave:
		// Who was not in the room is told that it is done, at no time of the log.
		if l == nil || !l.has(bodyLeft, sent.Account, at) && in(h, l, c) {
			lost()
		}
	}
}

// has reports whether the log has such an event of account at that time.
func (l *Log) has(body, account string, at int64) bool {
	m := l.At(l.Until(at))
	return m != nil && m.Time == at && m.Body == body && m.Sender == account
}

// in reports whether the caller was in the room for sure all the time of c.
func in(h *History, l *Log, c *Call) bool {
	// What was known before the call was before it; what was sent after its answer
	// came after it.
	before, after := uint64(0), forever
	for _, other := range h.Calls {
		if other.Sent.Room != l.Room || !other.Done() || other.Answer.Time <= 0 {
			continue
		}
		m := l.At(l.Until(other.Answer.Time))
		if m == nil || m.Time != other.Answer.Time {
			continue
		}
		seq := l.Seq(m.UUID)
		if other.Answer.N < c.Sent.N {
			before = max(before, seq)
		}
		if other.Sent.N > c.Answer.N && other.Sent.UUID == m.UUID && !sentBefore(h, other, c) {
			after = min(after, seq)
		}
	}
	s, ok := l.In(c.Sent.Account, before)
	return ok && before < s.to && after <= s.to && after != forever
}

// sentBefore: the message of c was sent once before, before the end of of.
func sentBefore(h *History, c, of *Call) bool {
	for _, other := range h.Calls {
		if other.Sent.UUID == c.Sent.UUID && other.Sent.Room == c.Sent.Room && other.Sent.N < of.Answer.N {
			return true
		}
	}
	return false
}
