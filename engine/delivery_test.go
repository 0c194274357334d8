package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
)

func TestMembersGetWhatIsStored(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		ada, bob := r.connected(0), r.connected(1)
		var want []string
		for i := range 100 {
			r.text(roomA, 0, fmt.Sprint("text ", i))
			want = append(want, fmt.Sprint("text ", i))
		}
		r.settle()
		var got []string
		for _, m := range bob.live() {
			got = append(got, textOf(m))
		}
		if !slices.Equal(got, want) {
			t.Errorf("bob got %q", got)
		}
		for i, m := range ada.live() {
			if m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage() == nil {
				t.Errorf("ada's message %d came back as %v", i, m)
			}
		}
		if len(ada.live()) != 100 {
			t.Errorf("ada got %d of 100", len(ada.live()))
		}
	})
}

func TestJoinReachesJoinerAndRemovalTheRemoved(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		ada, bob := r.connected(0), r.connected(1)
		join := r.join(roomA, 1)
		text := r.text(roomA, 0, "hello")
		kick := r.kick(roomA, 0, 1)
		r.text(roomA, 0, "not for bob")
		r.settle()
		if got, want := times(bob.live()), []int64{join.Time, text.Time, kick.Time}; !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
		if got := bob.live()[0].GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage().GetRepresentedMessageUuid(); got != join.UUID {
			t.Errorf("bob's own join came as %v", bob.live()[0])
		}
		if bob.live()[2].GetMessage().GetMessageSpecifics().GetUserKickedMessage() == nil {
			t.Errorf("bob's kick came as %v", bob.live()[2])
		}
		if len(ada.live()) != 4 {
			t.Errorf("ada got %v", times(ada.live()))
		}
	})
}

func TestRoomThatIsNotHostedIsJoined(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		bob := r.connected(1)
		r.create(roomA, 0)
		for i := range 20 {
			r.text(roomA, 0, fmt.Sprint(i))
		}
		join := r.join(roomA, 1)
		text := r.text(roomA, 0, "hello")
		r.settle()
		if got, want := times(bob.live()), []int64{join.Time, text.Time}; !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

func TestReturningStreamMissesNothing(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		join := r.join(roomA, 1)
		var all []room.Event
		for i := range 1000 {
			all = append(all, r.text(roomA, 0, fmt.Sprint(i)))
		}
		bob := r.connected(1, KnownRoom{Room: roomA, Updated: join.Time, Viewed: -1, Exclude: []string{all[3].UUID}})
		live := r.text(roomA, 0, "live")
		r.settle()
		var want []int64
		for i, e := range all {
			if i != 3 {
				want = append(want, e.Time)
			}
		}
		if got := times(bob.initial()); !slices.Equal(got, want) {
			t.Errorf("got %d messages, want %d", len(got), len(want))
		}
		if got := times(bob.live()); !slices.Equal(got, []int64{live.Time}) {
			t.Errorf("live: %v", got)
		}
	})
}

func TestSlowStreamReadsTheStoreAndCatchesUp(t *testing.T) {
	inBubble(t, Config{TailBytes: 10_000}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		bob.allow(0)
		var want []int64
		for i := range 3000 {
			want = append(want, r.text(roomA, 0, fmt.Sprint(i)).Time)
		}
		r.settle()
		if n := len(bob.live()); n > 0 {
			t.Fatalf("bob got %d without reading", n)
		}
		bob.allow(-1)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("got %d messages, want %d", len(got), len(want))
		}
	})
}

func TestRejoinWhileBehindKeepsOrder(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		bob.allow(0)
		var want []int64
		for i := range 200 {
			want = append(want, r.text(roomA, 0, fmt.Sprint(i)).Time)
		}
		want = append(want, r.kick(roomA, 0, 1).Time)
		r.text(roomA, 0, "not for bob")
		want = append(want, r.join(roomA, 1).Time)
		want = append(want, r.text(roomA, 0, "for bob again").Time)
		r.settle()
		bob.allow(-1)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A removal and a new stay are published together: the stream may have written the
// first stay to its end before the room comes to tell it of that.
func TestStayIsToldOfItsEndAfterItHasBeenWritten(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		var want []int64
		for range 3 {
			old := bob.stream.turn.rooms.in(roomA)
			bob.allow(0)
			want = append(want, r.text(roomA, 0, "hello").Time, r.kick(roomA, 0, 1).Time)
			want = append(want, r.join(roomA, 1).Time)
			r.settle()
			bob.allow(-1)
			r.settle()
			if !old.dirty.Swap(true) { // the room's turn, which was slow
				bob.stream.push(&old.Link)
			}
			r.settle()
		}
		want = append(want, r.text(roomA, 0, "again").Time)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}
