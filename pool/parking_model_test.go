package pool

import (
	"fmt"
	"testing"
)

// The model drives parking through EVERY interleaving of two runners and two who bring work. What is modelled is the order
// of steps in runners.push, run and park; the steps on sleepers and wake are the methods of parking themselves, except
// that the load and the CompareAndSwap of claim are two steps here.

const (
	bringsPush = iota
	bringsLook
	bringsClaim
	bringsPut
)

const (
	parksPop = iota
	parksTurn
	parksAnnounce
	parksLook
	parksWithdraw
	parksTake
)

type parkingWorld struct {
	work     int
	sleepers int32
	tokens   int
	bringers [2]struct {
		at, left int
		saw      int32
	}
	runners [2]int
}

// The faults that can be seeded.
const (
	noFault            = ""
	lookThenAnnounce   = "a runner looks at the queue, then announces itself"
	lookThenPush       = "who brings work looks at the sleepers, then pushes"
	withdrawAndNoToken = "a runner that was claimed does not take its token"
	putWithoutClaim    = "who sees a sleeper puts a token without claiming"
)

type parkingExplorer struct {
	fault string
	seen  map[parkingWorld]bool
	bad   string
}

func (e *parkingExplorer) explore(w parkingWorld) {
	if e.bad != "" || e.seen[w] {
		return
	}
	e.seen[w] = true
	if w.tokens > len(w.runners) {
		e.fail(w, "more tokens than runners: a put would block")
	}
	moved := false
	for i := range w.bringers {
		next := w
		if e.stepBringer(&next, i) {
			moved = true
			e.explore(next)
		}
	}
	for i := range w.runners {
		next := w
		if e.stepRunner(&next, i) {
			moved = true
			e.explore(next)
		}
	}
	if !moved && w.work > 0 {
		e.fail(w, "everybody sleeps, and there is work")
	}
}

// on applies a method of parking to the state of the model.
func (w *parkingWorld) on(f func(p *parking) bool) bool {
	p := newParking(len(w.runners) + 1)
	p.sleepers.Store(w.sleepers)
	for range w.tokens {
		p.wake <- struct{}{}
	}
	told := f(&p)
	w.sleepers, w.tokens = p.sleepers.Load(), len(p.wake)
	return told
}

func (e *parkingExplorer) stepBringer(w *parkingWorld, i int) bool {
	b := &w.bringers[i]
	if b.left == 0 {
		return false
	}
	first, second := bringsPush, bringsLook
	if e.fault == lookThenPush {
		first, second = second, first
	}
	// b.at counts the steps of one round: first, second, then claim and put if a sleeper was seen.
	step := b.at
	switch b.at {
	case 0:
		step = first
	case 1:
		step = second
	}
	again := func() { b.at, b.left = 0, b.left-1 }
	switch step {
	case bringsPush:
		w.work++
		b.at++
	case bringsLook:
		b.saw = w.sleepers
		b.at++
	case bringsClaim:
		switch {
		case b.saw == 0:
			again()
		case e.fault == putWithoutClaim || w.sleepers == b.saw:
			if e.fault != putWithoutClaim {
				w.on((*parking).claim)
			}
			b.at++
		default:
			b.saw = w.sleepers // the CompareAndSwap failed: look again
		}
	case bringsPut:
		w.on(func(p *parking) bool { p.put(); return true })
		again()
	}
	return true
}

func (e *parkingExplorer) stepRunner(w *parkingWorld, i int) bool {
	r := &w.runners[i]
	look, announce := parksLook, parksAnnounce
	switch *r {
	case parksPop:
		switch {
		case w.work > 0:
			w.work--
			*r = parksTurn
		case e.fault == lookThenAnnounce:
			*r = look
		default:
			*r = announce
		}
	case parksTurn:
		*r = parksPop
	case parksAnnounce:
		w.on(func(p *parking) bool { p.announce(); return true })
		if e.fault == lookThenAnnounce {
			*r = parksTake
		} else {
			*r = look
		}
	case parksLook:
		switch {
		case e.fault == lookThenAnnounce && w.work > 0:
			*r = parksPop
		case e.fault == lookThenAnnounce:
			*r = announce
		case w.work > 0:
			*r = parksWithdraw
		default:
			*r = parksTake
		}
	case parksWithdraw:
		if w.on((*parking).withdraw) || e.fault == withdrawAndNoToken {
			*r = parksPop
		} else {
			*r = parksTake
		}
	case parksTake:
		if w.tokens == 0 {
			return false
		}
		w.on(func(p *parking) bool { p.take(); return true })
		*r = parksPop
	}
	return true
}

func (e *parkingExplorer) fail(w parkingWorld, why string) {
	if e.bad == "" {
		e.bad = fmt.Sprintf("%s; %+v", why, w)
	}
}

func exploreParking(fault string) (bad string, states int) {
	e := parkingExplorer{fault: fault, seen: make(map[parkingWorld]bool)}
	var w parkingWorld
	for i := range w.bringers {
		w.bringers[i].left = 2
	}
	e.explore(w)
	return e.bad, len(e.seen)
}

func TestParkingLosesNoWakeUpInAnyInterleaving(t *testing.T) {
	bad, states := exploreParking(noFault)
	if bad != "" {
		t.Fatal(bad)
	}
	t.Logf("%d states", states)
}

func TestParkingModelFindsSeededFaults(t *testing.T) {
	for _, fault := range []string{lookThenAnnounce, lookThenPush, withdrawAndNoToken, putWithoutClaim} {
		t.Run(fault, func(t *testing.T) {
			bad, _ := exploreParking(fault)
			if bad == "" {
				t.Fatal("not found")
			}
			t.Log(bad)
		})
	}
}
