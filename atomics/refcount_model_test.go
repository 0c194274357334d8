package atomics

import (
	"fmt"
	"testing"
)

// The model drives the decisions of refcount.go (acquired, released, closed) through EVERY interleaving of three actors.
// A step is one atomic operation: the load of Acquire or Release, its CompareAndSwap, the Or of Close. A CompareAndSwap
// that fails goes back to the load; as it fails only when another actor has made progress, the states are finite.

// A script is what one actor does, a letter per call: A Acquire, R Release (skipped if the Acquire before was refused),
// C Close.
var refCountScripts = []string{"AR", "ARAR", "AARR", "C", "CC", "ARC", "ACR", "CAR"}

type refCountActor struct {
	at     int    // index of the call in its script
	loaded bool   // the load has been done
	word   uint64 // what it saw
	held   int    // references this actor holds
}

type refCountWorld struct {
	word     uint64
	actors   [3]refCountActor
	reported int // times the end was reported
	firsts   int // times a Close was told it is the first
}

type refCountExplorer struct {
	scripts [3]string
	// blind is the fault seeded to see that the model finds one: store without comparing.
	blind bool
	seen  map[refCountWorld]bool
	bad   string // first violation found
}

func (e *refCountExplorer) explore(w refCountWorld) {
	if e.bad != "" || e.seen[w] {
		return
	}
	e.seen[w] = true
	e.verify(w)
	terminal := true
	for i := range w.actors {
		if w.actors[i].at < len(e.scripts[i]) {
			terminal = false
			next := w
			e.step(&next, i)
			e.explore(next)
		}
	}
	if terminal {
		e.verifyTerminal(w)
	}
}

// step lets actor i do its next atomic operation.
func (e *refCountExplorer) step(w *refCountWorld, i int) {
	a := &w.actors[i]
	call := e.scripts[i][a.at]
	if call == 'C' {
		first, drained := closed(w.word)
		w.word |= closedBit
		if first {
			w.firsts++
		}
		if drained {
			e.reportedEnd(w)
		}
		a.at++
		return
	}
	if call == 'R' && a.held == 0 {
		a.at++ // was refused
		return
	}
	if !a.loaded {
		a.loaded, a.word = true, w.word
		return
	}
	saw := a.word
	a.loaded, a.word = false, 0
	if call == 'A' {
		next, ok := acquired(saw)
		switch {
		case !ok:
			a.at++
		case w.word == saw || e.blind:
			if w.word&closedBit != 0 {
				e.fail(w, "entered after Close")
			}
			w.word = next
			a.held++
			a.at++
		}
		return
	}
	next, last := released(saw)
	if w.word == saw || e.blind {
		w.word = next
		a.held--
		a.at++
		if last {
			e.reportedEnd(w)
		}
	}
}

func (e *refCountExplorer) reportedEnd(w *refCountWorld) {
	w.reported++
	for _, a := range w.actors {
		if a.held > 0 {
			e.fail(w, "the end was reported while somebody is inside")
		}
	}
	if w.word != closedBit {
		e.fail(w, "the end was reported of a count that is open or not empty")
	}
}

func (e *refCountExplorer) verify(w refCountWorld) {
	held := 0
	for _, a := range w.actors {
		held += a.held
	}
	if uint64(held) != w.word&^closedBit {
		e.fail(&w, "the count is not the number of references held")
	}
	if w.reported > 1 {
		e.fail(&w, "the end was reported twice")
	}
	if w.firsts > 1 {
		e.fail(&w, "two calls closed it first")
	}
}

func (e *refCountExplorer) verifyTerminal(w refCountWorld) {
	isClosed := w.word&closedBit != 0
	if isClosed && (w.reported != 1 || w.firsts != 1) {
		e.fail(&w, "closed and left by all, but the end was not reported once")
	}
	if !isClosed && w.reported != 0 {
		e.fail(&w, "the end of an open count was reported")
	}
}

func (e *refCountExplorer) fail(w *refCountWorld, why string) {
	if e.bad == "" {
		e.bad = fmt.Sprintf("%s; scripts %v, state %+v", why, e.scripts, *w)
	}
}

// exploreRefCount tries all scripts against each other; it returns the first violation and the number of states.
func exploreRefCount(blind bool) (bad string, states int) {
	for i, a := range refCountScripts { // actors are alike, so each three scripts once
		for j, b := range refCountScripts[i:] {
			for _, c := range refCountScripts[i+j:] {
				e := refCountExplorer{scripts: [3]string{a, b, c}, blind: blind, seen: make(map[refCountWorld]bool)}
				e.explore(refCountWorld{})
				states += len(e.seen)
				if e.bad != "" {
					return e.bad, states
				}
			}
		}
	}
	return "", states
}

func TestRefCountHoldsInEveryInterleaving(t *testing.T) {
	bad, states := exploreRefCount(false)
	if bad != "" {
		t.Fatal(bad)
	}
	t.Logf("%d states", states)
}

// A model that finds nothing may be blind itself: with the comparison taken out of CompareAndSwap it must find something.
func TestRefCountModelFindsASeededFault(t *testing.T) {
	if bad, _ := exploreRefCount(true); bad == "" {
		t.Fatal("an update without comparison passed")
	} else {
		t.Log(bad)
	}
}
