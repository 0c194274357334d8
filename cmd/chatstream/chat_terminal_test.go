package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/chatstream/chatstream/client"
)

// fakeChat is a conversation with nobody.
type fakeChat struct {
	rooms   []client.Room
	members map[string][]client.Member
	history map[string][]client.Message
	sent    []string
	fail    error
}

func (f *fakeChat) Account() string      { return "me" }
func (f *fakeChat) Rooms() []client.Room { return f.rooms }
func (f *fakeChat) Room(id string) (client.Room, bool) {
	for _, r := range f.rooms {
		if r.ID == id {
			return r, true
		}
	}
	return client.Room{}, false
}
func (f *fakeChat) Members(id string) []client.Member          { return f.members[id] }
func (f *fakeChat) History(id string, _ int) []client.Message  { return f.history[id] }
func (f *fakeChat) Observe(context.Context, string) error      { return nil }
func (f *fakeChat) LeaveRoom(context.Context, string) error    { return f.fail }
func (f *fakeChat) Kick(context.Context, string, string) error { return f.fail }
func (f *fakeChat) Ban(context.Context, string, string) error  { return f.fail }
func (f *fakeChat) Delivery(context.Context, string) (client.Delivery, error) {
	return client.Delivery{Last: 7, Devices: []client.DeviceDelivery{{Account: "bob", Reached: 5}}}, f.fail
}
func (f *fakeChat) JoinRoom(_ context.Context, id, _ string) error {
	f.enter(id)
	return f.fail
}
func (f *fakeChat) CreateRoom(_ context.Context, name string) (client.Room, error) {
	r := client.Room{ID: "newroom1", Name: name, Password: "pwd", Admin: true}
	f.rooms = append(f.rooms, r)
	return r, f.fail
}
func (f *fakeChat) Send(_ context.Context, room, text string) (client.Receipt, error) {
	f.sent = append(f.sent, room+": "+text)
	return client.Receipt{}, f.fail
}

func (f *fakeChat) enter(id string) {
	f.rooms = append(f.rooms, client.Room{ID: id, Name: "room " + id})
}

// screen runs the model without a program.
type screen struct {
	t    *testing.T
	chat *fakeChat
	term *terminal
}

func newScreen(t *testing.T) *screen {
	chat := &fakeChat{members: map[string][]client.Member{}, history: map[string][]client.Message{}}
	s := &screen{t: t, chat: chat, term: newTerminal(t.Context(), chat, "ada")}
	s.term.Init()
	s.update(tea.WindowSizeMsg{Width: 100, Height: 30})
	return s
}

// update gives the model a message, and what its command makes of it. It
// reports whether that ended the program.
func (s *screen) update(m tea.Msg) (quit bool) {
	_, cmd := s.term.Update(m)
	if cmd == nil {
		return false
	}
	switch m := cmd().(type) {
	case tea.QuitMsg:
		return true
	case answered, created, stored:
		return s.update(m)
	}
	return false
}

func (s *screen) typed(line string) bool {
	s.term.input.SetValue(line)
	return s.update(tea.KeyPressMsg{Code: tea.KeyEnter})
}

func (s *screen) wants(texts ...string) {
	s.t.Helper()
	shown := ansi.Strip(s.term.View().Content)
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			s.t.Errorf("%q is not on the screen:\n%s", text, shown)
		}
	}
}

func TestTerminalShowsWhatHappens(t *testing.T) {
	s := newScreen(t)
	s.wants("connecting", "Welcome, ada", "no rooms yet")
	s.update(happened{client.Connected{}})
	s.update(happened{client.CaughtUp{}})
	s.wants("online")
	s.typed("/create kitchen")
	s.wants("kitchen", "newroom1", "/join newroom1 pwd")
	s.typed("hello")
	if len(s.chat.sent) != 1 || s.chat.sent[0] != "newroom1: hello" {
		t.Errorf("sent %v", s.chat.sent)
	}
	m := client.Message{Room: "newroom1", UUID: "u", SenderName: "bob", Time: time.Now(), Kind: client.KindText, Text: "hi ada", Complete: true}
	s.chat.history["newroom1"] = []client.Message{m}
	s.update(happened{m})
	s.update(happened{client.Joined{Room: "newroom1", Member: client.Member{Name: "carl"}, Time: time.Now()}})
	s.wants("bob hi ada", "carl joined")
	s.update(happened{client.Disconnected{Why: errors.New("gone")}})
	s.wants("offline, connecting again")
}

func TestTerminalShowsWhatIsOnItsWay(t *testing.T) {
	s := newScreen(t)
	s.chat.enter("aaaaaaaa")
	s.update(happened{client.CaughtUp{}})
	s.term.input.SetValue("slow")
	_, cmd := s.term.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	s.wants("sending  slow")
	s.chat.fail = errors.New("not a member of that room")
	s.update(cmd())
	s.wants(`"slow" was not sent: not a member of that room`)
	if strings.Contains(s.term.View().Content, "sending  slow") {
		t.Error("it is still shown as being sent")
	}
}

func TestTerminalCountsWhatIsUnread(t *testing.T) {
	s := newScreen(t)
	s.chat.enter("aaaaaaaa")
	s.chat.enter("bbbbbbbb")
	s.update(happened{client.CaughtUp{}})
	s.update(happened{client.Message{Room: "bbbbbbbb", Kind: client.KindText}})
	s.wants("room bbbbbbbb 1")
	s.update(tea.KeyPressMsg{Code: tea.KeyTab})
	s.wants("room bbbbbbbb  bbbbbbbb")
	if s.term.unread["bbbbbbbb"] != 0 {
		t.Error("it is still unread")
	}
	s.update(happened{client.RoomLeft{Room: "bbbbbbbb", How: client.WasKicked}})
	s.wants("You were kicked from bbbbbbbb")
}

func TestTerminalSaysWhatIsWrong(t *testing.T) {
	s := newScreen(t)
	s.typed("nobody hears this")
	s.typed("/dance")
	s.typed("/room abcdefgh")
	s.wants("No room is selected", "there is no command /dance", "You are not in a room abcdefgh")
	s.chat.fail = errors.New("the room's password is another one")
	s.typed("/join aaaaaaaa x")
	s.wants("the room's password is another one")
	s.typed("/help")
	s.wants("/members [ROOM]")
}

func TestTerminalSaysHowFarMessagesHaveReached(t *testing.T) {
	s := newScreen(t)
	s.chat.enter("aaaaaaaa")
	s.chat.members["aaaaaaaa"] = []client.Member{{Account: "bob", Name: "Bob"}, {Account: "eve", Name: "Eve"}}
	s.update(happened{client.CaughtUp{}})
	s.typed("/reached")
	s.wants("Bob 5 of 7 offline", "Eve 0 of 7 offline")
}

func TestTerminalSaysThatTheServerGoes(t *testing.T) {
	s := newScreen(t)
	s.update(happened{client.Connected{}})
	s.update(happened{client.GoingAway{}})
	s.wants("the server is shutting down")
}

func TestTerminalEnds(t *testing.T) {
	for _, end := range []func(*screen) bool{
		func(s *screen) bool { return s.typed("/quit") },
		func(s *screen) bool { return s.update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}) },
		func(s *screen) bool { return s.update(ended{client.ErrLoggedInElsewhere}) },
	} {
		if s := newScreen(t); !end(s) {
			t.Error("it goes on")
		}
	}
}

func TestTerminalFitsItsWindow(t *testing.T) {
	s := newScreen(t)
	s.chat.enter("aaaaaaaa")
	s.update(happened{client.CaughtUp{}})
	var history []client.Message
	for range 200 {
		history = append(history, client.Message{Room: "aaaaaaaa", SenderName: "bob", Kind: client.KindText, Text: strings.Repeat("wide 世界 ", 40), Complete: true})
	}
	s.chat.history["aaaaaaaa"] = history
	for _, size := range []tea.WindowSizeMsg{{Width: 100, Height: 30}, {Width: 40, Height: 10}, {Width: 200, Height: 60}} {
		s.update(size)
		lines := strings.Split(s.term.View().Content, "\n")
		if len(lines) > size.Height {
			t.Errorf("%d lines in a window of %d", len(lines), size.Height)
		}
		for _, l := range lines {
			if w := ansi.StringWidth(l); w > size.Width {
				t.Errorf("a line of %d columns in a window of %d", w, size.Width)
				break
			}
		}
	}
}
