package pool

import (
	"fmt"
	"slices"
	"testing"
)

// The model lets Quiet take its looks, one step each, while two runners, a worker and somebody outside go on in EVERY
// interleaving: turns that schedule another task or submit a job, jobs and others that schedule a task. It checks the claim of Quiet: if it is true, then
// at the look at the queue nothing was queued, waiting or running.

const (
	runsPop = iota
	runsLook
	runsTake
	runsPopped // holds a task whose turn is not counted yet
	runsTurn
	runsScheduled // has pushed another task, not yet woken anybody
	runsAdmitted  // has been admitted with a job, not yet counted it
	runsCounted   // has counted it, not yet put it into the queue
)

const (
	worksPop = iota
	worksJob
	worksScheduled
	worksEnds
)

type quietWorld struct {
	budget           int // turns and jobs that may still start something
	queue, jobs      int
	sleepers, tokens int
	turns, submitted int
	outstanding      int
	runners          [2]int
	worker           int
	outside          int  // tasks somebody outside will schedule
	outsideWakes     bool // has pushed one, not yet woken anybody

	look         int  // the next look of Quiet
	events       int  // what the first look saw
	goingOnAtLen bool // whether something was going on at the look at the queue
}

// The looks of Quiet, in their order.
var quietLooks = []string{"events", "jobs", "sleepers", "queue", "sleepers", "events"}

type quietExplorer struct {
	looks []string
	seen  map[quietWorld]bool
	bad   string
}

func (w *quietWorld) goingOn() bool {
	for _, r := range w.runners {
		if r >= runsPopped {
			return true
		}
	}
	return w.queue > 0 || w.outstanding > 0
}

func (w *quietWorld) wakeOne() {
	if w.sleepers > 0 {
		w.sleepers--
		w.tokens++
	}
}

func (e *quietExplorer) explore(w quietWorld) {
	if e.bad != "" || e.seen[w] {
		return
	}
	e.seen[w] = true
	for i := range w.runners {
		for _, submit := range []bool{false, true} {
			next := w
			if next.stepRunner(i, submit) {
				e.explore(next)
			}
		}
	}
	if next := w; next.stepWorker() {
		e.explore(next)
	}
	if next := w; next.stepOutside() {
		e.explore(next)
	}
	if w.look < len(e.looks) {
		next := w
		if e.stepQuiet(&next) {
			e.explore(next)
		}
	}
}

// stepQuiet takes a look; false when it has seen that it is not quiet.
func (e *quietExplorer) stepQuiet(w *quietWorld) bool {
	first := w.look == 0
	quiet := true
	switch e.looks[w.look] {
	case "events":
		if first {
			w.events = w.turns + w.submitted
		}
		quiet = w.events == w.turns+w.submitted
	case "jobs":
		quiet = w.outstanding == 0
	case "sleepers":
		quiet = w.sleepers == len(w.runners)
	case "queue":
		quiet = w.queue == 0
		w.goingOnAtLen = w.goingOn()
	case "": // left out; the instant is the same
		w.goingOnAtLen = w.goingOn()
	}
	w.look++
	if quiet && w.look == len(e.looks) && w.goingOnAtLen && e.bad == "" {
		e.bad = fmt.Sprintf("quiet, though something was going on: %+v", *w)
	}
	return quiet
}

func (w *quietWorld) stepRunner(i int, submit bool) bool {
	r := &w.runners[i]
	if submit && *r != runsTurn {
		return false // the choice is only one within a turn
	}
	switch *r {
	case runsPop:
		if w.queue > 0 {
			w.queue--
			*r = runsPopped
		} else {
			w.sleepers++
			*r = runsLook
		}
	case runsLook:
		switch {
		case w.queue == 0:
			*r = runsTake
		case w.sleepers > 0:
			w.sleepers--
			*r = runsPop
		default:
			*r = runsTake
		}
	case runsTake:
		if w.tokens == 0 {
			return false
		}
		w.tokens--
		*r = runsPop
	case runsPopped:
		w.turns++
		*r = runsTurn
	case runsTurn:
		switch {
		case w.budget == 0:
			*r = runsPop
		case submit:
			w.budget--
			w.outstanding++
			*r = runsAdmitted
		default:
			w.budget--
			w.queue++
			*r = runsScheduled
		}
	case runsScheduled:
		w.wakeOne()
		*r = runsPop
	case runsAdmitted:
		w.submitted++
		*r = runsCounted
	case runsCounted:
		w.jobs++
		*r = runsPop
	}
	return true
}

func (w *quietWorld) stepWorker() bool {
	switch w.worker {
	case worksPop:
		if w.jobs == 0 {
			return false
		}
		w.jobs--
		w.worker = worksJob
	case worksJob:
		if w.budget > 0 {
			w.budget--
			w.queue++
			w.worker = worksScheduled
		} else {
			w.worker = worksEnds
		}
	case worksScheduled:
		w.wakeOne()
		w.worker = worksEnds
	case worksEnds:
		w.outstanding--
		w.worker = worksPop
	}
	return true
}

func (w *quietWorld) stepOutside() bool {
	switch {
	case w.outsideWakes:
		w.outsideWakes = false
		w.wakeOne()
	case w.outside > 0:
		w.outside--
		w.queue++
		w.outsideWakes = true
	default:
		return false
	}
	return true
}

func exploreQuiet(looks []string) (bad string, states int) {
	e := quietExplorer{looks: looks, seen: make(map[quietWorld]bool)}
	e.explore(quietWorld{budget: 3, queue: 1, outside: 1})
	return e.bad, len(e.seen)
}

func TestQuietIsTrueOnlyIfItWasInAnyInterleaving(t *testing.T) {
	bad, states := exploreQuiet(quietLooks)
	if bad != "" {
		t.Fatal(bad)
	}
	t.Logf("%d states", states)
}

// Not one look can be spared.
func TestQuietModelFindsALookLeftOut(t *testing.T) {
	for i := 1; i < len(quietLooks); i++ {
		t.Run(fmt.Sprintf("%d %s", i, quietLooks[i]), func(t *testing.T) {
			looks := slices.Clone(quietLooks)
			if looks[i] == "queue" {
				looks[i] = ""
			} else {
				looks = slices.Delete(looks, i, i+1)
			}
			bad, _ := exploreQuiet(looks)
			if bad == "" {
				t.Fatal("not found")
			}
			t.Log(bad)
		})
	}
}
