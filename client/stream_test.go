package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/client/clienttest"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// isOver waits for the end of the session and checks why.
func (w *world) isOver(want error) {
	w.t.Helper()
	synctest.Wait()
	select {
	case err := <-w.over:
		w.over = nil
		if !errors.Is(err, want) {
			w.t.Fatalf("the session is over because of %v, want %v", err, want)
		}
	default:
		w.t.Fatalf("the session is not over; want %v; events %q", want, w.next())
	}
}

func TestStreamIsRefreshedThreeTimesThenReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.TokenLifetime = 24 * time.Hour
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.expect("connected", "entered tea: ada bob;", "caught up")
		// Refreshes come after 70 to 80 percent of 30 minutes: three of them and
		// the new stream within four times 24 minutes.
		time.Sleep(4*24*time.Minute + time.Second)
		synctest.Wait()
		refreshes := 0
		for _, r := range s.Requests() {
			if r.GetRefreshChatStream() != nil {
				refreshes++
			}
		}
		if refreshes != 3 || len(s.Opened()) != 2 {
			t.Errorf("%d refreshes, %d streams", refreshes, len(s.Opened()))
		}
		s.Say(id, "bob", "still there?")
		// The program does not notice, and misses nothing.
		w.expect("bob> still there?")
		time.Sleep(24 * time.Hour)
		if n := len(s.Opened()); n < 14 || n > 20 {
			t.Errorf("%d streams after a day", n)
		}
		w.expect()
	})
}

func TestRefusedRefreshReplacesTheStream(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Minute))
			_ = st.Send(clienttest.Complete())
			if n == 1 {
				_, _ = st.Recv()
				_ = st.Send(clienttest.Refreshed(false, time.Hour))
			}
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(50 * time.Second)
		w.expect("connected", "caught up")
		if n := len(s.Opened()); n != 2 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestRefreshThatIsNotAnsweredReplacesTheStream(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(_ int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(10 * time.Minute))
			_ = st.Send(clienttest.Complete())
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(10 * time.Minute) // never so long that the server ends it
		w.expect("connected", "caught up")
		if n := len(s.Opened()); n != 2 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestEndOfStream(t *testing.T) {
	const other = "99999999-2222-3333-4444-555555555555"
	type end = func(st clienttest.RawStream) error
	stated := func(reason streampb.StreamDownReasons, outcome chatpb.ReturnStatus, by string) end {
		return func(st clienttest.RawStream) error {
			st.SetTrailer(clienttest.Trailer(reason, outcome, by))
			return nil
		}
	}
	with := func(outcome chatpb.ReturnStatus) end {
		return stated(streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, outcome, "")
	}
	for name, c := range map[string]struct {
		end  end
		want error // nil: it connects again
	}{
		"unknown":                  {stated(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON, 0, ""), nil},
		"timed out":                {stated(streampb.StreamDownReasons_STREAM_TIMED_OUT, 0, ""), nil},
		"shutting down":            {stated(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN, 0, ""), nil},
		"a reason from the future": {stated(99, 0, ""), nil},
		"no trailers":              {func(clienttest.RawStream) error { return nil }, nil},
		"unavailable":              {func(clienttest.RawStream) error { return status.Error(codes.Unavailable, "gone") }, nil},
		"internal":                 {func(clienttest.RawStream) error { return status.Error(codes.Internal, "rst") }, nil},
		"database down":            {with(chatpb.ReturnStatus_DATABASE_DOWN), nil},
		"server error":             {with(chatpb.ReturnStatus_LG_ERROR), nil},
		"too quickly":              {with(chatpb.ReturnStatus_FUNCTION_CALLED_TOO_QUICKLY), nil},

		"replaced by another installation": {stated(streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM, 0, other), ErrReplaced},
		"replaced by somebody unknown":     {stated(streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM, 0, ""), ErrReplaced},
		"logged in elsewhere":              {with(chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE), ErrLoggedInElsewhere},
		"logged out":                       {with(chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH), ErrLoggedOut},
		"account banned":                   {with(chatpb.ReturnStatus_ACCOUNT_BANNED), ErrAccountBanned},
		"account suspended":                {with(chatpb.ReturnStatus_ACCOUNT_SUSPENDED), ErrAccountSuspended},
		"no account":                       {with(chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT), ErrNoAccount},
		"outdated":                         {with(chatpb.ReturnStatus_OUTDATED_VERSION), ErrOutdated},
		"invalid parameter":                {with(chatpb.ReturnStatus_INVALID_PARAMETER_PASSED), ErrInvalid},
		"unimplemented":                    {func(clienttest.RawStream) error { return status.Error(codes.Unimplemented, "what?") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clienttest.Server) {
				s.Script = func(n int, st clienttest.RawStream) error {
					_ = st.Send(clienttest.Primer(time.Hour))
					_ = st.Send(clienttest.Complete())
					if n == 1 {
						time.Sleep(10 * time.Second)
						return c.end(st)
					}
					<-st.Context().Done()
					return nil
				}
				w := online(t, s)
				defer w.close()
				time.Sleep(11 * time.Second)
				switch {
				case c.want != nil:
					w.isOver(c.want)
				case name == "unimplemented":
					var e *EndError
					if err := <-w.over; !errors.As(err, &e) || status.Code(e.Err) != codes.Unimplemented {
						t.Errorf("over: %v", err)
					}
					w.over = nil
				default:
					w.expect("connected", "caught up", "disconnected", "connected", "caught up")
				}
			})
		})
	}
}

// Two programs with one installation id would end each other's streams for
// ever; the second time, the older one gives up.
func TestStreamOfTheSameInstallation(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		ends := make(chan struct{})
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Complete())
			<-ends
			st.SetTrailer(clienttest.Trailer(streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM, 0, installation))
			return nil
		}
		w := online(t, s)
		defer w.close()
		for range 3 { // far enough apart it is only our own attempts that overtook each other
			time.Sleep(2 * time.Minute)
			ends <- struct{}{}
			time.Sleep(time.Second)
		}
		if n := len(s.Opened()); n != 4 {
			t.Fatalf("%d streams", n)
		}
		ends <- struct{}{}
		w.isOver(ErrReplaced)
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(n int, st clienttest.RawStream) error {
			if n > 1 {
				_ = st.Send(clienttest.Primer(time.Hour))
				_ = st.Send(clienttest.Complete())
			}
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(openTimeout + time.Second)
		w.expect("disconnected", "connected", "caught up")
		time.Sleep(20 * time.Minute) // once it has spoken it may be silent
		w.expect()
	})
}

func TestServerThatIsDownIsNotHammered(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			st.SetTrailer(clienttest.Trailer(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN, 0, ""))
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(10 * time.Minute)
		// 10 minutes at about 5 s each, and a few short ones before.
		if n := len(s.Opened()); n < 60 || n > 200 {
			t.Errorf("%d attempts in 10 minutes", n)
		}
	})
}

func TestTokenIsRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.TokenLifetime = time.Minute
		id := s.Make("tea", "bob", "ada")
		w := login(t, s, "ada")
		w.creds.Expires = time.Time{} // the server has to tell
		w.open()
		w.listen()
		defer w.close()
		w.expect("connected", "entered tea: ada bob;", "caught up")
		time.Sleep(2 * time.Minute)
		if _, err := w.Send(t.Context(), id, "with a new token"); err != nil {
			t.Fatal(err)
		}
		w.expect("ada> with a new token")
		time.Sleep(2 * time.Minute)
		s.Break()
		time.Sleep(time.Second)
		w.expect("disconnected", "connected", "caught up")
	})
}

func TestExpiredTokenWithoutLoginEndsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.TokenLifetime = time.Minute
		w := login(t, s, "ada")
		var err error
		if w.Session, err = w.client.Open(w.creds); err != nil {
			t.Fatal(err)
		}
		w.listen()
		defer w.close()
		time.Sleep(2 * time.Minute)
		s.Break()
		time.Sleep(time.Second)
		w.isOver(ErrTokenExpired)
	})
}

func TestLoginThatFailsForNowIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.TokenLifetime = time.Minute
		w := login(t, s, "ada")
		tries := 0
		relogin := func(ctx context.Context) (Credentials, error) {
			if tries++; tries < 4 {
				return Credentials{}, status.Error(codes.ResourceExhausted, "too many")
			}
			return w.relogin(ctx)
		}
		w.open(Relogin(relogin))
		w.listen()
		defer w.close()
		w.expect("connected", "caught up")
		time.Sleep(2 * time.Minute)
		s.Break()
		time.Sleep(time.Minute)
		w.expect("disconnected", "connected", "caught up")
	})
}

func TestLoginElsewhereEndsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		if _, err := w.client.Login(t.Context(), "ada", "secret", strings.Repeat("2", 36)); err != nil {
			t.Fatal(err)
		}
		w.isOver(ErrLoggedInElsewhere)
		if _, err := w.Send(t.Context(), id, "x"); !errors.Is(err, ErrLoggedInElsewhere) {
			t.Errorf("send: %v", err)
		}
	})
}

func TestLogoutAndBanEndTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		w := online(t, s)
		defer w.close()
		w.next()
		if err := w.client.Logout(t.Context(), w.creds); err != nil {
			t.Fatal(err)
		}
		w.isOver(ErrLoggedOut)
	})
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		w := online(t, s)
		defer w.close()
		w.next()
		s.BanAccount("ada")
		w.isOver(ErrAccountBanned)
	})
}

func TestMuchMetadataIsAccepted(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		w := login(t, s, "ada")
		now := time.Now().UnixMilli()
		state := State{Account: w.creds.AccountID}
		for range 40 {
			rs := RoomState{Room: Room{ID: s.Make("tea", "bob", "ada")}, Position: now + 10_000, Floor: -1}
			for i := range 1000 {
				rs.Recent = append(rs.Recent, Stamp{UUID: fmt.Sprintf("%08d-2222-3333-4444-555555555555", i), Time: now + 1})
			}
			state.Rooms = append(state.Rooms, rs)
		}
		w.open(Resume(state))
		w.listen()
		defer w.close()
		w.expect("connected", "caught up")
		md := s.Opened()[0]
		rooms, ok := clienttest.ParseRooms(md.Get("chat_room_values")[0])
		if !ok || len(rooms) != 40 || len(rooms[0].UUIDs) < 500 || len(rooms[0].UUIDs) == 1000 {
			t.Errorf("%v, %d rooms", ok, len(rooms))
		}
	})
}
