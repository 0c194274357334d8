package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/client/clienttest"
)

// TestNothingIsMissedWhateverBreaks lets a server, its streams, its calls and
// the program fail at random while people talk, join and leave, and checks that
// every room was handed out in order, without a gap and once.
func TestNothingIsMissedWhateverBreaks(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 5
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clienttest.Server) {
				s.Places = seed%2 == 0 // servers of the inherited protocol do not say
				chaos(t, s, rand.New(rand.NewPCG(7, uint64(seed))))
			})
		})
	}
}

// dice is a random source for all goroutines of a run.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

func chaos(t *testing.T, s *clienttest.Server, r *rand.Rand) {
	d := &dice{r: r}
	var calm atomic.Bool
	calm.Store(true)
	gone := status.Error(codes.Unavailable, "gone")
	s.Unary = func(_ string, _ any, next func() (any, error)) (any, error) {
		switch k := d.n(10); {
		case calm.Load() || k > 2:
			return next()
		case k == 0:
			_, _ = next()
		}
		return nil, gone
	}
	s.BeforeJoinEnds = func(id string) error {
		if !calm.Load() {
			s.Say(id, "bob", "meanwhile")
			if d.n(3) == 0 {
				return gone
			}
		}
		return nil
	}
	var rooms []string
	for i := range 4 {
		rooms = append(rooms, s.Make(fmt.Sprint("room ", i), "bob"))
		s.Say(rooms[i], "bob", "welcome")
	}
	s.Enter(rooms[0], "ada")

	w := login(t, s, "ada")
	opts := []SessionOption{FullText(), FullHistory(5)}
	check := &ledger{t: t, server: s, at: make(map[string]int)}
	calm.Store(false)
	w.open(opts...)
	w.listen()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var busy sync.WaitGroup
	for step := range 150 {
		id := rooms[d.n(len(rooms))]
		switch k := d.n(20); {
		case k < 8:
			text := fmt.Sprint("text ", step)
			if d.n(4) == 0 {
				text = long(text)
			}
			s.Say(id, "bob", text)
		case k < 12:
			session := w.Session
			busy.Go(func() {
				if _, err := session.Send(ctx, id, fmt.Sprint("own ", step)); err != nil && !errors.Is(err, ErrNotInRoom) && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		case k == 12:
			s.Break()
		case k == 13:
			s.Crash()
			time.Sleep(time.Duration(d.n(3000)) * time.Millisecond)
			s.Start()
		case k < 16:
			session := w.Session
			busy.Go(func() {
				err := session.JoinRoom(ctx, id, s.Password(id))
				if err != nil && !errors.Is(err, ErrAlreadyInRoom) && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		case k == 16:
			session := w.Session
			busy.Go(func() {
				if err := session.LeaveRoom(ctx, id); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		case k == 17:
			if s.In(id, "ada") {
				s.Kick(id, "bob", "ada", false)
			}
		case k == 18 && d.n(2) == 0:
			// The program is started anew and continues where it was.
			w.stop()
			<-w.over
			check.take(w.events)
			state := w.State()
			w.Session.Close()
			w.open(append(opts, Resume(state))...)
			w.listen()
		default:
			time.Sleep(time.Duration(d.n(500)) * time.Millisecond)
		}
	}
	calm.Store(true)
	s.Start()
	busy.Wait()
	time.Sleep(time.Minute)
	s.Say(rooms[0], "bob", "the end")
	synctest.Wait()
	check.take(w.events)
	check.final(rooms, w.Session)
	w.close()
}

// ledger compares what was handed out with what the server stored.
type ledger struct {
	t      *testing.T
	server *clienttest.Server
	// at is how many texts of a room were handed out, in rooms that are entered.
	at  map[string]int
	log []string
}

func (l *ledger) take(events chan Event) {
	for {
		select {
		case e := <-events:
			l.event(e)
		default:
			return
		}
	}
}

func (l *ledger) event(e Event) {
	l.log = append(l.log, fmt.Sprintf("%d %.150s", time.Now().UnixMilli(), fmt.Sprintf("%T %+v", e, e)))
	switch e := e.(type) {
	case RoomEntered:
		all := l.server.UUIDs(e.Room.ID)
		n := 0
		if len(e.History) > 0 {
			n = slices.Index(all, e.History[len(e.History)-1].UUID) + 1
		}
		again, twice := l.at[e.Room.ID]
		switch {
		case twice && len(e.History) == 0: // nothing since the program's restart
			n = again
		case twice && n != again:
			l.t.Errorf("room %s: entered again at %d after %d", e.Room.ID, n, again)
		case !twice && n != len(e.History):
			l.t.Errorf("room %s: %d of %d texts in its history", e.Room.ID, len(e.History), n)
		}
		for i, m := range e.History {
			if want := all[n-len(e.History)+i]; m.UUID != want {
				l.t.Errorf("room %s: history %d is %s, want %s", e.Room.ID, i, m.UUID, want)
			}
			if i >= len(e.History)-5 && !m.Complete {
				l.incomplete(e.Room.ID, m.UUID)
			}
		}
		l.at[e.Room.ID] = n
	case RoomLeft:
		delete(l.at, e.Room)
	case Message:
		n, in := l.at[e.Room]
		if !in {
			l.t.Errorf("room %s: message %s outside", e.Room, e.UUID)
			return
		}
		all := l.server.UUIDs(e.Room)
		if n >= len(all) || all[n] != e.UUID {
			l.t.Errorf("room %s: message %d is %s (place %d), of %d", e.Room, n, e.UUID, slices.Index(all, e.UUID), len(all))
			return
		}
		texts := l.server.Texts(e.Room)
		if !e.Complete && strings.HasPrefix(texts[n], e.Text) {
			l.incomplete(e.Room, e.UUID)
		} else if e.Text != texts[n] {
			l.t.Errorf("room %s: text %d is %q, want %q", e.Room, n, e.Text, texts[n])
		}
		l.at[e.Room] = n + 1
	}
}

// incomplete: a text stayed cut, which is right only if the server had to refuse
// the rest because the account was out of the room again.
func (l *ledger) incomplete(room, uuid string) {
	if !l.server.RemovedAfter(room, "ada", uuid) {
		l.t.Errorf("room %s: text %s stayed cut", room, uuid)
	}
}

func (l *ledger) final(rooms []string, s *Session) {
	for _, id := range rooms {
		n, in := l.at[id]
		_, listed := s.Room(id)
		if want := l.server.In(id, "ada"); in != want || listed != want {
			l.t.Errorf("room %s: member %v, told %v, listed %v", id, want, in, listed)
		}
		if all := l.server.UUIDs(id); in && n != len(all) {
			l.t.Errorf("room %s: %d of %d texts were handed out", id, n, len(all))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.book.joins) + len(s.book.queues) + s.book.creating + s.book.held + s.book.behind; n != 0 {
		l.t.Errorf("something is held for ever: %+v", s.book)
	}
	if l.t.Failed() {
		l.t.Log("what was handed out:\n" + strings.Join(l.log, "\n"))
		for _, id := range rooms {
			l.t.Logf("what is stored in %s:\n%s", id, strings.Join(l.server.Dump(id), "\n"))
		}
	}
}
