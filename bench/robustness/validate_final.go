package robustness

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// final: the log has no hole and follows the rules of a room; everything that
// shows a room shows what the log says; and every device's last stream knows
// the rooms that its account is in.
func final(h *History, found *report) {
	for _, l := range h.Logs {
		for i, m := range l.Events {
			if m.Seq != 0 && m.Seq != uint64(i+1) {
				found.add(nil, "room %s: place %d follows place %d", l.Room, m.Seq, i)
				break
			}
			if i > 0 && m.Time <= l.Events[i-1].Time {
				found.add(nil, "room %s: at place %d it is %d, before it was %d", l.Room, i+1, m.Time, l.Events[i-1].Time)
			}
		}
		if !slices.EqualFunc(l.Events, l.Skeleton, func(a, b *Message) bool { return a.UUID == b.UUID && a.Time == b.Time }) {
			found.add(nil, "room %s: two readers read two logs, of %d and %d messages", l.Room, len(l.Events), len(l.Skeleton))
		}
		state := fold{states: make(map[string]string)}
		for i, m := range l.Events {
			if err := state.take(m); err != nil {
				found.add(nil, "room %s: place %d, %s by %s: %v", l.Room, i+1, m.Body, m.Sender, err)
				break
			}
		}
		if !maps.Equal(state.states, l.Members) {
			found.add(nil, "room %s: the log says that its members are %v, shown are %v", l.Room, state.states, l.Members)
		}
	}
	lastStart := int64(0)
	for i := range h.Records {
		if h.Records[i].Kind == KindLast {
			lastStart = h.Records[i].N
		}
	}
	last := make(map[string]*Stream) // by account, with the last servers
	for _, s := range h.Streams {
		if s.Complete != nil && s.Complete.N > lastStart {
			last[s.Open.Account] = s
		}
	}
	for account, s := range last {
		rooms := make(map[string]bool)
		for _, c := range s.Open.Claims {
			rooms[c.Room] = true
		}
		for _, r := range s.Records {
			if r.Kind == KindMessage && r.Message.Body == bodyStart {
				rooms[r.Message.Room] = true
			}
			if r.Kind == KindMessage && r.Message.Body == bodyGone {
				delete(rooms, r.Message.Room)
			}
		}
		for _, l := range h.Logs {
			if l.Member(account, l.Head()) != rooms[l.Room] {
				found.add(seen(s.Open, s.Complete), "room %s: the last stream of %s knows it: %v; the log says: %v", l.Room, account, rooms[l.Room], !rooms[l.Room])
			}
		}
	}
}

// What an account is in a room.
const (
	isBanned = "ACCOUNT_STATE_BANNED"
	isOut    = "ACCOUNT_STATE_NOT_IN_CHAT_ROOM"
	isIn     = "ACCOUNT_STATE_IN_CHAT_ROOM"
	isAdmin  = "ACCOUNT_STATE_IS_ADMIN"
)

// fold is what a log makes of a room, by the rules of the wire contract.
type fold struct {
	begun  bool
	states map[string]string
	order  []string // in which they came first
}

func (f *fold) present(account string) bool {
	return f.states[account] == isIn || f.states[account] == isAdmin
}

func (f *fold) admin() string {
	for account, state := range f.states {
		if state == isAdmin {
			return account
		}
	}
	return ""
}

func (f *fold) take(m *Message) error {
	if f.begun == (m.Body == bodyCap) {
		return fmt.Errorf("a room begins with its cap, and has one")
	}
	switch m.Body {
	case bodyCap:
		f.begun = true
	case bodyJoined:
		want := isIn
		if f.admin() == "" {
			want = isAdmin
		}
		switch before := f.states[m.Sender]; {
		case f.present(m.Sender) || before == isBanned:
			return fmt.Errorf("who joins is %s", before)
		case m.State != want && m.State != "":
			return fmt.Errorf("who joins becomes %s, not %s", m.State, want)
		case before == "":
			f.order = append(f.order, m.Sender)
		}
		f.states[m.Sender] = want
	case bodyLeft:
		if !f.present(m.Sender) {
			return fmt.Errorf("who leaves is %s", f.states[m.Sender])
		}
		heir := ""
		if f.states[m.Sender] == isAdmin {
			i := slices.IndexFunc(f.order, func(a string) bool { return a != m.Sender && f.present(a) })
			if i >= 0 {
				heir = f.order[i]
			}
		}
		if m.Target != heir {
			return fmt.Errorf("its heir is %q, not %q", m.Target, heir)
		}
		f.states[m.Sender] = isOut
		if heir != "" {
			f.states[heir] = isAdmin
		}
	case bodyKicked, bodyBanned:
		if f.states[m.Sender] != isAdmin || f.states[m.Target] != isIn {
			return fmt.Errorf("%s removes %s", f.states[m.Sender], f.states[m.Target])
		}
		f.states[m.Target] = isOut
		if m.Body == bodyBanned {
			f.states[m.Target] = isBanned
		}
	default:
		if !f.present(m.Sender) {
			return fmt.Errorf("who says so is %s", strings.TrimSpace(f.states[m.Sender]+" out"))
		}
	}
	return nil
}
