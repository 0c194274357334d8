package engine

import (
	"cmp"
	"slices"
)

// servedRooms are the subscriptions that a stream serves, sorted by room: most
// users are in few rooms, and there may be very many streams, each of which would
// have a map that weighs as much as ten rooms do here. Called by the stream's turn.
type servedRooms []*subscription

func (r servedRooms) find(room string) (int, bool) {
	return slices.BinarySearchFunc(r, room, func(sub *subscription, room string) int {
		return cmp.Compare(sub.room.id, room)
	})
}

// in returns the subscription served in room, nil if there is none.
func (r servedRooms) in(room string) *subscription {
	if i, found := r.find(room); found {
		return r[i]
	}
	return nil
}

// put makes sub the one that is served in its room.
func (r *servedRooms) put(sub *subscription) {
	i, found := r.find(sub.room.id)
	if found {
		(*r)[i] = sub
		return
	}
	*r = slices.Insert(*r, i, sub)
}

// remove serves nothing in room any more.
func (r *servedRooms) remove(room string) {
	if i, found := r.find(room); found {
		*r = slices.Delete(*r, i, i+1)
	}
}
