package embedded

import (
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// recent is what the last groups have written under one kind of key, and what
// was read to decide them. It answers for the group that is being decided, for
// the one that is being synced, which no view shows yet, and for those that
// became durable after a caller had looked. Together with any view that has
// group number since it is the store as it is after the last staged change.
// Only the committer touches it.
//
// There are two generations, so that forgetting costs no search: when the young
// one is large it becomes the old one, and the old one is forgotten.
type recent[K comparable, V any] struct {
	young, old map[K]V
	// What was written after group number since is here; what was written after
	// group number middle is in young.
	since, middle uint64
}

func newRecent[K comparable, V any]() recent[K, V] {
	return recent[K, V]{young: make(map[K]V), old: make(map[K]V)}
}

func (r *recent[K, V]) find(key K) (V, bool) {
	v, ok := r.young[key]
	if !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

// put is called for each change, also of what is found here already.
func (r *recent[K, V]) put(key K, v V) { r.young[key] = v }

// forget makes room before a group begins, if there is much. last is the number
// of the group before, published that of the last group a view shows: what no
// view shows is not forgotten. It reports whether young is empty now.
func (r *recent[K, V]) forget(large bool, last, published uint64) bool {
	if !large || published < r.middle {
		return false
	}
	clear(r.old)
	r.young, r.old = r.old, r.young
	r.since, r.middle = r.middle, last
	return true
}

// memory is all that the committer remembers.
type memory struct {
	// last is the number of the last group that was handed to the syncer.
	last uint64

	events recent[string, storedEvent] // by room id and uuid
	// bytes is what the bodies in events.young take.
	bytes    int
	rooms    recent[string, *roomEntry]
	seen     recent[seenBy, *seenEntry]
	accounts recent[string, store.Account]
	names    recent[string, string]
}

// How much there is in a generation before it is forgotten. A sender who is not
// among those remembered costs the committer a read.
const (
	maxRecentEvents = 1 << 12
	maxRecentBytes  = maxGroupBytes
	maxRecentRooms  = 1 << 12
	maxRecentSeen   = 1 << 16
	maxRecentLogins = 1 << 10
)

func newMemory() memory {
	return memory{
		events: newRecent[string, storedEvent](), rooms: newRecent[string, *roomEntry](),
		seen: newRecent[seenBy, *seenEntry](), accounts: newRecent[string, store.Account](), names: newRecent[string, string](),
	}
}

// forget is called before a group begins; see recent.
func (m *memory) forget(published uint64) {
	large := len(m.events.young) >= maxRecentEvents || m.bytes >= maxRecentBytes
	if m.events.forget(large, m.last, published) {
		m.bytes = 0
	}
	m.rooms.forget(len(m.rooms.young) >= maxRecentRooms, m.last, published)
	m.seen.forget(len(m.seen.young) >= maxRecentSeen, m.last, published)
	m.accounts.forget(len(m.accounts.young) >= maxRecentLogins, m.last, published)
	m.names.forget(len(m.names.young) >= maxRecentLogins, m.last, published)
}

type storedEvent struct {
	event *room.Event
	mark  fingerprint
}

// roomEntry is a room after the last staged change.
type roomEntry struct {
	id    string
	state room.State
	// group is the number of the last group that changed the room; members are
	// those whose membership it has changed, some more than once.
	group   uint64
	members []string
}

type seenBy struct{ roomID, account string }

// seenEntry is when an account was seen, after the last staged change.
type seenEntry struct {
	seenBy
	is store.Seen
	// group is the number of the last group that changed it.
	group uint64
}
