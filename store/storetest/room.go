package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// Account returns the n-th account id.
func Account(n int) string { return fmt.Sprintf("%024x", n+1) }

// RoomID returns the n-th room id; they have 7 and 8 characters in turn, and
// that of an odd n begins with that of the n before.
func RoomID(n int) string {
	id := fmt.Sprintf("r%06d", n/2)
	if n%2 == 1 {
		id += "0"
	}
	return id
}

// UUID returns a uuid made of two numbers.
func UUID(a, b int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", a, b) }

// Text is the body of a text message.
func Text(text string) []byte {
	body, err := proto.Marshal(&chatpb.MessageSpecifics{
		MessageBody: &chatpb.MessageSpecifics_TextMessage{
			TextMessage: &chatpb.TextChatMessage{MessageText: text},
		},
	})
	if err != nil {
		panic(err)
	}
	return body
}

// OpOf makes the op that carries out c.
func OpOf(c room.Command) store.Op {
	op := store.Op{Decide: func(s room.State) ([]room.Draft, error) { return room.Decide(s, c) }}
	switch c := c.(type) {
	case room.Create:
		op.UUID, op.Sender, op.Kind = c.CapUUID, c.Creator, room.KindCap
	case room.Join:
		op.UUID, op.Sender, op.Kind = c.UUID, c.Account, room.KindJoined
	case room.Leave:
		op.UUID, op.Sender, op.Kind = c.UUID, c.Account, room.KindLeft
	case room.Expel:
		op.UUID, op.Sender, op.Kind, op.Body = c.UUID, c.Caller, room.KindKicked, []byte(c.Target)
		if c.Ban {
			op.Kind = room.KindBanned
		}
	case room.Post:
		op.UUID, op.Sender, op.Kind, op.Body = c.UUID, c.Sender, c.Kind, c.Body
	}
	return op
}

// Room carries out commands in one room of a store. Not for concurrent use.
type Room struct {
	Store store.Store
	ID    string
	// next makes uuids; each room has its own.
	next int
}

// UUID returns a uuid that was not used before.
func (r *Room) UUID() string {
	r.next++
	return UUID(r.next, 0)
}

// Do carries out c and returns what was stored; it must not be refused.
func (r *Room) Do(t testing.TB, c room.Command) []room.Event {
	t.Helper()
	done, err := r.Store.Append(t.Context(), r.ID, OpOf(c))
	if err != nil {
		t.Fatalf("%T in %s: %v", c, r.ID, err)
	}
	return done.Events
}

// Create opens the room.
func (r *Room) Create(t testing.TB, creator string) []room.Event {
	t.Helper()
	return r.Do(t, room.Create{
		Name: "room " + r.ID, Password: "secret", Creator: creator, CreatorName: "name of " + creator,
		CapUUID: r.UUID(), JoinUUID: r.UUID(),
	})
}

// Join lets account in.
func (r *Room) Join(t testing.TB, account string) room.Event {
	t.Helper()
	return r.Do(t, r.join(account))[0]
}

func (r *Room) join(account string) room.Join {
	return room.Join{UUID: r.UUID(), Account: account, Name: "name of " + account, Password: "secret"}
}

// Leave takes account out.
func (r *Room) Leave(t testing.TB, account string) room.Event {
	t.Helper()
	return r.Do(t, room.Leave{UUID: r.UUID(), Account: account})[0]
}

// Post sends a text.
func (r *Room) Post(t testing.TB, sender, text string) room.Event {
	t.Helper()
	return r.Do(t, room.Post{UUID: r.UUID(), Sender: sender, Kind: room.KindText, Body: Text(text)})[0]
}

// created returns a new room with the creator in it.
func created(t testing.TB, s store.Store, id, creator string) *Room {
	t.Helper()
	r := &Room{Store: s, ID: id}
	r.Create(t, creator)
	return r
}

// Equal reports whether two events are the same.
func Equal(a, b room.Event) bool {
	return a.Room == b.Room && a.Seq == b.Seq && a.Time == b.Time && a.UUID == b.UUID && a.Kind == b.Kind &&
		a.Sender == b.Sender && a.Target == b.Target && a.Action == b.Action && bytes.Equal(a.Body, b.Body)
}

// SameState says how two states differ; "" if they do not.
func SameState(got, want room.State) string {
	if got.Header != want.Header {
		return fmt.Sprintf("header is\n%+v, want\n%+v", got.Header, want.Header)
	}
	if g, w := got.PresentCount(), want.PresentCount(); g != w {
		return fmt.Sprintf("%d present, want %d", g, w)
	}
	if g, w := slices.Collect(got.Members()), slices.Collect(want.Members()); !slices.Equal(g, w) {
		return fmt.Sprintf("members are\n%+v, want\n%+v", g, w)
	}
	return ""
}

// FoldAll is the state after a log. It fails when the log has a gap or time
// does not increase (S1, S2).
func FoldAll(t testing.TB, roomID string, events []room.Event) room.State {
	t.Helper()
	var state room.State
	for i, e := range events {
		if e.Room != roomID || e.Seq != uint64(i)+1 {
			t.Fatalf("S1: event %d of room %s is number %d of room %s", i+1, roomID, e.Seq, e.Room)
		}
		if e.Time <= state.Time {
			t.Fatalf("S2: room %s: event %d has time %d, the one before %d", roomID, e.Seq, e.Time, state.Time)
		}
		state = room.Fold(state, e)
	}
	return state
}

// CheckRoom reads a room's whole log and checks that everything else the store
// says of the room follows from it. It returns the log. Nothing may be appended
// meanwhile.
func CheckRoom(ctx context.Context, t testing.TB, s store.Store, roomID string) []room.Event {
	t.Helper()
	var events []room.Event
	for {
		page, err := s.Events(ctx, roomID, uint64(len(events)), store.Page{Events: 100})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, page...)
		if len(page) < 100 {
			break
		}
	}
	want := FoldAll(t, roomID, events)
	got, err := s.State(ctx, roomID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := SameState(got, want); diff != "" {
		t.Fatalf("room %s: state is not the fold of the log: %s", roomID, diff)
	}
	for _, e := range events {
		byUUID, err := s.Event(ctx, roomID, e.UUID)
		if err != nil {
			t.Fatalf("room %s: event %d by its uuid: %v", roomID, e.Seq, err)
		}
		if !Equal(byUUID, e) {
			t.Fatalf("room %s: uuid %s leads to\n%+v, want\n%+v", roomID, e.UUID, byUUID, e)
		}
	}
	for m := range want.Members() {
		rooms, err := s.RoomsOf(ctx, m.Account)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(rooms, roomID) != m.Present() {
			t.Fatalf("room %s: %s has standing %v, RoomsOf says %v", roomID, m.Account, m.Standing, rooms)
		}
	}
	seen, err := s.Seen(ctx, roomID)
	if err != nil {
		t.Fatal(err)
	}
	last := make(map[string]int64)
	for _, e := range events {
		last[e.Sender] = e.Time
	}
	for account, at := range last {
		if seen[account].Activity != at {
			t.Fatalf("room %s: %s was active at %d, seen at %d", roomID, account, at, seen[account].Activity)
		}
	}
	return events
}
