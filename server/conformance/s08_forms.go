package conformance

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
)

func forms() []section {
	return []section{{"8", "Forms of stored messages", []rule{
		{"text_is_cut_at_255_bytes_before_a_rune", textCut},
		{"text_in_each_form", textForms},
		{"join_says_who_or_not", joinForms},
		{"others_are_the_same_in_every_form", otherForms},
	}}}
}

// Replaced, a cut through a rune: enough of a text is its first 255 bytes, or
// fewer, up to a rune; it is complete if nothing was cut.
func textCut(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	s := other.openLive(t)
	for _, tt := range []struct {
		text, shown string
		complete    bool
	}{
		{"x", "x", true},
		{strings.Repeat("x", 254), strings.Repeat("x", 254), true},
		{strings.Repeat("x", 255), strings.Repeat("x", 255), true},
		{strings.Repeat("x", 256), strings.Repeat("x", 255), false},
		{strings.Repeat("é", 127), strings.Repeat("é", 127), true},
		{strings.Repeat("é", 128), strings.Repeat("é", 127), false},
		{"x" + strings.Repeat("é", 127), "x" + strings.Repeat("é", 127), true},
		{strings.Repeat("日", 85), strings.Repeat("日", 85), true},
		{strings.Repeat("🙂", 2_500), strings.Repeat("🙂", 63), false},
	} {
		if !utf8.ValidString(tt.shown) || len(tt.shown) > 255 {
			t.Fatal("the test is wrong")
		}
		x := u.say(t, r, tt.text)
		wantView(t, s.message(), view{kind: kindText, uuid: x.uuid, from: u.id, room: r.id, time: x.time, amount: enough, complete: tt.complete, text: tt.shown})
	}
}

// A skeleton of a text is without text and not complete; enough of it has up to
// 255 bytes; complete is everything. Each says which it is.
func textForms(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	r := u.create(t, "hall")
	x := u.say(t, r, strings.Repeat("x", 300))
	s := u.openLive(t)
	for _, tt := range []struct {
		amount   chatpb.AmountOfMessage
		complete bool
		length   int
	}{{skeleton, false, 0}, {enough, false, 255}, {completed, true, 300}} {
		s.send(fullRequest(r.id, entry{x.uuid, tt.amount}))
		m := s.answer().entries[0]
		wantView(t, m, view{kind: kindText, uuid: x.uuid, from: u.id, room: r.id, time: x.time, amount: tt.amount, complete: tt.complete, text: x.text[:tt.length]})
		body := specificsOf(m).GetTextMessage()
		if body.GetActiveMessageInfo() == nil || body.GetActiveMessageInfo().GetIsReply() || body.GetActiveMessageInfo().GetIsDeleted() ||
			body.GetActiveMessageInfo().GetReplyInfo() != nil || body.GetIsEdited() || body.GetEditedTime() != 0 {
			t.Errorf("%v: %v", tt.amount, m)
		}
	}
}

// A join has the state and, as last activity, its own time; who joined is in
// it where it is news, and not in a skeleton.
func joinForms(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	s := admin.openLive(t)
	j := u.join(t, r)
	check := func(m *chatpb.ChatMessageToClient, named bool) {
		t.Helper()
		info := specificsOf(m).GetDifferentUserJoinedMessage().GetMemberInfo()
		if info.GetAccountState() != inRoom || info.GetAccountLastActivityTime() != j.time() || m.GetTimestampStored() != j.time() || m.GetMessageUuid() == "" ||
			(info.GetUserInfo().GetAccountOid() == u.id) != named || (info.GetUserInfo().GetAccountName() == u.name) != named || (info.GetUserInfo() != nil) != named {
			t.Errorf("got %v, named %v", m, named)
		}
	}
	check(s.message(), true)                                                         // live
	check(u.open(t, position{room: r.id, updated: j.time() - 1}).initial()[1], true) // missed; first the time observed
	check(j.messages[len(j.messages)-2], false)                                      // downloaded
	list := u.open(t).initial()                                                      // a room that the client lacks
	check(list[slices.Index(kindsOf(list), kindFinished)-1], false)
}

// Kicks, bans, leaves and the first message of a room are skeletons, and
// complete, wherever they are shown.
func otherForms(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u, v, w := a.signUp(t), a.signUp(t), a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	for _, who := range []*user{u, v, w} {
		who.join(t, r)
	}
	admin.expel(t, r, kick, u)
	admin.expel(t, r, ban, v)
	w.leave(t, r)
	for name, list := range map[string][]*chatpb.ChatMessageToClient{
		"missed": admin.history(t, r), "lacked": admin.open(t).initial(), "downloaded": u.join(t, r).messages,
	} {
		seen := map[string]int{}
		for _, m := range list {
			kind := kindOf(m)
			switch kind {
			case kindCap, kindKicked, kindBanned, kindLeft:
				if got := viewOf(m); got.amount != skeleton || !got.complete {
					t.Errorf("%s: %+v", name, got)
				}
				seen[kind]++
			}
			switch {
			case kind == kindKicked && specificsOf(m).GetUserKickedMessage().GetKickedAccountOid() != u.id,
				kind == kindBanned && specificsOf(m).GetUserBannedMessage().GetBannedAccountOid() != v.id,
				kind == kindLeft && m.GetSentByAccountId() != w.id,
				kind == kindCap && proto.Size(specificsOf(m).GetChatRoomCapMessage()) > 0:
				t.Errorf("%s: %v", name, m)
			}
		}
		if seen[kindCap] != 1 || seen[kindKicked] != 1 || seen[kindBanned] != 1 || seen[kindLeft] != 1 {
			t.Errorf("%s: got %v", name, seen)
		}
	}
}
