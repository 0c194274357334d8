package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

func fullMessages() []section {
	return []section{{"7", "Full messages on request", []rule{
		{"every_situation_has_its_answer", fullSituations},
		{"message_is_as_it_was_sent", fullContent},
		{"ten_long_messages_at_once", fullTen},
		{"who_has_left_is_no_member", fullAfterLeaving},
		{"who_was_removed_is_no_member", fullAfterRemoval},
		{"store_failure_is_database_down", fullStoreFailure},
	}}}
}

// shown is one entry of an answer, in short.
func shown(m *chatpb.ChatMessageToClient) string {
	v := viewOf(m)
	s := fmt.Sprint(v.uuid, " ", m.GetReturnStatus())
	if m.GetReturnStatus() != success {
		if v.kind != "" || v.time != 0 || v.from != "" {
			s += " and more"
		}
		return s
	}
	return fmt.Sprintf("%s %s %d %v %v %d", s, v.kind, v.time, v.amount, v.complete, len(v.text))
}

// Every requested uuid gets exactly one entry, in the order asked: the message,
// VALUE_NOT_SET if there is none, UNKNOWN if it is not one to be asked for; or
// the request as a whole is answered with an error and all its uuids.
func fullSituations(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	foreign := other.create(t, "yard")
	foreignText := other.say(t, foreign, "not for you")
	short, long := u.say(t, r, "short"), other.say(t, r, strings.Repeat("é", 4_000))
	var joinUUID, capUUID string
	for _, m := range u.history(t, r) {
		switch kindOf(m) {
		case kindJoined:
			joinUUID = m.GetMessageUuid()
		case kindCap:
			capUUID = m.GetMessageUuid()
		}
	}
	absent := uuid.NewString()
	huge := strings.Repeat("x", 1024)
	ok := func(x sent, amount chatpb.AmountOfMessage, complete bool, length int) string {
		return fmt.Sprintf("%s SUCCESS text %d %v %v %d", x.uuid, x.time, amount, complete, length)
	}
	miss := func(id string, s chatpb.ReturnStatus) string { return id + " " + s.String() }
	var nine []entry
	var nineMissing []string
	for range 9 {
		id := uuid.NewString()
		nine, nineMissing = append(nine, entry{id, skeleton}), append(nineMissing, miss(id, notSet))
	}
	s := u.openLive(t)
	for _, tt := range []struct {
		name    string
		room    string
		ask     []entry
		status  streampb.RequestFullMessageInfoResponse_RequestStatus
		entries []string
		errors  bool
	}{
		{"complete", r.id, []entry{{short.uuid, completed}, {long.uuid, completed}}, finalList,
			[]string{ok(short, completed, true, 5), ok(long, completed, true, 8_000)}, false},
		{"order is kept", r.id, []entry{{long.uuid, completed}, {short.uuid, completed}}, finalList,
			[]string{ok(long, completed, true, 8_000), ok(short, completed, true, 5)}, false},
		{"enough to display", r.id, []entry{{short.uuid, enough}, {long.uuid, enough}}, finalList,
			[]string{ok(short, enough, true, 5), ok(long, enough, false, 254)}, false},
		{"skeleton", r.id, []entry{{short.uuid, skeleton}}, finalList,
			[]string{ok(short, skeleton, false, 0)}, false},

		{"illegal room", "x", []entry{{short.uuid, completed}, {absent, completed}}, serverErr, nil, true},
		{"no room", "", []entry{{short.uuid, completed}}, serverErr, nil, true},
		{"room in capitals", "ABCDEFGH", []entry{{short.uuid, completed}}, serverErr, nil, true},
		{"a huge uuid", r.id, []entry{{short.uuid, completed}, {huge, completed}}, serverErr, nil, true},
		{"a large uuid", r.id, []entry{{short.uuid, completed}, {huge[1:], completed}}, finalList,
			[]string{ok(short, completed, true, 5), miss(huge[1:], notSet)}, false},
		{"a huge uuid, the eleventh", r.id, append(append(slices.Clone(nine), entry{short.uuid, completed}), entry{huge, completed}), finalList,
			append(append(slices.Clone(nineMissing), ok(short, completed, true, 5)), miss(huge, unknown)), false},
		{"no uuids", r.id, nil, finalList, nil, false},
		{"nothing legal", r.id, []entry{{"x", completed}, {short.uuid, 7}}, finalList,
			[]string{miss("x", notSet), miss(short.uuid, unknown)}, false},
		{"nothing legal, not a member", foreign.id, []entry{{"", completed}, {foreignText.uuid, -1}}, finalList,
			[]string{miss("", notSet), miss(foreignText.uuid, unknown)}, false},
		{"not a member", foreign.id, []entry{{foreignText.uuid, completed}, {"x", completed}}, notMember, nil, true},
		{"not a member, ten and more", foreign.id, append(slices.Clone(nine), entry{short.uuid, completed}, entry{long.uuid, completed}, entry{absent, completed}), notMember, nil, true},
		{"room that is not there", "zzzzzzzz", []entry{{short.uuid, completed}, {absent, completed}}, finalList,
			[]string{miss(short.uuid, notSet), miss(absent, notSet)}, false},
		{"not found", r.id, []entry{{absent, completed}}, finalList, []string{miss(absent, notSet)}, false},
		{"of another room", r.id, []entry{{foreignText.uuid, completed}}, finalList, []string{miss(foreignText.uuid, notSet)}, false},
		{"some illegal", r.id, []entry{{"x", completed}, {short.uuid, completed}, {short.uuid[1:], completed}, {long.uuid, 15}}, finalList,
			[]string{miss("x", notSet), ok(short, completed, true, 5), miss(short.uuid[1:], notSet), miss(long.uuid, unknown)}, false},
		// The original shifts the statuses onto the wrong uuids here.
		{"kinds that are not active, behind one that is not found", r.id, []entry{{absent, completed}, {joinUUID, completed}, {short.uuid, completed}, {capUUID, skeleton}}, finalList,
			[]string{miss(absent, notSet), miss(joinUUID, unknown), ok(short, completed, true, 5), miss(capUUID, unknown)}, false},
		{"twice", r.id, []entry{{short.uuid, completed}, {short.uuid, completed}}, finalList,
			[]string{ok(short, completed, true, 5), miss(short.uuid, unknown)}, false},
		{"the highest amount is chosen", r.id, []entry{{short.uuid, skeleton}, {long.uuid, enough}, {short.uuid, completed}, {short.uuid, enough}, {short.uuid, completed}}, finalList,
			[]string{miss(short.uuid, unknown), ok(long, enough, false, 254), ok(short, completed, true, 5), miss(short.uuid, unknown), miss(short.uuid, unknown)}, false},
		{"an illegal amount is not the highest", r.id, []entry{{short.uuid, 30}, {short.uuid, enough}}, finalList,
			[]string{miss(short.uuid, unknown), ok(short, enough, true, 5)}, false},
		{"ten and more", r.id, append(slices.Clone(nine), entry{short.uuid, completed}, entry{long.uuid, completed}, entry{absent, completed}), finalList,
			append(slices.Clone(nineMissing), ok(short, completed, true, 5), miss(long.uuid, unknown), miss(absent, unknown)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.send(fullRequest(tt.room, tt.ask...))
			got := s.answer()
			if got.status != tt.status || got.room != tt.room {
				t.Errorf("%v of room %q, want %v of %q", got.status, got.room, tt.status, tt.room)
			}
			var entries []string
			for _, m := range got.entries {
				entries = append(entries, shown(m))
			}
			if !slices.Equal(entries, tt.entries) {
				t.Errorf("the entries are\n%s, want\n%s", strings.Join(entries, "\n"), strings.Join(tt.entries, "\n"))
			}
			var errors []string
			if tt.errors {
				for _, e := range tt.ask {
					errors = append(errors, e.uuid)
				}
			}
			if !slices.Equal(got.errors, errors) {
				t.Errorf("error_messages %q, want %q", got.errors, errors)
			}
		})
	}
}

// A message asked for in full is what its sender sent, and says by whom, where
// and when.
func fullContent(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	long := other.say(t, r, strings.Repeat("é", 5_000))
	s := u.openLive(t)
	s.send(fullRequest(r.id, entry{long.uuid, completed}))
	wantView(t, s.answer().entries[0], view{
		kind: kindText, uuid: long.uuid, from: other.id, room: r.id, time: long.time, amount: completed, complete: true, text: long.text,
	})
}

// Ten messages can be asked for at once, however long they are.
func fullTen(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	var ask []entry
	var all []sent
	for i := range 10 {
		x := u.say(t, r, strings.Repeat(fmt.Sprint(i), 10_000))
		ask, all = append(ask, entry{x.uuid, completed}), append(all, x)
	}
	s := u.openLive(t)
	s.send(fullRequest(r.id, ask...))
	got := s.answer()
	if got.status != finalList || len(got.entries) != 10 {
		t.Fatalf("%v, %d entries", got.status, len(got.entries))
	}
	for i, m := range got.entries {
		if m.GetReturnStatus() != success || m.GetMessageUuid() != all[i].uuid || viewOf(m).text != all[i].text {
			t.Errorf("entry %d is %.100v", i, m)
		}
	}
}

// Who has left a room gets none of its messages any more.
func fullAfterLeaving(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	x := u.say(t, r, "x")
	s := u.openLive(t)
	u.leave(t, r)
	s.message() // the own leave
	s.send(fullRequest(r.id, entry{x.uuid, completed}))
	if got := s.answer(); got.status != notMember || !slices.Equal(got.errors, []string{x.uuid}) {
		t.Errorf("got %+v", got)
	}
}

// Who was kicked or banned gets none of the room's messages any more.
func fullAfterRemoval(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	for _, how := range []commandspb.RemoveFromChatRoomRequest_KickOrBan{kick, ban} {
		r := admin.create(t, "hall")
		x := admin.say(t, r, "x")
		u.join(t, r)
		s := u.openLive(t)
		admin.expel(t, r, how, u)
		s.message()
		s.send(fullRequest(r.id, entry{x.uuid, completed}))
		if got := s.answer(); got.status != notMember || !slices.Equal(got.errors, []string{x.uuid}) {
			t.Errorf("%v: got %+v", how, got)
		}
		s.cancel()
	}
}

// A lookup that the store fails is answered with DATABASE_DOWN and all uuids,
// and the stream goes on.
func fullStoreFailure(t *testing.T, h *harness) {
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	r := u.create(t, "hall")
	x := u.say(t, r, "x")
	s := u.openLive(t)
	for _, call := range []string{"State", "Event"} {
		st.failing(store.ErrUnavailable, call)
		s.send(fullRequest(r.id, entry{"x", completed}, entry{x.uuid, completed}))
		if got := s.answer(); got.status != lookupDown || got.room != r.id || !slices.Equal(got.errors, []string{"x", x.uuid}) {
			t.Errorf("%s fails: got %+v", call, got)
		}
		st.off()
	}
	s.send(fullRequest(r.id, entry{x.uuid, completed}))
	if got := s.answer(); got.status != finalList || got.entries[0].GetReturnStatus() != success {
		t.Errorf("got %+v", got)
	}
}
