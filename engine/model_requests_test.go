package engine

import "testing"

// What a client asks for, explored: the reader, which takes a slot, reads and
// handles three requests, of which two are for full messages; the worker that looks
// them up; the turn that writes the answers, those of a lookup in two parts; and
// whoever ends the stream. Invariants 1, 2, 8 and 11.

const (
	askRequests = 3
	askSlots    = 2
)

type readerPC int8

const (
	readerSlot    readerPC = iota // MayRead: replySlots
	readerClosed                  // MayRead: refs.Closed
	readerAcquire                 // Handle: acquire
	readerHandle                  // lookUp, refresh: lookingUp.CompareAndSwap, push
	readerRelease                 // Handle: release
	readerDone
)

type askReply struct {
	link   linkAt
	ready  bool
	lookup bool
	job    int8 // 1: under way, 2: its answer is ready, the stream is to be scheduled
	parts  int8
}

type askState struct {
	reader       readerPC
	asked, slots int8
	lookingUp    bool
	replies      [askRequests]askReply
	answered     int8 // the requests answered in order

	turn            lifeTurnPC
	wanted, running bool
	refs            int8
	ending, closed  bool
	drained         bool
	fault           string
}

const (
	scheduleThenReady = "complete schedules, then stores ready"
	noSchedule        = "complete does not schedule"
	noReadyLook       = "an answer is written before it is there"
	noSlotBack        = "an answer does not give its slot back"
	noSlotTaken       = "a Read needs no slot"
	noLookingUp       = "lookUp does not look whether one is under way"
	partsToTheBack    = "an answer of two parts goes to the back after the first"
	noHandleAcquire   = "Handle does not enter"
	noClosedLook      = "MayRead does not look whether the stream is closed"
)

func (s *askState) release() {
	if s.refs--; s.refs == 0 && s.closed {
		s.drained = true
	}
}

// front is the oldest reply that the turn has, -1 if there is none.
func (s *askState) front(wrong string) int {
	last := -1
	for i := range s.replies {
		if r := &s.replies[i]; r.link == linkReady {
			if wrong == partsToTheBack && r.lookup && r.parts == 1 {
				last = i
				continue
			}
			return i
		}
	}
	return last
}

func (s *askState) hasWork(wrong string) bool {
	i := s.front(wrong)
	return i >= 0 && (s.replies[i].ready || wrong == noReadyLook)
}

func askSteps(s askState, wrong string) []askState {
	x := steps[askState]{from: s}
	if s.fault != "" {
		return nil
	}
	switch s.reader {
	case readerSlot:
		if s.ending {
			x.can(func(t *askState) { t.reader = readerDone })
		}
		if s.asked < askRequests && (s.slots < askSlots || wrong == noSlotTaken) {
			x.can(func(t *askState) { t.slots++; t.reader = readerClosed })
		}
	case readerClosed:
		x.can(func(t *askState) {
			if t.reader = readerAcquire; t.closed && wrong != noClosedLook {
				t.reader = readerDone
			} else if t.drained {
				t.fault = "invariant 2: a Read begins after the end"
			}
		})
	case readerAcquire:
		x.can(func(t *askState) {
			switch {
			case wrong == noHandleAcquire:
			case t.closed:
				t.reader = readerDone
				return
			default:
				t.refs++
			}
			t.reader = readerHandle
		})
	case readerHandle:
		x.can(func(t *askState) {
			r := &t.replies[t.asked]
			r.link, r.ready, r.parts = linkInInbox, true, 1
			if t.drained {
				t.fault = "invariant 2: a request is handled after the end"
			}
			if t.asked < 2 && (!t.lookingUp || wrong == noLookingUp) {
				if t.lookingUp {
					t.fault = "invariant 8: two lookups at once"
				}
				t.lookingUp = true
				r.lookup, r.ready, r.parts, r.job = true, false, 2, 1
			}
			t.asked++
			t.wanted = true
			t.reader = readerRelease
		})
	case readerRelease:
		x.can(func(t *askState) {
			if wrong != noHandleAcquire {
				t.release()
			}
			t.reader = readerSlot
		})
	}
	for i := range s.replies {
		ready := func(r *askReply, t *askState) { r.ready = true }
		wake := func(_ *askReply, t *askState) { t.wanted = t.wanted || wrong != noSchedule }
		first, second := ready, wake
		if wrong == scheduleThenReady {
			first, second = wake, ready
		}
		switch s.replies[i].job {
		case 1:
			x.can(func(t *askState) { first(&t.replies[i], t); t.replies[i].job = 2 })
		case 2:
			x.can(func(t *askState) { second(&t.replies[i], t); t.replies[i].job = 0 })
		}
	}
	switch s.turn {
	case lifeTurnNone:
		if s.wanted && !s.running {
			x.can(func(t *askState) {
				t.wanted, t.running, t.turn = false, true, lifeTurnTake
				if t.closed {
					t.turn = lifeTurnEnd
				} else {
					t.refs++
				}
			})
		}
	case lifeTurnTake:
		x.can(func(t *askState) {
			for i := range t.replies {
				if t.replies[i].link == linkInInbox {
					t.replies[i].link = linkReady
				}
			}
			t.turn = lifeTurnEnding
		})
	case lifeTurnEnding:
		x.can(func(t *askState) {
			if t.turn = lifeTurnRelease; !t.ending && t.hasWork(wrong) {
				t.turn = lifeTurnSend
			}
		})
	case lifeTurnSend:
		x.can(func(t *askState) {
			i := t.front(wrong)
			r := &t.replies[i]
			switch {
			case !r.ready:
				t.fault = "an answer is written that is not there"
				return
			case i != int(t.answered):
				t.fault = "invariant 11: answered out of order, or twice"
				return
			}
			if r.parts--; r.parts == 0 {
				r.link = linkNowhere
				t.answered++
				if r.lookup {
					t.lookingUp = false
				}
				if wrong != noSlotBack {
					t.slots--
				}
			}
			t.turn = lifeTurnLeft
		})
	case lifeTurnLeft:
		x.can(func(t *askState) {
			t.turn = lifeTurnRelease
			t.wanted = t.wanted || t.hasWork(wrong)
			for i := range t.replies {
				t.wanted = t.wanted || t.replies[i].link == linkInInbox
			}
		})
	case lifeTurnRelease:
		x.can(func(t *askState) { t.release(); t.turn = lifeTurnEnd })
	case lifeTurnEnd:
		x.can(func(t *askState) { t.running, t.turn = false, lifeTurnNone })
	}
	switch {
	case !s.ending && s.fault == "":
		x.can(func(t *askState) { t.ending = true })
	case !s.closed:
		x.can(func(t *askState) { t.closed, t.drained = true, t.refs == 0 })
	}
	return x.all
}

// onlyTheEnd says that nothing can happen but that somebody ends the stream.
func (s askState) onlyTheEnd(wrong string) bool { return !s.ending && len(askSteps(s, wrong)) == 1 }

func TestModelOfRequestsAnswersEachOnce(t *testing.T) {
	for _, wrong := range []string{asWritten, scheduleThenReady, noSchedule, noReadyLook, noSlotBack, noSlotTaken,
		noLookingUp, partsToTheBack, noHandleAcquire, noClosedLook} {
		x := explore(askState{}, func(s askState) []askState { return askSteps(s, wrong) },
			func(s askState, final bool) string {
				switch {
				case s.fault != "":
					return s.fault
				case s.slots > askSlots:
					return "invariant 8: more answers wait than may"
				case s.drained && s.refs > 0:
					return "invariant 2: somebody is inside after the end"
				case s.onlyTheEnd(wrong) && s.answered != askRequests:
					return "invariant 11: a request is not answered"
				case final && !s.drained:
					return "invariant 13: the stream does not come to its end"
				}
				return ""
			})
		check(t, wrong, wrong != asWritten, x)
	}
}
