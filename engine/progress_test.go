package engine

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

func (c *fakeConn) bookmarks() []*chatstreampb.Bookmark {
	var all []*chatstreampb.Bookmark
	for _, r := range c.responses() {
		if b := r.GetBookmark(); b != nil {
			all = append(all, b)
		}
	}
	return all
}

func (c *fakeConn) goAways() []*chatstreampb.GoAway {
	var all []*chatstreampb.GoAway
	for _, r := range c.responses() {
		if g := r.GetGoAway(); g != nil {
			all = append(all, g)
		}
	}
	return all
}

func TestIdleStreamSaysThatItIsUpToDate(t *testing.T) {
	inBubble(t, Config{BookmarkEvery: 20 * time.Second}, func(r *rig) {
		r.create(roomA, 0)
		ada := r.modern(0)
		r.pass(10 * time.Second)
		r.text(roomA, 0, "not idle")
		r.pass(14 * time.Second)
		if n := len(ada.bookmarks()); n != 0 {
			t.Errorf("%d bookmarks before the stream had been idle long enough", n)
		}
		r.pass(time.Minute)
		if n := len(ada.bookmarks()); n < 2 || n > 5 {
			t.Errorf("%d bookmarks in a minute", n)
		}
		for _, b := range ada.bookmarks() {
			if len(b.GetPositions()) != 0 {
				t.Errorf("a bookmark says more than the messages did: %v", b)
			}
		}
	})
}

// A client whose last messages were all for others learns how far it has come,
// once, and can resume there.
func TestBookmarkTellsOfWhatWasForOthers(t *testing.T) {
	inBubble(t, Config{BookmarkEvery: 20 * time.Second}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.join(roomA, 2)
		carl := r.modern(2)
		r.text(roomA, 0, "for all")
		invite := r.invite(roomA, 0, 1)
		r.pass(time.Minute)
		told := 0
		for _, b := range carl.bookmarks() {
			for _, p := range b.GetPositions() {
				told++
				if p.GetChatRoomId() != roomA || p.GetSeq() != invite.Seq || p.GetTimestampStored() != invite.Time {
					t.Errorf("told %v, want %v", p, invite)
				}
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		next := r.text(roomA, 0, "for all")
		r.settle()
		if got := carl.live(); got[len(got)-1].GetPreviousSeq() != invite.Seq || got[len(got)-1].GetSeq() != next.Seq {
			t.Errorf("the message after the bookmark: %v", got[len(got)-1])
		}
		carl.cancel()
		if got := r.modern(2, at(invite)).initial(); len(got) != 1 || got[0].GetSeq() != next.Seq {
			t.Errorf("resumed at the bookmark: %v", got)
		}
	})
}

// Clients of the inherited protocol see nothing new.
func TestOldClientIsToldNothingNew(t *testing.T) {
	inBubble(t, Config{BookmarkEvery: time.Second, StreamLifetime: time.Minute}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		old := r.connected(0)
		r.invite(roomA, 1, 1)
		r.pass(2 * time.Minute)
		if why := <-old.ended; why.Reason != streampb.StreamDownReasons_STREAM_TIMED_OUT {
			t.Errorf("ended with %v", why)
		}
		again := r.connected(0)
		r.Refuse()
		if err := r.Drain(r.t.Context()); err != nil {
			t.Error(err)
		}
		for _, c := range []*client{old, again} {
			if len(c.bookmarks()) != 0 || len(c.goAways()) != 0 {
				t.Errorf("got %v, %v", c.bookmarks(), c.goAways())
			}
		}
	})
}

func TestClientIsToldThatItsTimeIsNearlyUp(t *testing.T) {
	inBubble(t, Config{StreamLifetime: 100 * time.Second}, func(r *rig) {
		ada := r.modern(0)
		r.pass(94 * time.Second)
		ada.stream.Handle(refreshRequest(ada.stream))
		ada.stream.timeUp() // a callback that was about to run when the refresh came
		r.pass(94 * time.Second)
		if len(ada.goAways()) != 0 {
			t.Errorf("told to go away while a refresh was possible: %v", ada.goAways())
		}
		r.pass(2 * time.Second)
		if g := ada.goAways(); len(g) != 1 || g[0].GetReason() != chatstreampb.GoAway_REASON_TIME_UP {
			t.Errorf("at 96 of 100 s: %v", g)
		}
		select {
		case why := <-ada.ended:
			t.Errorf("ended before its time: %v", why)
		default:
		}
		r.pass(5 * time.Second)
		if why := <-ada.ended; why.Reason != streampb.StreamDownReasons_STREAM_TIMED_OUT || len(ada.goAways()) != 1 {
			t.Errorf("ended with %v, told %v", why, ada.goAways())
		}
	})
}

// A shutdown tells first and ends afterwards; what is stored meanwhile comes,
// and not all clients are sent back at the same moment.
func TestShutdownTellsClientsToGoAway(t *testing.T) {
	others := []string{"b.example:443", "c.example:443"}
	inBubble(t, Config{Others: func() []string { return others }}, func(r *rig) {
		r.create(roomA, 0)
		var clients []*client
		for who := range 20 {
			clients = append(clients, r.modern(who))
		}
		text := r.text(roomA, 0, "the last words")
		r.Refuse()
		if err := r.Drain(r.t.Context()); err != nil {
			t.Fatal(err)
		}
		delays := map[int64]bool{}
		for _, c := range clients {
			g := c.goAways()
			if len(g) != 1 || g[0].GetReason() != chatstreampb.GoAway_REASON_SHUTTING_DOWN || len(g[0].GetServers()) != 2 {
				t.Fatalf("told %v", g)
			}
			delays[g[0].GetRetryAfterMillis()] = true
			if why := <-c.ended; why.Reason != streampb.StreamDownReasons_SERVER_SHUTTING_DOWN {
				t.Errorf("ended with %v", why)
			}
		}
		if len(delays) < 10 {
			t.Errorf("20 clients come back at %d different times", len(delays))
		}
		if got := seqs(clients[0].live()); len(got) != 1 || got[0] != text.Seq {
			t.Errorf("ada got %v", got)
		}
	})
}

// Who is cut off sends its clients away as a shutdown does, but takes new ones: it
// may be the last one left.
func TestClientsAreSentAway(t *testing.T) {
	others := []string{"b.example:443"}
	inBubble(t, Config{Others: func() []string { return others }}, func(r *rig) {
		r.create(roomA, 0)
		var clients []*client
		for who := range 20 {
			clients = append(clients, r.modern(who))
		}
		text := r.text(roomA, 0, "the last words")
		r.SendAway(r.t.Context())
		for _, c := range clients {
			if why := <-c.ended; why.Reason != streampb.StreamDownReasons_SERVER_SHUTTING_DOWN {
				t.Errorf("ended with %v", why)
			}
			g := c.goAways()
			if len(g) != 1 || g[0].GetReason() != chatstreampb.GoAway_REASON_CUT_OFF || !slices.Equal(g[0].GetServers(), others) {
				t.Fatalf("told %v", g)
			}
		}
		if got := seqs(clients[0].live()); len(got) != 1 || got[0] != text.Seq {
			t.Errorf("ada got %v", got)
		}
		back := r.modern(0)
		text = r.text(roomA, 0, "anybody there?")
		r.settle()
		if got := seqs(back.live()); len(got) != 1 || got[0] != text.Seq {
			t.Errorf("who came back got %v", got)
		}
	})
}

// Those whose turn has not come when the context ends stay.
func TestSendingAwayStops(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		for who := range 20 {
			r.modern(who)
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), 95*time.Millisecond) // one every 10 ms
		defer cancel()
		r.SendAway(ctx)
		if n := r.Streams(); n < 5 || n > 15 {
			t.Errorf("%d of 20 streams are left after half of the time", n)
		}
	})
}

// refreshRequest is a request to prolong s, read with a slot in hand as the
// reader would.
func refreshRequest(s *Stream) *streampb.ChatToServerRequest {
	<-s.replySlots
	return &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{
		RefreshChatStream: &streampb.RefreshChatStreamRequest{},
	}}
}

// A stream that is never idle must not keep what it could have said when it was.
func TestStaysThatAreOverAreNotKeptForABookmark(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		carl := r.modern(2)
		for range 50 {
			r.join(roomA, 2)
			r.invite(roomA, 0, 1)
			r.leave(roomA, 2)
			r.settle()
		}
		carl.cancel()
		r.settle()
		if n := len(carl.stream.turn.skipped); n != 0 {
			t.Errorf("%d are kept", n)
		}
	})
}
