package client

import "time"

const (
	// lookBack is how far before a room's position servers may look for
	// messages the client could lack, and how far back it lists what it has.
	lookBack = 20 * time.Second
	// maxRecent bounds what is remembered of one room; the metadata has space for
	// less than twice as many of all rooms.
	maxRecent = 1 << 14
)

// window is how far a room has been handed out: everything up to floor, and
// above it what is in recent. With a server whose times increase with its log
// that is everything up to position; with one that stores in another order, a
// late message is told from a duplicate.
type window struct {
	// position is the time of the newest message, -1 for none; seq its place in
	// the room's log, 0 if the server does not say.
	position int64
	seq      uint64
	floor    int64
	recent   []Stamp
	set      map[string]struct{}
}

// Stamp is a message that was handed out.
type Stamp struct {
	UUID string `json:"uuid"`
	// Time is in Unix milliseconds.
	Time int64 `json:"time"`
}

func newWindow() window {
	return window{position: -1, floor: -1, set: make(map[string]struct{})}
}

// has reports whether the message was handed out. Some messages have no uuid.
func (w *window) has(at int64, uuid string) bool {
	if at <= w.floor {
		return true
	}
	if uuid == "" {
		return at <= w.position
	}
	_, ok := w.set[uuid]
	return ok
}

// add remembers a message that is being handed out.
func (w *window) add(at int64, uuid string, seq uint64) {
	if at >= w.position {
		w.position, w.seq = at, seq
	}
	if uuid != "" {
		w.recent = append(w.recent, Stamp{UUID: uuid, Time: at})
		w.set[uuid] = struct{}{}
	}
	w.floor = max(w.floor, w.position-lookBack.Milliseconds())
	for len(w.recent) > 0 && (w.recent[0].Time <= w.floor || len(w.recent) > maxRecent) {
		w.floor = max(w.floor, w.recent[0].Time)
		delete(w.set, w.recent[0].UUID)
		w.recent = w.recent[1:]
	}
}
