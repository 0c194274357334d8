package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/pool"
)

// hosting is what the check needs of Rooms; the wrong ones have it too.
type hosting interface {
	open(id string, n *atomics.Link[note])
	tellID(id string, n *atomics.Link[note]) bool
	tell(h *hostedRoom, n *atomics.Link[note]) bool
	leave(h *hostedRoom) bool
	held(id string) *hostedRoom
}

// held is the room as it is hosted now, nil if it is not.
func (r *Rooms) held(id string) *hostedRoom {
	h, _ := r.hosted.Load(id)
	return h
}

// numberNote is a note that is known by its number. It is never applied: the test
// takes the part of the rooms' turns.
type numberNote struct {
	atomics.Link[note]
	number int
}

func (*numberNote) apply(*hostedRoom) {}

// roomsCall is one call: of a room, that was hosted then as h.
type roomsCall struct {
	method string
	room   string
	note   int
	h      *hostedRoom
}

// roomsRun is one history of Rooms. Client 0 takes the turns of the rooms, the
// others tell them something.
type roomsRun struct {
	*history
	rooms hosting
	ids   []string
	// order numbers those that were hosted under one name one after another, from
	// 1. Each must leave before the next comes, and only client 0 lets it leave, so
	// it has met them all. Its own.
	order map[*hostedRoom]int
	met   map[string]int
}

const (
	roomsClients = 4
	roomsCalls   = 7
)

func (r *roomsRun) teller(client int) {
	for i := range roomsCalls {
		id := r.ids[rand.IntN(len(r.ids))]
		n := &numberNote{number: client*100 + i}
		n.Init(n)
		call := roomsCall{room: id, note: n.number}
		switch dice := rand.IntN(3); {
		case dice == 0:
			call.method = "open"
			r.record(client, call, func() any { r.rooms.open(id, &n.Link); return nil })
		case dice == 1:
			call.method = "tellID"
			r.record(client, call, func() any { return r.rooms.tellID(id, &n.Link) })
		default:
			if call.h = r.rooms.held(id); call.h == nil {
				continue
			}
			yield() // it may leave meanwhile, and be hosted again
			call.method = "tell"
			r.record(client, call, func() any { return r.rooms.tell(call.h, &n.Link) })
		}
	}
}

// turn is one of the room's, if it is hosted: it takes what it was told and leaves
// if nothing has come meanwhile.
func (r *roomsRun) turn(id string) (hosted bool) {
	h := r.rooms.held(id)
	if h == nil {
		return false
	}
	if r.order[h] == 0 {
		r.met[id]++
		r.order[h] = r.met[id]
	}
	r.record(0, roomsCall{method: "take", room: id, h: h}, func() any {
		var taken []int
		for l := h.inbox.Take(); l != nil; {
			rest := l.TakeNext()
			taken = append(taken, l.Owner().(*numberNote).number)
			l = rest
		}
		return taken
	})
	r.record(0, roomsCall{method: "leave", room: id, h: h}, func() any { return r.rooms.leave(h) })
	return true
}

// roomsState is one room: which one is hosted, and what it was told and has not
// taken.
type roomsState struct {
	hosted bool
	last   int // the one that is hosted, or was last, by its number
	inbox  []int
}

// model is the sequential specification. What a hosted room was told it takes, all
// of it and in order; a room that has left is told nothing, and one that was told
// something does not leave.
func (r *roomsRun) model() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, len(r.ids))
			for _, op := range ops {
				i := slices.Index(r.ids, op.Input.(roomsCall).room)
				parts[i] = append(parts[i], op)
			}
			return parts
		},
		Init: func() any { return roomsState{} },
		Step: func(state, input, output any) (bool, any) {
			s, call := state.(roomsState), input.(roomsCall)
			told := func() roomsState {
				s.inbox = append(slices.Clone(s.inbox), call.note)
				return s
			}
			same := s.hosted && r.order[call.h] == s.last // the one that is meant is hosted
			switch call.method {
			case "open":
				if !s.hosted {
					s = roomsState{hosted: true, last: s.last + 1}
				}
				return true, told()
			case "tellID":
				if !s.hosted {
					return output == false, s
				}
				return output == true, told()
			case "tell":
				if !same {
					return output == false, s
				}
				return output == true, told()
			case "take":
				taken := slices.Equal(output.([]int), s.inbox)
				s.inbox = nil
				return same && taken, s
			default: // leave
				if output == false {
					return same && len(s.inbox) > 0, s
				}
				s.hosted = false
				return same && len(s.inbox) == 0, s
			}
		},
		Equal: func(a, b any) bool {
			x, y := a.(roomsState), b.(roomsState)
			return x.hosted == y.hosted && x.last == y.last && slices.Equal(x.inbox, y.inbox)
		},
	}
}

// runRooms records one history and says what is wrong with it.
func runRooms(rooms hosting) error {
	r := &roomsRun{
		history: newHistory(roomsClients), rooms: rooms, ids: []string{roomA, roomB},
		order: map[*hostedRoom]int{}, met: map[string]int{},
	}
	together(roomsClients, func(i int) {
		if i > 0 {
			r.teller(i)
			return
		}
		for n := range 2 * roomsCalls {
			r.turn(r.ids[n%len(r.ids)])
			yield()
		}
	})
	for _, id := range r.ids {
		for r.turn(id) { // until it has left
		}
	}
	return r.linearizable(r.model())
}

// withoutTurns makes rooms whose turns do not come, and whose state does not
// either: the test takes their part.
func withoutTurns(t *testing.T) func() *Rooms {
	t.Helper()
	p, err := pool.New(pool.Config{Runners: 1, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	log := newMemLog()
	log.stateGate = make(chan struct{})
	still := &standstill{over: make(chan struct{})}
	still.Init(p, still)
	still.Schedule()
	t.Cleanup(func() {
		close(still.over)
		close(log.stateGate)
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return func() *Rooms {
		e := &Engine{cfg: Config{}.withDefaults(), store: log, pool: p, registry: newRegistry()}
		e.log = e.cfg.Logger
		e.rooms = newRooms(e)
		return e.rooms
	}
}

// standstill has a turn that takes as long as the test.
type standstill struct {
	pool.Slot
	over chan struct{}
}

func (s *standstill) Turn() { <-s.over }

func TestRoomsAreLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		rooms := withoutTurns(t)
		for range 1_500 {
			if err := runRooms(rooms()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Rooms that are wrong in one thing. Each yields where the right one must not be
// interrupted.

// leavesUnasked looks into the inbox before the step of the map.
type leavesUnasked struct{ *Rooms }

func (r leavesUnasked) leave(h *hostedRoom) bool {
	if !h.inbox.Empty() {
		return false
	}
	yield()
	r.hosted.Delete(h.id)
	return true
}

// tellsOutside puts a note into the inbox after the step of the map.
type tellsOutside struct{ *Rooms }

func (r tellsOutside) tellID(id string, n *atomics.Link[note]) bool {
	h := r.held(id)
	if h == nil {
		return false
	}
	yield()
	h.inbox.Push(n)
	return true
}

// tellsWhoHasLeft does not ask whether the room is hosted.
type tellsWhoHasLeft struct{ *Rooms }

func (r tellsWhoHasLeft) tell(h *hostedRoom, n *atomics.Link[note]) bool {
	h.inbox.Push(n)
	return true
}

// tellsAnother tells the room that is hosted under that name by now.
type tellsAnother struct{ *Rooms }

func (r tellsAnother) tell(h *hostedRoom, n *atomics.Link[note]) bool { return r.tellID(h.id, n) }

// opensTwice looks whether the room is hosted before it hosts it.
type opensTwice struct{ *Rooms }

func (r opensTwice) open(id string, n *atomics.Link[note]) {
	h := r.held(id)
	if h == nil {
		yield()
		h = newHostedRoom(r.engine, id)
		r.hosted.Store(id, h)
	}
	h.inbox.Push(n)
}

func TestWrongRoomsAreNotLinearizable(t *testing.T) {
	for name, wrong := range map[string]func(*Rooms) hosting{
		"leave in two steps":     func(r *Rooms) hosting { return leavesUnasked{r} },
		"tellID in two steps":    func(r *Rooms) hosting { return tellsOutside{r} },
		"tell of who has left":   func(r *Rooms) hosting { return tellsWhoHasLeft{r} },
		"tell of the wrong room": func(r *Rooms) hosting { return tellsAnother{r} },
		"open in two steps":      func(r *Rooms) hosting { return opensTwice{r} },
	} {
		t.Run(name, func(t *testing.T) {
			rooms := withoutTurns(t)
			caught(t, func() error { return runRooms(wrong(rooms())) })
		})
	}
}
