package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/client/clienttest"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

func TestLostAnswerIsAskedForAgainWithTheSameUUID(t *testing.T) {
	for name, lost := range map[string]error{
		"unavailable": status.Error(codes.Unavailable, "gone"),
		"deadline":    status.Error(codes.DeadlineExceeded, "slow"),
		"overload":    status.Error(codes.ResourceExhausted, "busy"),
	} {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " stored ", stored), func(t *testing.T) {
				inBubble(t, func(t *testing.T, s *clienttest.Server) {
					id := s.Make("tea", "bob", "ada")
					var uuids []string
					s.Unary = func(_ string, r any, next func() (any, error)) (any, error) {
						m, ok := r.(*commandspb.ClientMessageToServerRequest)
						if !ok {
							return next()
						}
						uuids = append(uuids, m.GetMessageUuid())
						if len(uuids) > 3 {
							return next()
						}
						if stored {
							_, _ = next()
						}
						return nil, lost
					}
					w := online(t, s)
					defer w.close()
					w.next()
					r, err := w.Send(t.Context(), id, "once")
					if err != nil {
						t.Fatal(err)
					}
					w.expect("ada> once")
					if got := s.Texts(id); !slices.Equal(got, []string{"once"}) {
						t.Errorf("stored: %q", got)
					}
					if len(uuids) != 4 || len(slices.Compact(uuids)) != 1 || uuids[0] != r.UUID {
						t.Errorf("uuids: %q, answered %q", uuids, r.UUID)
					}
				})
			})
		}
	}
}

func TestDatabaseThatIsDownIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		tries := 0
		s.Unary = func(_ string, r any, next func() (any, error)) (any, error) {
			if _, ok := r.(*commandspb.ClientMessageToServerRequest); ok {
				if tries++; tries < 3 {
					return &commandspb.ClientMessageToServerResponse{ReturnStatus: chatpb.ReturnStatus_DATABASE_DOWN}, nil
				}
			}
			return next()
		}
		w := online(t, s)
		defer w.close()
		w.next()
		if _, err := w.Send(t.Context(), id, "x"); err != nil {
			t.Fatal(err)
		}
		w.expect("ada> x")
	})
}

func TestSendWaitsForTheServerToComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Crash()
		sent := make(chan error)
		go func() {
			_, err := w.Send(t.Context(), id, "into the void")
			sent <- err
		}()
		time.Sleep(time.Hour)
		w.expect("disconnected")
		s.Start()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		// The message may be stored before the stream opens, or after.
		events := w.next()
		slices.Sort(events)
		compare(t, events, []string{"ada> into the void", "caught up", "connected"})
		if got := s.Texts(id); len(got) != 1 {
			t.Errorf("stored: %q", got)
		}
	})
}

func TestSendGivesUpWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Crash()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := w.Send(ctx, id, "late")
		if !errors.Is(err, context.DeadlineExceeded) || r.UUID == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		s.Start()
		time.Sleep(time.Minute)
		// With the uuid of the receipt it is the same message.
		for range 2 {
			if _, err := w.SendAs(t.Context(), r.UUID, id, "late"); err != nil {
				t.Fatal(err)
			}
		}
		w.expect("disconnected", "connected", "caught up", "ada> late")
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.book.sent.sendings); n != 0 {
			t.Errorf("%d sendings are remembered", n)
		}
	})
}

func TestRefusedSends(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		other := s.Make("secret", "bob")
		w := online(t, s)
		defer w.close()
		w.next()
		for _, c := range []struct {
			room, text string
			want       error
		}{
			{other, "x", ErrNotInRoom},
			{"nowhere1", "x", ErrNotInRoom},
			{"\xff", "x", ErrInvalid},
			{id, "", ErrInvalid},
			{id, " \n\t", ErrInvalid},
			{id, strings.Repeat("x", MaxText+1), ErrInvalid},
			{id, "a\xff", ErrInvalid},
		} {
			if _, err := w.Send(t.Context(), c.room, c.text); !errors.Is(err, c.want) {
				t.Errorf("send %.10q to %q: %v", c.text, c.room, err)
			}
		}
		if _, err := w.SendAs(t.Context(), "no uuid", id, "x"); !errors.Is(err, ErrInvalid) {
			t.Errorf("no uuid: %v", err)
		}
		if _, err := w.Send(t.Context(), id, strings.Repeat("x", MaxText)); err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.book.sent.sendings); n > 1 {
			t.Errorf("%d sendings are remembered", n)
		}
	})
}

// The answer to one's own message says nothing about the messages of others:
// one that was stored before may still be on its way.
func TestPositionFollowsTheStreamAndNotTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		var holdBack atomic.Bool
		s.Script = func(n int, st clienttest.RawStream) error {
			if n > 1 {
				return s.Serve(st)
			}
			// The first stream shows the room, and then nothing any more.
			return s.Serve(deaf{RawStream: st, quiet: &holdBack})
		}
		w := online(t, s)
		defer w.close()
		w.expect("connected", "entered tea: ada bob;", "caught up")
		before := w.State().Rooms[0].Position
		holdBack.Store(true)
		s.Say(id, "bob", "first")
		if _, err := w.Send(t.Context(), id, "second"); err != nil {
			t.Fatal(err)
		}
		w.expect()
		if now := w.State().Rooms[0].Position; now != before {
			t.Errorf("the answer moved the position from %d to %d", before, now)
		}
		s.Break()
		time.Sleep(time.Second)
		rooms, _ := clienttest.ParseRooms(s.Opened()[1].Get("chat_room_values")[0])
		if rooms[0].Updated != before {
			t.Errorf("listed %d, want %d", rooms[0].Updated, before)
		}
		w.expect("disconnected", "connected", "bob> first", "ada> second", "caught up")
	})
}

// deaf is a stream that swallows what the server says while quiet.
type deaf struct {
	clienttest.RawStream
	quiet *atomic.Bool
}

func (d deaf) Send(r *streampb.ChatToClientResponse) error {
	if d.quiet.Load() {
		return nil
	}
	return d.RawStream.Send(r)
}

// An own message that comes back as a whole, because the stream broke before it
// told, is shown once and in full.
func TestOwnLongTextIsShownOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		long := strings.Repeat("long ", 100) + "end"
		w := online(t, s)
		defer w.close()
		w.next()
		s.Unary = func(_ string, r any, next func() (any, error)) (any, error) {
			s.Unary = nil
			s.Break()
			answer, _ := next()
			_ = answer
			return nil, status.Error(codes.Unavailable, "gone")
		}
		if _, err := w.Send(t.Context(), id, long); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expect("disconnected", "connected", "ada> "+long, "caught up")
		if n := len(s.Requests()); n != 0 {
			t.Errorf("%d requests for what we know", n)
		}
	})
}

// Something of the account's that this session did not send is asked for.
func TestOwnMessageOfAnotherProgram(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Say(id, "ada", "from a script")
		s.Say(id, "bob", "oh")
		w.expect("ada> from a script", "bob> oh")
	})
}

func TestBackPressureReachesTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		var sent atomic.Int64
		const all = 20_000
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Initial(
				clienttest.RoomStart(id, "", "tea", "pw", chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM),
				clienttest.RoomEnd(id, "")))
			_ = st.Send(clienttest.Complete())
			for i := range all {
				if st.Send(clienttest.Live(clienttest.Text(id, fmt.Sprint(i), "b", int64(i+1), fmt.Sprint(i), true))) != nil {
					return nil
				}
				sent.Add(1)
			}
			<-st.Context().Done()
			return nil
		}
		w := login(t, s, "ada")
		w.open()
		defer w.close()
		synctest.Wait()
		stopped := sent.Load()
		if stopped > all/2 {
			t.Fatalf("%d messages were taken that nobody wants", stopped)
		}
		w.inbox.mu.Lock()
		if n := len(w.inbox.items); n > inboxLimit+4 {
			t.Errorf("%d items wait", n)
		}
		w.inbox.mu.Unlock()
		w.listen()
		events := w.next()
		if len(events) != all+3 || events[len(events)-1] != fmt.Sprintf("b> %d", all-1) {
			t.Errorf("%d events, last %q", len(events), events[len(events)-1])
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		w.next()
		s.Crash()
		errs := make(chan error)
		go func() { _, err := w.Send(t.Context(), id, "x"); errs <- err }()
		go func() { errs <- w.JoinRoom(t.Context(), "room9999", "") }()
		go func() { errs <- w.LeaveRoom(t.Context(), id) }()
		go func() { _, err := w.CreateRoom(t.Context(), "x"); errs <- err }()
		go func() { errs <- w.Kick(t.Context(), id, s.Named("bob")) }()
		go func() { errs <- w.Observe(t.Context(), id) }()
		go func() { _, err := w.RequestFull(t.Context(), id, "u"); errs <- err }()
		time.Sleep(time.Second)
		w.Session.Close()
		for range 7 {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		if err := <-w.over; err != nil {
			t.Errorf("the loop ended with %v", err)
		}
		w.over = nil
		w.close() // twice is fine
		if _, err := w.Send(t.Context(), id, "x"); !errors.Is(err, ErrClosed) {
			t.Errorf("send after Close: %v", err)
		}
	})
}

func TestEventsIsForOneLoop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		w := online(t, s)
		defer w.close()
		w.next()
		for e, err := range w.Events(t.Context()) {
			if !errors.Is(err, ErrBusy) {
				t.Errorf("%v, %v", e, err)
			}
		}
		w.stop() // the first loop ends, a second one goes on
		if err := <-w.over; !errors.Is(err, context.Canceled) {
			t.Errorf("the loop ended with %v", err)
		}
		id := s.Make("tea", "bob")
		s.Enter(id, "ada")
		w.listen()
		time.Sleep(time.Second)
		w.expect("entered tea: ada bob;")
		w.stop()
		<-w.over
		s.Say(id, "bob", "waits")
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel() // ends the loop even if there is something to hand out
		for e, err := range w.Events(gone) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", e, err)
			}
		}
		w.listen()
		w.expect("bob> waits")
	})
}
