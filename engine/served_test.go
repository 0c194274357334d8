package engine

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Against a map, in any order of changes.
func TestServedRoomsAreAMapInOrder(t *testing.T) {
	rooms := make([]*hostedRoom, 20)
	for i := range rooms {
		rooms[i] = &hostedRoom{id: string(rune('a' + i))}
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var served servedRooms
		want := make(map[string]*subscription)
		for range 200 {
			room := rooms[random.IntN(len(rooms))]
			if random.IntN(3) == 0 {
				served.remove(room.id)
				delete(want, room.id)
			} else {
				sub := &subscription{room: room}
				served.put(sub)
				want[room.id] = sub
			}
			for _, room := range rooms {
				if got := served.in(room.id); got != want[room.id] {
					t.Fatalf("in room %s: %p, want %p", room.id, got, want[room.id])
				}
			}
		}
		var order []string
		for _, sub := range served {
			order = append(order, sub.room.id)
		}
		if !slices.Equal(order, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("rooms %v", order)
		}
	}
}
