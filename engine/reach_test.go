package engine

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// confirm says for c that it has roomA up to seq.
func (r *rig) confirm(c *client, seq uint64) {
	<-c.stream.replySlots
	c.stream.Handle(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_Confirmation{
		Confirmation: &chatstreampb.Confirmation{Positions: []*chatstreampb.Position{{ChatRoomId: roomA, Seq: seq}}},
	}})
	r.settle()
}

// reach is what the first account is told of another.
func (r *rig) reach(who int) Device {
	r.t.Helper()
	reach, err := r.Reach(r.t.Context(), roomA, account(0), []string{account(who)})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(reach.Devices) == 0 {
		return Device{}
	}
	return reach.Devices[0]
}

func TestReachIsWhatTheTransportHasPassedOn(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		bob := r.connected(1)
		bob.holds.Store(true)
		first := r.text(roomA, 0, "first")
		r.settle()
		if got := r.reach(1); got.Reached != first.Seq-1 || !got.Online {
			t.Errorf("what the transport holds counts as reached: %+v", got)
		}
		bob.passed.Store(bob.sent.Load())
		if got := r.reach(1); got.Reached != first.Seq || got.Confirmed != 0 {
			t.Errorf("passed on: %+v", got)
		}
	})
}

// While there is always something newer on its way the watermark moves on all
// the same.
func TestReachMovesOnWhileMessagesKeepComing(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		bob := r.connected(1)
		bob.holds.Store(true)
		before := r.reach(1).Reached
		for range 10 {
			held := bob.sent.Load()
			r.text(roomA, 0, "text")
			r.settle()
			bob.passed.Store(held) // all but the newest
		}
		if got := r.reach(1).Reached; got < before+6 {
			t.Errorf("from %d to %d in 10 messages", before, got)
		}
	})
}

func TestReachIsWhatTheClientConfirms(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		bob := r.connected(1)
		bob.holds.Store(true)
		text := r.text(roomA, 0, "text")
		r.settle()
		r.confirm(bob, text.Seq+1) // it cannot have that
		if got := r.reach(1); got.Confirmed != 0 {
			t.Errorf("confirmed what was never sent: %+v", got)
		}
		r.confirm(bob, text.Seq)
		r.confirm(bob, text.Seq-1) // late
		if got := r.reach(1); got.Confirmed != text.Seq || got.Reached != text.Seq {
			t.Errorf("confirmed: %+v", got)
		}
		if n := cap(bob.stream.replySlots) - len(bob.stream.replySlots); n != 0 {
			t.Errorf("%d reply slots are taken", n)
		}
	})
}

func TestReachOfADeviceThatHasGone(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		bob := r.connected(1)
		text := r.text(roomA, 0, "text")
		r.settle()
		bob.cancel()
		r.settle()
		if got := r.reach(1); got.Reached != text.Seq || got.Online {
			t.Errorf("after its stream has ended: %+v", got)
		}
		r.text(roomA, 0, "missed")
		r.connected(1, at(text)) // another installation
		if got := r.reach(1); got.Confirmed != text.Seq || got.Reached != text.Seq+1 || !got.Online {
			t.Errorf("a client that comes back has what it says, and what it was sent: %+v", got)
		}
		r.kick(roomA, 0, 1)
		r.settle()
		if got := r.reach(1); got != (Device{}) {
			t.Errorf("of who is no longer in the room: %+v", got)
		}
	})
}

func TestReachIsForMembersAndBounded(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.connected(0)
		for _, c := range []struct {
			room    string
			account string
			of      []string
			want    error
		}{
			{roomA, account(1), nil, ErrNotMember},
			{roomB, account(0), nil, ErrNotMember}, // there is none
			{roomA, account(0), make([]string, MaxDevices+1), ErrTooManyDevices},
			{roomA, account(0), nil, nil},
		} {
			if _, err := r.Reach(r.t.Context(), c.room, c.account, c.of); !errors.Is(err, c.want) {
				t.Errorf("%v: %v", c, err)
			}
		}
		var want []string
		for who := range 10 {
			if who > 0 {
				r.join(roomA, who)
				r.connected(who)
			}
			want = append(want, account(who))
		}
		reach, err := r.Reach(r.t.Context(), roomA, account(0), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range reach.Devices {
			got = append(got, d.Account)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || reach.Last != 11 {
			t.Error(fmt.Sprint("got ", got, " up to ", reach.Last))
		}
	})
}
