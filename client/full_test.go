package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/client/clienttest"
	"github.com/chatstream/chatstream/proto/streampb"
)

func long(name string) string { return name + strings.Repeat(" and on", 60) }

func TestFullTextKeepsTheOrderOfTheRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id, other := s.Make("tea", "bob", "ada"), s.Make("pub", "bob", "ada")
		answer := make(chan struct{})
		s.Lookup = func(*streampb.RequestFullMessageInfoRequest) *streampb.RequestFullMessageInfoResponse {
			<-answer
			return nil
		}
		w := online(t, s, FullText())
		defer w.close()
		w.next()
		s.Say(id, "bob", "short")
		s.Say(id, "bob", long("one"))
		s.Say(id, "bob", "short too")
		// Only the room whose text is missing waits.
		w.expect("bob> short")
		s.Say(id, "bob", long("two"))
		s.Say(other, "bob", "elsewhere")
		w.expect("bob> elsewhere")
		answer <- struct{}{}
		w.expect("bob> "+long("one"), "bob> short too")
		answer <- struct{}{}
		w.expect("bob> " + long("two"))
		if h := w.History(id, 2); !h[1].Complete || h[1].Text != long("two") {
			t.Errorf("history: %+v", h[1])
		}
	})
}

func TestCutTextWithoutFullText(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := online(t, s)
		defer w.close()
		w.next()
		uuid := s.Say(id, "bob", long("one"))
		w.expect("bob> " + long("one")[:255] + "...")
		got, err := w.RequestFull(t.Context(), id, uuid, "no-such-message")
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		if !got[0].Complete || got[0].Text != long("one") || got[0].SenderName != "bob" {
			t.Errorf("got %+v", got[0])
		}
		if got[1].Complete || got[1].UUID != "no-such-message" {
			t.Errorf("got %+v", got[1])
		}
		if h := w.History(id, 1); h[0].Text != long("one") {
			t.Errorf("history: %+v", h[0])
		}
		if _, err := w.RequestFull(t.Context(), s.Make("secret", "bob"), uuid); !errors.Is(err, ErrNotInRoom) {
			t.Errorf("another room: %v", err)
		}
	})
}

func TestRequestFullAsksForTenAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		var uuids []string
		for i := range 25 {
			uuids = append(uuids, s.Say(id, "bob", fmt.Sprint(i)))
		}
		w := online(t, s)
		defer w.close()
		w.next()
		got, err := w.RequestFull(t.Context(), id, uuids...)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range got {
			if m.Text != fmt.Sprint(i) {
				t.Errorf("message %d: %+v", i, m)
			}
		}
		if n := len(s.Requests()); n != 3 {
			t.Errorf("%d requests", n)
		}
		if h := w.History(id, 50); len(h) != 25 || h[24].Text != "24" {
			t.Errorf("history: %+v", h)
		}
	})
}

func TestLookupThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status streampb.RequestFullMessageInfoResponse_RequestStatus
		times  int
		full   bool
	}{
		"busy":                {streampb.RequestFullMessageInfoResponse_CURRENTLY_PROCESSING_UPDATE_REQUEST, 5, true},
		"down for a moment":   {streampb.RequestFullMessageInfoResponse_DATABASE_DOWN, 2, true},
		"down":                {streampb.RequestFullMessageInfoResponse_DATABASE_DOWN, 100, false},
		"failed":              {streampb.RequestFullMessageInfoResponse_LG_SERVER_ERROR, 100, false},
		"something new":       {77, 100, false},
		"not a member (race)": {streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clienttest.Server) {
				id := s.Make("tea", "bob", "ada")
				times := 0
				s.Lookup = func(r *streampb.RequestFullMessageInfoRequest) *streampb.RequestFullMessageInfoResponse {
					if times++; times > c.times {
						return nil
					}
					return &streampb.RequestFullMessageInfoResponse{RequestStatus: c.status, ChatRoomId: r.GetChatRoomId()}
				}
				w := online(t, s, FullText())
				defer w.close()
				w.next()
				s.Say(id, "bob", long("one"))
				s.Say(id, "bob", "two")
				time.Sleep(time.Second)
				if c.full {
					w.expect("bob> "+long("one"), "bob> two")
					return
				}
				// Better cut than never.
				w.expect("bob> "+long("one")[:255]+"...", "bob> two")
			})
		})
	}
}

func TestAnswerInSeveralParts(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		a, b := s.Say(id, "bob", "first"), s.Say(id, "bob", "second")
		s.Script = func(_ int, st clienttest.RawStream) error {
			_ = st.Send(clienttest.Primer(time.Hour))
			_ = st.Send(clienttest.Complete())
			r, err := st.Recv()
			if err != nil {
				return nil
			}
			for i, m := range r.GetRequestFullMessageInfo().GetMessageUuidList() {
				part := clienttest.Text(id, m.GetMessageUuid(), "b", 1, fmt.Sprint("text ", i), true)
				part.ReturnStatus = 1
				answer := &streampb.RequestFullMessageInfoResponse{ChatRoomId: id, MessageListType: &streampb.RequestFullMessageInfoResponse_FullMessages{
					FullMessages: &streampb.RequestMessageInfoMessage{FullMessageList: []*message{part}},
				}}
				if i == 0 {
					answer.RequestStatus = streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST
				}
				_ = st.Send(clienttest.Full(answer))
			}
			<-st.Context().Done()
			return nil
		}
		w := online(t, s)
		defer w.close()
		got, err := w.RequestFull(t.Context(), id, a, b)
		if err != nil || got[0].Text != "text 0" || got[1].Text != "text 1" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestFullTextSurvivesABreak(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		asked := make(chan struct{}, 10)
		broken := make(chan struct{})
		s.Lookup = func(*streampb.RequestFullMessageInfoRequest) *streampb.RequestFullMessageInfoResponse {
			asked <- struct{}{}
			<-broken
			return nil
		}
		w := online(t, s, FullText())
		defer w.close()
		w.next()
		s.Say(id, "bob", long("one"))
		s.Say(id, "bob", "two")
		<-asked
		position := w.State().Rooms[0].Position
		s.Break()
		close(broken)
		time.Sleep(time.Second)
		// What waited was not handed out: it comes again.
		rooms, _ := clienttest.ParseRooms(s.Opened()[1].Get("chat_room_values")[0])
		if rooms[0].Updated != position {
			t.Errorf("listed %d, want %d", rooms[0].Updated, position)
		}
		w.expect("disconnected", "connected", "bob> "+long("one"), "bob> two", "caught up")
	})
}

func TestRequestOfACallerSurvivesABreak(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		uuid := s.Say(id, "bob", "text")
		broken := make(chan struct{})
		s.Lookup = func(*streampb.RequestFullMessageInfoRequest) *streampb.RequestFullMessageInfoResponse {
			<-broken
			return nil
		}
		w := online(t, s)
		defer w.close()
		w.next()
		done := make(chan error)
		go func() {
			got, err := w.RequestFull(t.Context(), id, uuid)
			if err == nil && got[0].Text != "text" {
				err = fmt.Errorf("got %+v", got)
			}
			done <- err
		}()
		synctest.Wait()
		s.Break()
		close(broken)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The loop over the events may itself wait for an answer that comes behind more
// events than the inbox holds.
func TestRequestFullWithinTheLoop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		w := login(t, s, "ada")
		w.open()
		defer w.close()
		ready := make(chan struct{})
		go func() {
			<-ready
			for i := range 200 {
				s.Say(id, "bob", long(fmt.Sprint(i)))
			}
		}()
		n := 0
		for e, err := range w.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			switch e := e.(type) {
			case CaughtUp:
				close(ready)
				synctest.Wait()
			case Message:
				full, err := w.RequestFull(t.Context(), id, e.UUID)
				if err != nil || full[0].Text != long(fmt.Sprint(n)) {
					t.Fatal(full, err)
				}
				n++
			}
			if n == 200 {
				break
			}
		}
	})
}

func TestFullHistory(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob", "ada")
		for i := range 15 {
			s.Say(id, "bob", fmt.Sprint(i))
		}
		w := online(t, s, FullHistory(12), FullText())
		defer w.close()
		w.expect("connected", "entered tea: ada bob; bob> bob> bob> bob>3 bob>4 bob>5 bob>6 bob>7 bob>8 bob>9 bob>10 bob>11 bob>12 bob>13 bob>14", "caught up")
	})
}

// Far too much waits for one text: memory is worth more than its end.
func TestHeldMessagesAreBounded(t *testing.T) {
	b := newBook(Member{Account: "me"}, bookConfig{fullText: true, want: func(string, []string) {}, reopen: func() {}, doubt: func() {}})
	b.rooms["r"] = &room{info: Room{ID: "r"}, window: newWindow()}
	b.feed(item{response: []*message{clienttest.Text("r", "cut", "x", 1, "cut", false)}})
	if e := b.next(); e != nil {
		t.Fatalf("got %+v", e)
	}
	n := 0
	for i := range 2 * maxHeld {
		b.feed(item{response: []*message{clienttest.Text("r", fmt.Sprint(i), "x", int64(i+2), fmt.Sprint(i), true)}})
		for e := b.next(); e != nil; e = b.next() {
			m := e.(Message)
			if n == 0 && (m.Text != "cut" || m.Complete) || n > 0 && m.Text != fmt.Sprint(n-1) {
				t.Fatalf("event %d: %+v", n, m)
			}
			n++
		}
		if b.held > maxHeld {
			t.Fatalf("%d are held", b.held)
		}
	}
	if n != 2*maxHeld+1 {
		t.Errorf("%d of %d came out", n, 2*maxHeld+1)
	}
}
