package robustness

import (
	"cmp"
	"math"
	"slices"
)

// History is a history as validators read it. It is not changed any more.
type History struct {
	Records []Record
	// Logs are what there is, by room, as the auditor read it.
	Logs map[string]*Log
	// Streams are the devices' streams, without the auditor's last ones, in the
	// order they were opened.
	Streams []*Stream
	// Calls are the commands, in the order they were sent.
	Calls []*Call
}

// Stream is one chat stream, as its device saw it.
type Stream struct {
	Open    *Record
	Records []*Record // what came, and what was asked, in order
	// Primer, Complete and End are nil if they did not come; Quit is what the
	// device did first to end it.
	Primer, Complete, End, Quit *Record
}

// Live reports whether r, a record of the stream, came after its initialization.
func (s *Stream) Live(r *Record) bool { return s.Complete != nil && r.N > s.Complete.N }

// Call is a command and what came of it.
type Call struct {
	Sent *Record
	// Answer is nil if the history ended first.
	Answer *Record
	// Shown is what JoinChatRoom showed.
	Shown []*Record
}

// Done reports whether the server said that it was done.
func (c *Call) Done() bool { return c.Answer != nil && c.Answer.Outcome == Done }

// Log is a room's log.
type Log struct {
	Room string
	// Events are in order; Events[i] is the one at place i+1.
	Events []*Message
	// Members are the accounts that are described to somebody new, by id, and
	// what they are. Skeleton is the log that was shown with them.
	Members  map[string]string
	Skeleton []*Message

	byUUID map[string]int
	stays  map[string][]stay
}

// stay is a time that an account is in a room: it sees the events from..to, its
// own join and removal included.
type stay struct{ from, to uint64 }

const forever uint64 = math.MaxUint64

// Seq is the place of the message with that uuid, 0 if there is none.
func (l *Log) Seq(uuid string) uint64 {
	if l == nil || uuid == "" {
		return 0
	}
	return uint64(l.byUUID[uuid])
}

// At is the event at a place, or nil.
func (l *Log) At(seq uint64) *Message {
	if l == nil || seq == 0 || seq > uint64(len(l.Events)) {
		return nil
	}
	return l.Events[seq-1]
}

// Head is the place of the last event.
func (l *Log) Head() uint64 { return uint64(len(l.Events)) }

// Until is the place of the last event that is not later than a time.
func (l *Log) Until(time int64) uint64 {
	n, found := slices.BinarySearchFunc(l.Events, time, func(m *Message, t int64) int { return cmp.Compare(m.Time, t) })
	if found {
		n++
	}
	return uint64(n)
}

// Target is who an event lets in or takes out, and which of it, both empty if
// it does neither.
func target(m *Message) (account string, joins bool) {
	switch m.Body {
	case bodyJoined:
		return m.Sender, true
	case bodyLeft:
		return m.Sender, false
	case bodyKicked, bodyBanned:
		return m.Target, false
	}
	return "", false
}

// Stays are the times that account was in the room.
func (l *Log) Stays(account string) []stay { return l.stays[account] }

// In is the stay in which account sees the event at seq.
func (l *Log) In(account string, seq uint64) (stay, bool) {
	for _, s := range l.stays[account] {
		if s.from <= seq && seq <= s.to {
			return s, true
		}
	}
	return stay{}, false
}

// Member reports whether account is in the room when it has come to seq.
func (l *Log) Member(account string, seq uint64) bool {
	s, ok := l.In(account, seq)
	return ok && seq < s.to
}

func (l *Log) index() {
	l.byUUID, l.stays = make(map[string]int, len(l.Events)), make(map[string][]stay)
	for i, m := range l.Events {
		l.byUUID[m.UUID] = i + 1
		account, joins := target(m)
		stays := l.stays[account]
		switch n := len(stays); {
		case account == "":
			continue
		case joins:
			stays = append(stays, stay{from: uint64(i + 1), to: forever})
		case n > 0 && stays[n-1].to == forever:
			stays[n-1].to = uint64(i + 1)
		}
		l.stays[account] = stays
	}
}

// NewHistory reads records, which are in order.
func NewHistory(records []Record) *History {
	h := &History{Records: records, Logs: make(map[string]*Log)}
	streams, calls := make(map[int64]*Stream), make(map[int64]*Call)
	for i := range records {
		r := &records[i]
		switch {
		case r.Kind == KindOpen:
			s := &Stream{Open: r}
			streams[r.Stream] = s
			if !r.Audit {
				h.Streams = append(h.Streams, s)
			}
		case r.Stream != 0:
			if s := streams[r.Stream]; s != nil {
				h.add(s, r)
			}
		case r.Kind == KindCall:
			c := &Call{Sent: r}
			calls[r.Call] = c
			h.Calls = append(h.Calls, c)
		case r.Call != 0:
			switch c := calls[r.Call]; {
			case c == nil:
			case r.Kind == KindAnswer:
				c.Answer = r
			default:
				c.Shown = append(c.Shown, r)
			}
		}
	}
	for _, l := range h.Logs {
		l.index()
	}
	return h
}

func (h *History) add(s *Stream, r *Record) {
	s.Records = append(s.Records, r)
	switch r.Kind {
	case KindPrimer:
		s.Primer = r
	case KindComplete:
		s.Complete = r
	case KindEnd:
		s.End = r
	case KindQuit:
		if s.Quit == nil {
			s.Quit = r
		}
	case KindMessage:
		if s.Open.Audit {
			h.audit(s, r.Message)
		}
	}
}

// audit takes in what the auditor read: with claims the log, without them what
// is shown to somebody new.
func (h *History) audit(s *Stream, m *Message) {
	if m.Body == bodyGone {
		return // there is no such room, or one that became known too late
	}
	l := h.Logs[m.Room]
	if l == nil {
		l = &Log{Room: m.Room, Members: make(map[string]string)}
		h.Logs[m.Room] = l
	}
	switch {
	case m.Stored() && len(s.Open.Claims) > 0:
		l.Events = append(l.Events, m)
	case m.Stored():
		l.Skeleton = append(l.Skeleton, m)
	case m.Body == bodyStart:
		l.Members[s.Open.Account] = m.State
	case m.Body == bodyMember:
		l.Members[m.Target] = m.State
	}
}

// place is where a claim says that its device is, in l.
func (c *Claim) place(l *Log, exact bool) uint64 {
	if exact {
		return c.Seq
	}
	return l.Until(c.Updated)
}

// claim is what was said about a room, nil if nothing was.
func (s *Stream) claim(room string) *Claim {
	for i := range s.Open.Claims {
		if s.Open.Claims[i].Room == room {
			return &s.Open.Claims[i]
		}
	}
	return nil
}

// messages calls use with each of the stream's messages that stands in the log,
// and its place there.
func (h *History) messages(s *Stream, use func(r *Record, l *Log, seq uint64)) {
	for _, r := range s.Records {
		if r.Kind != KindMessage || !r.Message.Stored() {
			continue
		}
		if l := h.Logs[r.Message.Room]; l != nil {
			if seq := l.Seq(r.Message.UUID); seq > 0 {
				use(r, l, seq)
			}
		}
	}
}
