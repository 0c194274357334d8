package engine

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Random users do random things in random rooms, over a store that is late,
// loses its watch and fails, to clients that come, go, and do not read. Whatever
// happens, every stream is told the log of each of its rooms in order and without
// a gap, nothing of it after a removal; and in the end every member has it all.
//
// ENGINE_SEEDS=n runs n seeds, ENGINE_SEED=s only that one.
func TestEveryClientIsToldItsRoomsInOrderAndWithoutAGap(t *testing.T) {
	first, n := 1, 50
	if testing.Short() {
		n = 20
	}
	if s, err := strconv.Atoi(os.Getenv("ENGINE_SEEDS")); err == nil {
		n = s
	}
	if s, err := strconv.Atoi(os.Getenv("ENGINE_SEED")); err == nil {
		first, n = s, 1
	}
	var sum worldStats
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 7))
			cfg := Config{
				TailBytes:     []int64{1, 2000, 100_000}[rng.IntN(3)],
				GapPatience:   time.Duration(1+rng.IntN(200)) * time.Millisecond,
				StallPatience: time.Hour,
			}
			if n > 1 {
				cfg.Logger = slog.New(slog.DiscardHandler) // run the seed by itself to see it
			}
			pc := pool.Config{Runners: 1 + rng.IntN(3), Workers: 1 + rng.IntN(4), Waiting: []int{1, 1000}[rng.IntN(2)]}
			inBubbleWith(t, cfg, pc, func(r *rig) {
				w := newWorld(r, rng)
				for range 150 {
					w.step()
				}
				w.end()
				w.check()
				sum.add(w.stats)
			})
		})
	}
	t.Logf("%+v", sum)
	if n > 10 && (sum.Live == 0 || sum.Initial == 0 || sum.Removals == 0 || sum.Reconnects == 0 || sum.Failed == 0 || sum.Lost == 0) {
		t.Errorf("something did not happen at all: %+v", sum)
	}
}

// The same with all users at once, each by itself: what they do, what Watch shows
// and the turns interleave as the processors have it.
func TestManyUsersAtOnceAreToldTheirRoomsInOrderAndWithoutAGap(t *testing.T) {
	rounds, steps := 6, 120
	if testing.Short() {
		rounds = 2
	}
	if s, err := strconv.Atoi(os.Getenv("ENGINE_SEEDS")); err == nil {
		rounds = s
	}
	for round := range rounds {
		if t.Failed() {
			break
		}
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(round), 11))
			cfg := Config{
				TailBytes:     []int64{1, 2000, 100_000}[round%3],
				GapPatience:   time.Millisecond,
				StallPatience: time.Hour,
				Logger:        slog.New(slog.DiscardHandler),
			}
			inBubbleWith(t, cfg, pool.Config{Runners: 3, Workers: 4}, func(r *rig) {
				w := newWorld(r, rng)
				var acting sync.WaitGroup
				for _, u := range w.users {
					own := &world{r: r, rng: rand.New(rand.NewPCG(uint64(round), uint64(u.who))), rooms: w.rooms, users: w.users}
					acting.Go(func() {
						for range steps {
							own.stepOf(u)
							if own.rng.IntN(20) == 0 {
								time.Sleep(time.Duration(own.rng.IntN(10)) * time.Millisecond)
							}
						}
					})
				}
				acting.Wait()
				w.end()
				w.check()
			})
		})
	}
}

// stepOf has u do something that touches nobody else's device.
func (w *world) stepOf(u *user) {
	id := w.roomID()
	switch k := w.rng.IntN(100); {
	case k < 60:
		w.text(id, u)
	case k < 72:
		if events, ok := w.append(id, room.Join{UUID: nextUUID(), Account: account(u.who), Name: "x", Password: "p"}); ok {
			u.rooms[id] = events[0].Seq - 1
		}
	case k < 76:
		if _, ok := w.append(id, room.Leave{UUID: nextUUID(), Account: account(u.who)}); ok {
			delete(u.rooms, id)
		}
	case k < 82:
		w.append(id, room.Expel{UUID: nextUUID(), Caller: account(u.who), Target: account(w.rng.IntN(len(w.users)))})
	case k < 92:
		w.connect(u, w.rng.IntN(3) > 0)
	case k < 98:
		if u.conn != nil {
			u.conn.allow([]int{-1, -1, 0, 1, 3}[w.rng.IntN(5)])
		}
	default:
		w.r.log.lose()
	}
}

type worldStats struct {
	Events, Streams, Live, Initial, Removals, Reconnects, Failed, Lost, Read int
}

func (s *worldStats) add(o worldStats) {
	s.Events += o.Events
	s.Streams += o.Streams
	s.Live += o.Live
	s.Initial += o.Initial
	s.Removals += o.Removals
	s.Reconnects += o.Reconnects
	s.Failed += o.Failed
	s.Lost += o.Lost
	s.Read += o.Read
}

// world is what the random actions act upon.
type world struct {
	r     *rig
	rng   *rand.Rand
	rooms []string
	users []*user
	// late are texts that Watch has yet to show.
	late  []room.Event
	stats worldStats
}

// user is one person with one device, which keeps what it was told.
type user struct {
	who  int
	conn *client // the newest; nil before the first
	// rooms are those that the device believes to be in, with the number of the
	// last event it was told of each.
	rooms map[string]uint64
	// seen is how many responses of conn the device has taken in.
	seen    int
	streams []*told
}

// told is one stream, with what its client had listed.
type told struct {
	client *client
	listed map[string]uint64
	// exact are rooms of which it named the place.
	exact map[string]bool
}

func newWorld(r *rig, rng *rand.Rand) *world {
	w := &world{r: r, rng: rng, rooms: []string{"roomaaa", "roombbb", "roomccc"}}
	for i := range 5 {
		w.users = append(w.users, &user{who: i, rooms: map[string]uint64{}})
	}
	for i, id := range w.rooms {
		w.created(id, w.users[i])
	}
	r.log.mangle = w.mangle
	return w
}

func (w *world) created(id string, u *user) {
	events, ok := w.append(id, room.Create{Name: "n", Password: "p", Creator: account(u.who), CreatorName: "c", CapUUID: nextUUID(), JoinUUID: nextUUID()})
	if ok {
		u.rooms[id] = events[1].Seq
	}
}

func (w *world) append(id string, c room.Command) ([]room.Event, bool) {
	a, err := w.r.log.Append(w.r.t.Context(), id, opOf(c))
	if err != nil {
		return nil, false
	}
	w.stats.Events += len(a.Events)
	return a.Events, true
}

// mangle shows texts late, in the wrong order, or never, and some events twice. A
// change of membership is shown in its place: S4, on which the feed relies for
// rooms that are not hosted.
func (w *world) mangle(events []room.Event) []room.Event {
	var shown []room.Event
	for _, e := range events {
		if e.Action == room.None && w.rng.IntN(10) == 0 {
			w.late = append(w.late, e)
			continue
		}
		if e.Action == room.None && w.rng.IntN(30) == 0 {
			continue
		}
		shown = append(shown, e)
		if e.Action == room.None && w.rng.IntN(20) == 0 {
			shown = append(shown, e)
		}
	}
	if len(w.late) > 0 && w.rng.IntN(3) == 0 {
		i := w.rng.IntN(len(w.late))
		shown = append(shown, w.late[i])
		w.late = slices.Delete(w.late, i, i+1)
	}
	return shown
}

func (w *world) user() *user    { return w.users[w.rng.IntN(len(w.users))] }
func (w *world) roomID() string { return w.rooms[w.rng.IntN(len(w.rooms))] }

func (w *world) step() {
	u, id, log := w.user(), w.roomID(), w.r.log
	switch k := w.rng.IntN(100); {
	case k < 38:
		n := 1 + w.rng.IntN(4)
		if w.rng.IntN(20) == 0 {
			n = w.rng.IntN(300) // more than fits into a response, or a page
		}
		for range n {
			w.text(id, u)
		}
	case k < 50:
		if events, ok := w.append(id, room.Join{UUID: nextUUID(), Account: account(u.who), Name: "x", Password: "p"}); ok {
			u.rooms[id] = events[0].Seq - 1 // the answer brings what came before
		}
	case k < 55:
		if _, ok := w.append(id, room.Leave{UUID: nextUUID(), Account: account(u.who)}); ok {
			delete(u.rooms, id)
		}
	case k < 61:
		w.append(id, room.Expel{UUID: nextUUID(), Caller: account(u.who), Target: account(w.user().who), Ban: w.rng.IntN(4) == 0})
	case k < 72:
		w.connect(u, w.rng.IntN(3) > 0)
	case k < 75:
		if u.conn != nil {
			u.conn.cancel()
		}
	case k < 80:
		if u.conn != nil {
			u.conn.allow([]int{-1, 0, 1, 3}[w.rng.IntN(4)])
		}
	case k < 83:
		log.hold()
	case k < 86:
		log.release()
	case k < 88:
		log.lose()
		w.stats.Lost++
	case k < 90:
		log.set(func() { log.fail = errBroken })
		w.r.pass(time.Duration(w.rng.IntN(100)) * time.Millisecond)
		log.set(func() { log.fail = nil })
	case k < 92:
		w.gate(func(c chan struct{}) { log.gate = c }, log.gate)
	case k < 94:
		w.gate(func(c chan struct{}) { log.stateGate = c }, log.stateGate)
	case k < 97:
		w.r.settle()
	default:
		w.r.pass(time.Duration(w.rng.IntN(300)) * time.Millisecond)
	}
}

func (w *world) gate(set func(chan struct{}), is chan struct{}) {
	if is == nil {
		w.r.log.set(func() { set(make(chan struct{})) })
		return
	}
	w.r.log.set(func() { set(nil) })
	close(is)
}

func (w *world) text(id string, u *user) {
	size := w.rng.IntN(20)
	if w.rng.IntN(30) == 0 {
		size = room.MaxText // a page is bounded by bytes, too
	}
	if w.rng.IntN(6) == 0 {
		w.append(id, room.Post{UUID: nextUUID(), Sender: account(u.who), Kind: kindInvite, Body: inviteBody(w.rng.IntN(len(w.users)))})
		return
	}
	w.append(id, room.Post{UUID: nextUUID(), Sender: account(u.who), Kind: room.KindText, Body: textBody(strings.Repeat("x", size))})
}

// connect opens a stream in place of u's; gracefully: the client has taken in
// what has come.
func (w *world) connect(u *user, ended bool) {
	if u.conn != nil {
		w.stats.Reconnects++
		if ended {
			u.conn.cancel()
			why := <-u.conn.ended
			u.conn.ended <- why
		}
		w.takeIn(u)
	}
	s := &told{listed: map[string]uint64{}, exact: map[string]bool{}}
	var known []KnownRoom
	for id, seq := range u.rooms {
		if w.rng.IntN(8) == 0 {
			continue // the device has forgotten it
		}
		s.listed[id] = seq
		k := KnownRoom{Room: id, Updated: -1, Viewed: -1}
		if seq > 0 {
			k.Updated = w.log(id)[seq-1].Time
		}
		if w.rng.IntN(2) == 0 {
			k.Exact, k.Seq = true, seq
			s.exact[id] = true
		}
		known = append(known, k)
	}
	s.client = w.r.connectAs(newFakeConn(), u.who, Features{Bookmark: w.rng.IntN(2) == 0, GoAway: w.rng.IntN(2) == 0}, known...)
	u.conn, u.seen = s.client, 0
	u.streams = append(u.streams, s)
	w.stats.Streams++
}

// takeIn has the device take in what its stream has brought.
func (w *world) takeIn(u *user) {
	all := u.conn.responses()
	for _, m := range messagesOf(all[u.seen:]) {
		id, s := m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom(), specificsOf(m)
		switch {
		case s.GetThisUserJoinedChatRoomStartMessage() != nil:
			u.rooms[id] = 0
			continue
		case s.GetThisUserLeftChatRoomMessage() != nil:
			delete(u.rooms, id)
			continue
		}
		e, ok := w.event(m)
		if !ok {
			continue
		}
		at, in := u.rooms[id]
		switch {
		case e.Action == room.Remove && e.Target == account(u.who) && in && e.Seq > at && !m.GetMessage().GetStandardMessageInfo().GetDoNotUpdateUserState():
			delete(u.rooms, id)
		case e.Action == room.Add && e.Target == account(u.who) && (!in || e.Seq > at) && !m.GetMessage().GetStandardMessageInfo().GetDoNotUpdateUserState():
			u.rooms[id] = e.Seq
		case in && e.Seq > at:
			u.rooms[id] = e.Seq
		}
	}
	u.seen = len(all)
}

// event finds the event that m shows; false if it shows none.
func (w *world) event(m *chatpb.ChatMessageToClient) (room.Event, bool) {
	if m.GetTimestampStored() == 0 {
		return room.Event{}, false
	}
	log := w.log(m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom())
	i, ok := slices.BinarySearchFunc(log, m.GetTimestampStored(), func(e room.Event, t int64) int { return int(e.Time - t) })
	if !ok {
		w.r.t.Errorf("the log has no event of time %d: %v", m.GetTimestampStored(), m)
		return room.Event{}, false
	}
	return log[i], true
}

// log is what is stored in a room. Only the world stores anything, so what is
// there already does not change meanwhile.
func (w *world) log(id string) []room.Event {
	w.r.log.mu.Lock()
	defer w.r.log.mu.Unlock()
	return w.r.log.events[id]
}

func messagesOf(responses []*streampb.ChatToClientResponse) []*chatpb.ChatMessageToClient {
	var all []*chatpb.ChatMessageToClient
	for _, r := range responses {
		all = append(all, r.GetInitialConnectionMessagesResponse().GetMessagesList()...)
		all = append(all, r.GetReturnNewChatMessage().GetMessagesList()...)
	}
	return all
}

// end makes everything well again, and has everybody connected and up to date.
func (w *world) end() {
	log := w.r.log
	log.set(func() {
		log.fail, log.mangle = nil, nil
		for _, c := range []chan struct{}{log.gate, log.stateGate} {
			if c != nil {
				close(c)
			}
		}
		log.gate, log.stateGate = nil, nil
	})
	log.release()
	for _, u := range w.users {
		if u.conn != nil {
			u.conn.allow(-1)
		}
	}
	w.last()
	for range 10 { // a stream may end once more, of what was broken
		w.r.pass(3 * time.Second)
		again := false
		for _, u := range w.users {
			if u.conn == nil || u.conn.closed.Load() {
				again = true
				w.connect(u, true)
			}
		}
		if !again {
			break
		}
	}
	w.last()
	w.r.pass(3 * time.Second)
}

// last has something said in every room, so that it is known to go on.
func (w *world) last() {
	for _, id := range w.rooms {
		for _, u := range w.users {
			w.text(id, u)
		}
	}
}

func (w *world) check() {
	t := w.r.t
	for _, u := range w.users {
		for i, s := range u.streams {
			w.checkStream(u, i, s)
		}
		select {
		case why := <-u.conn.ended:
			t.Errorf("user %d's last stream has ended: %+v", u.who, why)
			continue
		default:
		}
		w.takeIn(u)
		for _, id := range w.rooms {
			log := w.log(id)
			at, in := u.rooms[id]
			for in && at < uint64(len(log)) && !IsFor(&log[at], account(u.who)) {
				at++
			}
			if present := w.r.log.states[id].Present(account(u.who)); present && (!in || at != uint64(len(log))) {
				t.Errorf("user %d is in room %s with %d events; the device believes %v, and has %d", u.who, id, len(log), in, at)
			}
		}
	}
	for _, c := range w.r.open {
		select {
		case why := <-c.ended:
			if why.Reason == streampb.StreamDownReasons_RETURN_STATUS_ATTACHED {
				w.stats.Failed++
			}
			c.ended <- why
		default:
		}
	}
	w.stats.Read = int(w.r.log.reads.Load())
}

// checkStream holds what a stream was told of each room against the room's log.
func (w *world) checkStream(u *user, nth int, s *told) {
	t, me := w.r.t, account(u.who)
	at := map[string]uint64{} // the last event told, by room
	described := map[string]bool{}
	for id, seq := range s.listed {
		at[id] = seq
	}
	// next is the first event after seq that is for the account.
	next := func(id string, seq uint64) uint64 {
		log := w.log(id)
		for seq < uint64(len(log)) && !IsFor(&log[seq], me) {
			seq++
		}
		return seq + 1
	}
	live := map[string]uint64{}
	started := false
	stays := map[string][]bool{}
	for _, id := range w.rooms {
		stays[id] = presentBefore(w.log(id), me)
	}
	for _, r := range s.client.responses() {
		if r.GetInitialConnectionMessagesCompleteResponse() != nil {
			started = true
		}
		for _, m := range messagesOf([]*streampb.ChatToClientResponse{r}) {
			id := m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom()
			bad := func(format string, args ...any) {
				t.Helper()
				t.Errorf("user %d, stream %d, room %s: %s", u.who, nth, id, fmt.Sprintf(format, args...))
			}
			if specificsOf(m).GetThisUserJoinedChatRoomStartMessage() != nil {
				described[id], at[id] = true, 0
				continue
			}
			if specificsOf(m).GetThisUserLeftChatRoomMessage() != nil {
				delete(at, id)
				continue
			}
			e, ok := w.event(m)
			if !ok {
				continue
			}
			last, known := at[id]
			if m.GetSeq() != e.Seq || m.GetPreviousSeq() >= e.Seq || next(id, m.GetPreviousSeq()) != e.Seq {
				bad("%d says it is %d behind %d", e.Seq, m.GetSeq(), m.GetPreviousSeq())
			}
			if known && m.GetPreviousSeq() > last && !(e.Target == me && e.Action == room.Add) && next(id, last) != e.Seq {
				bad("%d says it is behind %d, which %d is not", e.Seq, m.GetPreviousSeq(), last)
			}
			if !IsFor(&e, me) {
				bad("%d is for others", e.Seq)
			}
			if e.Target == me && e.Action == room.Remove {
				w.stats.Removals++
			}
			if !started {
				w.stats.Initial++
				if !known || next(id, last) != e.Seq {
					bad("initialized with %d after %d", e.Seq, last)
				}
				at[id] = e.Seq
				continue
			}
			w.stats.Live++
			own := e.Target == me && e.Action == room.Add
			if before, ok := live[id]; ok && e.Seq <= before {
				bad("%d was told after %d", e.Seq, before)
			}
			if !own && (!known || e.Seq > next(id, last)) || s.exact[id] && known && e.Seq <= last {
				bad("%d was told after %d", e.Seq, last)
			}
			if !own && !stays[id][e.Seq] {
				bad("%d was told, and the account is not in the room then", e.Seq)
			}
			if e.Sender == me != (specificsOf(m).GetNewUpdateTimeMessage() != nil) {
				bad("%d of sender %s came as %v", e.Seq, e.Sender, m)
			}
			live[id] = e.Seq
			at[id] = max(last, e.Seq)
			if e.Target == me && e.Action == room.Remove && e.Seq >= last {
				delete(at, id)
			}
		}
	}
}

// presentBefore says for each number whether account is in the room right before
// the event of that number.
func presentBefore(log []room.Event, account string) []bool {
	before := make([]bool, len(log)+1)
	in := false
	for _, e := range log {
		before[e.Seq] = in
		if e.Target == account {
			in = e.Action == room.Add
		}
	}
	return before
}
