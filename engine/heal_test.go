package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// What Watch shows late, twice, or not at all reaches the members once and in
// order: the store is asked for what is missing.

func TestEventThatIsNotShownIsReadFromTheStore(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		r.log.mangle = func([]room.Event) []room.Event { return nil }
		want := []int64{r.text(roomA, 0, "lost").Time}
		r.log.mangle = nil
		want = append(want, r.text(roomA, 0, "shown").Time)
		r.settle()
		if got := bob.live(); len(got) > 0 {
			t.Errorf("bob got %v before what comes first", times(got))
		}
		r.pass(soon)
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

func TestEventThatIsOnlyLateCostsNoRead(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		before := r.log.reads.Load()
		var late []room.Event
		r.log.mangle = func(e []room.Event) []room.Event { late = e; return nil }
		want := []int64{r.text(roomA, 0, "first").Time}
		r.log.mangle = func(e []room.Event) []room.Event { return append(e, late...) }
		want = append(want, r.text(roomA, 0, "second").Time)
		r.pass(soon)
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
		if r.log.reads.Load() != before {
			t.Errorf("%d reads", r.log.reads.Load()-before)
		}
	})
}

func TestEventThatIsShownTwiceIsToldOnce(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		r.log.mangle = func(e []room.Event) []room.Event { return append(e, e...) }
		want := []int64{r.text(roomA, 0, "first").Time, r.text(roomA, 0, "second").Time}
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

// A page of the store is bounded by bytes, too, so a short page is no sign that
// nothing is left; and after ErrHistoryLost nothing is parked that would be.
func TestHistoryLostIsHealedToItsEnd(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		r.log.hold()
		var want []int64
		for range 50 {
			want = append(want, r.text(roomA, 0, strings.Repeat("x", 10_000)).Time)
		}
		r.log.lose()
		r.pass(soon)
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %d of %d", len(got), len(want))
		}
	})
}

func TestJoinOfARoomThatIsNotHostedIsFoundAfterHistoryLost(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		bob := r.connected(1)
		r.log.hold()
		want := []int64{r.join(roomA, 1).Time, r.text(roomA, 0, "hello").Time}
		r.log.lose()
		r.pass(soon)
		want = append(want, r.text(roomA, 0, "again").Time)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

// busyLog does not know who is in which room, for a while.
type busyLog struct {
	store.Log
	times atomic.Int64
}

func (l *busyLog) RoomsOf(ctx context.Context, account string) ([]string, error) {
	if l.times.Add(-1) >= 0 {
		return nil, store.ErrUnavailable
	}
	return l.Log.RoomsOf(ctx, account)
}

// A store that does not answer then ends no stream: it is asked until it does.
func TestRoomsAreLookedForUntilTheStoreAnswers(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		bob := r.connected(1)
		r.log.hold()
		want := []int64{r.join(roomA, 1).Time, r.text(roomA, 0, "hello").Time}
		busy := &busyLog{Log: r.log}
		busy.times.Store(5)
		r.store = busy
		r.log.lose()
		r.pass(5 * time.Second)
		want = append(want, r.text(roomA, 0, "again").Time)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
		if busy.times.Load() >= 0 {
			t.Error("the store was not asked again")
		}
	})
}

// The state was read before the events were stored that Watch then lost; the
// room is told of the loss before it has the state.
func TestHistoryLostWhileARoomIsLoadingIsHealed(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.settle()
		r.log.closeStateGate()
		ada := r.connect(0)
		r.settle()
		r.log.hold()
		lost := r.text(roomA, 0, "lost")
		r.log.lose()
		r.pass(soon)
		r.log.openStateGate()
		r.pass(soon)
		if all := times(append(ada.initial(), ada.live()...)); !slices.Contains(all, lost.Time) {
			t.Errorf("ada got %v, without %d", all, lost.Time)
		}
	})
}

// A wait for a late event is over while missing events are being read: the room,
// in which nobody is subscribed any more, must not leave before it has them. There
// is a join among them.
func TestRoomDoesNotLeaveWhileMissingEventsAreRead(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		ada, bob := r.connected(0), r.connected(1)
		var late []room.Event
		r.log.mangle = func(e []room.Event) []room.Event { late = append(late, e...); return nil }
		r.text(roomA, 0, "late")
		r.log.mangle = func(e []room.Event) []room.Event { return append(e, late...) }
		r.text(roomA, 0, "in time") // now the room waits, for nothing as it turns out
		r.log.mangle = nil
		r.settle()
		gate := make(chan struct{})
		r.log.set(func() { r.log.gate = gate })
		r.log.hold()
		want := []int64{r.join(roomA, 1).Time}
		r.log.lose()
		r.pass(50 * time.Millisecond)
		ada.cancel()
		r.pass(soon)
		r.log.set(func() { r.log.gate = nil })
		close(gate)
		r.settle()
		want = append(want, r.text(roomA, 0, "hello").Time)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

func TestMoreEventsThanAreParkedAreReadFromTheStore(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		r.log.mangle = func([]room.Event) []room.Event { return nil }
		want := []int64{r.text(roomA, 0, "lost").Time}
		r.log.mangle = nil
		gate := make(chan struct{})
		r.log.set(func() { r.log.gate = gate })
		for i := range maxParked {
			want = append(want, r.text(roomA, 0, fmt.Sprint(i)).Time)
		}
		r.pass(soon) // the read is under way
		for i := range 10 {
			want = append(want, r.text(roomA, 0, fmt.Sprint("dropped ", i)).Time)
		}
		r.settle()
		r.log.set(func() { r.log.gate = nil })
		close(gate)
		r.pass(2 * soon)
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %d of %d", len(got), len(want))
		}
	})
}

func TestHealingGoesOnUntilTheStoreAnswers(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		r.log.mangle = func([]room.Event) []room.Event { return nil }
		want := []int64{r.text(roomA, 0, "lost").Time}
		r.log.mangle = nil
		r.log.set(func() { r.log.fail = errBroken })
		want = append(want, r.text(roomA, 0, "shown").Time)
		before := r.log.reads.Load()
		r.pass(10 * time.Second)
		if n := r.log.reads.Load() - before; n < 10 || n > 30 {
			t.Errorf("%d reads of a broken store in ten seconds", n)
		}
		r.log.set(func() { r.log.fail = nil })
		r.pass(soon)
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

// A room that cannot show an event stops; it must not ask the store for it
// again and again without a pause.
func TestRoomThatCannotEncodeAnEventDoesNotSpin(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		bob := r.connected(1)
		r.do(roomA, room.Post{UUID: "\xff", Sender: account(0), Kind: room.KindText})
		r.text(roomA, 0, "behind it")
		before := r.log.reads.Load()
		r.pass(10 * time.Second)
		if n := r.log.reads.Load() - before; n > 10_000/200+1 {
			t.Errorf("%d reads in ten seconds", n)
		}
		if got := bob.live(); len(got) > 0 {
			t.Errorf("bob got %v", got)
		}
		r.stuck = true
	})
}
