package atomics

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/anishathalye/porcupine"
)

// Letters go from six producers through one queue to four consumers. Payload and the table of what arrived are plain:
// each letter is handed over by the queue alone.
func TestQueueLosesNothingAndHandsPlainDataOver(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const producers, consumers, each = 6, 4, 8_000
		var (
			q       Queue[*letter]
			arrived [producers][each]int
			left    atomic.Int64
		)
		left.Store(producers * each)
		together(producers+consumers, func(i int) {
			if i < producers {
				var together List[*letter]
				for n := range each {
					x := newLetter()
					x.producer, x.number = i, n
					if i%2 == 0 {
						q.Push(&x.link)
						continue
					}
					if together.PushBack(&x.link); n%7 == i || n == each-1 {
						q.PushAll(&together)
					}
				}
				return
			}
			var before [producers]int
			for left.Load() > 0 {
				l := q.Pop()
				if l == nil {
					runtime.Gosched()
					continue
				}
				x := l.Owner()
				arrived[x.producer][x.number]++
				// One consumer sees the letters of one producer in their order.
				if x.number+1 <= before[x.producer] {
					t.Errorf("producer %d: %d after %d", x.producer, x.number, before[x.producer]-1)
				}
				before[x.producer] = x.number + 1
				left.Add(-1)
			}
		})
		for p := range arrived {
			for n, times := range arrived[p] {
				if times != 1 {
					t.Fatalf("letter %d of producer %d arrived %d times", n, p, times)
				}
			}
		}
		if q.Len() != 0 || q.Pop() != nil {
			t.Error("not empty at the end")
		}
	})
}

// The same few links are popped and pushed again by all at once; each carries a plain counter.
func TestQueueLosesNoLinkThatGoesRound(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const letters, actors, rounds = 5, 8, 3_000
		var q Queue[*letter]
		for range letters {
			q.Push(&newLetter().link)
		}
		var popped [actors]int
		together(actors, func(i int) {
			for range rounds {
				if l := q.Pop(); l != nil {
					l.Owner().number++
					popped[i]++
					q.Push(l)
				} else {
					runtime.Gosched()
				}
			}
		})
		if q.Len() != letters {
			t.Fatalf("%d links, want %d", q.Len(), letters)
		}
		want := 0
		for _, n := range popped {
			want += n
		}
		for range letters {
			want -= q.Pop().Owner().number
		}
		if want != 0 {
			t.Errorf("%d hops were lost", want)
		}
	})
}

// Push, then look who sleeps, against announce sleep, then look at Len: a runner that parks by this rule misses nothing.
func TestQueuePushIsSeenByLenOrSeesTheSleeper(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 5_000 {
			var (
				q       Queue[*letter]
				sleeps  atomic.Bool
				sawHim  bool
				sawWork bool
			)
			x := newLetter()
			together(2, func(i int) {
				if i == 0 {
					q.Push(&x.link)
					sawHim = sleeps.Load()
				} else {
					sleeps.Store(true)
					sawWork = q.Len() > 0
				}
			})
			if !sawHim && !sawWork {
				t.Fatal("both missed the other")
			}
		}
	})
}

// The sequential specification: a list of numbers. Several numbers are PushAll, -1 is Pop (result -1: empty), -2 is Len.
var queueModel = porcupine.Model{
	Init: func() any { return []int(nil) },
	Step: func(state, input, output any) (bool, any) {
		s, got := state.([]int), output.(int)
		if all, several := input.([]int); several {
			return true, append(slices.Clone(s), all...)
		}
		switch n := input.(int); {
		case n >= 0:
			return true, append(slices.Clone(s), n)
		case n == -2:
			return got == len(s), s
		case len(s) == 0:
			return got == -1, s
		default:
			return got == s[0], slices.Clone(s[1:])
		}
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]int), b.([]int)) },
}

// aQueue is what a history of a Queue needs of it.
type aQueue interface {
	Push(l *Link[*letter])
	PushAll(l *List[*letter])
	Pop() *Link[*letter]
	Len() int
}

// recordQueue has two clients push, one of which pushes several at once now and then, and two pop, one of which also looks
// at the length.
func recordQueue(h *history, q aQueue) {
	together(historyClients, func(i int) {
		for n := range 12 {
			switch {
			case i == 1 && n%4 == 0:
				var all List[*letter]
				var numbers []int
				for k := range 3 {
					x := newLetter()
					x.number = i*100 + n*4 + k
					numbers = append(numbers, x.number)
					all.PushBack(&x.link)
				}
				h.record(i, numbers, func() any {
					q.PushAll(&all)
					return 0
				})
			case i < 2:
				x := newLetter()
				x.number = i*100 + n*4
				h.record(i, x.number, func() any {
					q.Push(&x.link)
					return 0
				})
			case i == 3 && n == 2:
				h.record(i, -2, func() any { return q.Len() })
			default:
				h.record(i, -1, func() any {
					if l := q.Pop(); l != nil {
						return l.Owner().number
					}
					return -1
				})
			}
		}
	})
}

func TestQueueIsLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 500 {
			var (
				q Queue[*letter]
				h history
			)
			recordQueue(&h, &q)
			h.check(t, queueModel)
		}
	})
}

// twoQueues spreads what is pushed, as one does for speed.
type twoQueues struct{ odd, even Queue[*letter] }

func (q *twoQueues) Push(l *Link[*letter]) {
	if l.Owner().number/4%2 == 0 {
		q.even.Push(l)
	} else {
		q.odd.Push(l)
	}
}

func (q *twoQueues) PushAll(all *List[*letter]) {
	for l := all.PopFront(); l != nil; l = all.PopFront() {
		q.Push(l)
	}
}

func (q *twoQueues) Pop() *Link[*letter] {
	if l := q.even.Pop(); l != nil {
		return l
	}
	return q.odd.Pop()
}

func (q *twoQueues) Len() int { return q.even.Len() + q.odd.Len() }

// stackedQueue gives the newest first.
type stackedQueue struct{ Queue[*letter] }

func (q *stackedQueue) Push(l *Link[*letter]) {
	l.mustBeFree()
	q.lock.Lock()
	defer q.lock.Unlock()
	l.precede(q.first)
	q.first = l
	if q.last == nil {
		q.last = l
	}
	q.length.Add(1)
}

// emptyQueue says that it is empty when somebody is in it.
type emptyQueue struct{ Queue[*letter] }

func (q *emptyQueue) Pop() *Link[*letter] {
	if !q.lock.TryLock() {
		return nil
	}
	yield()
	q.lock.Unlock()
	return q.Queue.Pop()
}

// singlyQueue lets others come between what is pushed at once.
type singlyQueue struct{ Queue[*letter] }

func (q *singlyQueue) PushAll(all *List[*letter]) {
	for l := all.PopFront(); l != nil; l = all.PopFront() {
		q.Push(l)
		yield()
	}
}

func TestWrongQueuesAreNotLinearizable(t *testing.T) {
	for name, wrong := range map[string]func() aQueue{
		"two in place of one":        func() aQueue { return new(twoQueues) },
		"newest first":               func() aQueue { return new(stackedQueue) },
		"empty because it is locked": func() aQueue { return new(emptyQueue) },
		"all, one after the other":   func() aQueue { return new(singlyQueue) },
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, queueModel, func(h *history) { recordQueue(h, wrong()) })
		})
	}
}

// A list that has been pushed is empty, and may be filled again; an empty one changes nothing.
func TestQueuePushAllLeavesTheListEmpty(t *testing.T) {
	var q Queue[*letter]
	var all List[*letter]
	q.PushAll(&all)
	if q.Len() != 0 || q.Pop() != nil {
		t.Fatal("something came from nothing")
	}
	for round := range 2 {
		for n := range 3 {
			x := newLetter()
			x.number = 3*round + n
			all.PushBack(&x.link)
		}
		q.PushAll(&all)
		if !all.Empty() || all.Len() != 0 {
			t.Error("the list still has what it gave away")
		}
	}
	if q.Len() != 6 {
		t.Errorf("%d links, want 6", q.Len())
	}
	for n := range 6 {
		if l := q.Pop(); l == nil || l.Owner().number != n {
			t.Fatalf("at %d: %v", n, l)
		}
	}
	if q.Pop() != nil {
		t.Error("one too many")
	}
}

func TestQueueAllocatesNothing(t *testing.T) {
	var q Queue[*letter]
	x := newLetter()
	if n := testing.AllocsPerRun(100, func() {
		q.Push(&x.link)
		q.Pop()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What lies behind a queue shares no cache line with it, wherever it begins.
func TestQueueKeepsItsNeighbourOffItsCacheLine(t *testing.T) {
	var q Queue[*letter]
	end := unsafe.Offsetof(q.lock) + unsafe.Sizeof(q.lock)
	if unsafe.Sizeof(q)-end < cacheLine {
		t.Errorf("%d bytes between the last field and the neighbour", unsafe.Sizeof(q)-end)
	}
}
