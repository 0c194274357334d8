package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"

	"github.com/chatstream/chatstream/client/clienttest"
)

// sameRooms checks that value, read by the grammar, says what it may say of
// rooms: the first ones, each with its newest uuids.
func sameRooms(t interface {
	Fatalf(string, ...any)
}, value string, rooms []listing) []clienttest.KnownRoom {
	parsed, ok := clienttest.ParseRooms(value)
	if !ok {
		t.Fatalf("not by the grammar: %.200q", value)
	}
	if len(parsed) > len(rooms) {
		t.Fatalf("%d rooms of %d", len(parsed), len(rooms))
	}
	for i, p := range parsed {
		r := rooms[i]
		if p.ID != r.room || p.Updated != r.updated || p.Viewed != r.viewed {
			t.Fatalf("room %d: %s %d %d of %+v", i, p.ID, p.Updated, p.Viewed, r)
		}
		if len(p.UUIDs) > len(r.recent) {
			t.Fatalf("room %d: %d uuids of %d", i, len(p.UUIDs), len(r.recent))
		}
		for j, u := range p.UUIDs {
			if want := r.recent[len(r.recent)-len(p.UUIDs)+j].UUID; u != want {
				t.Fatalf("room %d: uuid %d is %q, want %q", i, j, u, want)
			}
		}
	}
	return parsed
}

// samePlaces checks that value names the place of each of the first rooms that
// has one.
func samePlaces(t interface {
	Fatalf(string, ...any)
}, value string, listed []clienttest.KnownRoom, rooms []listing) {
	parsed, ok := clienttest.ParsePositions(value)
	if !ok {
		t.Fatalf("not by the grammar: %.200q", value)
	}
	for _, r := range rooms[:len(listed)] {
		if seq, named := parsed[r.room]; named != (r.seq > 0) || uint64(seq) != r.seq {
			t.Fatalf("room %s is at %d, and named at %d", r.room, r.seq, seq)
		}
		delete(parsed, r.room)
	}
	if len(parsed) > 0 {
		t.Fatalf("rooms that are not listed are named: %v", parsed)
	}
}

func TestRoomValuesFollowTheGrammar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rooms []listing
		for i := range rapid.IntRange(0, 6).Draw(t, "rooms") {
			l := listing{
				room:    fmt.Sprintf("%08d", i),
				updated: rapid.Int64Range(-1, 99_999_999_999_999).Draw(t, "updated"),
				viewed:  rapid.Int64Range(-1, 99_999_999_999_999).Draw(t, "viewed"),
				seq:     rapid.Uint64Range(0, 1<<40).Draw(t, "seq") * uint64(rapid.IntRange(0, 1).Draw(t, "exact")),
			}
			for range rapid.IntRange(0, 8).Draw(t, "uuids") {
				l.recent = append(l.recent, Stamp{UUID: uuid.NewString()})
			}
			rooms = append(rooms, l)
		}
		budget := rapid.IntRange(0, 2000).Draw(t, "budget")
		value, places := roomValues(rooms, budget)
		if n := len(value) + len(places); n > budget {
			t.Fatalf("%d bytes for a budget of %d", n, budget)
		}
		samePlaces(t, places, sameRooms(t, value, rooms), rooms)
		value, places = roomValues(rooms, 1<<20)
		all := sameRooms(t, value, rooms)
		samePlaces(t, places, all, rooms)
		for _, p := range all {
			for _, r := range rooms {
				if r.room == p.ID && len(r.recent) != len(p.UUIDs) {
					t.Fatalf("uuids are left out for no reason: %+v", p)
				}
			}
		}
	})
}

func TestMetadataStaysBelowTheLimit(t *testing.T) {
	rooms := make([]listing, 300)
	for i := range rooms {
		rooms[i] = listing{room: fmt.Sprintf("%08d", i), updated: 1_700_000_000_000, viewed: -1}
		for range 100 + i {
			rooms[i].recent = append(rooms[i].recent, Stamp{UUID: uuid.NewString()})
		}
	}
	fields := loginFields(Credentials{AccountID: strings.Repeat("a", 24), Token: strings.Repeat("b", 24), InstallationID: uuid.NewString()})
	value, _ := roomValues(rooms, roomsBudget(fields))
	size := 0
	for key, values := range metadata.Pairs(append(fields, keyRooms, value)...) {
		size += len(key) + len(values[0]) + fieldOverhead
	}
	if size > 1<<20-1024 || size < 1<<20-1024-200-300*maxCount {
		t.Errorf("%d bytes, want just below %d", size, 1<<20-1024)
	}
	// Fair: no room lost many more than another that had them.
	least, most := 1<<30, 0
	for _, p := range sameRooms(t, value, rooms) {
		least, most = min(least, len(p.UUIDs)), max(most, len(p.UUIDs))
	}
	if most-least > 1 {
		t.Errorf("rooms keep %d to %d uuids", least, most)
	}
}

func TestRoomsThatDoNotFitAreLeftOut(t *testing.T) {
	rooms := make([]listing, 40_000)
	for i := range rooms {
		rooms[i] = listing{room: fmt.Sprintf("%08d", i), updated: 1_700_000_000_000, viewed: 1_700_000_000_000}
	}
	value, _ := roomValues(rooms, roomsBudget(nil))
	if n := len(sameRooms(t, value, rooms)); n < 10_000 || n == len(rooms) {
		t.Errorf("%d rooms", n)
	}
}

func FuzzRoomValues(f *testing.F) {
	f.Add("abcdefgh", int64(17), int64(-1), "11111111-2222-3333-4444-555555555555", 200)
	f.Fuzz(func(t *testing.T, id string, updated, viewed int64, recent string, budget int) {
		if id == "" || strings.Contains(id, ":") || strings.Contains(recent, ":") || len(recent) > 36 ||
			updated < -1 || viewed < -1 || updated > 99_999_999_999_999 || viewed > 99_999_999_999_999 {
			return
		}
		rooms := []listing{{room: id, updated: updated, viewed: viewed, seq: uint64(len(recent)), recent: []Stamp{{UUID: recent}}}}
		budget = min(budget, 1<<20)
		value, places := roomValues(rooms, budget)
		if len(value)+len(places) > max(budget, 0) {
			t.Fatal("over the budget")
		}
		samePlaces(t, places, sameRooms(t, value, rooms), rooms)
	})
}
