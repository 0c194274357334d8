package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"charm.land/bubbles/v2/textinput"
	"charm.land/bubbles/v2/viewport"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/chatstream/chatstream/client"
)

// conversation is what the terminal needs of a session; client.Session has it.
type conversation interface {
	Account() string
	Rooms() []client.Room
	Room(id string) (client.Room, bool)
	Members(id string) []client.Member
	History(id string, n int) []client.Message
	Send(ctx context.Context, room, text string) (client.Receipt, error)
	CreateRoom(ctx context.Context, name string) (client.Room, error)
	JoinRoom(ctx context.Context, id, password string) error
	LeaveRoom(ctx context.Context, room string) error
	Kick(ctx context.Context, room, account string) error
	Ban(ctx context.Context, room, account string) error
	Observe(ctx context.Context, id string) error
	Delivery(ctx context.Context, room string) (client.Delivery, error)
}

// terminal is the chat of a person: a bubbletea model. Its fields belong to the
// program's loop; what takes time runs in commands and comes back as a message.
type terminal struct {
	ctx     context.Context
	chat    conversation
	name    string
	state   string
	since   time.Time // when the state began
	over    error
	room    string
	unread  map[string]int
	notices map[string][]notice // by room; "" for those of no room
	wanted  string              // the room to select when it is entered
	sending []sending           // texts that are not stored yet
	sends   int
	// observing: the server is being told that the room was looked at, again
	// that it has to be told once more. One call at a time, however much is said.
	observing, again bool

	width, height int
	log           viewport.Model
	input         textinput.Model
	sent          []string // earlier lines, for arrow up
	recall        int
}

// notice is a line that is not a message: who came and went, what a command
// said.
type notice struct {
	at   time.Time
	text string
	bad  bool
}

// sending is a text on its way.
type sending struct {
	id         int
	room, text string
}

// Messages of the loop.
type (
	happened struct{ event client.Event }
	ended    struct{ err error }
	answered struct {
		room, text string
		err        error
	}
	stored struct {
		sending
		err error
	}
	created  struct{ room client.Room }
	observed struct{}
)

// keptNotices bounds the notices of a room.
const keptNotices = 200

func runTerminal(ctx context.Context, session *client.Session, c *chatCmd, std stdio) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	program := tea.NewProgram(newTerminal(ctx, session, c.Name), tea.WithContext(ctx), tea.WithInput(std.In), tea.WithOutput(std.Out))
	var receiving sync.WaitGroup
	receiving.Go(func() {
		for e, err := range session.Events(ctx) {
			if err != nil {
				program.Send(ended{err})
				return
			}
			program.Send(happened{e})
		}
	})
	final, err := program.Run()
	stop()
	receiving.Wait()
	if err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		return fmt.Errorf("the terminal: %w", err)
	}
	if t, ok := final.(*terminal); ok && t.over != nil {
		return t.over
	}
	return nil
}

func newTerminal(ctx context.Context, chat conversation, name string) *terminal {
	t := &terminal{
		ctx: ctx, chat: chat, name: name, state: "connecting", since: time.Now(),
		unread: make(map[string]int), notices: make(map[string][]notice),
		log: viewport.New(), input: textinput.New(),
		width: 80, height: 24,
	}
	t.input.Placeholder = "a message, or /help"
	t.input.CharLimit = client.MaxText
	t.layout()
	t.note("", "Welcome, "+name+". /create NAME makes a room, /join ROOM PASSWORD joins one, /help says the rest.", false)
	return t
}

// Init implements tea.Model.
func (t *terminal) Init() tea.Cmd { return t.input.Focus() }

// Update implements tea.Model.
func (t *terminal) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = m.Width, m.Height
		t.layout()
	case happened:
		return t, t.event(m.event)
	case ended:
		t.over = m.err
		return t, tea.Quit
	case created:
		t.note(m.room.ID, fmt.Sprintf("You made this room. Others join it with: /join %s %s", m.room.ID, m.room.Password), false)
		t.choose(m.room.ID)
		return t, nil
	case stored:
		t.sending = slices.DeleteFunc(t.sending, func(s sending) bool { return s.id == m.id })
		if m.err != nil {
			t.note(m.room, fmt.Sprintf("%q was not sent: %v", m.text, m.err), true)
		}
		t.render()
		return t, nil
	case answered:
		if m.err != nil {
			t.note(m.room, m.err.Error(), true)
		} else if m.text != "" {
			t.note(m.room, m.text, false)
		}
		t.render()
		return t, nil
	case observed:
		t.observing = false
		if t.again {
			return t, t.observe()
		}
		return t, nil
	case tea.KeyPressMsg:
		return t.key(m)
	}
	var cmd tea.Cmd
	t.input, cmd = t.input.Update(m)
	return t, cmd
}

func (t *terminal) key(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	switch k.String() {
	case "ctrl+c", "ctrl+d":
		return t, tea.Quit
	case "pgup":
		t.log.HalfPageUp()
	case "pgdown":
		t.log.HalfPageDown()
	case "tab":
		t.nextRoom()
	case "up", "down":
		t.remember(k.String() == "up")
	case "enter":
		line := t.input.Value()
		t.input.Reset()
		if strings.TrimSpace(line) == "" {
			return t, nil
		}
		t.sent = append(t.sent, line)
		t.recall = len(t.sent)
		return t, t.enter(line)
	default:
		var cmd tea.Cmd
		t.input, cmd = t.input.Update(k)
		return t, cmd
	}
	return t, nil
}

// remember brings earlier lines back.
func (t *terminal) remember(earlier bool) {
	if earlier {
		t.recall = max(0, t.recall-1)
	} else {
		t.recall = min(len(t.sent), t.recall+1)
	}
	if t.recall < len(t.sent) {
		t.input.SetValue(t.sent[t.recall])
		t.input.CursorEnd()
	} else {
		t.input.Reset()
	}
}

// enter carries out a line.
func (t *terminal) enter(text string) tea.Cmd {
	line, err := parseLine(text)
	if err != nil {
		t.note(t.room, err.Error(), true)
		t.render()
		return nil
	}
	room := t.room
	do := func(f func() (string, error)) tea.Cmd {
		return func() tea.Msg {
			said, err := f()
			return answered{room: room, text: said, err: err}
		}
	}
	id := room
	if len(line.args) > 0 {
		id = line.args[0]
	}
	switch line.verb {
	case "":
		if room == "" {
			t.note("", "No room is selected: /create, /join or /room one first.", true)
			t.render()
			return nil
		}
		t.sends++
		text := sending{t.sends, room, line.text}
		t.sending = append(t.sending, text)
		t.render()
		return func() tea.Msg {
			_, err := t.chat.Send(t.ctx, room, line.text)
			return stored{text, err}
		}
	case "create":
		return func() tea.Msg {
			r, err := t.chat.CreateRoom(t.ctx, line.args[0])
			if err != nil {
				return answered{room: room, err: err}
			}
			return created{r}
		}
	case "join":
		t.wanted = id
		return do(func() (string, error) {
			return "", t.chat.JoinRoom(t.ctx, id, strings.Join(line.args[1:], ""))
		})
	case "room":
		if _, ok := t.chat.Room(id); !ok {
			t.note(room, "You are not in a room "+id+". /rooms lists those you are in.", true)
			break
		}
		t.choose(id)
		return t.observe()
	case "leave":
		return do(func() (string, error) { return "", t.chat.LeaveRoom(t.ctx, id) })
	case "rooms":
		for _, r := range t.chat.Rooms() {
			t.note(room, fmt.Sprintf("%s  %s  (password %s, %s)", r.ID, r.Name, r.Password, people(len(t.chat.Members(r.ID)))), false)
		}
	case "members":
		for _, m := range t.chat.Members(id) {
			role := ""
			if m.Admin {
				role = ", administers the room"
			}
			t.note(room, m.Name+role, false)
		}
	case "reached":
		return do(func() (string, error) {
			d, err := t.chat.Delivery(t.ctx, id)
			if err != nil {
				return "", err
			}
			return "Messages that have reached " + strings.Join(reached(d, t.chat.Members(id)), "; "), nil
		})
	case "kick", "ban":
		return do(func() (string, error) { return "", t.expel(line.verb, room, line.args[0]) })
	case "help":
		for l := range strings.SplitSeq(chatHelp, "\n") {
			t.note(room, l, false)
		}
		t.note(room, "Tab goes to the next room, Page Up and Page Down scroll, Arrow Up brings back what was typed.", false)
	case "quit":
		return tea.Quit
	}
	t.render()
	return nil
}

func (t *terminal) expel(verb, room, name string) error {
	for _, m := range t.chat.Members(room) {
		if m.Name != name && m.Account != name {
			continue
		}
		if verb == "ban" {
			return t.chat.Ban(t.ctx, room, m.Account)
		}
		return t.chat.Kick(t.ctx, room, m.Account)
	}
	return fmt.Errorf("nobody called %s is in this room", name)
}

// observe notes that the person has seen the selected room.
func (t *terminal) observe() tea.Cmd {
	room := t.room
	if room == "" {
		return nil
	}
	if t.observing {
		t.again = true
		return nil
	}
	t.observing, t.again = true, false
	return func() tea.Msg {
		// A person would not know what to do about a failure.
		_ = t.chat.Observe(t.ctx, room)
		return observed{}
	}
}

// event takes up what happened.
func (t *terminal) event(e client.Event) tea.Cmd {
	var cmd tea.Cmd
	switch e := e.(type) {
	case client.Connected:
		t.connection("catching up")
	case client.CaughtUp:
		t.connection("online")
		if t.room == "" {
			if rooms := t.chat.Rooms(); len(rooms) > 0 {
				t.choose(rooms[0].ID)
			}
		}
	case client.GoingAway:
		t.connection("the server is shutting down")
	case client.Disconnected:
		t.connection("offline, connecting again")
	case client.RoomEntered:
		if e.Anew {
			t.note(e.Room.ID, "The server's log of this room is not the one that was shown: it may be another one, or was set back.", true)
		}
		if t.wanted == e.Room.ID || t.room == "" && t.state == "online" {
			t.wanted = ""
			t.choose(e.Room.ID)
		}
	case client.RoomLeft:
		t.left(e)
	case client.Message:
		if e.Room != t.room {
			t.unread[e.Room]++
		} else {
			cmd = t.observe()
		}
	case client.Joined:
		t.noteAt(e.Room, e.Time, e.Member.Name+" joined", false)
	case client.Left:
		how := map[client.Departure]string{client.WasKicked: " was kicked", client.WasBanned: " was banned"}[e.How]
		if how == "" {
			how = " left"
		}
		t.noteAt(e.Room, e.Time, e.Member.Name+how, false)
	case client.RoomChanged:
		t.noteAt(e.Room.ID, e.Time, "The room is called "+e.Room.Name+" now", false)
	}
	t.render()
	return cmd
}

func (t *terminal) left(e client.RoomLeft) {
	how := map[client.Departure]string{
		client.Departed: "You left", client.WasKicked: "You were kicked from", client.WasBanned: "You were banned from",
	}[e.How]
	if how == "" {
		how = "You are no longer in"
	}
	delete(t.notices, e.Room)
	delete(t.unread, e.Room)
	if t.room == e.Room {
		t.room = ""
		if rooms := t.chat.Rooms(); len(rooms) > 0 {
			t.room = rooms[0].ID
		}
	}
	t.note(t.room, how+" "+e.Room+".", false)
}

func (t *terminal) connection(state string) { t.state, t.since = state, time.Now() }

func (t *terminal) choose(id string) {
	t.room = id
	delete(t.unread, id)
	t.render()
	t.log.GotoBottom()
}

func (t *terminal) nextRoom() {
	rooms := t.chat.Rooms()
	for i, r := range rooms {
		if r.ID == t.room {
			t.choose(rooms[(i+1)%len(rooms)].ID)
			return
		}
	}
	if len(rooms) > 0 {
		t.choose(rooms[0].ID)
	}
}

func (t *terminal) note(room, text string, bad bool) { t.noteAt(room, time.Now(), text, bad) }

func (t *terminal) noteAt(room string, at time.Time, text string, bad bool) {
	n := append(t.notices[room], notice{at, text, bad})
	t.notices[room] = n[max(0, len(n)-keptNotices):]
}

// Styles. The terminal's own sixteen colours, so that they suit its background.
var (
	faint    = lipgloss.NewStyle().Faint(true)
	bold     = lipgloss.NewStyle().Bold(true)
	alarming = lipgloss.NewStyle().Foreground(lipgloss.Red)
	selected = lipgloss.NewStyle().Bold(true).Reverse(true)
	own      = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Green)
	other    = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Cyan)
)

// sideWidth is the width of the list of rooms.
const sideWidth = 24

func (t *terminal) layout() {
	t.log.SetWidth(max(10, t.width-sideWidth-1))
	t.log.SetHeight(max(3, t.height-4))
	t.input.SetWidth(max(10, t.width-4))
	t.render()
	t.log.GotoBottom()
}

// render puts the selected room's messages and notices together, by time.
func (t *terminal) render() {
	follow := t.log.AtBottom()
	notices := t.notices[t.room]
	var lines []string
	day := ""
	line := func(at time.Time, text string) {
		if d := at.Format("Monday, 2 January 2006"); d != day {
			day = d
			lines = append(lines, faint.Render("— "+d+" —"))
		}
		wrapped := lipgloss.NewStyle().Width(t.log.Width()).Render(faint.Render(at.Format("15:04:05")) + " " + text)
		lines = append(lines, strings.Split(wrapped, "\n")...)
	}
	note := func(n notice) {
		style := faint
		if n.bad {
			style = alarming
		}
		line(n.at, style.Render(n.text))
	}
	for _, m := range t.chat.History(t.room, 500) {
		if m.Kind != client.KindText {
			continue
		}
		for len(notices) > 0 && notices[0].at.Before(m.Time) {
			note(notices[0])
			notices = notices[1:]
		}
		name := other
		if m.Own {
			name = own
		}
		text := m.Text
		if !m.Complete {
			text += faint.Render(" […]")
		}
		line(m.Time, name.Render(m.SenderName)+" "+text)
	}
	for _, n := range notices {
		note(n)
	}
	for _, text := range t.sending {
		if text.room == t.room {
			lines = append(lines, faint.Render("sending  "+fit(text.text, max(1, t.log.Width()-10))))
		}
	}
	t.log.SetContentLines(lines)
	if follow {
		t.log.GotoBottom()
	}
}

// View implements tea.Model.
func (t *terminal) View() tea.View {
	title := "no room"
	if r, ok := t.chat.Room(t.room); ok {
		title = fmt.Sprintf("%s  %s  %s", r.Name, r.ID, people(len(t.chat.Members(t.room))))
	}
	state := faint
	if strings.HasPrefix(t.state, "offline") {
		state = alarming
	}
	head := bold.Render(fit(title, max(0, t.width-len(t.state)-3))) + "  " + state.Render(t.state)
	side := lipgloss.NewStyle().Width(sideWidth).Height(t.log.Height()).Render(t.roomList())
	body := lipgloss.JoinHorizontal(lipgloss.Top, side, " ", t.log.View())
	v := tea.NewView(lipgloss.JoinVertical(lipgloss.Left, head, body, "", t.input.View()))
	v.AltScreen = true
	v.WindowTitle = "chatstream: " + t.name
	return v
}

func (t *terminal) roomList() string {
	var lines []string
	for _, r := range t.chat.Rooms() {
		name := fit(r.Name, sideWidth-6)
		switch n := t.unread[r.ID]; {
		case r.ID == t.room:
			name = selected.Render(name)
		case n > 0:
			name = bold.Render(fmt.Sprintf("%s %d", name, n))
		}
		lines = append(lines, name)
	}
	if len(lines) == 0 {
		lines = append(lines, faint.Render("(no rooms yet)"))
	}
	return strings.Join(lines[:min(len(lines), max(1, t.log.Height()))], "\n")
}

func people(n int) string {
	if n == 1 {
		return "1 member"
	}
	return fmt.Sprint(n, " members")
}

// fit cuts a text to n columns.
func fit(s string, n int) string {
	if lipgloss.Width(s) <= n {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && lipgloss.Width(string(runes))+1 > n {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
