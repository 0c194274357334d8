package engine

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// openings are what the store was asked and told of viewed times since the last
// call.
func (l *memLog) openings() (asked [][]string, raised []map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, raised = l.asked, l.raised
	l.asked, l.raised = nil, nil
	return asked, raised
}

// observed are the viewed times that messages tell, by room.
func observed(messages []*chatpb.ChatMessageToClient) map[string]int64 {
	told := make(map[string]int64)
	for _, m := range messages {
		if o := m.GetMessage().GetMessageSpecifics().GetUpdateObservedTimeMessage(); o != nil {
			told[m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom()] = o.GetChatRoomLastObservedTime()
		}
	}
	return told
}

// The store is asked once for all the rooms that a client lists and the account is
// in. Then it is told of those which the client has viewed later than it knows; and
// the client of those that it knows more of.
func TestOpeningRaisesOnlyWhatIsNews(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		for _, id := range []string{roomA, roomB} {
			r.create(id, 0)
			r.join(id, 1)
		}
		const roomC = "cccccccc"
		r.create(roomC, 0) // without him
		r.pass(time.Second)
		now := time.Now().UnixMilli()
		for _, step := range []struct {
			a, b         int64
			raised, told map[string]int64
		}{
			{now - 10, -1, map[string]int64{roomA: now - 10}, nil},
			{now - 10, 0, nil, nil},
			{now - 20, now - 3, map[string]int64{roomB: now - 3}, map[string]int64{roomA: now - 10}},
			{-1, -1, nil, map[string]int64{roomA: now - 10, roomB: now - 3}},
			{now - 10, now + 5000, map[string]int64{roomB: now}, nil},
			{now - 9, now + 5000, map[string]int64{roomA: now - 9}, nil},
		} {
			r.log.openings()
			messages := r.connected(1,
				KnownRoom{Room: roomB, Updated: now, Viewed: step.b}, KnownRoom{Room: roomC, Updated: now, Viewed: now},
				KnownRoom{Room: roomA, Updated: now, Viewed: step.a}).initial()
			asked, raised := r.log.openings()
			if len(asked) != 1 || !slices.Equal(asked[0], []string{roomA, roomB}) {
				t.Errorf("%+v: the store was asked of %v", step, asked)
			}
			if len(raised) > 1 || step.raised == nil && len(raised) > 0 || step.raised != nil && !maps.Equal(raised[0], step.raised) {
				t.Errorf("%+v: %v was raised", step, raised)
			}
			if told := observed(messages); !maps.Equal(told, step.told) {
				t.Errorf("%+v: the client was told %v", step, told)
			}
		}
		r.log.openings()
		r.connected(1) // lists nothing
		if asked, raised := r.log.openings(); asked != nil || raised != nil {
			t.Errorf("the store was asked of %v and told %v", asked, raised)
		}
	})
}

// Who joins after the store was asked which rooms he is in is told all the same.
func TestViewedTimeOfARoomThatWasJoinedMeanwhile(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		if err := r.log.RaiseViewed(t.Context(), account(0), map[string]int64{roomA: 7}); err != nil {
			t.Fatal(err)
		}
		r.settle()
		r.log.set(func() { r.log.without = roomA })
		messages := r.connected(0, KnownRoom{Room: roomA, Updated: time.Now().UnixMilli(), Viewed: 5}).initial()
		if told := observed(messages); !maps.Equal(told, map[string]int64{roomA: 7}) {
			t.Errorf("the client was told %v", told)
		}
	})
}
