package client

import (
	"slices"
	"strings"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

// maxHeld bounds the messages that wait for a text in full, and for each join
// those that wait for it.
const maxHeld = 1 << 15

// book folds what the stream brings into rooms and events. It does no I/O and
// knows no clock; Session.mu guards it.
//
// A message goes through three hands: todo holds what was fed, one message at a
// time is taken from it, and either applied to its room, or held. It is held
// while the program joins its room (joins), and behind an earlier message of its
// room whose text is still to come (queues).
type book struct {
	self Member
	cfg  bookConfig

	rooms map[string]*room
	sent  *outbox
	// out are events that were made but not handed out: one at most, unless they
	// do not change where a room is. More steps follow before anything else.
	out   []Event
	steps []func()
	// shown is what the program knows of the connection.
	shown visible

	// What belongs to one stream; reset forgets it.

	epoch     int
	todo      []*message
	downloads map[string]*download
	queues    map[string]*queue
	// ready are rooms whose queue may have something to give.
	ready []string
	// opening is set while the stream's initialization is read; behind counts
	// those of its messages that are held by a queue.
	opening, opened bool
	behind          int
	held            int
	// live is the epoch once everything of the initialization is handed out, 0
	// before.
	live int
	// over: the stream is being replaced, and nothing more of it counts.
	over bool

	// joins are rooms that are being joined or made by the program. unsure are
	// rooms we know that were joined, perhaps: if the server agrees, the program
	// is told of them once more.
	joins    map[string]*join
	unsure   map[string]struct{}
	creating int
	// strangers are rooms we do not know of which a message came, and the stream
	// on which that made us ask the server.
	strangers map[string]int
	// doubts are rooms of which the server said in passing that the account is
	// not in it. The stream should say so too, after what happened before; it
	// does not if it was another program of the account that left.
	doubts map[string]struct{}
	// moved are rooms whose place in the log the server has not been told since
	// it moved.
	moved map[string]struct{}
	// departures are from rooms that the program left before they were entered.
	departures map[string]departure
}

// bookConfig is what of the session's settings concerns the book, and how it
// reaches the connection.
type bookConfig struct {
	historyLimit int
	// fullText makes incomplete texts wait for the rest; fullHistory does so for
	// the newest texts of a room that is entered.
	fullText    bool
	fullHistory int
	// want asks for messages in full; the answer is fed.
	want func(room string, uuids []string)
	// reopen replaces the stream, so that the server tells again where we are.
	reopen func()
	// doubt makes doubted be called a little later, while the stream lives;
	// moved does so with confirmed.
	doubt, moved func()
}

type visible int

const (
	nothing visible = iota
	disconnected
	connected
	caughtUp
)

// queue holds messages of one room.
type queue struct{ entries []entry }

// entry is a message, or the entrance into a room.
type entry struct {
	message *message
	full    *message
	enter   *room
	// waits are the uuids whose answer is missing.
	waits   map[string]struct{}
	opening bool
}

// join holds what the stream says of a room while the program is joining it.
type join struct {
	held []*message
	// lost: more came than is held.
	lost bool
	// made: the room may be one that the program is making.
	made bool
}

// departure is the answer to leaving a room.
type departure struct {
	room string
	at   int64
	// sure: at is the time of the account's departure, not only after it.
	sure bool
}

// answers are messages in full by uuid; what could not be had is nil.
type answers struct {
	room  string
	epoch int
	found map[string]*message
	// outside: the server said that the account is not in the room.
	outside bool
}

func newBook(self Member, config bookConfig) *book {
	b := &book{
		self:       self,
		cfg:        config,
		rooms:      make(map[string]*room),
		sent:       newOutbox(),
		joins:      make(map[string]*join),
		unsure:     make(map[string]struct{}),
		strangers:  make(map[string]int),
		departures: make(map[string]departure),
	}
	b.reset()
	return b
}

// reset forgets what came from an earlier stream and was not handed out: the
// next one brings it again.
func (b *book) reset() {
	b.epoch++
	b.todo, b.ready, b.steps = nil, nil, nil
	b.doubts = make(map[string]struct{})
	b.moved = make(map[string]struct{})
	b.downloads = make(map[string]*download)
	b.queues = make(map[string]*queue)
	b.opening, b.opened, b.behind, b.held, b.live, b.over = false, false, 0, 0, 0, false
	for _, r := range b.rooms {
		r.leftAt, r.unheard = 0, false // the next stream will say whether we are in it
	}
	for id, j := range b.joins {
		if j.made {
			delete(b.joins, id)
			continue
		}
		j.held, j.lost = nil, false
	}
}

// again has the stream replaced. What it still brings is not for us: something of
// it has been dropped, and what came after would hide the gap.
func (b *book) again() {
	b.todo, b.opened, b.over = nil, false, true
	b.cfg.reopen()
}

// feed takes an item of the inbox.
func (b *book) feed(i item) {
	switch {
	case i.response != nil:
		if !b.over {
			b.todo = append(b.todo, i.response...)
		}
	case i.mark != nil:
		b.mark(i.mark)
	case i.entered != nil:
		// A stream that was opened meanwhile did not have the room in its list,
		// and if we are out of it again it does not mention it.
		i.entered.unheard = i.began == 0 || i.began != b.epoch
		b.enter(i.entered)
		b.release(i.entered.info.ID)
	case i.over != "":
		b.release(i.over)
	case i.left != nil:
		b.depart(*i.left)
	case i.full != nil:
		b.answered(*i.full)
	}
	if i.made {
		b.made()
	}
}

// next makes the next event, nil if it takes more to be fed.
func (b *book) next() Event {
	for {
		switch {
		case len(b.out) > 0:
			e := b.out[0]
			b.out = b.out[1:]
			return e
		case len(b.steps) > 0:
			step := b.steps[0]
			b.steps = b.steps[1:]
			step()
		case len(b.ready) > 0:
			id := b.ready[len(b.ready)-1]
			b.ready = b.ready[:len(b.ready)-1]
			b.serve(id)
		case len(b.todo) > 0:
			m := b.todo[0]
			b.todo = b.todo[1:]
			b.take(m)
		case b.opened && b.behind == 0:
			b.opened = false
			b.settle()
			b.show(caughtUp, CaughtUp{})
		default:
			return nil
		}
	}
}

func (b *book) emit(e Event) { b.out = append(b.out, e) }

// show tells of a change of the connection, unless the program knows.
func (b *book) show(v visible, e Event) {
	if b.shown == v || v == connected && b.shown == caughtUp {
		return
	}
	b.shown = v
	b.emit(e)
}

func (b *book) mark(e Event) {
	switch e := e.(type) {
	case Connected:
		b.opening = true
		b.show(connected, e)
	case CaughtUp:
		b.opening, b.opened = false, !b.over // told when nothing of it is held any more
	case GoingAway:
		b.emit(e)
	case Disconnected:
		b.show(disconnected, e)
	}
}

// take decides about one message of the stream.
func (b *book) take(m *message) {
	id := roomOf(m)
	if specifics(m).GetThisUserLeftChatRoomMessage() != nil {
		b.gone(id)
		return
	}
	r := b.rooms[id]
	if j := b.joins[id]; j != nil {
		j.hold(m)
		return
	}
	if r == nil && b.creating > 0 && b.downloads[id] == nil && !starts(m) {
		j := &join{made: true}
		b.joins[id] = j
		j.hold(m)
		return
	}
	if b.describe(id, m) {
		return
	}
	if q := b.queues[id]; q != nil {
		b.hold(id, m)
		return
	}
	if r == nil {
		if specifics(m) != nil {
			b.stranger(id)
		}
		return
	}
	if len(b.missing(r, m)) > 0 {
		b.hold(id, m)
		return
	}
	b.apply(r, m, nil)
}

func (j *join) hold(m *message) {
	if len(j.held) == maxHeld {
		j.held, j.lost = nil, true
	}
	if !j.lost {
		j.held = append(j.held, m)
	}
}

// starts reports whether m opens the description of a room.
func starts(m *message) bool {
	return specifics(m).GetThisUserJoinedChatRoomStartMessage() != nil
}

// describe takes a message that is part of the description of a room.
func (b *book) describe(id string, m *message) bool {
	d := b.downloads[id]
	if starts(m) {
		d = newDownload(b.self, b.cfg.historyLimit, b.rooms[id])
		b.downloads[id] = d
	}
	if d == nil {
		return false
	}
	if d.add(m); !d.finished {
		return true
	}
	delete(b.downloads, id)
	if d.lost && b.rooms[id] != nil {
		b.drop(id)
		d.room.anew = true
	}
	if d.known == nil {
		b.enter(d.room)
		return true
	}
	// The server described a room again that we know: it was not listed, for
	// want of space or because it was entered meanwhile.
	d.known.info, d.known.members = d.room.info, d.room.members
	d.known.viewed = max(d.known.viewed, d.room.viewed)
	d.known.unheard = false
	b.todo = append(d.newer, b.todo...)
	return true
}

// missing are the uuids that have to be asked for before m can be shown.
func (b *book) missing(r *room, m *message) []string {
	at, uuid := stamp(m)
	if r != nil && r.window.has(at, uuid) {
		return nil
	}
	switch specifics(m).GetMessageBody().(type) {
	case *chatpb.MessageSpecifics_TextMessage:
		if b.cfg.fullText && !complete(m) && !b.sent.hasText(uuid) {
			return []string{uuid}
		}
	case *chatpb.MessageSpecifics_NewUpdateTimeMessage:
		// Something of our own that this session did not do: it may be a text.
		if uuid != "" && !b.sent.has(uuid) {
			return []string{uuid}
		}
	}
	return nil
}

// hold puts a message behind what its room waits for.
func (b *book) hold(id string, m *message) {
	b.enqueue(id, entry{message: m}, b.missing(b.rooms[id], m))
}

func (b *book) enqueue(id string, e entry, missing []string) {
	q := b.queues[id]
	if q == nil {
		q = &queue{}
		b.queues[id] = q
	}
	if len(missing) > 0 {
		e.waits = make(map[string]struct{}, len(missing))
		for _, uuid := range missing {
			e.waits[uuid] = struct{}{}
		}
		b.cfg.want(id, missing)
	}
	e.opening = b.opening
	q.entries = append(q.entries, e)
	b.held++
	if e.opening {
		b.behind++
	}
	if b.held > maxHeld {
		// Too much waits: let the oldest of this room go as it is. A text that
		// is cut can be asked for later, memory cannot.
		q.entries[0].waits = nil
		b.ready = append(b.ready, id)
	}
}

// answered takes messages in full.
func (b *book) answered(a answers) {
	if r := b.rooms[a.room]; r != nil {
		for _, m := range a.found {
			if m != nil {
				r.fill(r.read(m, b.self))
			}
		}
	}
	q := b.queues[a.room]
	if q == nil || a.epoch != b.epoch {
		return
	}
	if a.outside {
		b.doubts[a.room] = struct{}{}
		b.cfg.doubt()
	}
	for i := range q.entries {
		e := &q.entries[i]
		for uuid, m := range a.found {
			if _, waits := e.waits[uuid]; !waits {
				continue
			}
			delete(e.waits, uuid)
			switch {
			case m == nil:
			case e.enter != nil:
				e.enter.fill(e.enter.read(m, b.self))
			default:
				e.full = m
			}
		}
	}
	b.ready = append(b.ready, a.room)
}

// serve lets the first entry of a room's queue go, if it waits for nothing.
func (b *book) serve(id string) {
	q := b.queues[id]
	if q == nil || len(q.entries) > 0 && len(q.entries[0].waits) > 0 {
		return
	}
	if len(q.entries) == 0 {
		delete(b.queues, id)
		return
	}
	e := q.entries[0]
	q.entries[0] = entry{}
	q.entries = q.entries[1:]
	b.let(e)
	b.ready = append(b.ready, id)
	if e.enter != nil {
		b.entered(e.enter)
		return
	}
	if r := b.rooms[id]; r != nil {
		b.apply(r, e.message, e.full)
	}
}

// let counts an entry that is not held any more.
func (b *book) let(e entry) {
	b.held--
	if e.opening {
		b.behind--
	}
}

// enter takes a room that the account is in, once the texts of its history that
// are wanted have come.
func (b *book) enter(r *room) {
	if missing := r.incomplete(b.cfg.fullHistory); len(missing) > 0 {
		b.enqueue(r.info.ID, entry{enter: r}, missing)
		return
	}
	b.entered(r)
}

func (b *book) entered(r *room) {
	id := r.info.ID
	if known := b.rooms[id]; known != nil {
		if known.window.position >= r.window.position {
			return // the stream was faster
		}
		// We had not been told yet that we were out of it. What was missed
		// before the departure is in the history.
		b.leave(id, RoomLeft{Room: id})
		b.steps = append(b.steps, func() { b.entered(r) })
		return
	}
	for i := range r.history {
		m := &r.history[i]
		if own := b.sent.take(m.UUID); own != nil && m.Kind == KindText {
			m.Text, m.Complete = own.text, true
		}
	}
	delete(b.strangers, id)
	delete(b.doubts, id)
	r.epoch, r.since = b.epoch, r.window.position
	b.rooms[id] = r
	b.progress(r)
	b.announce(r)
	if d, left := b.departures[id]; left {
		delete(b.departures, id)
		b.steps = append(b.steps, func() { b.depart(d) })
	}
	if r.unheard && b.live > 0 {
		b.again()
	}
}

func (b *book) announce(r *room) {
	delete(b.unsure, r.info.ID)
	b.emit(RoomEntered{Room: r.info, Members: r.present(b.self), Anew: r.anew, History: slices.Clone(r.history)})
	r.anew = false
}

// begin notes that the program is joining a room, and reports whether it was not
// doing so already.
func (b *book) begin(id string) bool {
	if j := b.joins[id]; j != nil && !j.made {
		return false
	}
	b.joins[id] = &join{}
	return true
}

// release ends a join, and takes what was held for it.
func (b *book) release(id string) {
	j := b.joins[id]
	if j == nil {
		return
	}
	delete(b.joins, id)
	if j.lost {
		b.again()
		return
	}
	b.todo = append(j.held, b.todo...)
}

// made ends the making of a room.
func (b *book) made() {
	if b.creating--; b.creating > 0 {
		return
	}
	for id, j := range b.joins {
		if j.made {
			b.release(id)
		}
	}
}

// abandon ends a join half-way: the server has to tell where we are.
func (b *book) abandon(id string) {
	delete(b.joins, id)
	if b.rooms[id] != nil {
		b.unsure[id] = struct{}{}
	}
	b.again()
}

// settle is called when the server has told where we are.
func (b *book) settle() {
	b.live = b.epoch
	for _, r := range b.rooms {
		if r.unheard {
			b.again()
		}
	}
	for id := range b.unsure {
		delete(b.unsure, id)
		if r := b.rooms[id]; r != nil {
			b.announce(r)
		}
	}
}

// stranger is called for a message of a room that we do not know: another
// program of the account may have joined it. The next stream tells; if it does
// not, it is not asked a second time.
func (b *book) stranger(id string) {
	asked, before := b.strangers[id]
	if b.opening || before && b.epoch-asked < 2 {
		return
	}
	b.strangers[id] = b.epoch
	b.again()
}

// doubted is called some time after doubts arose.
func (b *book) doubted() {
	if len(b.doubts) > 0 {
		b.again()
	}
}

// gone: the server says that the account is not in a room we listed.
func (b *book) gone(id string) {
	r := b.rooms[id]
	switch {
	case r == nil:
	case r.epoch == b.epoch:
		// We entered it since we sent the list: which of the two is later?
		b.again()
	case r.leaving:
		b.leave(id, RoomLeft{Room: id, How: Departed})
	default:
		b.leave(id, RoomLeft{Room: id})
	}
}

// depart: the program left a room.
func (b *book) depart(d departure) {
	r := b.rooms[d.room]
	switch {
	case r == nil && (b.joins[d.room] != nil || b.queues[d.room] != nil):
		b.departures[d.room] = d // from a room that is not entered yet
	case r == nil:
	case r.since >= d.at:
		// It was joined again since.
	case r.window.position >= d.at:
		b.leave(d.room, RoomLeft{Room: d.room, How: Departed})
	default:
		r.leftAt, r.leaving = d.at, true
		if !d.sure {
			b.again()
		}
	}
}

// progress notes that the server may be told where r is.
func (b *book) progress(r *room) {
	if r.window.seq == 0 {
		return
	}
	if len(b.moved) == 0 {
		b.cfg.moved()
	}
	b.moved[r.info.ID] = struct{}{}
}

// confirmed is where the rooms are that have moved.
func (b *book) confirmed() []*chatstreampb.Position {
	var out []*chatstreampb.Position
	for id := range b.moved {
		if r := b.rooms[id]; r != nil && r.window.seq > 0 {
			out = append(out, &chatstreampb.Position{ChatRoomId: id, Seq: r.window.seq, TimestampStored: r.window.position})
		}
	}
	clear(b.moved)
	return out
}

// places are positions of a bookmark, as messages that show nothing: they take
// their turn behind the messages before.
func places(positions []*chatstreampb.Position) []*message {
	var out []*message
	for _, p := range positions {
		out = append(out, &message{
			TimestampStored: p.GetTimestampStored(),
			Seq:             p.GetSeq(),
			Message: &chatpb.TypeOfChatMessage{
				StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: p.GetChatRoomId()},
			},
		})
	}
	return out
}

// leave forgets a room and says so.
func (b *book) leave(id string, e RoomLeft) {
	b.drop(id)
	b.emit(e)
}

// drop forgets a room.
func (b *book) drop(id string) {
	delete(b.rooms, id)
	if q := b.queues[id]; q != nil {
		for _, held := range q.entries {
			b.let(held)
		}
		delete(b.queues, id)
	}
	delete(b.doubts, id)
}

// listings is what the next stream has to be told.
func (b *book) listings() []listing {
	out := make([]listing, 0, len(b.rooms))
	for id, r := range b.rooms {
		l := listing{room: id, updated: r.window.position, viewed: max(r.viewed, -1), seq: r.window.seq}
		if l.seq == 0 {
			l.recent = r.window.recent
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b listing) int { return strings.Compare(a.room, b.room) })
	return out
}
