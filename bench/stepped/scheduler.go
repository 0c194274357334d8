package stepped

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// current is the scheduler that steps wait for; nil lets all through. What stands in
// for a package-level operation cannot be handed one.
var current atomic.Pointer[Scheduler]

// Scheduler lets one goroutine at a time take one step. It is made and used by the
// goroutine of a test, within its bubble, which must take no step itself meanwhile.
type Scheduler struct {
	rng *rand.Rand
	// stay is how likely the goroutine that took the last step takes the next one.
	stay float64
	// Steps is how many have been taken.
	Steps int

	mu     sync.Mutex
	parked []chan struct{}
}

// On makes steps wait from now on. The same seed makes the same choices.
func On(seed uint64) *Scheduler {
	rng := rand.New(rand.NewPCG(seed, 3))
	s := &Scheduler{rng: rng, stay: []float64{0, 0.5, 0.8, 0.95}[rng.IntN(4)]}
	current.Store(s)
	return s
}

// Run lets steps be taken until done says so and then until nobody has waited for one
// for as long as quiet, of the bubble's time, which passes when nobody waits.
func (s *Scheduler) Run(done func() bool, quiet time.Duration) {
	const moment = time.Millisecond
	for idle := time.Duration(0); idle < quiet; {
		synctest.Wait()
		if s.one() {
			idle = 0
			continue
		}
		time.Sleep(moment)
		if idle += moment; !done() {
			idle = 0
		}
	}
}

// one lets one step be taken. Who took the last one is the last of those who wait.
func (s *Scheduler) one() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.parked)
	if n == 0 {
		return false
	}
	i := n - 1
	if s.rng.Float64() >= s.stay {
		i = s.rng.IntN(n)
	}
	next := s.parked[i]
	s.parked = append(s.parked[:i], s.parked[i+1:]...)
	s.Steps++
	close(next)
	return true
}

// Off lets everybody through from now on.
func (s *Scheduler) Off() {
	current.Store(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, next := range s.parked {
		close(next)
	}
	s.parked = nil
}

// step waits until it is its caller's turn.
func step() {
	s := current.Load()
	if s == nil {
		return
	}
	next := make(chan struct{})
	s.mu.Lock()
	if current.Load() != s { // turned off meanwhile
		s.mu.Unlock()
		return
	}
	s.parked = append(s.parked, next)
	s.mu.Unlock()
	<-next
}
