package engine

import (
	"github.com/puzpuzpuz/xsync/v3"

	"github.com/chatstream/chatstream/atomics"
)

// Rooms holds the rooms that this process hosts: those in which one of its
// streams is subscribed, or is about to be. Safe for concurrent use.
//
// Everything that is told to a room is put into its inbox inside the map's
// Compute, and a room leaves the map inside Compute only if its inbox is empty.
// So nothing is ever told to a room that has left.
type Rooms struct {
	engine *Engine
	hosted *xsync.MapOf[string, *hostedRoom]
}

func newRooms(e *Engine) *Rooms {
	return &Rooms{engine: e, hosted: xsync.NewMapOf[string, *hostedRoom]()}
}

// open puts n into the inbox of the room, which is hosted from now on if it was
// not.
func (r *Rooms) open(id string, n *atomics.Link[note]) {
	created := false
	h, _ := r.hosted.Compute(id, func(h *hostedRoom, loaded bool) (*hostedRoom, bool) {
		if !loaded {
			h, created = newHostedRoom(r.engine, id), true
		}
		h.inbox.Push(n)
		return h, false
	})
	if created {
		h.load()
	}
	h.slot.Schedule()
}

// tellID puts n into the inbox of the room if it is hosted.
func (r *Rooms) tellID(id string, n *atomics.Link[note]) bool {
	h, told := r.hosted.Compute(id, func(h *hostedRoom, loaded bool) (*hostedRoom, bool) {
		if loaded {
			h.inbox.Push(n)
		}
		return h, !loaded
	})
	if told {
		h.slot.Schedule()
	}
	return told
}

// tell puts n into h's inbox, unless h has left the map.
func (r *Rooms) tell(h *hostedRoom, n *atomics.Link[note]) bool {
	told := false
	r.hosted.Compute(h.id, func(held *hostedRoom, loaded bool) (*hostedRoom, bool) {
		if loaded && held == h {
			h.inbox.Push(n)
			told = true
		}
		return held, !loaded
	})
	if told {
		h.slot.Schedule()
	}
	return told
}

// leave takes h out, if nobody has told it anything meanwhile.
func (r *Rooms) leave(h *hostedRoom) bool {
	left := false
	r.hosted.Compute(h.id, func(held *hostedRoom, loaded bool) (*hostedRoom, bool) {
		if loaded && held == h && h.inbox.Empty() {
			left = true
			return held, true
		}
		return held, !loaded
	})
	return left
}

// Len is the number of hosted rooms.
func (r *Rooms) Len() int { return r.hosted.Size() }

func (r *Rooms) each(f func(*hostedRoom)) {
	r.hosted.Range(func(_ string, h *hostedRoom) bool { f(h); return true })
}
