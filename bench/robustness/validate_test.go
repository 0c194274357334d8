package robustness

import (
	"fmt"
	"slices"
	"testing"
)

// story writes a small history by hand: one room, three accounts, and all that
// validators look at.
type story struct {
	records []Record
	log     []*Message
	number  int64
}

const (
	storyRoom = "room0001"
	ada       = "aaaaaaaaaaaaaaaaaaaaaaaa"
	bob       = "bbbbbbbbbbbbbbbbbbbbbbbb"
	eve       = "eeeeeeeeeeeeeeeeeeeeeeee" // never in the room
	auditing  = "ffffffffffffffffffffffff"
)

func uuidAt(seq int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", seq) }

func (s *story) add(r Record) *Record {
	r.N = int64(len(s.records) + 1)
	r.At = millis(100 * len(s.records))
	s.records = append(s.records, r)
	return &s.records[len(s.records)-1]
}

// event puts the next one into the room's log.
func (s *story) event(body, sender string, change func(*Message)) int {
	seq := len(s.log) + 1
	m := &Message{
		Room: storyRoom, Body: body, UUID: uuidAt(seq), Time: int64(1000 * seq), Seq: uint64(seq), Previous: uint64(seq - 1),
		Sender: sender, Amount: 10,
	}
	if body == bodyText {
		m.Text = textOf(m.UUID)
		m.Text = m.Text[:min(len(m.Text), shortest)]
	}
	if change != nil {
		change(m)
	}
	s.log = append(s.log, m)
	return seq
}

// call is a command and its answer; seq is the event that came of it, 0 if it
// was refused.
func (s *story) call(op, account string, r Record, event func() int) {
	s.number++
	r.Kind, r.Op, r.Device, r.Account, r.Call, r.Room = KindCall, op, "device-"+account, account, s.number, storyRoom
	named := op == OpSend || op == OpKick || op == OpBan
	if named {
		r.UUID = uuidAt(len(s.log) + 1)
		if event == nil {
			r.UUID = uuidAt(900 + len(s.log))
		}
	}
	s.add(r)
	call := s.number
	r.Kind, r.Outcome = KindAnswer, Refused
	if event != nil {
		r.Outcome = Done
		if seq := event(); seq > 0 {
			r.Time = s.log[seq-1].Time
		}
		if op == OpJoin {
			for _, m := range s.log {
				c := *m
				s.add(Record{Kind: KindMessage, Device: r.Device, Account: account, Call: call, Message: &c})
			}
		}
	}
	s.add(r)
}

func (s *story) send(account string) int {
	s.call(OpSend, account, Record{}, func() int { return s.event(bodyText, account, nil) })
	return len(s.log)
}

// open opens a stream that claims to have come to a place, if that is not
// negative, and is told the rest, if the account is in the room.
func (s *story) open(account string, exact bool, at int, have ...string) int64 {
	s.number++
	r := Record{Kind: KindOpen, Device: "device-" + account, Account: account, Stream: s.number, Exact: exact}
	if at >= 0 {
		c := Claim{Room: storyRoom, Updated: s.log[at-1].Time, Viewed: -1, Have: have}
		if exact {
			c.Seq = uint64(at)
		}
		r.Claims = append(r.Claims, c)
	}
	s.add(r)
	s.on(r.Stream, Record{Kind: KindPrimer})
	return r.Stream
}

// on adds a record of a stream.
func (s *story) on(stream int64, r Record) {
	i := slices.IndexFunc(s.records, func(o Record) bool { return o.Kind == KindOpen && o.Stream == stream })
	r.Stream, r.Device, r.Account = stream, s.records[i].Device, s.records[i].Account
	s.add(r)
}

// told tells a stream of events, as history or live.
func (s *story) told(stream int64, live bool, seqs ...int) {
	for _, seq := range seqs {
		i := slices.IndexFunc(s.records, func(o Record) bool { return o.Kind == KindOpen && o.Stream == stream })
		m := *s.log[seq-1]
		if live && m.Sender == s.records[i].Account {
			m.Body, m.Sender, m.Target, m.Text, m.State, m.Amount = bodyUpdate, "", "", "", "", 0
		}
		s.on(stream, Record{Kind: KindMessage, Message: &m})
	}
}

// special tells a stream something that is not in the log.
func (s *story) special(stream int64, m Message) {
	m.Room = storyRoom
	s.on(stream, Record{Kind: KindMessage, Message: &m})
}

func seqs(from, to int) []int {
	var list []int
	for ; from <= to; from++ {
		list = append(list, from)
	}
	return list
}

// clean is a history without a fault.
func clean() []Record {
	s := &story{}
	s.add(Record{Kind: KindRun})
	s.add(Record{Kind: KindServer, Note: noteReady})
	s.call(OpCreateAccount, bob, Record{}, func() int { return 0 })
	s.call(OpLogin, bob, Record{}, func() int { return 0 })
	s.call(OpCreate, ada, Record{}, func() int {
		s.event(bodyCap, ada, nil)
		return s.event(bodyJoined, ada, func(m *Message) { m.State = isAdmin })
	})
	a := s.open(ada, false, -1)
	s.special(a, Message{Body: bodyStart, State: isAdmin})
	s.told(a, false, 1, 2)
	s.special(a, Message{Body: bodyFinished})
	s.on(a, Record{Kind: KindComplete})
	b := s.open(bob, true, -1)
	s.on(b, Record{Kind: KindComplete})
	s.call(OpJoin, bob, Record{}, func() int { return s.event(bodyJoined, bob, func(m *Message) { m.State = isIn }) })
	s.told(a, true, 3)
	s.told(b, true, 3)
	s.told(b, true, s.send(ada))
	s.told(a, true, 4)
	s.told(b, true, s.send(bob))
	s.told(a, true, 5)
	s.on(a, Record{Kind: KindRequest, Op: OpLookup, Room: storyRoom, UUIDs: []string{uuidAt(5), uuidAt(4)}})
	s.on(a, Record{Kind: KindRequest, Op: OpRefresh})
	s.on(a, Record{Kind: KindReply, Op: OpLookup, Room: storyRoom, Status: "INTERMEDIATE_MESSAGE_LIST", Entries: []Entry{
		{UUID: uuidAt(5), Status: "SUCCESS", Text: textOf(uuidAt(5))},
	}})
	s.on(a, Record{Kind: KindReply, Op: OpLookup, Room: storyRoom, Status: "FINAL_MESSAGE_LIST", Last: true, Entries: []Entry{
		{UUID: uuidAt(4), Status: "SUCCESS", Text: textOf(uuidAt(4))},
	}})
	s.on(a, Record{Kind: KindReply, Op: OpRefresh, Last: true, Status: "true"})
	// Bob is kicked, does not see what is said meanwhile, and comes back.
	s.call(OpKick, ada, Record{Target: bob}, func() int {
		return s.event(bodyKicked, ada, func(m *Message) { m.Target = bob })
	})
	s.told(a, true, 6)
	s.told(b, true, 6)
	s.told(a, true, s.send(ada))
	s.call(OpJoin, bob, Record{}, func() int { return s.event(bodyJoined, bob, func(m *Message) { m.State = isIn }) })
	s.told(a, true, 8)
	s.told(b, true, 8)
	// Bob's second stream takes over from the first.
	c := s.open(bob, true, 8)
	s.on(b, Record{Kind: KindEnd, Code: "OK", Reason: "3", Info: "device-" + bob})
	s.told(c, false, s.send(ada))
	s.on(c, Record{Kind: KindComplete})
	s.told(a, true, 9)
	s.told(c, true, s.send(ada))
	s.told(a, true, 10)
	// Ada comes back, twice: once with her place, once with some messages.
	s.on(a, Record{Kind: KindQuit, Note: "canceled"})
	s.on(a, Record{Kind: KindEnd, Code: "Canceled"})
	s.call(OpSend, eve, Record{}, nil)
	s.told(c, true, s.send(bob))
	d := s.open(ada, false, 8, uuidAt(9), uuidAt(10))
	s.told(d, false, 11)
	s.on(d, Record{Kind: KindComplete})
	s.told(d, true, s.send(bob))
	s.told(c, true, 12)
	s.call(OpLeave, bob, Record{}, func() int { return s.event(bodyLeft, bob, nil) })
	s.told(c, true, 13)
	s.told(d, true, 13)
	s.add(Record{Kind: KindHealed})
	s.call(OpJoin, auditing, Record{}, func() int { return s.event(bodyJoined, auditing, func(m *Message) { m.State = isIn }) })
	s.told(d, true, 14)
	for _, stream := range []int64{c, d} {
		s.on(stream, Record{Kind: KindEnd, Code: "OK", Reason: "4"})
	}
	s.add(Record{Kind: KindServer, Note: "ended: exit status 0"})
	s.add(Record{Kind: KindLast})
	s.add(Record{Kind: KindServer, Note: noteReady})
	e := s.open(ada, false, 14)
	s.on(e, Record{Kind: KindComplete})
	f := s.open(bob, true, 13)
	s.special(f, Message{Body: bodyGone})
	s.on(f, Record{Kind: KindComplete})
	g := s.open(eve, true, -1)
	s.on(g, Record{Kind: KindComplete})

	first := s.open(auditing, false, -1)
	s.records[len(s.records)-2].Audit = true
	s.special(first, Message{Body: bodyStart, State: isIn})
	s.special(first, Message{Body: bodyMember, Target: ada, State: isAdmin})
	s.special(first, Message{Body: bodyMember, Target: bob, State: isOut})
	s.told(first, false, seqs(1, 14)...)
	s.special(first, Message{Body: bodyFinished})
	s.on(first, Record{Kind: KindComplete})
	second := s.open(auditing, false, 1)
	s.records[len(s.records)-2].Audit = true
	s.records[len(s.records)-2].Claims[0].Updated = -1
	s.told(second, false, seqs(1, 14)...)
	s.on(second, Record{Kind: KindComplete})
	return s.records
}

func TestCleanHistoryPasses(t *testing.T) {
	for _, v := range Validate(NewHistory(clean())) {
		t.Error(v)
	}
}

// tampered is a clean history with something changed.
type tampered struct{ records []Record }

// find is the index of the n-th record, from 1, that is so.
func (t *tampered) find(n int, is func(*Record) bool) int {
	for i := range t.records {
		if is(&t.records[i]) {
			if n--; n == 0 {
				return i
			}
		}
	}
	panic("the history has no such record")
}

// told is where account's device is told of the place, in its n-th stream that
// is.
func (t *tampered) told(account string, n, seq int) int {
	return t.find(n, func(r *Record) bool {
		return r.Kind == KindMessage && r.Stream != 0 && r.Account == account && r.Message.Seq == uint64(seq)
	})
}

func (t *tampered) kind(account string, n int, kind Kind, op string) int {
	return t.find(n, func(r *Record) bool { return r.Kind == kind && r.Account == account && r.Op == op })
}

// message changes a message, for one who is told of it.
func (t *tampered) message(i int, change func(*Message)) {
	m := *t.records[i].Message
	change(&m)
	t.records[i].Message = &m
}

func (t *tampered) remove(i int) { t.records = slices.Delete(t.records, i, i+1) }

// again puts a record once more behind another.
func (t *tampered) again(i, behind int) {
	t.records = slices.Insert(t.records, behind+1, t.records[i])
}

// lie has the auditor's log without a place.
func (t *tampered) lie(seq int) {
	for range 2 {
		t.remove(t.find(1, func(r *Record) bool {
			return r.Kind == KindMessage && r.Stream != 0 && r.Account == auditing && r.Message.Seq == uint64(seq)
		}))
	}
}

// toldOnTwoServers has bob's first two streams on two servers, and the older one,
// on server 1, told the last message too, just before it ends. It was sent by way of
// the server that is named.
func (t *tampered) toldOnTwoServers(by int) {
	i, old := t.told(bob, 1, 12), t.records[t.told(bob, 1, 4)].Stream
	end := t.find(1, func(r *Record) bool { return r.Kind == KindEnd && r.Account == bob })
	ended := t.records[end]
	t.remove(end)
	t.again(i-1, i-1)
	t.records[i].Stream = old
	ended.At = t.records[i].At
	t.records = slices.Insert(t.records, i+1, ended)
	for i := range t.records {
		r := &t.records[i]
		switch {
		case r.Stream == old:
			r.Server = 1
		case r.Op == OpSend && r.UUID == uuidAt(12):
			r.Server = by
		default:
			r.Server = 2
		}
	}
}

// planted is a fault that a validator must catch.
type planted struct {
	validator, fault string
	plant            func(*tampered)
}

func plantedFaults() []planted {
	return []planted{
		{"ordered", "two messages are exchanged", func(h *tampered) {
			i, j := h.told(ada, 1, 4), h.told(ada, 1, 5)
			h.records[i].Message, h.records[j].Message = h.records[j].Message, h.records[i].Message
		}},
		{"ordered", "an old message comes late", func(h *tampered) {
			i := h.told(bob, 1, 9)
			r := h.records[i]
			h.remove(i)
			h.records = slices.Insert(h.records, h.told(bob, 1, 12), r)
		}},
		{"complete", "a live message is missing", func(h *tampered) { h.remove(h.told(ada, 1, 5)) }},
		{"complete", "a missed message is missing", func(h *tampered) { h.remove(h.told(bob, 1, 9)) }},
		{"complete", "the last message does not come", func(h *tampered) {
			h.remove(h.told(ada, 1, 14))
			i := h.find(2, func(r *Record) bool { return r.Kind == KindOpen && r.Account == ada && len(r.Claims) > 0 })
			h.records[i].Claims = []Claim{{Room: storyRoom, Updated: 13_000, Viewed: -1}}
		}},
		{"complete", "a join does not show everything", func(h *tampered) {
			h.remove(h.find(1, func(r *Record) bool { return r.Kind == KindMessage && r.Call != 0 && r.Message.Seq == 2 }))
		}},
		{"unique", "somebody is told another time", func(h *tampered) {
			h.message(h.told(bob, 1, 4), func(m *Message) { m.Time++ })
		}},
		{"unique", "somebody is told another text", func(h *tampered) {
			h.message(h.told(bob, 1, 4), func(m *Message) { m.Text = "something else" })
		}},
		{"unique", "somebody is told another sender", func(h *tampered) {
			h.message(h.told(bob, 1, 4), func(m *Message) { m.Sender = eve })
		}},
		{"unique", "another message is at a place", func(h *tampered) {
			h.message(h.told(bob, 1, 4), func(m *Message) { m.UUID = uuidAt(99); m.Text = textOf(m.UUID) })
		}},
		{"unique", "the same uuid is acknowledged at two times", func(h *tampered) {
			i := h.kind(ada, 1, KindAnswer, OpSend)
			h.again(i, i)
			h.records[i+1].Time++
		}},
		{"member-only", "who was kicked is told more", func(h *tampered) {
			i := h.told(ada, 1, 7)
			h.again(i, i)
			kicked := h.records[h.told(bob, 1, 6)]
			r := &h.records[i+1]
			r.Account, r.Device, r.Stream = kicked.Account, kicked.Device, kicked.Stream
			m := *r.Message
			m.Body, m.Sender, m.Text = bodyText, ada, textOf(uuidAt(7))
			r.Message = &m
		}},
		{"member-only", "who was never there is told", func(h *tampered) {
			i := h.told(bob, 1, 4)
			h.again(i, len(h.records)-1)
			last := h.records[h.find(1, func(r *Record) bool { return r.Kind == KindOpen && r.Account == eve })]
			r := &h.records[len(h.records)-1]
			r.Account, r.Device, r.Stream = last.Account, last.Device, last.Stream
		}},
		{"member-only", "who has left is shown the history", func(h *tampered) {
			i := h.find(1, func(r *Record) bool { return r.Kind == KindMessage && r.Message.Body == bodyGone })
			h.records[i].Message = h.records[h.told(ada, 1, 14)].Message
		}},
		{"resumable", "the first missed message is missing", func(h *tampered) {
			h.remove(h.told(bob, 1, 9))
		}},
		{"resumable", "the device is given a later beginning", func(h *tampered) {
			i := h.find(1, func(r *Record) bool { return r.Kind == KindOpen && r.Account == ada && len(r.Claims) > 0 })
			h.records[i].Claims = []Claim{{Room: storyRoom, Updated: 8000, Viewed: -1, Have: []string{uuidAt(9)}}}
		}},
		{"resumable", "a known room is shown from its beginning", func(h *tampered) {
			i := h.find(1, func(r *Record) bool { return r.Kind == KindMessage && r.Message.Body == bodyGone })
			h.message(i, func(m *Message) { m.Body = bodyStart })
		}},
		{"resumable", "live does not begin with the join", func(h *tampered) { h.remove(h.told(bob, 1, 3)) }},
		{"resumable", "a room that is not known is not shown", func(h *tampered) {
			h.remove(h.find(1, func(r *Record) bool { return r.Kind == KindMessage && r.Message.Body == bodyStart }))
		}},
		{"resumable", "a message says that it is elsewhere", func(h *tampered) {
			h.message(h.told(bob, 1, 12), func(m *Message) { m.Seq = 77 })
		}},
		{"resumable", "what was before a message was not told", func(h *tampered) {
			h.message(h.told(bob, 1, 9), func(m *Message) { m.Previous = 8 })
			i := h.find(2, func(r *Record) bool { return r.Kind == KindOpen && r.Account == bob })
			h.records[i].Claims = []Claim{{Room: storyRoom, Updated: 7000, Viewed: -1, Seq: 7}}
		}},
		{"exact", "a message that the device has comes again", func(h *tampered) {
			i := h.told(bob, 1, 9)
			h.again(h.told(bob, 1, 8), i)
			h.records[i+1].Stream = h.records[i].Stream
		}},
		{"exact", "a message comes twice on a stream", func(h *tampered) {
			i := h.told(bob, 1, 12)
			h.again(i, i)
		}},
		{"exact", "the position is said to be lost", func(h *tampered) {
			i := h.find(1, func(r *Record) bool { return r.Kind == KindMessage && r.Message.Body == bodyGone })
			h.message(i, func(m *Message) { m.Body, m.Lost = bodyStart, true })
		}},
		{"exact", "a bookmark names a place that is not there", func(h *tampered) {
			i := h.told(bob, 1, 12)
			h.again(i, i)
			r := &h.records[i+1]
			r.Kind, r.Message, r.Claims = KindBookmark, nil, []Claim{{Room: storyRoom, Seq: 12, Updated: 12_001}}
		}},
		{"answered", "a request is answered twice", func(h *tampered) {
			i := h.kind(ada, 1, KindReply, OpRefresh)
			h.again(i, i)
		}},
		{"answered", "a request is passed over", func(h *tampered) {
			h.remove(h.kind(ada, 1, KindReply, OpLookup))
			h.remove(h.kind(ada, 1, KindReply, OpLookup))
		}},
		{"answered", "a uuid is not answered", func(h *tampered) { h.remove(h.kind(ada, 1, KindReply, OpLookup)) }},
		{"answered", "the uuids are in another order", func(h *tampered) {
			i, j := h.kind(ada, 1, KindReply, OpLookup), h.kind(ada, 2, KindReply, OpLookup)
			h.records[i].Entries, h.records[j].Entries = h.records[j].Entries, h.records[i].Entries
		}},
		{"answered", "a message that is there is not found", func(h *tampered) {
			h.records[h.kind(ada, 1, KindReply, OpLookup)].Entries = []Entry{{UUID: uuidAt(5), Status: "VALUE_NOT_SET"}}
		}},
		{"answered", "the wrong text is found", func(h *tampered) {
			h.records[h.kind(ada, 1, KindReply, OpLookup)].Entries = []Entry{{UUID: uuidAt(5), Status: "SUCCESS", Text: "no"}}
		}},
		{"sender", "the sender is told its own message", func(h *tampered) {
			h.message(h.told(ada, 1, 4), func(m *Message) { m.Body, m.Sender, m.Text = bodyText, ada, textOf(m.UUID) })
		}},
		{"sender", "the sender is not told its message's time", func(h *tampered) { h.remove(h.told(ada, 1, 4)) }},
		{"sender", "the sender is told another time", func(h *tampered) {
			h.message(h.told(ada, 1, 4), func(m *Message) { m.Time++ })
		}},
		{"sender", "a time is told to somebody else", func(h *tampered) {
			h.message(h.told(bob, 1, 4), func(m *Message) { m.Body, m.Sender, m.Text = bodyUpdate, "", "" })
		}},
		{"newest-wins", "both streams are told", func(h *tampered) {
			i, old := h.told(bob, 1, 12), h.records[h.told(bob, 1, 4)].Stream
			h.remove(h.find(1, func(r *Record) bool { return r.Kind == KindEnd && r.Account == bob }))
			h.again(i-1, i-1)
			h.records[i].Stream = old
		}},
		{"newest-wins", "both streams are told, on two servers", func(h *tampered) { h.toldOnTwoServers(2) }},
		{"newest-wins", "a stream goes on although its server knows of a newer one on another", func(h *tampered) {
			h.toldOnTwoServers(1)
			h.remove(h.find(1, func(r *Record) bool { return r.Kind == KindEnd && r.Account == bob }))
		}},
		{"newest-wins", "another installation is named", func(h *tampered) {
			h.records[h.kind(bob, 1, KindEnd, "")].Info = "device-" + ada
		}},
		{"newest-wins", "a stream ends without a reason", func(h *tampered) {
			i := h.kind(bob, 1, KindEnd, "")
			h.records[i].Reason, h.records[i].Info = "0", ""
		}},
		{"newest-wins", "a stream ends with a status that it must not", func(h *tampered) {
			i := h.kind(bob, 1, KindEnd, "")
			h.records[i].Reason, h.records[i].Status = "1", "LG_ERROR"
		}},
		{"durable", "an acknowledged message is not in the log", func(h *tampered) { h.lie(7) }},
		{"durable", "it was acknowledged with another time", func(h *tampered) {
			h.records[h.kind(ada, 2, KindAnswer, OpSend)].Time++
		}},
		{"durable", "an acknowledged leave is not in the log", func(h *tampered) { h.lie(13) }},
		{"durable", "something seen is not in the log", func(h *tampered) {
			h.message(h.told(bob, 1, 12), func(m *Message) { m.UUID = uuidAt(99) })
		}},
		{"durable", "the log has what nobody sent", func(h *tampered) {
			for range 2 {
				h.remove(h.find(1, func(r *Record) bool { return r.Call != 0 && r.UUID == uuidAt(12) }))
			}
		}},
		{"durable", "the log has what was refused", func(h *tampered) {
			h.records[h.kind(bob, 2, KindAnswer, OpSend)].Outcome = Refused
		}},
		{"durable", "what was acknowledged is refused when it is sent again", func(h *tampered) {
			i := h.kind(ada, 1, KindAnswer, OpSend)
			h.records = append(h.records, h.records[i-1], h.records[i])
			for n, r := range h.records[len(h.records)-2:] {
				r.Call = 999
				if n == 1 {
					r.Outcome, r.Status, r.Time = Refused, "SUCCESS", -1
				}
				h.records[len(h.records)-2+n] = r
			}
		}},
		{"durable", "an account is gone", func(h *tampered) {
			h.records[h.kind(bob, 1, KindAnswer, OpLogin)].Outcome = Refused
		}},
		{"final", "the log has a hole", func(h *tampered) { h.lie(7) }},
		{"final", "two readers read two logs", func(h *tampered) { h.remove(h.told(auditing, 1, 14)) }},
		{"final", "a member is shown as something else", func(h *tampered) {
			i := h.find(1, func(r *Record) bool {
				return r.Kind == KindMessage && r.Message.Target == bob && r.Message.Body == bodyMember
			})
			h.message(i, func(m *Message) { m.State = isIn })
		}},
		{"final", "a member's stream does not know the room", func(h *tampered) {
			i := h.find(2, func(r *Record) bool { return r.Kind == KindOpen && r.Account == ada && len(r.Claims) > 0 })
			h.records[i].Claims = nil
		}},
		{"final", "who has left still knows the room", func(h *tampered) {
			h.remove(h.find(1, func(r *Record) bool { return r.Kind == KindMessage && r.Message.Body == bodyGone }))
		}},
		{"final", "who is not in the room says something", func(h *tampered) {
			for i := range h.records {
				if r := &h.records[i]; r.Account == auditing && r.Message != nil && r.Message.Seq == 7 {
					h.message(i, func(m *Message) { m.Sender = eve })
				}
			}
		}},
		{"healthy", "the server has a race", func(h *tampered) {
			h.records[h.find(1, func(r *Record) bool { return r.Kind == KindServer && r.Note != noteReady })].Error = "DATA RACE"
		}},
		{"healthy", "a command is answered with a defect", func(h *tampered) {
			i := h.kind(ada, 1, KindAnswer, OpSend)
			h.records[i].Outcome, h.records[i].Status = Unknown, "LG_ERROR"
		}},
		{"healthy", "something does not come", func(h *tampered) { h.records[0].Kind = KindStuck }},
	}
}

func TestEveryValidatorHasAPlantedFault(t *testing.T) {
	for _, v := range Validators {
		if !slices.ContainsFunc(plantedFaults(), func(p planted) bool { return p.validator == v.Name }) {
			t.Errorf("%s has none", v.Name)
		}
	}
}

func TestPlantedFaultIsCaught(t *testing.T) {
	for _, c := range plantedFaults() {
		t.Run(c.validator+"/"+c.fault, func(t *testing.T) {
			h := &tampered{records: clean()}
			c.plant(h)
			for i := range h.records {
				h.records[i].N = int64(i + 1)
			}
			for _, v := range Validators {
				if found := v.Check(NewHistory(h.records)); v.Name == c.validator {
					if len(found) == 0 {
						t.Error("not caught")
					}
					return
				}
			}
			t.Fatalf("there is no validator %q", c.validator)
		})
	}
}

// TestReadingAheadIsNoBreach: the older stream's server has read the room's log for
// a command of its own.
func TestReadingAheadIsNoBreach(t *testing.T) {
	h := &tampered{records: clean()}
	h.toldOnTwoServers(1)
	var found report
	newestWins(NewHistory(h.records), &found)
	for _, v := range found.list {
		t.Error(v)
	}
}

func TestHistorySurvivesTheDisk(t *testing.T) {
	rec, err := NewRecorder(t.TempDir() + "/" + historyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range clean() {
		rec.Add(r)
	}
	written, err := rec.Close()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Load(rec.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != len(written) {
		t.Fatalf("%d records written, %d read", len(written), len(read))
	}
	for i := range read {
		if fmt.Sprint(read[i].N, read[i].Kind, read[i].Message) != fmt.Sprint(written[i].N, written[i].Kind, written[i].Message) {
			// Message is a pointer; its content is compared below.
			if (read[i].Message == nil) != (written[i].Message == nil) || read[i].Message != nil && *read[i].Message != *written[i].Message {
				t.Fatalf("record %d: written %+v, read %+v", i, written[i], read[i])
			}
		}
	}
	for _, v := range Validate(NewHistory(read)) {
		t.Error(v)
	}
}
