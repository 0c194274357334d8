package engine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// Two engines on one log: what is true of an account's streams on one server is
// true of all servers together.

var byAnother = Ending{Reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM}

func (r *rig) mustLive(c *client) {
	r.t.Helper()
	r.settle()
	if why, ended := c.why(); ended {
		r.t.Errorf("ended with %+v", why)
	}
}

func TestNewestStreamWinsInTheCluster(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		first := a.connected(0)
		other := a.connected(1)
		second := b.connected(0)
		a.mustEnd(first, byAnother)
		if why, _ := first.why(); why.Info != "device1" { // of b's clients the first
			t.Errorf("told of installation %q", why.Info)
		}
		third := a.connected(0)
		b.mustEnd(second, byAnother)
		fourth := a.connected(0) // on the same server
		a.mustEnd(third, byAnother)
		a.mustLive(fourth)
		a.mustLive(other)
	})
}

// A stream whose claim is older comes into the registry after the newer claim
// has been shown: only the look finds it.
func TestClaimShownBeforeItsStreamIsFenced(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		slow := &lateClaims{memLog: a.log, gate: make(chan struct{})}
		a.Engine.cfg.Claims = slow
		first := a.connect(0)
		a.settle() // it has its claim, and does not know yet
		second := b.connected(0)
		a.settle()
		close(slow.gate)
		a.mustEnd(first, byAnother)
		b.mustLive(second)
	})
}

// lateClaims answers to Claim when gate is closed.
type lateClaims struct {
	*memLog
	gate chan struct{}
}

func (l *lateClaims) Claim(ctx context.Context, account, installation string) (store.Claim, error) {
	c, err := l.memLog.Claim(ctx, account, installation)
	<-l.gate
	return c, err
}

// The look has been made when another server claims: then Watch shows it.
func TestClaimAfterTheLookIsFenced(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		gate := make(chan struct{})
		a.log.set(func() { a.log.claimsGate = gate })
		first := a.connect(0)
		a.settle()
		a.log.set(func() { a.log.claimsGate = nil })
		second := b.connected(0)
		close(gate)
		a.mustEnd(first, byAnother)
		b.mustLive(second)
	})
}

// A server that was cut off is shown all that it has missed at once: the claim of
// a newer stream, and what was said after it.
func TestOlderStreamIsNotToldWhatComesWithTheNewersClaim(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		a.create(roomA, 0)
		first := a.connected(0)
		a.settle()
		told := len(first.live())
		a.log.hold()
		second := b.connected(0)
		a.text(roomA, 0, "after the newer stream")
		// While the feed is busy with rooms that nobody is in, the room above has its
		// turn.
		busy := make([]room.Event, 200_000)
		for i := range busy {
			busy[i].Room = []string{"nobody's", "no one's"}[i%2]
		}
		a.log.together(busy)
		a.log.release()
		a.mustEnd(first, byAnother)
		if n := len(first.live()) - told; n != 0 {
			t.Errorf("the older stream is told %d messages", n)
		}
		b.mustLive(second)
		if n := len(second.live()); n != 1 {
			t.Errorf("the newer stream is told %d messages", n)
		}
	})
}

// What Watch did not show is looked up when it goes on from now.
func TestClaimsAndSessionsAreAskedForWhenHistoryIsLost(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		var over atomic.Bool
		first := a.connected(0)
		logout := a.connectHolding(newFakeConn(), 1, Features{}, endedWhen(&over))
		stays := a.connected(2)
		a.settle()
		a.log.hold()
		second := b.connected(0)
		over.Store(true)
		a.log.session(account(1))
		a.mustLive(first)
		a.mustLive(logout)
		a.log.lose()
		a.pass(3 * time.Second)
		a.mustEnd(first, byAnother)
		a.mustEnd(logout, failed(chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH))
		a.mustLive(stays)
		b.mustLive(second)
	})
}

func endedWhen(over *atomic.Bool) func(context.Context) (*Ending, error) {
	return func(context.Context) (*Ending, error) {
		if !over.Load() {
			return nil, nil
		}
		why := failed(chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH)
		return &why, nil
	}
}

func TestSessionEndedElsewhereEndsTheStream(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		var over atomic.Bool
		c := a.connectHolding(newFakeConn(), 0, Features{}, endedWhen(&over))
		a.settle()
		a.log.session(account(0)) // it was prolonged
		a.log.session(account(1)) // of nobody here
		a.mustLive(c)
		over.Store(true)
		a.log.session(account(0))
		a.mustEnd(c, failed(chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH))
	})
}

// A store that does not answer is asked until it does, and not without a pause.
func TestStoreIsAskedAgainWhetherAStreamHolds(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		var asked atomic.Int32
		c := a.connectHolding(newFakeConn(), 0, Features{}, func(context.Context) (*Ending, error) {
			if asked.Add(1) < 5 {
				return nil, store.ErrUnavailable
			}
			why := failed(chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE)
			return &why, nil
		})
		a.settle()
		a.log.session(account(0))
		a.mustLive(c)
		a.pass(20 * time.Millisecond)
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times in 20 ms", n)
		}
		a.pass(10 * time.Second)
		a.mustEnd(c, failed(chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE))
		if n := asked.Load(); n != 5 {
			t.Errorf("asked %d times, want 5", n)
		}
	})
}

func TestStreamThatCannotBeClaimedIsRefused(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		before := a.connected(0)
		a.log.set(func() { a.log.claimFail = errors.New("no primary") })
		c := a.connect(0)
		a.mustEnd(c, failed(chatpb.ReturnStatus_DATABASE_DOWN))
		a.mustLive(before)
		a.log.set(func() { a.log.claimFail = nil })
	})
}

// Devices of one account come at once to both servers, again and again: in the
// end the one with the newest claim is left, and it alone, and it has missed
// nothing.
func TestOneStreamIsLeftInTheCluster(t *testing.T) {
	inCluster(t, Config{}, func(a, b *rig) {
		a.create(roomA, 0)
		var clients []*client
		for i := range 20 {
			r := a
			if i%2 == 1 {
				r = b
			}
			for range 3 {
				clients = append(clients, r.connect(0))
			}
			a.text(roomA, 0, "a message")
			if i%5 == 0 {
				a.settle()
			}
		}
		a.text(roomA, 0, "the last one")
		a.settle()
		var left []*client
		for _, c := range clients {
			if _, ended := c.why(); !ended {
				left = append(left, c)
			}
		}
		if len(left) != 1 {
			t.Fatalf("%d streams are left", len(left))
		}
		if got, want := left[0].stream.generation, a.log.claims[account(0)].Generation; got != want {
			t.Errorf("the stream that is left is claim %d, the newest is %d", got, want)
		}
		var stored, got []int64
		for _, e := range a.log.logOf(roomA) {
			if e.Action == 0 {
				stored = append(stored, e.Time)
			}
		}
		for _, m := range append(left[0].initial(), left[0].live()...) {
			if slices.Contains(stored, m.GetTimestampStored()) {
				got = append(got, m.GetTimestampStored())
			}
		}
		if !slices.Equal(got, stored) {
			t.Errorf("told %v, stored %v", got, stored)
		}
	})
}
