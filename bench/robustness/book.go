package robustness

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// book is what one device has of one account's rooms, as far as it knows: it is
// what a client keeps to say, when it opens a stream, where it has come to. It
// changes the way a careful client of either protocol would change it.
//
// A room stands in it only while everything from the room's first message up to
// a place has been received: by a download, and by what followed on streams.
type book struct {
	mu    sync.Mutex
	rooms map[string]*shelf
	// loose is the last message of rooms that are not in the book, since they
	// left it: they may come in, when a download ends that began before.
	loose map[string]place
	// removed is when the account was last taken out of a room.
	removed map[string]int64
	// turns counts how often a room has been taken out of the book. A download
	// that began before is worth nothing.
	turns map[string]int
}

// place is one in a room's log.
type place struct {
	time int64
	seq  uint64
}

func (p place) after(q place) bool { return p.time > q.time }

// shelf is one room in the book.
type shelf struct {
	place
	// recent are some of the last messages, in order.
	recent []recent
}

type recent struct {
	place
	uuid string
}

// recents is how many messages are remembered by their uuids.
const recents = 20

func newBook() *book {
	return &book{
		rooms: make(map[string]*shelf), loose: make(map[string]place),
		removed: make(map[string]int64), turns: make(map[string]int),
	}
}

// claims is what to say when a stream is opened. Now and then a device of the
// old protocol does not trust its last messages, and says which of the later
// ones it has, or does not say so.
func (b *book) claims(random *rand.Rand, exact bool) []Claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Claim
	for _, id := range slices.Sorted(maps.Keys(b.rooms)) { // in one order, for one seed
		s := b.rooms[id]
		c := Claim{Room: id, Updated: s.time, Viewed: -1}
		if random.IntN(2) == 0 {
			c.Viewed = s.time
		}
		switch {
		case exact:
			c.Seq = s.seq
			if random.IntN(3) == 0 {
				c.Updated, c.Viewed = -1, -1 // the room stands in the positions only
			}
		case len(s.recent) > 1 && random.IntN(3) == 0:
			i := random.IntN(len(s.recent))
			c.Updated = s.recent[i].time
			if random.IntN(3) > 0 {
				for _, r := range s.recent[i+1:] {
					c.Have = append(c.Have, r.uuid)
				}
			}
		}
		list = append(list, c)
	}
	return list
}

// places is how far the rooms in the book have come.
func (b *book) places() []Claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Claim
	for id, s := range b.rooms {
		list = append(list, Claim{Room: id, Updated: s.time, Viewed: -1, Seq: s.seq})
	}
	return list
}

// turn is what a download has to show when it ends.
func (b *book) turn(room string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turns[room]
}

// forget takes a room out of the book: the device asks to join it or to leave
// it, and does not know whether it will hear what has become of that.
func (b *book) forget(room string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(room)
}

func (b *book) drop(room string) {
	delete(b.rooms, room)
	delete(b.loose, room)
	b.turns[room]++
}

// gone takes a room out of the book: the account was taken out of it at a time,
// 0 if that is not known.
func (b *book) gone(room string, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removed[room] = max(b.removed[room], at)
	b.drop(room)
}

// download is a room that is being shown from its beginning.
type download struct {
	turn int
	shelf
}

func (d *download) add(m *Message) { d.shelf.add(m) }

func (s *shelf) add(m *Message) {
	p := place{m.Time, m.Seq}
	if !p.after(s.place) {
		return
	}
	s.place = p
	if s.recent = append(s.recent, recent{p, m.UUID}); len(s.recent) > recents {
		s.recent = s.recent[1:]
	}
}

// downloaded puts a room into the book that has been shown from its beginning.
func (b *book) downloaded(room string, d *download) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turns[room] != d.turn || b.removed[room] > d.time || d.time == 0 {
		return
	}
	s := b.rooms[room]
	if s == nil || d.place.after(s.place) {
		c := d.shelf
		s = &c
		b.rooms[room] = s
	}
	if l := b.loose[room]; l.after(s.place) {
		s.place, s.recent = l, nil
	}
	delete(b.loose, room)
}

// stored takes in a message that came on a stream, not as part of a download.
func (b *book) stored(m *Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.rooms[m.Room]; s != nil {
		s.add(m)
	} else if p := (place{m.Time, m.Seq}); p.after(b.loose[m.Room]) {
		b.loose[m.Room] = p
	}
}

// lacks reports whether m is of a room in the book, and later than what is there.
func (b *book) lacks(m *Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.rooms[m.Room]
	return s != nil && m.Time > s.time
}

// behind is a room of the book that has not come to the place it is to come to,
// "" if there is none.
func (b *book) behind(times map[string]int64) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, s := range b.rooms {
		if s.time < times[id] {
			return id
		}
	}
	return ""
}

// list is the rooms in the book.
func (b *book) list() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.rooms))
}

// out is the rooms that the account has been taken out of.
func (b *book) out() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.removed))
}

// lately is some uuids of a room's last messages.
func (b *book) lately(room string, random *rand.Rand, most int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var uuids []string
	if s := b.rooms[room]; s != nil {
		for _, r := range s.recent {
			if len(uuids) < most && random.IntN(2) == 0 {
				uuids = append(uuids, r.uuid)
			}
		}
	}
	return uuids
}
