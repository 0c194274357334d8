package robustness

import "time"

// inFlight is how long an older stream may still be told what is stored after
// the newer one's primer has come: not at all, but for a turn that had begun.
const inFlight = time.Second

// elsewhere is how long a server may tell the older stream what is stored by way
// of itself, after the newer one's primer has come on another server. What comes
// by way of the database comes after the newer stream's claim; a server's own
// events do not wait for that way, which may be silent for 3 s before it is found
// out, and is then opened again.
const elsewhere = 6 * time.Second

// newestWins: when the primer of a newer stream has come, the older one is told
// nothing that is sent after that, whichever servers the two are on; it ends with
// STREAM_CANCELED_BY_ANOTHER_STREAM and the installation of a newer stream, or for
// another reason that is one.
func newestWins(h *History, found *report) {
	sent := make(map[string]*Record)    // room and uuid -> the first call that sent it
	by := make(map[string]map[int]bool) // room and uuid -> the servers that it was sent to
	for _, c := range h.Calls {
		if c.Sent.UUID == "" {
			continue
		}
		key := c.Sent.Room + c.Sent.UUID
		if sent[key] == nil {
			sent[key], by[key] = c.Sent, make(map[int]bool)
		}
		by[key][c.Sent.Server] = true
	}
	byAccount := make(map[string][]*Stream)
	for _, s := range h.Streams {
		byAccount[s.Open.Account] = append(byAccount[s.Open.Account], s)
	}
	for _, streams := range byAccount {
		for _, s := range streams {
			endsWell(s, streams, found)
			if newer := replacedBy(s, streams); newer != nil {
				h.messages(s, func(r *Record, l *Log, _ uint64) {
					key := l.Room + r.Message.UUID
					call, late := sent[key], inFlight
					if s.Open.Server != newer.Open.Server && by[key][s.Open.Server] {
						late = elsewhere
					}
					if call != nil && call.N > newer.Primer.N && call.At > newer.Primer.At+late {
						found.add(seen(newer.Primer, call, r), "stream %d is told what was sent after stream %d of the account was there", s.Open.Stream, newer.Open.Stream)
					}
				})
			}
		}
	}
}

// replacedBy is the stream whose primer came first of those that are surely
// newer than s.
func replacedBy(s *Stream, streams []*Stream) *Stream {
	var first *Stream
	for _, other := range streams {
		if s.Primer != nil && other.Primer != nil && other.Open.N > s.Primer.N && (first == nil || other.Primer.N < first.Primer.N) {
			first = other
		}
	}
	return first
}

func endsWell(s *Stream, streams []*Stream, found *report) {
	end := s.End
	if end == nil {
		return
	}
	switch {
	case end.Code == "Unavailable": // the connection, or the server
	case end.Code == "Canceled":
		if s.Quit == nil || s.Quit.N > end.N {
			found.add(seen(s.Open, end), "stream %d is canceled, and not by its device", s.Open.Stream)
		}
	case end.Code != "OK":
		found.add(seen(s.Open, end), "stream %d ends with a status that is not the server's", s.Open.Stream)
	case end.Reason == "3":
		for _, other := range streams {
			older := other.Primer != nil && other.Primer.N < s.Open.N
			if other != s && other.Open.Device == end.Info && other.Open.N < end.N && !older {
				return
			}
		}
		found.add(seen(s.Open, end), "stream %d was replaced by %q, which has no newer stream", s.Open.Stream, end.Info)
	case end.Reason == "0":
		if s.Quit == nil {
			found.add(seen(s.Open, end), "stream %d ends without a reason", s.Open.Stream)
		}
	case end.Reason == "1":
		switch end.Status {
		case "LOGGED_IN_ELSEWHERE", "LOGIN_TOKEN_DID_NOT_MATCH", "DATABASE_DOWN":
		default:
			found.add(seen(s.Open, end), "stream %d ends with status %s", s.Open.Stream, end.Status)
		}
	case end.Reason != "2" && end.Reason != "4":
		found.add(seen(s.Open, end), "stream %d ends with reason %q", s.Open.Stream, end.Reason)
	}
}
