package engine

import (
	"os"
	"testing"
)

// The whole life of streams, explored: two streams of one account, the newer one
// replacing the older one, against the room's turn, which kicks the account and
// lets it join again, and against whoever ends a stream. Each step is one atomic
// operation of the code, or what one map operation does under its lock, together
// with what only the same turn or handler sees.
//
// The streams' handlers run Serve: Replace, initialize, finish, leaveRooms. Their
// turns run Turn, adopt, fill. The room's turn runs pass, subscribe, publish, tell,
// dismiss and leaveNote. TestStepsAreInTheOrderOfTheModels holds the code to the
// order of these steps, and docs/mutations.md shows that other tests do, too.
//
// Two explorations share the model, since all at once is too much: of two streams
// without timers and write credit, and of one stream with them.

// The room's log. The account is a member before it, and is to be told of all but
// lifeBetween.
const (
	lifeText    = 1
	lifeKick    = 2
	lifeBetween = 3
	lifeJoin    = 4

	lifeForever = 9
)

type handlerPC int8

const (
	handlerOpen       handlerPC = iota
	handlerAsk                  // ask: the subscribeNote
	handlerAnswer               // ask: the answer, or ended
	handlerComplete             // initialize: push of the end of the initialization
	handlerSchedule             // push: Slot.Schedule
	handlerTimer                // startTimer
	handlerWait                 // await
	handlerClose                // finish: refs.Close
	handlerDrained              // finish: <-drained
	handlerStop                 // finish: timer.Stop
	handlerLeave                // finish: registry.leave
	handlerLeaveRooms           // leaveRooms: adopt, rooms.tell
	handlerLeft                 // leaveRooms: left.Wait
	handlerGone
)

type lifeTurnPC int8

const (
	lifeTurnNone     lifeTurnPC = iota // slot.begin, if it is wanted; Turn: acquire
	lifeTurnTake                       // adopt
	lifeTurnEnding                     // Turn: ending.Load, hasWork
	lifeTurnCredit                     // Credit: outstanding
	lifeTurnPark                       // Credit: parked.Store(true)
	lifeTurnLook                       // Credit: outstanding again
	lifeTurnUnpark                     // Credit: parked.CompareAndSwap(true, false)
	lifeTurnClear                      // fill: dirty.Store(false)
	lifeTurnHead                       // end: head.Load
	lifeTurnUntil                      // end: until.Load
	lifeTurnSend                       // Send
	lifeTurnLeft                       // Turn: hasWork, inbox.Empty
	lifeTurnSchedule                   // Turn: Slot.Schedule
	lifeTurnRelease                    // Turn: release
	lifeTurnEnd                        // slot.end
)

type lifeRoomPC int8

const (
	lifeRoomRest      lifeRoomPC = iota // the next event or note
	lifeRoomPassed                      // the next event, or publish: head.Store
	lifeRoomRegistry                    // Registry.Acquire: Load
	lifeRoomAcquire                     // subscribe: acquire
	lifeRoomReplaced                    // subscribe: end of the older one's subscription: until.Store
	lifeRoomSubscribe                   // subscribe: the new one
	lifeRoomPush                        // push: Inbox.Push
	lifeRoomSchedule                    // push: Slot.Schedule
	lifeRoomRelease                     // subscribe: release
	lifeRoomAnswer                      // subscribeNote: the answer
	lifeRoomUntil                       // pass: end: until.Store
	lifeRoomTell                        // tell: dirty.Swap(true)
	lifeRoomTellPush                    // push: Inbox.Push
	lifeRoomTellSched                   // push: Slot.Schedule
)

// A step moves if it makes no difference whether what others do comes before or
// after it, or comes before the step that it follows: because nobody else looks at
// what it changes, or changes what it looks at, in a way that could tell. It is
// taken at once, which spares the interleavings that look the same in the end.

func (pc lifeRoomPC) moves() bool {
	switch pc {
	case lifeRoomReplaced, lifeRoomSubscribe, lifeRoomPush, lifeRoomSchedule, lifeRoomAnswer, lifeRoomTellPush, lifeRoomTellSched:
		return true
	}
	return false
}

func (pc lifeTurnPC) moves() bool {
	switch pc {
	case lifeTurnEnding, lifeTurnSend, lifeTurnSchedule, lifeTurnEnd:
		return true
	}
	return false
}

func (pc handlerPC) moves(m lifeModel) bool {
	switch pc {
	case handlerSchedule:
		return true
	case handlerTimer, handlerStop:
		return !m.timer
	}
	return false
}

// Where a subscription's link is.
type linkAt int8

const (
	linkNowhere linkAt = iota
	linkInInbox
	linkReady
	linkServed
)

type lifeSub struct {
	made                 bool
	dirty                bool
	link                 linkAt
	start, cursor, until int8
	inSubs, removed      bool
	held                 bool // in turn.rooms, or chained behind one that is
	finished             bool
}

type lifeStream struct {
	handler handlerPC
	turn    lifeTurnPC

	ending, closed, drained bool
	refs                    int8
	wanted, running         bool

	complete  linkAt // the end of the initialization
	live      bool
	asked     bool // the subscribeNote is in the room's inbox
	answer    int8
	leaving   int8 // leaveNotes in the room's inbox, a bit each
	from      int8 // what the initialization covers
	wasEmpty  bool
	endedThen bool // ending was set when the turn began
	left      int8 // responses that the turn may send
	serving   int8 // the subscription served, or completing
	head, end int8
	told      int8
	subs      [2]lifeSub

	// The timer and the refresh.
	armed     bool
	refreshed bool // expires has been moved on
	timer     int8
	refresh   int8
	refreshes int8

	// The transport: responses sent and passed on, at most one between them.
	sent, passed int8
	parked       bool
	put          int8
}

const completing = 2

type lifeState struct {
	streams    [2]lifeStream
	registry   int8 // a stream's number, 0: none
	passed     int8
	head       int8
	room       lifeRoomPC
	who, which int8 // the stream and the subscription that the room is at
	joining    bool // because of lifeJoin, and not of a note
	late       bool // a variant's own: until is to be stored after publishing
	byAccount  int8 // 0: none, 1 + stream*2 + subscription
	wasEmpty   bool
	ender      int8
	fault      lifeFault
}

type lifeFault int8

const (
	noFault lifeFault = iota
	wroteAfterDrained
	wroteAfterReason
	wroteLeak
	wroteOutOfOrder
	wroteTooEarly
	wroteWithoutCredit
	subscribedAfterEnd
	drainedTwice
	releasedTooOften
	linkTwice
)

var lifeFaults = [...]string{
	"", "invariant 2: a Write after the references were drained", "invariant 2: a turn that began after the reason wrote",
	"invariant 14: told of what follows the removal", "invariant 6: told out of order, or with a gap",
	"told something live before the initialization was written", "invariant 1: a second Write while one is outstanding",
	"invariant 2: subscribed after the end", "invariant 13: drained twice", "invariant 13: a reference was released twice",
	"invariant 1: a link is in two places",
}

// lifeModel is which of the explorations it is, and what is wrong in it.
type lifeModel struct {
	streams int
	last    int8 // event of the log
	timer   bool // and a refresh
	credit  bool // of the transport
	opening bool // of the older stream, too: it is open and up to date otherwise
	ender   bool // may end the newest stream
	wrong   string
}

// responses that a turn may send: one, or two if there may be credit for one only.
func (m lifeModel) responses() int8 {
	if m.credit {
		return 2
	}
	return 1
}

// toTell is the last event that a stream is to be told live: 0 if what it was told
// at its opening is all.
func (m lifeModel) toTell(at *lifeStream) int8 {
	last := m.last
	if last == lifeBetween {
		last = lifeKick
	}
	if at.answer == 1 && at.from >= last || at.answer == 2 && last < lifeJoin {
		return 0
	}
	return last
}

// start is where the exploration begins.
func (m lifeModel) start() lifeState {
	if m.streams == 1 || m.opening {
		return lifeState{}
	}
	older := lifeStream{handler: handlerWait, answer: 1, live: true, complete: linkServed}
	older.subs[0] = lifeSub{made: true, until: lifeForever, inSubs: true, held: true}
	return lifeState{registry: 1, byAccount: 1, streams: [2]lifeStream{older}}
}

func (m lifeModel) is(wrong string) bool { return m.wrong == wrong }

// Wrong variants: each wait, check, fence and ordering left out once.
const (
	noTurnAcquire     = "a turn does not enter"
	noTurnRelease     = "a turn does not leave"
	noEndingLook      = "a turn does not look for a reason"
	lifeHeadFirst     = "head.Load, then dirty.Store(false)"
	lifeUntilFirst    = "until.Load, then head.Load"
	serveBeforeLive   = "subscriptions are served before the initialization is written"
	lifeNotChained    = "a later stay is served at once"
	lifeNotFinished   = "a stay is taken up again after its end"
	noReplaceEnd      = "Replace does not end the older stream"
	noWaitDrained     = "finish does not wait until nobody is inside"
	noClose           = "finish does not close the references"
	leaveUnheld       = "registry.leave takes out whoever is there"
	noRegistryLeave   = "finish does not leave the registry"
	noAdoptAtEnd      = "leaveRooms does not look into the inbox"
	firstStayLeaves   = "leaveRooms forgets the stays behind the first"
	noLeftWait        = "leaveRooms does not wait"
	roomsFirst        = "finish leaves the rooms before it closes the references"
	noRoomAcquire     = "a room does not enter the stream that it subscribes"
	noRoomRelease     = "a room does not leave the stream that it subscribed"
	olderTakesOver    = "an older stream is subscribed in place of a newer one"
	noReplacedEnd     = "the older stream's subscription goes on when it is replaced"
	againForSame      = "a stream that is subscribed is subscribed again"
	leaveByAccount    = "a leaveNote takes out whoever is there"
	dismissFirst      = "a removal is dismissed before it is told"
	publishFirst      = "head.Store, then until.Store"
	joinAfterItself   = "a join is subscribed from itself on, not from before it"
	noJoinSubscribe   = "a join subscribes nobody"
	clearDirtyAtPush  = "subscribe leaves dirty false"
	scheduleNever     = "push does not schedule"
	drainedNever      = "release does not tell that it was the last"
	noTimerAcquire    = "the timer's callback does not enter"
	noTimerStop       = "finish does not stop the timer"
	stopFirst         = "finish stops the timer before nobody is inside"
	noRefreshAcquire  = "a refresh does not enter"
	noResetInCallback = "the timer's callback does not start the timer anew after a refresh"
	noSecondLook      = "Credit does not look again once it is parked"
	wakeFirst         = "Put wakes before it completes"
	noWake            = "Put does not wake"
	noCreditAsked     = "a turn writes without credit"
)

func lifeMember(passed int8) bool { return passed < lifeKick || passed >= lifeJoin }

// next is what can happen in s.
func (m lifeModel) next(s lifeState) []lifeState {
	if s.fault != noFault {
		return nil
	}
	x := &steps[lifeState]{from: s, all: make([]lifeState, 0, 12)}
	if s.room.moves() {
		m.roomSteps(s, x)
		return x.all
	}
	for i := range int8(m.streams) {
		if s.streams[i].turn.moves() {
			m.turnSteps(s, i, x)
			return x.all
		}
		if s.streams[i].handler.moves(m) {
			m.handlerSteps(s, i, x)
			return x.all
		}
	}
	m.roomSteps(s, x)
	for i := range int8(m.streams) {
		m.handlerSteps(s, i, x)
		m.turnSteps(s, i, x)
		if m.timer {
			m.timerSteps(s, i, x)
		}
		if m.credit {
			m.transportSteps(s, i, x)
		}
	}
	// The ender: of the newest stream, once, or never.
	if newest := int8(m.streams - 1); m.ender && s.ender == 0 && s.streams[newest].handler > handlerOpen {
		x.can(func(t *lifeState) { t.ender, t.streams[newest].ending = 1, true })
	}
	return x.all
}

// bad says which invariant does not hold in s.
func (m lifeModel) bad(s lifeState, final bool) string {
	if s.fault != noFault {
		return lifeFaults[s.fault]
	}
	newest := 0
	for i := range m.streams {
		at := &s.streams[i]
		if at.handler > handlerOpen {
			newest = i
		}
		if at.drained && at.refs > 0 {
			return "invariant 2: somebody is inside after the end"
		}
		if at.handler != handlerGone {
			continue
		}
		for _, sub := range at.subs {
			if sub.inSubs && !sub.removed { // or the room is about to take it out by itself
				return "invariant 4: a stream that is gone is in a room's list"
			}
		}
		if s.byAccount > 0 && int(s.byAccount-1)/2 == i {
			return "invariant 4: a stream that is gone is its account's in a room"
		}
		if at.armed {
			return "invariant 2: a timer runs for a stream that is gone"
		}
	}
	current := &s.streams[newest]
	open := current.handler > handlerOpen && current.handler <= handlerLeave
	switch {
	case open && s.registry != int8(newest+1):
		return "invariant 3: the newest stream is not in the registry"
	case current.handler == handlerGone && s.registry != 0:
		return "invariant 3: a stream that is gone is in the registry"
	}
	subscribed := s.byAccount > 0 && int(s.byAccount-1)/2 == newest
	if s.room == lifeRoomRest && current.handler == handlerWait && lifeMember(s.passed) && !subscribed {
		return "invariant 4: the newest stream has lost its place in a room of its account"
	}
	if !final {
		return ""
	}
	for i := range m.streams {
		at := &s.streams[i]
		switch {
		case at.refs != 0:
			return "invariant 13: a reference is left"
		case at.handler == handlerGone:
			continue
		case i != newest:
			return "invariant 3: the older stream lives on"
		case at.handler != handlerWait || at.ending:
			return "invariant 13: a stream does not come to its end"
		case m.timer:
			return "a stream lives on after its time"
		case !at.live:
			return "the initialization was not written"
		case at.told != m.toTell(at):
			return "invariant 5: an event is neither written nor above the cursor"
		}
	}
	return ""
}

// explored explores the model as it is written, and each of its wrong variants.
func (m lifeModel) explored(t *testing.T, wrong ...string) {
	t.Helper()
	for _, m.wrong = range append([]string{asWritten}, wrong...) {
		x := exploreFar(m.start(), m.next, m.bad)
		t.Logf("%s: %d states, %d final, fault: %q", m.wrong, x.states, x.finals, x.fault)
		switch {
		case m.wrong == asWritten && x.fault != "":
			t.Errorf("%s", x.fault)
		case m.wrong == asWritten && (x.states < 1000 || x.finals < 10):
			t.Errorf("explored next to nothing")
		case m.wrong != asWritten && x.fault == "":
			t.Errorf("%s: found nothing wrong", m.wrong)
		}
	}
}

func TestModelOfTwoStreamsOfOneUser(t *testing.T) {
	lifeModel{streams: 2, last: lifeJoin}.explored(t,
		noTurnRelease, lifeHeadFirst, lifeUntilFirst, serveBeforeLive, lifeNotChained, lifeNotFinished, noReplaceEnd, noClose,
		leaveUnheld, noLeftWait, noRoomRelease, noReplacedEnd, againForSame, leaveByAccount, dismissFirst, publishFirst,
		joinAfterItself, noJoinSubscribe, clearDirtyAtPush, scheduleNever,
	)
}

func TestModelOfTwoStreamsThatOpenAtOnce(t *testing.T) {
	lifeModel{streams: 2, last: lifeText, opening: true}.explored(t, olderTakesOver, noReplaceEnd, leaveUnheld, leaveByAccount)
}

// ENGINE_MODEL=all explores some ten million states more.
func TestModelOfTwoStreamsThatEnd(t *testing.T) {
	lifeModel{streams: 2, last: lifeKick, ender: true}.explored(t,
		noTurnAcquire, noEndingLook, noRegistryLeave, noWaitDrained, noAdoptAtEnd, noRoomAcquire, roomsFirst, drainedNever)
	if os.Getenv("ENGINE_MODEL") == "all" {
		lifeModel{streams: 2, last: lifeJoin, ender: true}.explored(t)
		lifeModel{streams: 2, last: lifeJoin, ender: true, opening: true}.explored(t)
	}
}

func TestModelOfAStreamFromItsOpeningToItsEnd(t *testing.T) {
	lifeModel{streams: 1, last: lifeJoin}.explored(t,
		lifeHeadFirst, dismissFirst, publishFirst, joinAfterItself, noJoinSubscribe, scheduleNever, againForSame)
	lifeModel{streams: 1, last: lifeJoin, ender: true}.explored(t,
		noTurnAcquire, noTurnRelease, noEndingLook, lifeUntilFirst, serveBeforeLive,
		lifeNotChained, lifeNotFinished, noWaitDrained, noClose, noRegistryLeave, noAdoptAtEnd,
		firstStayLeaves, noLeftWait, roomsFirst, noRoomAcquire, noRoomRelease, drainedNever,
	)
}

func TestModelOfAStreamWithItsTimer(t *testing.T) {
	lifeModel{streams: 1, last: lifeText, timer: true}.explored(t, noResetInCallback)
	lifeModel{streams: 1, last: lifeText, timer: true, ender: true}.explored(t,
		noTurnAcquire, noTurnRelease, noWaitDrained, noClose, noRoomAcquire, drainedNever,
		noTimerAcquire, noTimerStop, stopFirst, noRefreshAcquire,
	)
}

func TestModelOfAStreamWithItsTransport(t *testing.T) {
	lifeModel{streams: 1, last: lifeJoin, credit: true}.explored(t, noSecondLook, wakeFirst, noWake, noCreditAsked)
	lifeModel{streams: 1, last: lifeKick, credit: true, ender: true}.explored(t, noTurnAcquire, noEndingLook)
}
