package atomics

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// letter is what the tests send: producer and number are plain, written before the push and read after the take, so the
// race detector checks the memory order.
type letter struct {
	link     Link[*letter]
	producer int
	number   int
}

func newLetter() *letter {
	x := new(letter)
	x.link.Init(x)
	return x
}

// produceAll lets producers push their numbered letters at once; consume is called, on the caller's goroutine, until it
// has returned done.
func produceAll(producers, each int, push func(*letter), consume func() (done bool)) {
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := range each {
				x := newLetter()
				x.producer, x.number = p, n
				push(x)
				if n%64 == 63 {
					runtime.Gosched()
				}
			}
		})
	}
	for !consume() {
		runtime.Gosched()
	}
	wg.Wait()
}

func TestInboxKeepsEachProducersOrderAndLosesNothing(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const producers, each = 6, 20_000
		var (
			q        Inbox[*letter]
			next     [producers]int
			got      int
			wasEmpty atomic.Int64
			takes    int64
		)
		push := func(x *letter) {
			if q.Push(&x.link) {
				wasEmpty.Add(1)
			}
		}
		produceAll(producers, each, push, func() bool {
			l := q.Take()
			if l != nil {
				takes++
			}
			for l != nil {
				rest := l.TakeNext()
				x := l.Owner()
				if x.number != next[x.producer] {
					t.Errorf("producer %d: got %d, want %d", x.producer, x.number, next[x.producer])
				}
				next[x.producer] = x.number + 1
				got++
				l = rest
			}
			return got == producers*each || t.Failed()
		})
		if !q.Empty() {
			t.Error("not empty at the end")
		}
		if wasEmpty.Load() != takes {
			t.Errorf("%d pushes found it empty, %d takes found something", wasEmpty.Load(), takes)
		}
	})
}

// A consumer that sleeps until a producer tells it "was empty" gets everything: nobody else will wake it.
func TestInboxWakesItsConsumerByWasEmpty(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const producers, each = 4, 20_000
		var (
			q    Inbox[*letter]
			wake = make(chan struct{}, 1)
			got  int
		)
		push := func(x *letter) {
			if q.Push(&x.link) {
				wake <- struct{}{}
			}
		}
		produceAll(producers, each, push, func() bool {
			<-wake
			for l := q.Take(); l != nil; {
				rest := l.TakeNext()
				got++
				l = rest
			}
			return got == producers*each
		})
	})
}

// A consumer that announces its sleep and then looks, while producers push and then look at the announcement, gets
// everything too.
func TestInboxWakesItsConsumerByAnnouncement(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const producers, each = 4, 20_000
		var (
			q      Inbox[*letter]
			sleeps atomic.Bool
			wake   = make(chan struct{}, 1)
			got    int
		)
		push := func(x *letter) {
			q.Push(&x.link)
			if sleeps.Load() && sleeps.CompareAndSwap(true, false) {
				wake <- struct{}{}
			}
		}
		produceAll(producers, each, push, func() bool {
			sleeps.Store(true)
			if q.Empty() || !sleeps.CompareAndSwap(true, false) {
				<-wake
			}
			for l := q.Take(); l != nil; {
				rest := l.TakeNext()
				got++
				l = rest
			}
			return got == producers*each
		})
	})
}

// Links go round between two inboxes and their two consumers: a link is pushed again the moment it is taken, while the
// other producers still compare the head with it. This is where a queue that pops singly has its ABA.
func TestInboxLosesNoLinkThatGoesRound(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const letters, rounds = 16, 4_000
		var inboxes [2]Inbox[*letter]
		var hops [letters]int // plain: each letter's count is handed over with it
		for i := range letters {
			x := newLetter()
			x.number = i
			inboxes[i%2].Push(&x.link)
		}
		var finished atomic.Int64
		together(2, func(me int) {
			for finished.Load() < letters {
				for l := inboxes[me].Take(); l != nil; {
					rest := l.TakeNext()
					n := l.Owner().number
					hops[n]++
					if hops[n] == rounds {
						finished.Add(1)
					} else {
						inboxes[1-me].Push(l)
					}
					l = rest
				}
				runtime.Gosched()
			}
		})
		for n, h := range hops {
			if h != rounds {
				t.Errorf("letter %d made %d hops", n, h)
			}
		}
	})
}

// The sequential specification: a list of numbers. Input -1 is Take, -2 is Empty.
var inboxModel = porcupine.Model{
	Init: func() any { return []int(nil) },
	Step: func(state, input, output any) (bool, any) {
		s := state.([]int)
		switch n := input.(int); {
		case n >= 0:
			return output.(bool) == (len(s) == 0), append(slices.Clone(s), n)
		case n == -2:
			return output.(bool) == (len(s) == 0), s
		default:
			return slices.Equal(output.([]int), s), []int(nil)
		}
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]int), b.([]int)) },
}

// anInbox is what a history of an Inbox needs of it.
type anInbox interface {
	Push(l *Link[*letter]) (wasEmpty bool)
	Take() *Link[*letter]
	Empty() bool
}

// recordInbox has client 0 take and the others push and look.
func recordInbox(h *history, q anInbox) {
	together(historyClients, func(i int) {
		for n := range 8 {
			switch {
			case i == 0:
				h.record(i, -1, func() any {
					var got []int
					for l := q.Take(); l != nil; {
						rest := l.TakeNext()
						got = append(got, l.Owner().number)
						l = rest
					}
					return got
				})
			case n%4 == 3:
				h.record(i, -2, func() any { return q.Empty() })
			default:
				x := newLetter()
				x.number = i*100 + n
				h.record(i, x.number, func() any { return q.Push(&x.link) })
			}
		}
	})
}

func TestInboxIsLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 500 {
			var (
				q Inbox[*letter]
				h history
			)
			recordInbox(&h, &q)
			h.check(t, inboxModel)
		}
	})
}

// losingInbox is emptied by a Store where the right one swaps.
type losingInbox struct{ Inbox[*letter] }

func (q *losingInbox) Take() *Link[*letter] {
	var chain *Link[*letter]
	all := q.newest.Load()
	yield()
	q.newest.Store(nil)
	for l := all; l != nil; {
		older := l.follower()
		l.precede(chain)
		chain, l = l, older
	}
	return chain
}

// guessingInbox looks whether it is empty before it pushes.
type guessingInbox struct{ Inbox[*letter] }

func (q *guessingInbox) Push(l *Link[*letter]) bool {
	wasEmpty := q.Empty()
	yield()
	q.Inbox.Push(l)
	return wasEmpty
}

func TestWrongInboxesAreNotLinearizable(t *testing.T) {
	for name, wrong := range map[string]func() anInbox{
		"loses what comes during Take": func() anInbox { return new(losingInbox) },
		"wasEmpty of a moment before":  func() anInbox { return new(guessingInbox) },
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, inboxModel, func(h *history) { recordInbox(h, wrong()) })
		})
	}
}

func TestInboxAllocatesNothing(t *testing.T) {
	var q Inbox[*letter]
	x, y := newLetter(), newLetter()
	if n := testing.AllocsPerRun(100, func() {
		q.Push(&x.link)
		q.Push(&y.link)
		q.Take().TakeNext().TakeNext()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
