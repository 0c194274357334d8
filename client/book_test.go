package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/client/clienttest"
)

// inRoomBook is a book that knows room r up to time 10.
func inRoomBook() (b *book, reopened *int) {
	reopened = new(int)
	b = newBook(Member{Account: "me", Name: "me"}, bookConfig{
		historyLimit: 10,
		want:         func(string, []string) {},
		reopen:       func() { *reopened++ },
		doubt:        func() {},
		moved:        func() {},
	})
	r := &room{info: Room{ID: "r"}, window: newWindow()}
	r.window.add(10, "ten", 0)
	b.rooms["r"] = r
	return b, reopened
}

func text(uuid string, at int64) *message {
	return clienttest.Text("r", uuid, "bob", at, uuid, true)
}

func (b *book) drain() (out []Event) {
	for e := b.next(); e != nil; e = b.next() {
		out = append(out, e)
	}
	return out
}

// A join that is given up drops what was held for it. What the same stream
// brings after that lies behind a gap, and must not move the position.
func TestNothingIsAppliedBehindAGap(t *testing.T) {
	for name, giveUp := range map[string]func(b *book){
		"abandoned": func(b *book) { b.abandon("r") },
		"too much was held": func(b *book) {
			b.joins["r"].lost = true
			b.release("r")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, reopened := inRoomBook()
			b.begin("r")
			b.feed(item{response: []*message{text("a", 11)}})
			b.drain()
			giveUp(b)
			b.feed(item{response: []*message{text("b", 12)}})
			b.feed(item{mark: CaughtUp{}})
			for _, e := range b.drain() {
				if _, ok := e.(RoomEntered); !ok {
					t.Errorf("handed out %+v", e)
				}
			}
			if l := b.listings(); l[0].updated != 10 || *reopened != 1 {
				t.Errorf("at %d, reopened %d times", l[0].updated, *reopened)
			}
			b.reset()
			b.feed(item{mark: Connected{}})
			b.feed(item{response: []*message{text("a", 11), text("b", 12)}})
			if e := b.drain(); len(e) != 3 {
				t.Errorf("handed out %+v", e)
			}
		})
	}
}

// The answer to leaving a room may come after the room was joined again.
func TestDepartureThatIsHistory(t *testing.T) {
	b, _ := inRoomBook()
	b.begin("r")
	again := &room{info: Room{ID: "r"}, window: newWindow()}
	again.window.add(20, "joined again", 0)
	b.feed(item{entered: again, began: b.epoch})
	b.feed(item{left: &departure{room: "r", at: 15, sure: true}})
	b.drain()
	if b.rooms["r"] != again {
		t.Error("the room is left")
	}
}

// The answer to leaving a room may come before the one to joining it.
func TestDepartureFromARoomThatIsNotEnteredYet(t *testing.T) {
	b, _ := inRoomBook()
	delete(b.rooms, "r")
	b.begin("r")
	b.feed(item{left: &departure{room: "r", at: 21, sure: true}})
	joined := &room{info: Room{ID: "r"}, window: newWindow()}
	joined.window.add(20, "joined", 0)
	b.feed(item{entered: joined, began: b.epoch})
	b.feed(item{response: []*message{clienttest.UpdateTime("r", "", 21)}})
	e := b.drain()
	if _, left := e[len(e)-1].(RoomLeft); !left || b.rooms["r"] != nil {
		t.Errorf("handed out %+v", e)
	}
}

// A room that was joined while a stream opened may be unknown to it, and must be
// confirmed by the next.
func TestRoomThatTheStreamHasNotHeardOf(t *testing.T) {
	b, reopened := inRoomBook()
	delete(b.rooms, "r")
	b.feed(item{mark: Connected{}})
	b.begin("r")
	joined := &room{info: Room{ID: "r"}, window: newWindow()}
	joined.window.add(20, "joined", 0)
	b.feed(item{entered: joined})
	b.feed(item{mark: CaughtUp{}})
	b.drain()
	if *reopened != 1 {
		t.Errorf("reopened %d times", *reopened)
	}
	b.reset()
	b.feed(item{mark: Connected{}})
	b.feed(item{response: []*message{clienttest.RoomGone("r", "me")}})
	if e := b.drain(); len(e) != 1 || e[0].(RoomLeft).Room != "r" {
		t.Errorf("handed out %+v", e)
	}
}

func TestAnotherProgramOfTheAccountJoinsAndLeaves(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clienttest.Server) {
		id := s.Make("tea", "bob")
		w := online(t, s)
		defer w.close()
		w.next()
		s.Enter(id, "ada")
		time.Sleep(time.Second)
		s.Say(id, "bob", "hi")
		w.expect("entered tea: ada bob;", "bob> hi")
		s.Say(id, "bob", "bye")
		s.Leave(id, "ada")
		synctest.Wait()
		time.Sleep(doubtDelay + time.Second)
		w.expect("bob> bye", "out of room0001: gone")
	})
}
