package engine

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// invite stores an invitation of one member by another: an event that is for
// these two only.
func (r *rig) invite(id string, who, invited int) room.Event {
	r.t.Helper()
	return r.do(id, room.Post{UUID: nextUUID(), Sender: account(who), Kind: kindInvite, Body: inviteBody(invited)})[0]
}

func inviteBody(invited int) []byte {
	body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_InviteMessage{
		InviteMessage: &chatpb.InviteChatMessage{InvitedUserAccountOid: account(invited), InvitedUserName: "somebody"},
	}})
	if err != nil {
		panic(err)
	}
	return body
}

// seqs are the places in the log that messages say they have.
func seqs(messages []*chatpb.ChatMessageToClient) []uint64 {
	var s []uint64
	for _, m := range messages {
		s = append(s, m.GetSeq())
	}
	return s
}

// chained reports whether no message lies beyond one that a client at position
// has not been given.
func chained(position uint64, messages []*chatpb.ChatMessageToClient) bool {
	for _, m := range messages {
		if m.GetPreviousSeq() > position || m.GetSeq() <= position {
			return false
		}
		position = m.GetSeq()
	}
	return true
}

func at(e room.Event) KnownRoom {
	return KnownRoom{Room: e.Room, Updated: e.Time, Viewed: -1, Exact: true, Seq: e.Seq}
}

func lost(messages []*chatpb.ChatMessageToClient) bool {
	return slices.ContainsFunc(messages, func(m *chatpb.ChatMessageToClient) bool {
		return m.GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomStartMessage().GetPositionLost()
	})
}

func TestExactResumeGivesWhatFollows(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		place := r.text(roomA, 0, "the last one seen")
		var want []uint64
		for range 3 {
			want = append(want, r.text(roomA, 0, "missed").Seq)
		}
		bob := r.connected(1, at(place))
		if got := seqs(bob.initial()); !slices.Equal(got, want) || !chained(place.Seq, bob.initial()) {
			t.Errorf("got %v, want %v: %v", got, want, bob.initial())
		}
		live := r.text(roomA, 0, "live")
		r.settle()
		if got := bob.live(); len(got) != 1 || got[0].GetSeq() != live.Seq || got[0].GetPreviousSeq() != live.Seq-1 {
			t.Errorf("live: %v", got)
		}
	})
}

func TestExactResumeAtTheEndGivesNothing(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		place := r.text(roomA, 0, "the last one")
		if ada := r.connected(0, at(place)); len(ada.initial()) != 0 {
			t.Errorf("got %v", ada.initial())
		}
	})
}

// A client may have more of a room than the server it comes to has been shown:
// by its join, or from another server. Its place is not lost, and it is not told
// again what it has.
func TestClientAheadOfTheRoomHere(t *testing.T) {
	for name, known := range map[string]func(e room.Event) KnownRoom{
		"exact": at,
		"exact, without a time": func(e room.Event) KnownRoom {
			return KnownRoom{Room: e.Room, Updated: -1, Viewed: -1, Exact: true, Seq: e.Seq}
		},
		"by time": func(e room.Event) KnownRoom { return KnownRoom{Room: e.Room, Updated: e.Time, Viewed: -1} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				r.connected(0) // the room is hosted
				r.settle()
				r.log.hold()
				r.join(roomA, 1)
				place := r.text(roomA, 0, "known from elsewhere")
				bob := r.connected(1, known(place))
				if got := bob.initial(); len(got) != 0 {
					t.Errorf("told %v", got)
				}
				r.log.release()
				next := r.text(roomA, 0, "what follows")
				r.settle()
				if got := bob.live(); len(got) != 1 || got[0].GetSeq() != next.Seq || got[0].GetPreviousSeq() != place.Seq {
					t.Errorf("live: %v", got)
				}
			})
		})
	}
}

// A time that no event has says nothing of what the client has: better told
// twice than missed.
func TestClientAheadOfTheClockMissesNothing(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		r.settle()
		r.log.hold()
		text := r.text(roomA, 0, "stored, and not shown yet")
		bob := r.connected(1, KnownRoom{Room: roomA, Updated: text.Time + 1000, Viewed: -1})
		r.log.release()
		r.settle()
		if got := seqs(bob.live()); !slices.Equal(got, []uint64{text.Seq}) {
			t.Errorf("got %v", got)
		}
	})
}

// A client that never had anything says 0, one that forgot the times -1.
func TestExactResumeWithoutATime(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		text := r.text(roomA, 0, "hello")
		ada := r.connected(0, KnownRoom{Room: roomA, Updated: -1, Viewed: -1, Exact: true})
		if got := seqs(ada.initial()); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("from the beginning: %v", got)
		}
		known := at(text)
		known.Updated, known.Seq = -1, text.Seq-1
		if got := seqs(r.connected(0, known).initial()); !slices.Equal(got, []uint64{text.Seq}) {
			t.Errorf("without a time: %v", got)
		}
	})
}

// A position that is not one of the room's log: the client is told, and gets the
// room as if it did not know it.
func TestPositionOfAnotherLogGivesTheRoomAnew(t *testing.T) {
	for name, position := range map[string]func(middle, last room.Event) KnownRoom{
		"beyond the end":            func(_, last room.Event) KnownRoom { last.Seq++; return at(last) },
		"another time at the end":   func(_, last room.Event) KnownRoom { last.Time--; return at(last) },
		"another time before it":    func(middle, _ room.Event) KnownRoom { middle.Time++; return at(middle) },
		"far beyond what there was": func(_, last room.Event) KnownRoom { last.Seq = 1 << 60; return at(last) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(r *rig) {
				r.create(roomA, 0)
				middle := r.text(roomA, 0, "in the middle")
				last := r.text(roomA, 0, "last")
				ada := r.connected(0, position(middle, last))
				got := ada.initial()
				if !lost(got) {
					t.Fatalf("was not told: %v", got)
				}
				if got := seqs(got); !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 4}) {
					t.Errorf("the room came as %v", got)
				}
				r.text(roomA, 0, "live")
				r.settle()
				if !chained(last.Seq, ada.live()) {
					t.Errorf("live: %v", ada.live())
				}
			})
		})
	}
}

func TestRoomsThatAreKnownAreNotLost(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		text := r.text(roomA, 0, "hello")
		if got := r.connected(0).initial(); lost(got) {
			t.Errorf("a room not listed: %v", got)
		}
		if got := r.connected(0, KnownRoom{Room: roomA, Updated: text.Time + 5, Viewed: -1}).initial(); lost(got) {
			t.Errorf("a room listed by time: %v", got)
		}
	})
}

// What is for others leaves no doubtful hole: the message after it says what
// came before it, live, from the tail, from the store and in the initialization.
func TestWhatIsForOthersLeavesNoHole(t *testing.T) {
	inBubble(t, Config{TailAge: 10 * time.Second}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.join(roomA, 2)
		place := r.text(roomA, 0, "seen by all")
		r.invite(roomA, 0, 1)
		missed := r.text(roomA, 0, "missed")
		r.invite(roomA, 0, 1)

		carl := r.connected(2, at(place))
		if got := carl.initial(); len(got) != 1 || got[0].GetSeq() != missed.Seq || got[0].GetPreviousSeq() != place.Seq {
			t.Errorf("missed: %v", got)
		}
		bob := r.connected(1, at(place))
		if got := seqs(bob.initial()); !slices.Equal(got, []uint64{6, 7, 8}) {
			t.Errorf("bob is invited and missed %v", got)
		}
		r.invite(roomA, 0, 1)
		live := r.text(roomA, 0, "live")
		r.settle()
		if got := carl.live(); len(got) != 1 || got[0].GetSeq() != live.Seq || got[0].GetPreviousSeq() != missed.Seq {
			t.Errorf("live: %v", got)
		}
		if got := seqs(bob.live()); !slices.Equal(got, []uint64{9, 10}) || !chained(8, bob.live()) {
			t.Errorf("bob: %v", bob.live())
		}
		// Behind the tail.
		carl.allow(0)
		r.text(roomA, 0, "not read at once")
		r.invite(roomA, 0, 1)
		after := r.text(roomA, 0, "far behind")
		r.pass(r.cfg.TailAge * 2)
		carl.allow(-1)
		r.settle()
		if got := carl.live(); len(got) != 3 || !chained(missed.Seq, got) || got[2].GetSeq() != after.Seq {
			t.Errorf("from the store: %v", got)
		}
	})
}

func TestMessageDeletedForOneselfIsForNobodyElse(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		ada, bob := r.connected(0), r.connected(1)
		for _, for_ := range []chatpb.DeleteType{chatpb.DeleteType_DELETE_FOR_SINGLE_USER, chatpb.DeleteType_DELETE_FOR_ALL_USERS} {
			body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_DeletedMessage{
				DeletedMessage: &chatpb.DeletedMessageChatMessage{DeleteType: for_, MessageUuid: nextUUID()},
			}})
			if err != nil {
				t.Fatal(err)
			}
			r.do(roomA, room.Post{UUID: nextUUID(), Sender: account(0), Kind: kindDeleted, Body: body})
		}
		r.settle()
		if got := seqs(ada.live()); !slices.Equal(got, []uint64{4, 5}) {
			t.Errorf("ada, who deleted, got %v", got)
		}
		if got := seqs(bob.live()); !slices.Equal(got, []uint64{5}) || !chained(3, bob.live()) {
			t.Errorf("bob got %v", bob.live())
		}
	})
}
