package client

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/client/clienttest"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// With a server that says where messages are in their log, the client names
// that place, and lists no uuids.
func TestPlacesAreNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Places = true
		id := s.Make("tea", "bob", "ada") // three events
		w := online(t, s)
		defer w.close()
		w.next()
		s.Say(id, "bob", "hello")
		w.expect("bob> hello")
		s.Break()
		s.Say(id, "bob", "missed")
		time.Sleep(20 * time.Second)
		w.expect("disconnected", "connected", "bob> missed", "caught up")
		opened := s.Opened()
		again := opened[len(opened)-1]
		if got := again.Get(keyPositions); len(got) != 1 || got[0] != id+"::4::" {
			t.Errorf("named %v", got)
		}
		if rooms, ok := clienttest.ParseRooms(again.Get(keyRooms)[0]); !ok || len(rooms) != 1 || len(rooms[0].UUIDs) != 0 {
			t.Errorf("listed %v", rooms)
		}
		if got := again.Get(keyFeatures); len(got) != 1 || got[0] != "bookmark::go-away" {
			t.Errorf("asks for %v", got)
		}
	})
}

// A log that was set back, or is another one: the program gets the room anew.
func TestRoomComesAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Places = true
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Say(id, "bob", "one")
		s.Say(id, "bob", "two")
		w.expect("bob> one", "bob> two")
		s.Lose(id, 1)
		s.Break()
		time.Sleep(20 * time.Second)
		w.expect("disconnected", "connected", "entered tea: ada bob; bob>", "caught up")
		s.Say(id, "bob", "three")
		w.expect("bob> three")
		s.Break()
		s.Say(id, "bob", "four")
		time.Sleep(20 * time.Second)
		w.expect("disconnected", "connected", "bob> four", "caught up")
	})
}

// A message that was for us and did not come: whatever the server's reason, the
// next stream brings it.
func TestGapMakesANewStream(t *testing.T) {
	b, reopened := inRoomBook()
	at := func(m *message, seq, previous uint64) *message {
		m.Seq, m.PreviousSeq = seq, previous
		return m
	}
	b.rooms["r"].window.seq = 4
	b.feed(item{response: []*message{at(text("a", 11), 7, 4)}}) // what lies between is for others
	if got := b.drain(); len(got) != 1 || *reopened != 0 {
		t.Errorf("handed out %v, %d new streams", got, *reopened)
	}
	b.feed(item{response: []*message{at(text("b", 12), 9, 8), at(text("c", 13), 10, 9)}})
	if got := b.drain(); len(got) != 0 || *reopened != 1 {
		t.Errorf("handed out %v behind a gap, %d new streams", got, *reopened)
	}
	if l := b.listings(); l[0].seq != 7 || l[0].updated != 11 {
		t.Errorf("lists %+v", l)
	}
}

func TestBookmarkMovesThePlace(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			if n == 1 {
				_ = st.Send(clienttest.Initial(clienttest.RoomStart("aaaaaaaa", "", "tea", "", 2), clienttest.RoomEnd("aaaaaaaa", "")))
				_ = st.Send(clienttest.Complete())
				text := clienttest.Text("aaaaaaaa", "11111111-2222-3333-4444-555555555555", "bob", 1000, "hello", true)
				text.Seq, text.PreviousSeq = 7, 6
				_ = st.Send(clienttest.Live(text))
				_ = st.Send(clienttest.Bookmark("aaaaaaaa", 9, 1100))
				_ = st.Send(clienttest.Bookmark("bbbbbbbb", 9, 1100)) // of no concern
				return nil
			}
			_ = st.Send(clienttest.Complete())
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(time.Minute)
		w.expect("connected", "entered tea: ada;", "caught up", "bob> hello", "disconnected", "connected", "caught up")
		opened := s.Opened()
		if got := opened[len(opened)-1].Get(keyPositions); len(got) != 1 || got[0] != "aaaaaaaa::9::" {
			t.Errorf("named %v", got)
		}
		if got := opened[len(opened)-1].Get(keyRooms); got[0] != "aaaaaaaa::1100::0::0::" {
			t.Errorf("listed %v", got)
		}
	})
}

// What has been handed out is confirmed, in its own time and not one by one.
func TestWhatWasHandedOutIsConfirmed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Places = true
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		for range 100 {
			s.Say(id, "bob", "hello")
			w.next()
		}
		time.Sleep(2 * confirmDelay)
		synctest.Wait()
		var got []*chatstreampb.Confirmation
		for _, r := range s.Requests() {
			if c := r.GetConfirmation(); c != nil {
				got = append(got, c)
			}
		}
		if len(got) != 1 || len(got[0].GetPositions()) != 1 || got[0].GetPositions()[0].GetSeq() != 103 {
			t.Errorf("confirmed %v", got)
		}
	})
}

func TestGoAwayIsHeeded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		var ended time.Time
		var back time.Duration
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Complete())
			if n == 1 {
				_ = st.Send(clienttest.GoAway(chatstreampb.GoAway_REASON_SHUTTING_DOWN, 40*time.Second, "b.example:443"))
				st.SetTrailer(clienttest.Trailer(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN, 0, ""))
				ended = time.Now()
				return nil
			}
			back = time.Since(ended)
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(time.Minute)
		w.expect("connected", "caught up", "client.GoingAway", "disconnected", "connected", "caught up")
		if back < 40*time.Second || back > 45*time.Second {
			t.Errorf("back after %v", back)
		}
	})
}

// A stream whose time is nearly up is replaced at once, and the program does not
// notice.
func TestTimeUpReplacesTheStream(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.Script = func(n int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Complete())
			if n == 1 {
				_ = st.Send(clienttest.GoAway(chatstreampb.GoAway_REASON_TIME_UP, 0))
			}
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		time.Sleep(5 * time.Second)
		w.expect("connected", "caught up")
		if n := len(s.Opened()); n != 2 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestDeliveryIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.TokenLifetime = time.Minute
		id, other := s.Make("tea", "bob", "ada"), s.Make("pub", "bob")
		w := online(t, s)
		defer w.close()
		w.next()
		got, err := w.Delivery(t.Context(), id)
		if err != nil || got.Last != 3 || len(got.Devices) != 2 || got.Devices[0].Reached != 3 {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := w.Delivery(t.Context(), other); !errors.Is(err, ErrNotInRoom) {
			t.Errorf("of a room of others: %v", err)
		}
	})
}

// A login that has expired is renewed for it, as for every call.
func TestDeliveryRenewsTheLogin(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		s.TokenLifetime = time.Minute
		id := s.Make("tea", "bob", "ada")
		w := login(t, s, "ada")
		w.open(Relogin(w.relogin))
		w.listen()
		defer w.close()
		w.next()
		time.Sleep(2 * time.Minute)
		if _, err := w.Delivery(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
}
