package client

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/client/clienttest"
)

const installation = "11111111-2222-3333-4444-555555555555"

// world is a server and an account that is online, in a bubble of its own.
type world struct {
	t      *testing.T
	server *clienttest.Server
	client *Client
	name   string
	creds  Credentials
	*Session
	events chan Event
	// over is the error that ended the loop over the events.
	over chan error
	stop context.CancelFunc
}

// inBubble runs f in a bubble of virtual time. No goroutine may be left in it.
func inBubble(t *testing.T, f func(t *testing.T, s *clienttest.Server)) {
	synctest.Test(t, func(t *testing.T) {
		s := clienttest.New()
		s.Start()
		defer s.Crash()
		f(t, s)
	})
}

// online logs ada in and collects her events until the test is over.
func online(t *testing.T, s *clienttest.Server, opts ...SessionOption) *world {
	t.Helper()
	w := login(t, s, "ada")
	w.open(opts...)
	w.listen()
	return w
}

func login(t *testing.T, s *clienttest.Server, name string) *world {
	t.Helper()
	c, err := Dial(clienttest.Target, Insecure(), DialOptions(s.DialOptions()...))
	if err != nil {
		t.Fatal(err)
	}
	s.Named(name)
	creds, err := c.Login(t.Context(), name, "secret", installation)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, server: s, client: c, name: name, creds: creds}
}

func (w *world) relogin(ctx context.Context) (Credentials, error) {
	return w.client.Login(ctx, w.name, "secret", w.creds.InstallationID)
}

func (w *world) open(opts ...SessionOption) {
	w.t.Helper()
	s, err := w.client.Open(w.creds, append([]SessionOption{Relogin(w.relogin)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Session = s
}

// listen collects the events. Without it nobody takes them.
func (w *world) listen() {
	w.events, w.over = make(chan Event, 1<<16), make(chan error, 1)
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop = cancel
	events, over, session := w.events, w.over, w.Session
	go func() {
		for e, err := range session.Events(ctx) {
			if err != nil {
				over <- err
				return
			}
			events <- e
		}
		over <- nil
	}()
}

// close ends what belongs to the account.
func (w *world) close() {
	w.Session.Close()
	if w.over != nil {
		<-w.over
		w.stop()
	}
	if err := w.client.Close(); err != nil {
		w.t.Error(err)
	}
}

// next is what happened until everybody waits.
func (w *world) next() []string {
	synctest.Wait()
	var out []string
	for {
		select {
		case e := <-w.events:
			out = append(out, w.line(e))
		default:
			return out
		}
	}
}

// line is an event in few words.
func (w *world) line(e Event) string {
	switch e := e.(type) {
	case Connected:
		return "connected"
	case CaughtUp:
		return "caught up"
	case Disconnected:
		return "disconnected"
	case RoomEntered:
		s := "entered " + e.Room.Name + ":"
		for _, m := range e.Members {
			s += " " + m.Name
		}
		s += ";"
		for _, m := range e.History {
			s += " " + m.SenderName + ">" + m.Text
		}
		return s
	case RoomLeft:
		return fmt.Sprintf("out of %s: %v", e.Room, e.How)
	case Message:
		s := e.SenderName + "> " + e.Text
		if !e.Complete {
			s += "..."
		}
		return s
	case Joined:
		return e.Member.Name + " joined"
	case Left:
		return fmt.Sprintf("%s %v", e.Member.Name, e.How)
	case RoomChanged:
		return "changed " + e.Room.Name
	case Observed:
		return "observed"
	}
	return fmt.Sprintf("%T", e)
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	compare(w.t, w.next(), want)
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, e string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			e = want[i]
		}
		if g != e {
			t.Fatalf("event %d: got %q, want %q\nall: %q", i, g, e, got)
		}
	}
}

func TestRoomsAreEnteredThenMessagesFlow(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		s.Say(id, "bob", "before")
		w := online(t, s)
		defer w.close()
		w.expect("connected", "entered tea: ada bob; bob>", "caught up")
		s.Say(id, "bob", "hello")
		s.Enter(id, "eve")
		s.Rename(id, "bob", "coffee")
		s.Kick(id, "bob", "eve", false)
		s.Leave(id, "bob")
		w.expect("bob> hello", "eve joined", "changed coffee", "eve kicked", "bob left")
		if m := w.Members(id); len(m) != 1 || !m[0].Admin {
			t.Errorf("members: %+v", m)
		}
		r, err := w.Send(t.Context(), id, "alone  \n")
		if err != nil || r.Time.IsZero() {
			t.Fatal(r, err)
		}
		w.expect("ada> alone")
		if h := w.History(id, 10); len(h) != 3 || h[2].Text != "alone" || !h[2].Own {
			t.Errorf("history: %+v", h)
		}
	})
}

func TestNothingIsMissedAcrossBreaks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.expect("connected", "entered tea: ada bob;", "caught up")
		for i := range 5 {
			s.Say(id, "bob", fmt.Sprint("a", i))
			synctest.Wait()
			s.Break()
			s.Say(id, "bob", fmt.Sprint("b", i))
			time.Sleep(20 * time.Second)
			w.expect(fmt.Sprint("bob> a", i), "disconnected", "connected", fmt.Sprint("bob> b", i), "caught up")
		}
	})
}
