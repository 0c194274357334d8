package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/client"
)

// plain is the chat of a script: lines in, facts out, one a line.
//
// The goroutine of the input carries out one line after the other; a second one
// takes the session's events and prints. Whatever waits for an event waits on
// changed.
type plain struct {
	session *client.Session
	name    string
	err     io.Writer

	mu  sync.Mutex
	out *bufio.Writer
	// changed is closed, and replaced, after every event.
	changed  chan struct{}
	selected string
	// shown are the uuids of the messages printed, of each room.
	shown map[string]map[string]bool
	// joining are rooms to be selected when they are entered.
	joining  map[string]bool
	online   int // how often the session was connected
	caughtUp bool
	refused  bool
	over     error // why the session ended
	ended    bool
}

// settle is how long the end of the input waits for one's own messages to be
// shown after they have been acknowledged.
const settle = 10 * time.Second

func runPlain(ctx context.Context, session *client.Session, c *chatCmd, std stdio) error {
	p := &plain{
		session: session, name: c.Name, err: std.Err, out: bufio.NewWriter(std.Out),
		changed: make(chan struct{}), shown: make(map[string]map[string]bool), joining: make(map[string]bool),
	}
	events, stop := context.WithCancel(ctx)
	var printing sync.WaitGroup
	printing.Go(func() { p.print(events) })
	err := p.run(ctx, std.In, c.Linger)
	stop()
	printing.Wait()
	p.out.Flush()
	switch {
	case err != nil:
		return err
	case p.refused:
		return &exitError{code: exitFailed}
	}
	return nil
}

// run carries out the input.
func (p *plain) run(ctx context.Context, in io.Reader, linger time.Duration) error {
	if err := p.wait(ctx, func() bool { return p.caughtUp }); err != nil {
		return err
	}
	var sent []client.Message // only Room and UUID
	input := readLines(in)
	quit := false
	for !quit && ctx.Err() == nil {
		text, err := p.line(ctx, input)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			break
		}
		var line chatLine
		if err == nil {
			line, err = parseLine(text)
		}
		if err == nil {
			if line.verb == "" {
				err = p.send(ctx, line.text, &sent)
			} else {
				quit, err = p.carryOut(ctx, line)
			}
		}
		if err != nil {
			if over := p.sessionOver(); over != nil {
				return over
			}
			p.refuse(err)
		}
	}
	if ctx.Err() != nil { // told to end, with nothing on its way
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	err := p.wait(bounded, func() bool {
		for _, m := range sent {
			if !p.shown[m.Room][m.UUID] && p.inRoom(m.Room) {
				return false
			}
		}
		return true
	})
	if err != nil && p.sessionOver() != nil {
		return err
	}
	if quit || linger <= 0 {
		return nil
	}
	bounded, cancel = context.WithTimeout(ctx, linger)
	defer cancel()
	if err := p.wait(bounded, func() bool { return false }); p.sessionOver() != nil {
		return err
	}
	return nil
}

// inputLine is a line of the input, or why there are no more.
type inputLine struct {
	text string
	err  error
}

// readLines reads the input in a goroutine of its own: nothing can interrupt a
// read of standard input, and the program must not wait for it when it is told
// to end or its session is over. Only then is the goroutine left behind, to end
// with the process.
func readLines(in io.Reader) <-chan inputLine {
	out := make(chan inputLine, 1)
	go func() {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			out <- inputLine{text: lines.Text()}
		}
		if err := lines.Err(); err != nil {
			out <- inputLine{err: fmt.Errorf("read the input: %w", err)}
		}
		out <- inputLine{err: io.EOF}
	}()
	return out
}

// line waits for the next line of the input.
func (p *plain) line(ctx context.Context, input <-chan inputLine) (string, error) {
	for {
		p.mu.Lock()
		changed, ended := p.changed, p.ended
		p.mu.Unlock()
		if ended {
			return "", p.sessionOver()
		}
		select {
		case l := <-input:
			return l.text, l.err
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (p *plain) inRoom(id string) bool {
	_, ok := p.session.Room(id)
	return ok
}

func (p *plain) refuse(err error) {
	p.mu.Lock()
	p.refused = true
	p.mu.Unlock()
	fmt.Fprintln(p.err, "chatstream:", err)
}

func (p *plain) sessionOver() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		return nil
	}
	if p.over == nil {
		return client.ErrClosed
	}
	return p.over
}

// wait waits until ok, which is called with the lock held, says so.
func (p *plain) wait(ctx context.Context, ok func() bool) error {
	for {
		p.mu.Lock()
		done, changed, ended, over := ok(), p.changed, p.ended, p.over
		p.mu.Unlock()
		switch {
		case done:
			return nil
		case ended && over != nil:
			return over
		case ended:
			return client.ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send sends a text to the selected room, and returns when it is stored.
func (p *plain) send(ctx context.Context, text string, sent *[]client.Message) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	p.mu.Lock()
	id := p.selected
	p.mu.Unlock()
	if id == "" {
		return errors.New("no room is selected: /create, /join or /room one first")
	}
	// Taken note of before, so that the message cannot be shown before.
	name := uuid.NewString()
	if _, err := p.session.SendAs(ctx, name, id, text); err != nil {
		return fmt.Errorf("send to %s: %w", id, err)
	}
	*sent = append(*sent, client.Message{Room: id, UUID: name})
	return nil
}

// carryOut carries out a command.
func (p *plain) carryOut(ctx context.Context, line chatLine) (quit bool, err error) {
	room := func() (string, error) {
		if len(line.args) > 0 {
			return line.args[0], nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.selected == "" {
			return "", errors.New("no room is selected: name one")
		}
		return p.selected, nil
	}
	switch line.verb {
	case "create":
		r, err := p.session.CreateRoom(ctx, line.args[0])
		if err != nil {
			return false, fmt.Errorf("create a room: %w", err)
		}
		p.say("created %s %s", r.ID, r.Password)
		if err := p.wait(ctx, func() bool { return p.inRoom(r.ID) }); err != nil {
			return false, err
		}
		p.choose(r.ID)
	case "join":
		return false, p.join(ctx, line.args[0], strings.Join(line.args[1:], ""))
	case "room":
		if !p.inRoom(line.args[0]) {
			return false, fmt.Errorf("you are not in a room %s: see /rooms", line.args[0])
		}
		p.choose(line.args[0])
	case "leave":
		id, err := room()
		if err != nil {
			return false, err
		}
		if err := p.session.LeaveRoom(ctx, id); err != nil {
			return false, fmt.Errorf("leave %s: %w", id, err)
		}
		return false, p.wait(ctx, func() bool { return !p.inRoom(id) })
	case "rooms":
		for _, r := range p.session.Rooms() {
			p.say("room %s %s", r.ID, oneLine(r.Name))
		}
	case "members":
		id, err := room()
		if err != nil {
			return false, err
		}
		if !p.inRoom(id) {
			return false, fmt.Errorf("you are not in a room %s: see /rooms", id)
		}
		for _, m := range p.session.Members(id) {
			p.say("member %s %s", id, oneLine(m.Name))
		}
	case "reached":
		id, err := room()
		if err != nil {
			return false, err
		}
		d, err := p.session.Delivery(ctx, id)
		if err != nil {
			return false, err
		}
		for _, line := range reached(d, p.session.Members(id)) {
			p.say("reached %s %s", id, line)
		}
	case "kick", "ban":
		id, err := selectedMember(p, line.args[0])
		if err != nil {
			return false, err
		}
		return false, p.expel(ctx, line.verb, id)
	case "help":
		p.say("%s\n%s", chatHelp, scriptHelp)
	case "quit":
		return true, nil
	}
	return false, nil
}

// join joins a room and waits until it is selected and its last messages are
// shown. To be in it already is as good.
func (p *plain) join(ctx context.Context, id, password string) error {
	p.mu.Lock()
	p.joining[id] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.joining, id)
		p.mu.Unlock()
	}()
	err := p.session.JoinRoom(ctx, id, password)
	if errors.Is(err, client.ErrAlreadyInRoom) && p.inRoom(id) {
		p.say("joined %s", id)
		p.choose(id)
		return nil
	}
	if err != nil {
		return fmt.Errorf("join %s: %w", id, err)
	}
	return p.wait(ctx, func() bool { return p.selected == id && p.inRoom(id) })
}

type memberOf struct{ room, account string }

// selectedMember finds a member of the selected room by name.
func selectedMember(p *plain, name string) (memberOf, error) {
	p.mu.Lock()
	id := p.selected
	p.mu.Unlock()
	for _, m := range p.session.Members(id) {
		if m.Name == name || m.Account == name {
			return memberOf{id, m.Account}, nil
		}
	}
	return memberOf{}, fmt.Errorf("nobody called %s is in the selected room", name)
}

func (p *plain) expel(ctx context.Context, verb string, who memberOf) error {
	expel := p.session.Kick
	if verb == "ban" {
		expel = p.session.Ban
	}
	if err := expel(ctx, who.room, who.account); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// choose selects a room, and shows those of its last messages that have not
// been shown yet.
func (p *plain) choose(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.selected = id
	for _, m := range p.session.History(id, shownOnSelect) {
		p.show(m)
	}
	p.out.Flush()
}

// say prints a fact.
func (p *plain) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
	p.out.Flush()
}

// show prints a message once. Called with the lock held.
func (p *plain) show(m client.Message) {
	if m.Kind != client.KindText || p.shown[m.Room][m.UUID] {
		return
	}
	if p.shown[m.Room] == nil {
		p.shown[m.Room] = make(map[string]bool)
	}
	p.shown[m.Room][m.UUID] = true
	fmt.Fprintf(p.out, "%s %s> %s\n", m.Room, oneLine(m.SenderName), oneLine(m.Text))
}

// print prints what happens, until ctx or the session ends.
func (p *plain) print(ctx context.Context) {
	var over error
	for e, err := range p.session.Events(ctx) {
		if err != nil {
			over = err
			break
		}
		p.event(e)
	}
	if ctx.Err() != nil {
		over = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.over = true, over
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *plain) event(e client.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case client.Connected:
		if p.online++; p.online == 1 {
			fmt.Fprintf(p.out, "connected %s\n", p.session.Account())
		} else {
			fmt.Fprintln(p.out, "reconnected")
		}
	case client.GoingAway: // it says nothing that disconnected and reconnected do not
	case client.Disconnected:
		if p.online > 0 {
			fmt.Fprintln(p.out, "disconnected")
		} else {
			fmt.Fprintln(p.err, "chatstream: not connected yet, trying again:", e.Why)
		}
	case client.CaughtUp:
		p.caughtUp = true
	case client.RoomEntered:
		if e.Anew {
			fmt.Fprintf(p.err, "chatstream: the server's log of room %s is not the one that was shown: it may be another one, or was set back\n", e.Room.ID)
		}
		if p.joining[e.Room.ID] {
			delete(p.joining, e.Room.ID)
			fmt.Fprintf(p.out, "joined %s\n", e.Room.ID)
			p.selected = e.Room.ID
			for _, m := range e.History[max(0, len(e.History)-shownOnSelect):] {
				p.show(m)
			}
		}
	case client.RoomLeft:
		fmt.Fprintf(p.out, "left %s\n", e.Room)
		if p.selected == e.Room {
			p.selected = ""
		}
	case client.Message:
		p.show(e)
	}
	p.out.Flush()
	close(p.changed)
	p.changed = make(chan struct{})
}

// oneLine keeps a text from looking like several facts.
func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}
