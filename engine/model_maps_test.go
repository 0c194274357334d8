package engine

import "testing"

// The two maps, explored: what is done within their updates, and why.

// Registry: three streams of one account open and end as they like. Invariant 3.

type holderState struct {
	holder      int8    // stream, 0: none
	next        int8    // the generation handed out last
	generations [3]int8 // of each stream
	at          [3]int8 // 0: to open, 1: has a generation, 2: open, 3: left, 4: refused
	ended       [3]bool
}

const (
	generationBefore = "the generation is taken before the map's update, and not compared"
	leavesAnyway     = "leave takes out whoever is there"
	endsNobody       = "Replace ends nobody"
)

func registrySteps(s holderState, wrong string) []holderState {
	x := steps[holderState]{from: s}
	replace := func(t *holderState, i int) {
		if old := t.holder; old != 0 {
			t.ended[old-1] = wrong != endsNobody
		}
		t.holder, t.at[i] = int8(i+1), 2
	}
	for i := range s.at {
		switch s.at[i] {
		case 0:
			x.can(func(t *holderState) {
				t.next++
				t.generations[i] = t.next
				if wrong == generationBefore {
					t.at[i] = 1
					return
				}
				replace(t, i)
			})
		case 1:
			x.can(func(t *holderState) { replace(t, i) })
		case 2:
			x.can(func(t *holderState) { // finish, whatever the reason
				if t.holder == int8(i+1) || wrong == leavesAnyway {
					t.holder = 0
				}
				t.at[i] = 3
			})
		}
	}
	return x.all
}

func TestModelOfTheRegistryHoldsTheNewest(t *testing.T) {
	for _, wrong := range []string{asWritten, generationBefore, leavesAnyway, endsNobody} {
		x := explore(holderState{}, func(s holderState) []holderState { return registrySteps(s, wrong) },
			func(s holderState, final bool) string {
				newest := int8(0)
				for i := range s.at {
					if s.at[i] == 2 && (newest == 0 || s.generations[i] > s.generations[newest-1]) {
						newest = int8(i + 1)
					}
				}
				for i := range s.at {
					if s.at[i] == 2 && !s.ended[i] && int8(i+1) != s.holder {
						return "invariant 3: a stream is open that nobody will find"
					}
				}
				switch {
				case s.holder != 0 && s.at[s.holder-1] == 2 && s.holder != newest:
					return "invariant 3: an older stream is in the registry"
				case s.holder != 0 && s.at[s.holder-1] == 3:
					return "invariant 3: a stream that is gone is in the registry"
				}
				return ""
			})
		check(t, wrong, wrong != asWritten, x)
	}
}

// Rooms: a room leaves when it has nothing to do, while it is told something, and
// opened. Whatever somebody was told that it was told is applied, by the room in the
// map.

type mapState struct {
	held    int8    // the room in the map, 0: none
	made    int8    // rooms so far
	inbox   [4]int8 // notes in the inbox of each
	applied int8
	told    int8
	at      [3]int8 // openers: 0, 1: has looked, 2: done
	saw     [3]int8 // what an opener saw in the map
	tell    int8    // of room 1: 0, 1: has looked, 2: done
	leaving int8    // a room that has found its inbox empty
}

const (
	leaveUnlooked   = "leave does not look into the inbox"
	leaveLooksFirst = "leave looks into the inbox, then takes the room out"
	openPushesLater = "open pushes after the map's update"
	tellPushesLater = "tell pushes after the map's update"
)

func roomsSteps(s mapState, wrong string) []mapState {
	x := steps[mapState]{from: s}
	for i := range s.at {
		switch s.at[i] {
		case 0:
			x.can(func(t *mapState) { // open
				if t.held == 0 {
					t.made++
					t.held = t.made
				}
				t.told++
				t.at[i], t.saw[i] = 2, t.held
				if wrong == openPushesLater {
					t.at[i] = 1
					return
				}
				t.inbox[t.held]++
			})
		case 1:
			x.can(func(t *mapState) { t.inbox[t.saw[i]]++; t.at[i] = 2 })
		}
	}
	if s.made > 0 {
		switch s.tell {
		case 0:
			x.can(func(t *mapState) { // tell room 1
				if t.tell = 2; t.held != 1 {
					return
				}
				t.told++
				if wrong == tellPushesLater {
					t.tell = 1
					return
				}
				t.inbox[1]++
			})
		case 1:
			x.can(func(t *mapState) { t.inbox[1]++; t.tell = 2 })
		}
	}
	if s.held != 0 { // its turn
		if s.inbox[s.held] > 0 {
			x.can(func(t *mapState) { t.inbox[t.held]--; t.applied++ })
		}
		if s.inbox[s.held] == 0 || wrong == leaveUnlooked {
			x.can(func(t *mapState) {
				if wrong == leaveLooksFirst {
					t.leaving = t.held
				} else {
					t.held = 0
				}
			})
		}
		if s.leaving == s.held {
			x.can(func(t *mapState) { t.held, t.leaving = 0, 0 })
		}
	}
	return x.all
}

func TestModelOfRoomsLosesNothingThatWasTold(t *testing.T) {
	for _, wrong := range []string{asWritten, leaveUnlooked, leaveLooksFirst, openPushesLater, tellPushesLater} {
		x := explore(mapState{}, func(s mapState) []mapState { return roomsSteps(s, wrong) },
			func(s mapState, final bool) string {
				for room, n := range s.inbox {
					if n > 0 && int8(room) != s.held {
						return "a room that has left was told something"
					}
				}
				if final && s.told != s.applied {
					return "something that was told is not applied"
				}
				return ""
			})
		check(t, wrong, wrong != asWritten, x)
	}
}
