package pool

import (
	"fmt"
	"testing"
)

// The model drives the three transitions of slot.go (schedule, begin, end: the methods themselves, each one atomic step)
// through EVERY interleaving of two schedulers and two runners. The pushes and pops of the run queue are steps of their
// own, so that others get in between a transition and the push it leads to.

type modelScheduler struct {
	left int  // schedules still to make
	push bool // was told to push, has not yet
}

const (
	runnerLooks   = iota // about to pop
	runnerPopped         // has popped, about to begin
	runnerInTurn         // within the turn
	runnerRequeue        // was told by end to push
)

type slotWorld struct {
	state      uint32
	queued     int // how often the slot is in the run queue
	schedulers [2]modelScheduler
	runners    [2]int
	self       int  // schedules the task may still make in its own turn
	selfPush   bool // was told to push from inside the turn, which must never be
	requested  int  // schedules made
	served     int  // requested, as seen by the last turn that began
}

type slotExplorer struct {
	schedule, end func(s *Slot) bool
	begin         func(s *Slot)
	seen          map[slotWorld]bool
	bad           string
}

func (e *slotExplorer) explore(w slotWorld) {
	if e.bad != "" || e.seen[w] {
		return
	}
	e.seen[w] = true
	e.verify(w)
	moved := false
	try := func(step func(w *slotWorld) bool) {
		next := w
		if step(&next) {
			moved = true
			e.explore(next)
		}
	}
	for i := range w.schedulers {
		try(func(w *slotWorld) bool { return e.stepScheduler(w, i) })
	}
	for i := range w.runners {
		try(func(w *slotWorld) bool { return e.stepRunner(w, i, false) })
		try(func(w *slotWorld) bool { return e.stepRunner(w, i, true) })
	}
	if !moved && w.served != w.requested {
		e.fail(w, "a schedule was lost: everything rests, and no turn began after it")
	}
}

// on applies a transition of the code to the state of the model.
func (w *slotWorld) on(f func(s *Slot) bool) bool {
	var s Slot
	s.state.Store(w.state)
	told := f(&s)
	w.state = s.state.Load()
	return told
}

func (e *slotExplorer) stepScheduler(w *slotWorld, i int) bool {
	s := &w.schedulers[i]
	switch {
	case s.push:
		s.push = false
		w.queued++
	case s.left > 0:
		s.left--
		w.requested++
		s.push = w.on(e.schedule)
	default:
		return false
	}
	return true
}

// stepRunner lets a runner go on; with self, the task schedules itself within its turn instead.
func (e *slotExplorer) stepRunner(w *slotWorld, i int, self bool) bool {
	r := &w.runners[i]
	if self {
		if *r != runnerInTurn || w.self == 0 {
			return false
		}
		w.self--
		w.requested++
		w.selfPush = w.on(e.schedule)
		return true
	}
	switch *r {
	case runnerLooks:
		if w.queued == 0 {
			return false
		}
		w.queued--
		*r = runnerPopped
	case runnerPopped:
		if w.served == w.requested {
			e.fail(*w, "a turn that nobody asked for")
		}
		w.on(func(s *Slot) bool { e.begin(s); return false })
		w.served = w.requested
		*r = runnerInTurn
	case runnerInTurn:
		if w.on(e.end) {
			*r = runnerRequeue
		} else {
			*r = runnerLooks
		}
	case runnerRequeue:
		w.queued++
		*r = runnerLooks
	}
	return true
}

func (e *slotExplorer) verify(w slotWorld) {
	turns, held := 0, w.queued
	for _, r := range w.runners {
		if r == runnerInTurn {
			turns++
		}
		if r != runnerLooks {
			held++
		}
	}
	for _, s := range w.schedulers {
		if s.push {
			held++
		}
	}
	switch {
	case turns > 1:
		e.fail(w, "two turns at once")
	case w.queued > 1:
		e.fail(w, "twice in the queue: the links would be a ring")
	case held > 1:
		e.fail(w, "two hold the slot")
	case w.selfPush:
		e.fail(w, "a schedule within a turn was told to push")
	case (w.state == idle) != (held == 0):
		e.fail(w, "idle, but held, or not idle, and nobody holds it")
	}
}

func (e *slotExplorer) fail(w slotWorld, why string) {
	if e.bad == "" {
		e.bad = fmt.Sprintf("%s; %+v", why, w)
	}
}

func exploreSlot(schedule func(*Slot) bool, begin func(*Slot), end func(*Slot) bool) (bad string, states int) {
	e := slotExplorer{schedule: schedule, begin: begin, end: end, seen: make(map[slotWorld]bool)}
	e.explore(slotWorld{schedulers: [2]modelScheduler{{left: 3}, {left: 3}}, self: 2})
	return e.bad, len(e.seen)
}

func TestSlotHoldsInEveryInterleaving(t *testing.T) {
	bad, states := exploreSlot((*Slot).schedule, (*Slot).begin, (*Slot).end)
	if bad != "" {
		t.Fatal(bad)
	}
	t.Logf("%d states", states)
}

// A model that finds nothing may be blind itself: each of these must be found.
func TestSlotModelFindsSeededFaults(t *testing.T) {
	for _, fault := range []struct {
		name     string
		schedule func(*Slot) bool
		begin    func(*Slot)
		end      func(*Slot) bool
	}{
		{"a schedule during a turn is ignored",
			func(s *Slot) bool { return s.state.CompareAndSwap(idle, wanted) }, (*Slot).begin, (*Slot).end},
		{"a schedule during a turn pushes",
			func(s *Slot) bool { return s.state.Or(wanted)&wanted == 0 }, (*Slot).begin, (*Slot).end},
		{"begin leaves wanted set",
			(*Slot).schedule, func(s *Slot) { s.state.Or(running) }, (*Slot).end},
		{"begin clears everything",
			(*Slot).schedule, func(s *Slot) { s.state.Swap(idle) }, (*Slot).end},
		{"end clears everything",
			(*Slot).schedule, (*Slot).begin, func(s *Slot) bool { s.state.Swap(idle); return false }},
		{"end always goes to the back",
			(*Slot).schedule, (*Slot).begin, func(s *Slot) bool { s.state.And(wanted); return true }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			bad, _ := exploreSlot(fault.schedule, fault.begin, fault.end)
			if bad == "" {
				t.Fatal("not found")
			}
			t.Log(bad)
		})
	}
}
