package robustness

import "time"

// inFlight is how long an older stream may still be told what is stored after
// the newer one's primer has come: not at all, but for a turn that had begun.
const inFlight = time.Second

// elsewhere is how long a stream may go on after the newer one's primer has come on
// another server, once its own server hears of the others again: the way between
// may be silent for 3 s before that is found out, and is then opened again.
const elsewhere = 6 * time.Second

// underWay is how long a server may still be busy with a command that its client
// has given up.
const underWay = 15 * time.Second

// newestWins: when the primer of a newer stream has come, the older one is told
// nothing that is sent after that, whichever servers the two are on; it ends with
// STREAM_CANCELED_BY_ANOTHER_STREAM and the installation of a newer stream, or for
// another reason that is one.
//
// What a server is shown of the others comes after the newer stream's claim. But it
// also reads a room's log, when it carries out a command there, and may be ahead of
// what it has been shown; then the older stream is told of that, shortly before it
// ends.
func newestWins(h *History, found *report) {
	sent := make(map[string]*Record)     // room and uuid -> the first call that sent it
	commands := make(map[string][]*Call) // by room
	for _, c := range h.Calls {
		commands[c.Sent.Room] = append(commands[c.Sent.Room], c)
		if key := c.Sent.Room + c.Sent.UUID; c.Sent.UUID != "" && sent[key] == nil {
			sent[key] = c.Sent
		}
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
					call := sent[l.Room+r.Message.UUID]
					if call == nil || call.N <= newer.Primer.N || call.At <= newer.Primer.At+inFlight {
						return
					}
					if s.Open.Server == newer.Open.Server || !readAhead(s, r, commands[l.Room]) {
						found.add(seen(newer.Primer, call, r), "stream %d is told what was sent after stream %d of the account was there", s.Open.Stream, newer.Open.Stream)
					}
				})
			}
		}
	}
}

// readAhead reports whether s may have been told r because its server read the
// room's log for one of these commands.
func readAhead(s *Stream, r *Record, commands []*Call) bool {
	if s.End == nil || s.End.At > r.At+elsewhere {
		return false
	}
	for _, c := range commands {
		over := c.Sent.At + underWay
		if c.Answer != nil && c.Answer.Outcome != Unknown {
			over = c.Answer.At + inFlight
		}
		if c.Sent.Server == s.Open.Server && c.Sent.N < r.N && r.At < over {
			return true
		}
	}
	return false
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
