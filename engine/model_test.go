package engine

import "testing"

// Exhaustive explorations of what a room's turn and a stream's turn do to each
// other: every interleaving of their steps, the steps being the loads, stores and
// swaps of the code, named after it. Each model also has variants that are wrong
// in one place, and the exploration must find them wrong: else it would prove
// nothing about the right one.

// exploration is what explore found.
type exploration struct {
	states, finals int
	fault          string // the first one
}

// explore visits every state that can be reached from init. bad says what is
// wrong with a state; final: nothing can happen in it any more.
func explore[S comparable](init S, next func(S) []S, bad func(s S, final bool) string) exploration {
	var x exploration
	seen := map[S]bool{init: true}
	for stack := []S{init}; len(stack) > 0; {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		after := next(s)
		if len(after) == 0 {
			x.finals++
		}
		if x.fault == "" {
			x.fault = bad(s, len(after) == 0)
		}
		for _, t := range after {
			if !seen[t] {
				seen[t] = true
				stack = append(stack, t)
			}
		}
	}
	x.states = len(seen)
	return x
}

// steps collects what can happen next in a state.
type steps[S any] struct {
	from S
	all  []S
}

func (x *steps[S]) can(step func(*S)) {
	t := x.from
	step(&t)
	x.all = append(x.all, t)
}

func check(t *testing.T, variant string, wrong bool, x exploration) {
	t.Helper()
	t.Logf("%s: %d states, %d final, fault: %q", variant, x.states, x.finals, x.fault)
	switch {
	case x.states < 10 || x.finals == 0:
		t.Errorf("%s: explored next to nothing", variant)
	case wrong && x.fault == "":
		t.Errorf("%s: found nothing wrong", variant)
	case !wrong && x.fault != "":
		t.Errorf("%s: %s", variant, x.fault)
	}
}

// The room queue: a room that publishes events, and the turns of one stream with
// one subscription. No event is missed, the subscription's link is in one place
// at most, and at most one turn runs.

const modelEvents = 3

type roomPC int8

const (
	roomPublish  roomPC = iota // publish: head.Store
	roomTell                   // tell: dirty.Swap(true)
	roomPush                   // push: Inbox.Push
	roomSchedule               // push: Slot.Schedule, if the inbox was empty
)

type turnPC int8

const (
	turnNone      turnPC = iota
	turnBegin            // the runner: slot.begin
	turnTake             // adopt: Inbox.Take
	turnPop              // compose: PopFront
	fillClear            // fill: dirty.Store(false)
	fillHead             // end: head.Load
	fillSend             // fill: one element, as the response has room for one
	fillAgain            // again: dirty.Swap(true)
	turnInboxLeft        // Turn's last look: hasWork, Inbox.Empty
	turnSchedule         // slot.Schedule
	turnEnd              // the runner: slot.end
)

type queueState struct {
	head, cursor, end int8
	dirty             bool
	inbox, ready      int8 // how often the link is in there
	wasEmpty          bool
	room              roomPC
	turn              turnPC
	wanted, running   bool
	runq              int8
	turns             int8 // that run now
	left              int8 // responses that this turn may send yet
}

// Variants of the model.
const (
	asWritten     = "as written"
	headThenClear = "head.Load, then dirty.Store(false)"
	clearAfter    = "dirty.Store(false) after sending"
	noAgain       = "no again when the response is full"
	storeAgain    = "again stores true instead of swapping"
	anyPush       = "tell pushes without looking at dirty"
)

func queueSteps(s queueState, variant string) []queueState {
	x := steps[queueState]{from: s}
	schedule := func(t *queueState) { // Slot.Schedule: Or(wanted), and the push if it was idle
		if !t.wanted && !t.running {
			t.runq++
		}
		t.wanted = true
	}
	switch s.room {
	case roomPublish:
		if s.head < modelEvents {
			x.can(func(t *queueState) { t.head++; t.room = roomTell })
		}
	case roomTell:
		x.can(func(t *queueState) {
			if t.dirty && variant != anyPush {
				t.room = roomPublish
				return
			}
			t.dirty = true
			t.room = roomPush
		})
	case roomPush:
		x.can(func(t *queueState) {
			t.wasEmpty = t.inbox == 0
			t.inbox++
			t.room = roomSchedule
		})
	case roomSchedule:
		x.can(func(t *queueState) {
			if t.wasEmpty {
				schedule(t)
			}
			t.room = roomPublish
		})
	}
	if s.runq > 0 && s.turn == turnNone {
		x.can(func(t *queueState) { t.runq--; t.turns++; t.turn = turnBegin })
	}
	clear, head := fillClear, fillHead
	if variant == headThenClear {
		clear, head = head, clear
	}
	switch s.turn {
	case turnBegin:
		x.can(func(t *queueState) { t.wanted, t.running = false, true; t.left = 2; t.turn = turnTake })
	case turnTake:
		x.can(func(t *queueState) { t.ready += t.inbox; t.inbox = 0; t.turn = turnPop })
	case turnPop:
		x.can(func(t *queueState) {
			switch {
			case t.ready == 0:
				t.turn = turnEnd
			case t.left == 0:
				t.turn = turnInboxLeft
			default:
				t.ready--
				t.turn = fillClear
			}
		})
	case clear, head:
		step := s.turn
		if variant == headThenClear { // the pc says which comes first, the variant what is done
			step = map[turnPC]turnPC{fillClear: fillHead, fillHead: fillClear}[s.turn]
		}
		x.can(func(t *queueState) {
			if step == fillClear {
				t.dirty = t.dirty && variant == clearAfter
			} else {
				t.end = t.head
			}
			if t.turn++; t.turn > fillHead {
				t.turn = fillSend
			}
		})
	case fillSend:
		x.can(func(t *queueState) {
			if t.cursor < t.end {
				t.cursor++
			}
			t.left--
			switch {
			case t.cursor < t.end && variant != noAgain:
				t.turn = fillAgain
			default:
				if variant == clearAfter {
					t.dirty = false
				}
				t.turn = turnTake
			}
		})
	case fillAgain:
		x.can(func(t *queueState) {
			if !t.dirty || variant == storeAgain {
				t.ready++
			}
			t.dirty = true
			t.turn = turnTake
		})
	case turnInboxLeft:
		x.can(func(t *queueState) {
			t.turn = turnEnd
			if t.ready > 0 || t.inbox > 0 {
				t.turn = turnSchedule
			}
		})
	case turnSchedule:
		x.can(func(t *queueState) { schedule(t); t.turn = turnEnd })
	case turnEnd:
		x.can(func(t *queueState) {
			t.turns--
			t.turn = turnNone
			t.running = false
			if t.wanted {
				t.runq++
			}
		})
	}
	return x.all
}

func TestModelOfTheRoomQueueMissesNothing(t *testing.T) {
	for _, variant := range []string{asWritten, headThenClear, clearAfter, noAgain, storeAgain, anyPush} {
		x := explore(queueState{}, func(s queueState) []queueState { return queueSteps(s, variant) },
			func(s queueState, final bool) string {
				switch {
				case s.turns > 1:
					return "two turns at once"
				case s.inbox+s.ready > 1:
					return "the link is in two places"
				case final && s.cursor != modelEvents:
					return "an event is missed"
				}
				return ""
			})
		check(t, variant, variant != asWritten, x)
	}
}

// The end of a stay: the removal has number 2, and is published together with the
// two events that follow it; later there are more. The stream must be told of 2,
// and of nothing after it.

type removalState struct {
	published, until int8 // 0: forever
	room             int8
	cursor           int8
	head, seenUntil  int8
	turn             int8
	reads            int8
}

const (
	headThenUntil  = asWritten
	untilThenHead  = "until.Load, then head.Load"
	publishThenEnd = "head.Store, then until.Store"
)

func removalSteps(s removalState, variant string) []removalState {
	x := steps[removalState]{from: s}
	// The room: event 1; then events 2 to 4 in one turn: end, publish.
	untilAt, headAt := int8(1), int8(2)
	if variant == publishThenEnd {
		untilAt, headAt = 2, 1
	}
	switch s.room {
	case 0:
		x.can(func(t *removalState) { t.published = 1; t.room++ })
	case untilAt:
		x.can(func(t *removalState) { t.until = 2; t.room++ })
	case headAt:
		x.can(func(t *removalState) { t.published = 4; t.room++ })
	case 3, 4:
		x.can(func(t *removalState) { t.published++; t.room++ })
	}
	loadHead := func(t *removalState) { t.head = t.published; t.turn++ }
	loadUntil := func(t *removalState) { t.seenUntil = t.until; t.turn++ }
	first, second := loadHead, loadUntil
	if variant == untilThenHead {
		first, second = second, first
	}
	switch s.turn { // of the stream; any number of them, here five
	case 0:
		if s.reads < 5 {
			x.can(func(t *removalState) { t.reads++; first(t) })
		}
	case 1:
		x.can(second)
	case 2:
		x.can(func(t *removalState) {
			end := t.head
			if t.seenUntil != 0 {
				end = min(end, t.seenUntil)
			}
			t.cursor = max(t.cursor, end)
			t.turn = 0
		})
	}
	return x.all
}

func TestModelOfARemovalLeaksNothing(t *testing.T) {
	for _, variant := range []string{headThenUntil, untilThenHead, publishThenEnd} {
		x := explore(removalState{}, func(s removalState) []removalState { return removalSteps(s, variant) },
			func(s removalState, final bool) string {
				switch {
				case s.cursor > 2:
					return "told of what follows the removal"
				case final && s.reads < 5:
					return "stuck"
				}
				return ""
			})
		check(t, variant, variant != headThenUntil, x)
	}
}

// A subscription that is made when the removal is known already: subscribeLate.
// The room is published up to 4, the stay is 1 and 2.

type lateState struct {
	room, until    int8
	pushed         bool
	turn           int8
	head, seen     int8
	cursor, passes int8
}

const pushThenUntil = "push, then until.Store"

func lateSteps(s lateState, variant string) []lateState {
	x := steps[lateState]{from: s}
	untilAt, pushAt := int8(0), int8(1)
	if variant == pushThenUntil {
		untilAt, pushAt = 1, 0
	}
	switch s.room {
	case untilAt:
		x.can(func(t *lateState) { t.until = 2; t.room++ })
	case pushAt:
		x.can(func(t *lateState) { t.pushed = true; t.room++ })
	case 2:
		x.can(func(t *lateState) { t.room++ }) // more events
	case 3:
		x.can(func(t *lateState) { t.room++ })
	}
	switch s.turn {
	case 0:
		if s.pushed && s.passes < 3 {
			x.can(func(t *lateState) { t.passes++; t.head = 4; t.turn++ })
		}
	case 1:
		x.can(func(t *lateState) { t.seen = t.until; t.turn++ })
	case 2:
		x.can(func(t *lateState) {
			t.cursor = t.head
			if t.seen != 0 {
				t.cursor = min(t.head, t.seen)
			}
			t.turn = 0
		})
	}
	return x.all
}

func TestModelOfALateStayLeaksNothing(t *testing.T) {
	for _, variant := range []string{asWritten, pushThenUntil} {
		x := explore(lateState{}, func(s lateState) []lateState { return lateSteps(s, variant) },
			func(s lateState, _ bool) string {
				if s.cursor > 2 {
					return "told of what follows the removal"
				}
				return ""
			})
		check(t, variant, variant == pushThenUntil, x)
	}
}

// A stream's opening against a kick: events 1 to 4, the kick is 2. RoomsOf is read
// at some moment; the subscription is made at a later one, in the room's order.

type openingState struct {
	passed     int8
	member     bool // of the fold
	subscribed bool
	hint       bool
	init       int8
	leaked     bool
	told       bool // of the kick
	from       int8
}

const subscribeByHint = "subscribe as RoomsOf said"

func openingSteps(s openingState, variant string) []openingState {
	x := steps[openingState]{from: s}
	if s.passed < 4 {
		x.can(func(t *openingState) {
			t.passed++
			if t.subscribed {
				t.leaked = t.leaked || t.passed > 2
				t.told = t.told || t.passed == 2
			}
			if t.passed == 2 {
				t.member, t.subscribed = false, false
			}
		})
	}
	switch s.init {
	case 0:
		x.can(func(t *openingState) { t.hint = t.member; t.init++ })
	case 1:
		x.can(func(t *openingState) {
			t.subscribed = t.member
			if variant == subscribeByHint {
				t.subscribed = t.hint
			}
			t.from = t.passed
			t.init++
		})
	}
	return x.all
}

func TestModelOfAnOpeningAgainstAKick(t *testing.T) {
	for _, variant := range []string{asWritten, subscribeByHint} {
		x := explore(openingState{member: true}, func(s openingState) []openingState { return openingSteps(s, variant) },
			func(s openingState, final bool) string {
				switch {
				case s.leaked:
					return "told of what follows the kick"
				case final && s.from < 2 && s.init == 2 && !s.told:
					return "not told of the kick"
				}
				return ""
			})
		check(t, variant, variant == subscribeByHint, x)
	}
}

// Two stays in one room. Events 1 to 3 are the first, 3 removes; 4 is not for the
// account; 5 joins again, 6 follows; any of them may be published together. The
// later subscription waits for the earlier one: adoptSubscription,
// finishSubscription. The earlier one may be told of its end when it has been
// written already.

type rejoinState struct {
	passed, head     int8
	until1           int8
	in1, in2         bool // in subs
	removed1         bool // in removed
	dirty1, dirty2   bool
	inbox1, inbox2   bool
	ready1, ready2   bool
	rooms            int8 // 1 or 2; 0: none
	next1, next2     int8
	finished1        bool
	cursor1, cursor2 int8
	last             int8
	unordered, ring  bool
	room, turn       int8
	which, end       int8
}

const (
	notChained  = "the later stay is served at once"
	notFinished = "a stay is taken up again after its end"
)

// adopt is adoptSubscription.
func (t *rejoinState) adopt(sub int8, variant string) (serve bool) {
	if sub == 1 && t.finished1 && variant != notFinished {
		return false
	}
	if variant == notChained {
		return true
	}
	next := map[int8]*int8{1: &t.next1, 2: &t.next2}
	held := t.rooms
	for n := 0; held != 0; n++ {
		switch {
		case n > 2:
			t.ring = true
			return false
		case held == sub:
			return held == t.rooms
		case *next[held] == 0:
			*next[held] = sub
			return false
		}
		held = *next[held]
	}
	t.rooms = sub
	return true
}

func rejoinSteps(s rejoinState, variant string) []rejoinState {
	x := steps[rejoinState]{from: s}
	switch s.room {
	case 0: // pass
		if s.passed < 6 {
			x.can(func(t *rejoinState) {
				t.passed++
				switch t.passed {
				case 3:
					t.until1, t.removed1 = 3, true
				case 5:
					t.in2, t.dirty2, t.inbox2, t.cursor2 = true, true, true, 4
				}
			})
		}
		if s.head < s.passed { // publish
			x.can(func(t *rejoinState) { t.head = t.passed; t.room = 1 })
		}
	case 1: // tell
		x.can(func(t *rejoinState) {
			if t.in1 && !t.dirty1 {
				t.dirty1, t.inbox1 = true, true
			}
			t.room = 2
		})
	case 2:
		x.can(func(t *rejoinState) {
			if t.in2 && !t.dirty2 {
				t.dirty2, t.inbox2 = true, true
			}
			t.room = 3
		})
	case 3: // dismiss
		x.can(func(t *rejoinState) {
			t.in1 = t.in1 && !t.removed1
			t.room = 0
		})
	}
	switch s.turn {
	case 0: // adopt
		if s.inbox1 || s.inbox2 || s.ready1 || s.ready2 {
			x.can(func(t *rejoinState) {
				if t.inbox1 {
					t.inbox1 = false
					t.ready1 = t.adopt(1, variant)
				}
				if t.inbox2 {
					t.inbox2 = false
					t.ready2 = t.adopt(2, variant)
				}
				t.turn = 1
			})
		}
	case 1: // pop, dirty.Store(false); whichever is first in the list
		if s.ready1 {
			x.can(func(t *rejoinState) { t.ready1, t.dirty1 = false, false; t.which = 1; t.turn = 2 })
		}
		if s.ready2 {
			x.can(func(t *rejoinState) { t.ready2, t.dirty2 = false, false; t.which = 2; t.turn = 2 })
		}
		if !s.ready1 && !s.ready2 {
			x.can(func(t *rejoinState) { t.turn = 0 })
		}
	case 2: // end
		x.can(func(t *rejoinState) {
			t.end = t.head
			if t.which == 1 && t.until1 != 0 {
				t.end = min(t.end, t.until1)
			}
			t.turn = 3
		})
	case 3: // send; finishSubscription
		x.can(func(t *rejoinState) {
			cursor := &t.cursor1
			if t.which == 2 {
				cursor = &t.cursor2
			}
			if *cursor < t.end {
				t.unordered = t.unordered || *cursor+1 <= t.last
				*cursor, t.last = t.end, t.end
			}
			if t.which == 1 && t.until1 != 0 && t.cursor1 >= t.until1 && t.rooms == 1 {
				t.finished1 = true
				t.rooms = t.next1
				t.ready2 = t.ready2 || t.next1 == 2
				if variant != notFinished {
					t.next1 = 0
				}
			}
			t.turn = 0
		})
	}
	return x.all
}

func TestModelOfARejoinKeepsOrder(t *testing.T) {
	for _, variant := range []string{asWritten, notChained, notFinished} {
		x := explore(rejoinState{rooms: 1, in1: true}, func(s rejoinState) []rejoinState { return rejoinSteps(s, variant) },
			func(s rejoinState, final bool) string {
				switch {
				case s.unordered:
					return "told out of order"
				case s.ring || s.next1 == 2 && s.next2 == 1:
					return "the stays form a ring"
				case final && (s.cursor1 != 3 || s.cursor2 != 6):
					return "an event is missed"
				}
				return ""
			})
		check(t, variant, variant != asWritten, x)
	}
}
