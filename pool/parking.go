package pool

import "sync/atomic"

// parking is where runners with nothing to do wait. It is a semaphore whose count may be looked at: sleepers is how many
// have announced that they are about to sleep and have not been claimed, and for each one claimed there is one token in
// wake.
//
// No wake-up is lost:
//
//	who brings work                      who finds none
//	1. puts it into the queue            1. announces itself (sleepers+1)
//	2. looks at sleepers; if there is    2. looks at the queue; if there is work, withdraws
//	   one, claims it (sleepers-1) and   3. takes a token, waiting for it
//	   puts a token
//
// All of these are sequentially consistent. If the bringer saw no sleeper in its step 2, then each runner announces itself
// after that, and finds the work in its own step 2. If it saw one it claimed one. And a claim is never lost either: a
// runner that wants to withdraw and finds sleepers at zero has been claimed; it takes its token (which is there, or about
// to be) and goes on. So tokens and claimed runners are equal in number, the channel never has more tokens than there are
// runners, and a put never blocks.
//
// The claim, rather than a put whenever somebody sleeps, is for the fan-out: of a thousand pushes in a row the first few
// claim the sleepers, the others see zero at the cost of one load.
type parking struct {
	sleepers atomic.Int32
	wake     chan struct{}
}

func newParking(runners int) parking {
	return parking{wake: make(chan struct{}, runners)}
}

// announce is step 1 of the one who finds no work.
func (p *parking) announce() {
	p.sleepers.Add(1)
}

// withdraw takes back an announcement; false if it has been claimed, and a token must be taken.
func (p *parking) withdraw() bool {
	return p.claim()
}

// claim takes one announced sleeper, if there is any. Which one does not matter.
func (p *parking) claim() bool {
	for {
		n := p.sleepers.Load()
		if n == 0 {
			return false
		}
		if p.sleepers.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// put wakes the one claimed. It never blocks: see above.
func (p *parking) put() {
	p.wake <- struct{}{}
}

// take waits for a token.
func (p *parking) take() {
	<-p.wake
}

// wakeOne claims a sleeper and wakes it, if there is one.
func (p *parking) wakeOne() bool {
	if !p.claim() {
		return false
	}
	p.put()
	return true
}
