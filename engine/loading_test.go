package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// What happens to a room between the moment somebody asks for it and the moment
// its state is known, and what the state has already when it comes.

// openGate makes the gated reads go on, and those to come not wait.
func (l *memLog) openStateGate() {
	l.set(func() {
		close(l.stateGate)
		l.stateGate = nil
	})
}

func (l *memLog) closeStateGate() { l.set(func() { l.stateGate = make(chan struct{}) }) }

func TestJoinThatCameWhileTheRoomWasLoadingReachesTheJoiner(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		bob := r.connected(1)
		r.log.closeStateGate()
		var want []int64
		// The first join makes the feed host the room; the state that is being
		// read has it, but not what follows.
		want = append(want, r.join(roomA, 1).Time)
		r.settle()
		for i := range 10 {
			want = append(want, r.text(roomA, 0, fmt.Sprint(i)).Time)
		}
		r.settle()
		r.log.openStateGate()
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
	})
}

// A State may be ahead of Watch: what Watch has shown is in it, and maybe more.
// So a join can be part of what a room is loaded with, and be shown afterwards.
func TestJoinShownAfterTheLoadedStateContainedItReachesTheJoiner(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		bob := r.connected(1)
		r.log.hold()
		want := []int64{r.join(roomA, 1).Time, r.text(roomA, 0, "hello").Time}
		ada := r.connected(0) // has the room loaded
		r.log.release()
		want = append(want, r.text(roomA, 0, "again").Time)
		r.settle()
		if got := times(bob.live()); !slices.Equal(got, want) {
			t.Errorf("bob got %v, want %v", got, want)
		}
		if got := times(ada.live()); !slices.Equal(got, want[2:]) {
			t.Errorf("ada got %v, want %v", got, want[2:])
		}
	})
}

func TestStayThatTheLoadedStateKnowsToBeOverIsShownToItsEnd(t *testing.T) {
	for _, shown := range []string{"before the load", "after the load"} {
		t.Run(shown, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				bob := r.connected(1)
				early := shown == "before the load"
				if early {
					r.log.closeStateGate()
				} else {
					r.log.hold()
				}
				want := []int64{r.join(roomA, 1).Time, r.text(roomA, 0, "hello").Time, r.kick(roomA, 0, 1).Time}
				r.text(roomA, 0, "not for bob")
				if early {
					r.settle()
					r.log.openStateGate()
				} else {
					r.connected(0)
					r.log.release()
				}
				r.text(roomA, 0, "not for bob either")
				r.settle()
				if got := times(bob.live()); !slices.Equal(got, want) {
					t.Errorf("bob got %v, want %v", got, want)
				}
			})
		})
	}
}

// Stays that were over before the room was loaded are told one by one, and what
// happened between them is not.
func TestTwoStaysThatAreOverAreToldOneByOne(t *testing.T) {
	for _, shown := range []string{"before the load", "after the load"} {
		t.Run(shown, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				bob := r.connected(1)
				early := shown == "before the load"
				if early {
					r.log.closeStateGate()
				} else {
					r.log.hold()
				}
				var want []int64
				for range 2 {
					want = append(want, r.join(roomA, 1).Time, r.text(roomA, 0, "hello").Time, r.kick(roomA, 0, 1).Time)
					r.text(roomA, 0, "not for bob")
				}
				if early {
					r.settle()
					r.log.openStateGate()
				} else {
					r.connected(0)
					r.log.release()
				}
				r.settle()
				if got := times(bob.live()); !slices.Equal(got, want) {
					t.Errorf("bob got %v, want %v", got, want)
				}
			})
		})
	}
}

// The room has nobody but a stay whose removal is yet to be shown: it must not
// leave before that. If Watch has lost it, nobody knows which of the removals since
// was the stay's: the stream must come again.
func TestRoomStaysUntilTheRemovalIsShown(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost=%v", lost), func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				bob := r.connected(1)
				r.log.hold()
				want := []int64{r.join(roomA, 1).Time}
				r.log.set(func() { r.log.held++ }) // the join is shown, what follows is not
				want = append(want, r.kick(roomA, 0, 1).Time)
				r.log.changedNow()
				r.settle()
				if lost {
					r.log.lose()
				} else {
					r.log.release()
				}
				r.pass(soon)
				if lost {
					want = nil
				}
				if got := times(bob.live()); !slices.Equal(got, want) {
					t.Errorf("bob got %v, want %v", got, want)
				}
				if bob.closed.Load() != lost {
					t.Errorf("bob's stream has ended: %v", !lost)
				}
				if n := r.Stats().Rooms; n != 0 {
					t.Errorf("%d rooms are hosted", n)
				}
			})
		})
	}
}

// Notes that wait behind a load that fails must be answered: their senders wait.
func TestLoadThatFailsLeavesNobodyWaiting(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		bob := r.connected(1)
		// White box: the answer to the load and the next subscriber are taken up by
		// the same turn.
		h := newHostedRoom(r.Engine, roomA)
		r.rooms.hosted.Store(roomA, h)
		failed := &loadedNote{err: errBroken}
		failed.Init(failed)
		answer := make(chan *subscribed, 1)
		after := &subscribeNote{stream: bob.stream, answer: answer}
		after.Init(after)
		h.inbox.Push(&failed.Link)
		r.rooms.tell(h, &after.Link)
		r.settle()
		select {
		case <-answer:
		default:
			t.Error("a subscriber that came right behind a failed load is never answered")
		}
	})
}

// A stream that waits for a room which cannot be loaded learns of it, and so
// does one that has joined it meanwhile.
func TestStreamsEndWhenTheirRoomCannotBeLoaded(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		bob := r.connected(1)
		r.settle()
		r.log.set(func() { r.log.stateFail = errBroken })
		ada := r.connect(0)
		if why := <-ada.ended; why.Status != chatpb.ReturnStatus_DATABASE_DOWN {
			t.Errorf("ada ended with %+v", why)
		}
		r.join(roomA, 1)
		if why := <-bob.ended; why.Status != chatpb.ReturnStatus_DATABASE_DOWN {
			t.Errorf("bob ended with %+v", why)
		}
		r.log.set(func() { r.log.stateFail = nil })
		r.settle()
		if n := r.Stats().Rooms; n != 0 {
			t.Errorf("%d rooms are hosted", n)
		}
	})
}

// More events than a loading room keeps: the joins among them must not be lost,
// whether they are part of the state that is loaded or not.
func TestJoinIsNotLostAmongTooManyEventsOfALoadingRoom(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("late=", late), func(t *testing.T) { joinAmongTooMany(t, late) })
	}
}

func joinAmongTooMany(t *testing.T, late bool) {
	inBubble(t, Config{}, func(r *rig) {
		r.log.stateLate = late
		r.create(roomA, 0)
		bob, eve := r.connected(1), r.connected(2)
		r.log.closeStateGate()
		r.join(roomA, 1)
		for i := range maxParked {
			r.text(roomA, 0, fmt.Sprint(i))
		}
		r.join(roomA, 2)
		r.settle()
		r.log.openStateGate()
		if late {
			r.settle()
		}
		last := r.text(roomA, 0, "last")
		r.pass(soon)
		if got := times(bob.live()); len(got) != maxParked+3 {
			t.Errorf("bob got %d of %d", len(got), maxParked+3)
		}
		select {
		case <-eve.ended: // she comes again, and gets everything from the store
		default:
			if got := times(eve.live()); len(got) == 0 || got[len(got)-1] != last.Time {
				t.Errorf("eve has joined, and got %v", got)
			}
		}
	})
}

// The store knows of bob's join, the room does not yet: the room must not answer
// for it, or a client that lists the room would be told that it is not in there,
// and one that does not list it would never hear of it.
func TestStreamOfAMemberIsNotToldByARoomThatIsBehindTheStore(t *testing.T) {
	for _, lists := range []bool{false, true} {
		t.Run(fmt.Sprintf("lists=%v", lists), func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				ada := r.connected(0)
				r.log.hold()
				join := r.join(roomA, 1)
				text := r.text(roomA, 0, "hello")
				var known []KnownRoom
				if lists {
					known = append(known, KnownRoom{Room: roomA, Updated: join.Time, Viewed: -1})
				}
				bob := r.connected(1, known...)
				r.log.release()
				r.settle()
				described := false
				for _, m := range bob.initial() {
					described = described || specificsOf(m).GetThisUserJoinedChatRoomStartMessage() != nil
					if specificsOf(m).GetThisUserLeftChatRoomMessage() != nil {
						t.Error("bob was told that he is not in his room")
					}
				}
				if described == lists {
					t.Errorf("bob lists the room: %v; it was described to him: %v", lists, described)
				}
				if all := times(append(bob.initial(), bob.live()...)); !slices.Contains(all, text.Time) {
					t.Errorf("bob got %v, without %v", all, text.Time)
				}
				if got := times(ada.live()); !slices.Equal(got, []int64{join.Time, text.Time}) {
					t.Errorf("ada got %v", got)
				}
			})
		})
	}
}

// RoomsOf is only a hint: who is removed after it was read is not in the room.
func TestStreamOfARemovedAccountIsNotSubscribed(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		r.log.hold()
		kick := r.kick(roomA, 0, 1)
		bob := r.connected(1, KnownRoom{Room: roomA, Updated: kick.Time - 1, Viewed: -1})
		r.log.release()
		r.text(roomA, 0, "not for bob")
		r.settle()
		for _, m := range append(bob.initial(), bob.live()...) {
			if m.GetTimestampStored() > kick.Time {
				t.Errorf("bob got %v", m)
			}
		}
	})
}

// A server that has lost touch with the store it shares may open a stream before
// it is shown what the client was told by another server meanwhile: neither Watch
// nor State have it yet.
func TestServerThatIsBehindDoesNotSayThatTheClientHasLeft(t *testing.T) {
	for name, knows := range map[string]func(join, text room.Event) []KnownRoom{
		"the client knows the room by place": func(_, text room.Event) []KnownRoom {
			return []KnownRoom{{Room: roomA, Updated: text.Time, Viewed: -1, Exact: true, Seq: text.Seq}}
		},
		"the client knows the room by time": func(_, text room.Event) []KnownRoom {
			return []KnownRoom{{Room: roomA, Updated: text.Time, Viewed: -1}}
		},
		"the client has not heard of the room": func(room.Event, room.Event) []KnownRoom { return nil },
	} {
		for _, loaded := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, loaded=%t", name, loaded), func(t *testing.T) {
				inBubble(t, Config{}, func(r *rig) {
					r.create(roomA, 0)
					if loaded { // otherwise it leaves between what it is asked and told
						r.connected(0)
					}
					r.log.holdStates()
					join, text := r.join(roomA, 1), r.text(roomA, 0, "hello")
					known := knows(join, text)
					bob := r.connected(1, known...)
					for _, m := range bob.initial() {
						if specificsOf(m).GetThisUserLeftChatRoomMessage() != nil {
							t.Errorf("bob is told that he has left")
						}
					}
					shown := slices.ContainsFunc(bob.initial(), func(m *chatpb.ChatMessageToClient) bool {
						return specificsOf(m).GetThisUserJoinedChatRoomFinishedMessage() != nil
					})
					if shown != (len(known) == 0) {
						t.Errorf("bob is shown the room: %t; he knows %d", shown, len(known))
					}
					r.log.release()
					want := []int64{r.text(roomA, 0, "again").Time}
					if len(known) == 0 {
						want = append([]int64{join.Time, text.Time}, want...)
					}
					r.settle()
					if got := times(bob.live()); !slices.Equal(got, want) {
						t.Errorf("bob got %v, want %v", got, want)
					}
				})
			})
		}
	}
}

// What a room is told that is behind is bounded: the client comes again.
func TestServerThatIsFarBehindHasTheClientComeAgain(t *testing.T) {
	inBubble(t, Config{Logger: slog.New(slog.DiscardHandler)}, func(r *rig) {
		r.create(roomA, 0)
		r.connected(0)
		r.log.holdStates()
		r.join(roomA, 1)
		for range maxAhead {
			r.text(roomA, 0, "x")
		}
		r.mustEnd(r.connect(1), failed(chatpb.ReturnStatus_DATABASE_DOWN))
		r.log.release()
		r.settle()
		r.connected(1)
	})
}

func specificsOf(m *chatpb.ChatMessageToClient) *chatpb.MessageSpecifics {
	return m.GetMessage().GetMessageSpecifics()
}
