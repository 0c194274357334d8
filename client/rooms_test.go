package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/client/clienttest"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

func TestCreateRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		w := online(t, s)
		defer w.close()
		w.next()
		r, err := w.CreateRoom(t.Context(), "tea")
		if err != nil || r.Name != "tea" || r.Password == "" || !r.Admin {
			t.Fatal(r, err)
		}
		s.Enter(r.ID, "bob")
		s.Say(r.ID, "bob", "hi")
		w.expect("entered tea: ada;", "bob joined", "bob> hi")
		if n := len(s.Opened()); n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

// The stream may tell of the new room before the answer does.
func TestCreatedRoomThatTheStreamKnowsFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Unary = func(_ string, r any, next func() (any, error)) (any, error) {
			answer, err := next()
			if made, ok := answer.(*commandspb.CreateChatRoomResponse); ok {
				s.Enter(made.GetChatRoomId(), "bob")
				s.Say(made.GetChatRoomId(), "bob", "hi")
				synctest.Wait()
			}
			return answer, err
		}
		w := online(t, s)
		defer w.close()
		w.next()
		if _, err := w.CreateRoom(t.Context(), "tea"); err != nil {
			t.Fatal(err)
		}
		w.expect("entered tea: ada;", "bob joined", "bob> hi")
		if n := len(s.Opened()); n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestCreatedRoomWhoseAnswerIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Unary = func(_ string, r any, next func() (any, error)) (any, error) {
			answer, err := next()
			if _, ok := r.(*commandspb.CreateChatRoomRequest); ok {
				return nil, status.Error(codes.Unavailable, "gone")
			}
			return answer, err
		}
		w := online(t, s)
		defer w.close()
		w.next()
		if _, err := w.CreateRoom(t.Context(), "tea"); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expect("entered tea: ada;")
	})
}

func TestMessagesOfARoomThatIsBeingJoinedWait(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob")
		for i := range 12 {
			s.Say(id, "bob", fmt.Sprint(i))
		}
		w := online(t, s)
		defer w.close()
		w.next()
		s.BeforeJoinEnds = func(string) error {
			s.Say(id, "bob", "while joining")
			synctest.Wait()
			w.expect()
			return nil
		}
		if err := w.JoinRoom(t.Context(), id, s.Password(id)); err != nil {
			t.Fatal(err)
		}
		s.Say(id, "bob", "after")
		w.expect("entered tea: ada bob; bob> bob> bob>2 bob>3 bob>4 bob>5 bob>6 bob>7 bob>8 bob>9 bob>10 bob>11",
			"bob> while joining", "bob> after")
		if n := len(s.Opened()); n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestJoinThatBreaksHalfWay(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("stream breaks too ", known), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clienttest.Server) {
				id := s.Make("tea", "bob")
				s.Say(id, "bob", "before")
				w := online(t, s)
				defer w.close()
				w.next()
				s.BeforeJoinEnds = func(string) error {
					s.Say(id, "bob", "while joining")
					if known {
						s.Break()
						synctest.Wait()
					}
					return status.Error(codes.Unavailable, "gone")
				}
				if err := w.JoinRoom(t.Context(), id, s.Password(id)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				s.Say(id, "bob", "after")
				want := []string{"entered tea: ada bob; bob> bob>", "bob> after"}
				if known {
					want = []string{"disconnected", "connected", want[0], "caught up", want[1]}
				}
				w.expect(want...)
				values := s.Opened()[1].Get("chat_room_values")
				if len(values) > 0 {
					t.Errorf("half a room was listed: %q", values)
				}
				if m := w.Members(id); len(m) != 2 {
					t.Errorf("members: %+v", m)
				}
			})
		})
	}
}

func TestJoinWhoseAnswerIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob")
		tries := 0
		s.Join = func(r *commandspb.JoinChatRoomRequest, st clienttest.RawJoin) error {
			if tries++; tries == 1 {
				s.Enter(id, "ada")
				return status.Error(codes.Unavailable, "gone")
			}
			return s.ServeJoin(r, st)
		}
		w := online(t, s)
		defer w.close()
		w.next()
		if err := w.JoinRoom(t.Context(), id, s.Password(id)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expect("entered tea: ada bob;")
	})
}

func TestRefusedJoins(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		other := s.Make("secret", "bob")
		banned := s.Make("closed", "bob", "ada")
		s.Kick(banned, "bob", "ada", true)
		w := online(t, s)
		defer w.close()
		w.next()
		for _, c := range []struct {
			room, password string
			want           error
		}{
			{"nowhere1", "", ErrNoRoom},
			{other, "wrong", ErrWrongPassword},
			{banned, s.Password(banned), ErrBannedFromRoom},
			{id, s.Password(id), ErrAlreadyInRoom},
			{"", "", ErrInvalid},
			{"\xff", "", ErrInvalid},
			{other, "\xff", ErrInvalid},
		} {
			if err := w.JoinRoom(t.Context(), c.room, c.password); !errors.Is(err, c.want) {
				t.Errorf("join %q: %v", c.room, err)
			}
		}
		// Nothing is held for ever because of it.
		s.Say(id, "bob", "hello")
		w.expect("bob> hello")
		if n := len(s.Opened()); n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestLeaveRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Say(id, "bob", "before")
		if err := w.LeaveRoom(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		s.Say(id, "bob", "after")
		w.expect("bob> before", "out of room0001: left")
		if err := w.LeaveRoom(t.Context(), id); err != nil {
			t.Error(err)
		}
		if err := w.JoinRoom(t.Context(), id, s.Password(id)); err != nil {
			t.Fatal(err)
		}
		w.expect("entered tea: ada bob; bob>before bob>after")
		if n := len(s.Opened()); n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestLeaveWhoseAnswerIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		tries := 0
		s.Unary = func(_ string, r any, next func() (any, error)) (any, error) {
			answer, err := next()
			if _, ok := r.(*commandspb.LeaveChatRoomRequest); ok {
				if tries++; tries == 1 {
					return nil, status.Error(codes.Unavailable, "gone")
				}
			}
			return answer, err
		}
		w := online(t, s)
		defer w.close()
		w.next()
		if err := w.LeaveRoom(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expect("out of room0001: left")
	})
}

func TestKickAndBan(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "ada", "bob", "eve")
		w := online(t, s)
		defer w.close()
		w.next()
		if err := w.Kick(t.Context(), id, s.Named("bob")); err != nil {
			t.Fatal(err)
		}
		if err := w.Ban(t.Context(), id, s.Named("eve")); err != nil {
			t.Fatal(err)
		}
		w.expect("bob kicked", "eve banned")
		if m := w.Members(id); len(m) != 1 {
			t.Errorf("members: %+v", m)
		}
		if err := w.Kick(t.Context(), id, s.Named("bob")); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("kick twice: %v", err)
		}
		pub := s.Make("pub", "bob", "ada")
		time.Sleep(time.Second)
		s.Kick(pub, "bob", "ada", true)
		w.expect("entered pub: ada bob;", "out of room0002: banned")
	})
}

func TestRemovedWhileAway(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Crash()
		s.Kick(id, "bob", "ada", false)
		fresh := s.Make("pub", "bob", "ada")
		s.Start()
		time.Sleep(20 * time.Second)
		w.expect("disconnected", "connected", "entered pub: ada bob;", "out of room0001: gone", "caught up")
		if r := w.Rooms(); len(r) != 1 || r[0].ID != fresh {
			t.Errorf("rooms: %+v", r)
		}
	})
}

func TestObserve(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		if err := w.Observe(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := w.Observe(t.Context(), "nowhere1"); !errors.Is(err, ErrNotInRoom) {
			t.Errorf("another room: %v", err)
		}
		state := w.State().Rooms[0]
		if state.Observed != state.Position {
			t.Errorf("%+v", state)
		}
		s.Break()
		time.Sleep(time.Second)
		w.expect("disconnected", "connected", "caught up") // we know
		rooms, _ := clienttest.ParseRooms(s.Opened()[1].Get("chat_room_values")[0])
		if rooms[0].Viewed != state.Observed {
			t.Errorf("listed %+v, want %d", rooms[0], state.Observed)
		}
	})
}

func TestResumeAfterARestartOfTheProgram(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		s.Say(id, "bob", "0")
		w := login(t, s, "ada")
		for i := range 5 {
			s.Say(id, "bob", fmt.Sprint(i+1))
		}
		w.open() // behind them: all five are the room's history
		// The program deals with one event after the other, and stops in the
		// middle of a batch.
		var state State
		seen := 0
		for e, err := range w.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := e.(CaughtUp); ok {
				for i := range 5 {
					s.Say(id, "bob", fmt.Sprint(i+6))
				}
				synctest.Wait()
			}
			if _, ok := e.(Message); ok {
				if seen++; seen == 2 {
					raw, err := json.Marshal(w.State())
					if err != nil {
						t.Fatal(err)
					}
					if err := json.Unmarshal(raw, &state); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
		}
		w.Session.Close()
		s.Say(id, "bob", "11")
		w.open(Resume(state))
		w.listen()
		defer w.close()
		w.expect("connected", "bob> 8", "bob> 9", "bob> 10", "bob> 11", "caught up")
		if r, ok := w.Room(id); !ok || r.Name != "tea" || len(w.Members(id)) != 2 {
			t.Errorf("room %+v, members %+v", r, w.Members(id))
		}
		if _, err := w.client.Open(Credentials{AccountID: "another"}, Resume(state)); !errors.Is(err, ErrInvalid) {
			t.Errorf("the state of another account: %v", err)
		}
	})
}

// What the original server does: it repeats the last 20 seconds, except for the
// uuids it was given, and stores now and then in another order than it shows.
func TestDuplicatesAreDroppedAndLateMessagesAreNot(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		const id = "room0001"
		in := chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
		a := clienttest.Text(id, "a", "bob", 100_000, "a", true)
		b := clienttest.Text(id, "b", "bob", 110_000, "b", true)
		late := clienttest.Text(id, "late", "bob", 105_000, "late", true)
		c := clienttest.Text(id, "c", "bob", 120_000, "c", true)
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			if n == 1 {
				_ = st.Send(clienttest.Initial(clienttest.RoomStart(id, "", "tea", "", in), clienttest.RoomEnd(id, "")))
				_ = st.Send(clienttest.Complete())
				_ = st.Send(clienttest.Live(a, a, b, a))
			} else {
				_ = st.Send(clienttest.Initial(a, late, b, c))
				_ = st.Send(clienttest.Complete())
				_ = st.Send(clienttest.Live(c))
			}
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		w.expect("connected", "entered tea: ada;", "caught up", "bob> a", "bob> b")
		s.Crash()
		s.Start()
		time.Sleep(20 * time.Second)
		w.expect("disconnected", "connected", "bob> late", "bob> c", "caught up")
		rooms, ok := clienttest.ParseRooms(s.Opened()[1].Get("chat_room_values")[0])
		if !ok || rooms[0].Updated != 110_000 || fmt.Sprint(rooms[0].UUIDs) != "[a b]" {
			t.Errorf("listed %+v", rooms)
		}
	})
}

// A description that breaks off is forgotten.
func TestDescriptionThatBreaksOff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		const id = "room0001"
		in := chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Initial(
				clienttest.RoomStart(id, "", "tea", "", in),
				clienttest.RoomMember(id, "", "bob", "bob", in),
				clienttest.Text(id, fmt.Sprint(n), "bob", int64(n), fmt.Sprint("text ", n), true)))
			if n == 1 {
				return status.Error(codes.Unavailable, "gone")
			}
			_ = st.Send(clienttest.Initial(clienttest.RoomEnd(id, "")))
			_ = st.Send(clienttest.Complete())
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(time.Second)
		w.expect("connected", "disconnected", "connected", "entered tea: ada bob; bob>text 2", "caught up")
		if v := s.Opened()[1].Get("chat_room_values"); len(v) != 0 {
			t.Errorf("listed %q", v)
		}
	})
}

// The server describes a room we know, because it was not listed: what is new
// comes as messages.
func TestKnownRoomThatIsDescribedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		const id = "room0001"
		in := chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			list := []*message{clienttest.RoomStart(id, "", fmt.Sprint("tea ", n), "", in)}
			for i := range n {
				list = append(list, clienttest.Text(id, fmt.Sprint(i), "bob", int64(i+1), fmt.Sprint(i), true))
			}
			_ = st.Send(clienttest.Initial(append(list, clienttest.RoomEnd(id, ""))...))
			_ = st.Send(clienttest.Complete())
			select {
			case <-time.After(time.Minute):
			case <-st.Context().Done():
			}
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(150 * time.Second)
		w.expect("connected", "entered tea 1: ada; bob>0", "caught up",
			"disconnected", "connected", "bob> 1", "caught up",
			"disconnected", "connected", "bob> 2", "caught up")
		if r, _ := w.Room(id); r.Name != "tea 3" {
			t.Errorf("%+v", r)
		}
	})
}

// A message of a room we do not know makes us ask, once.
func TestMessageOfAnUnknownRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Complete())
			for i := range 100 {
				_ = st.Send(clienttest.Live(clienttest.Text("room9999", fmt.Sprint(n, i), "bob", int64(1000*n+i), "x", true)))
			}
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(time.Minute)
		w.expect("connected", "caught up")
		if n := len(s.Opened()); n != 2 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestContextOfACreateThatGetsNoAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		w := online(t, s)
		defer w.close()
		w.next()
		s.Crash()
		synctest.Wait() // a call that is on its way fails at once, as nobody knows its outcome
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.CreateRoom(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("create: %v", err)
		}
		if err := w.JoinRoom(ctx, "room0001", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("join: %v", err)
		}
	})
}
