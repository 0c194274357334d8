package contention

import (
	"container/list"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/chatstream/chatstream/atomics"
)

// letter is what goes through the queues. link is for those that are intrusive.
type letter struct {
	link     atomics.Link[*letter]
	producer int
	number   int
}

func newLetter() *letter {
	x := new(letter)
	x.link.Init(x)
	return x
}

// BenchmarkQueue shows what it costs to push one and to pop one, by how many goroutines do so at once; that each pops what
// it has pushed keeps bounded queues from filling up. Queue is to cost no more than a channel. xsync's MPMCQueueOf may be
// faster, but is bounded: what to do when it is full has no answer in a run queue.
func BenchmarkQueue(b *testing.B) {
	const bound = 1024
	for _, goroutines := range []int{1, 2, 8, 64} {
		for _, q := range []struct {
			name string
			make func() (push func(*letter), pop func() *letter)
		}{
			{"Queue", func() (func(*letter), func() *letter) {
				var q atomics.Queue[*letter]
				return func(x *letter) { q.Push(&x.link) }, func() *letter { return q.Pop().Owner() } // never nil: each popper has pushed
			}},
			{"Channel", func() (func(*letter), func() *letter) {
				c := make(chan *letter, bound)
				return func(x *letter) { c <- x }, func() *letter { return <-c }
			}},
			{"MPMCQueueOf", func() (func(*letter), func() *letter) {
				m := xsync.NewMPMCQueueOf[*letter](bound)
				return func(x *letter) {
						for !m.TryEnqueue(x) {
							runtime.Gosched()
						}
					}, func() *letter {
						for {
							if x, ok := m.TryDequeue(); ok {
								return x
							}
							runtime.Gosched()
						}
					}
			}},
			{"Mutex", func() (func(*letter), func() *letter) {
				var mu sync.Mutex
				var q atomics.List[*letter]
				return func(x *letter) {
						mu.Lock()
						q.PushBack(&x.link)
						mu.Unlock()
					}, func() *letter {
						mu.Lock()
						x := q.PopFront().Owner()
						mu.Unlock()
						return x
					}
			}},
		} {
			b.Run(fmt.Sprintf("goroutines=%d/%s", goroutines, q.name), func(b *testing.B) {
				b.ReportAllocs()
				push, pop := q.make()
				each := b.N/goroutines + 1
				mine := make([]*letter, goroutines)
				for i := range mine {
					mine[i] = newLetter()
				}
				b.ResetTimer()
				together(goroutines, func(i int) {
					x := mine[i]
					for range each {
						push(x)
						x = pop()
						x.number++ // plain: whoever popped it has it alone
					}
					mine[i] = x
				})
				b.StopTimer()
				passed := 0
				for _, x := range mine {
					passed += x.number
				}
				if want := each * goroutines; passed != want {
					b.Errorf("%d letters came through, want %d", passed, want)
				}
			})
		}
	}
}

// BenchmarkInbox shows what a letter costs from many producers to one consumer, who sleeps while there is none: 64 from each
// producer, until the consumer has all. Inbox gives it all at once; the others one by one.
func BenchmarkInbox(b *testing.B) {
	const batch = 64
	for _, producers := range []int{1, 4, 16} {
		for _, q := range []struct {
			name string
			// make returns a push that reports whether the consumer must be woken, and a take that passes on what is there.
			make func(bound int) (push func(*letter) bool, take func(each func(*letter)))
		}{
			{"Inbox", func(int) (func(*letter) bool, func(func(*letter))) {
				var q atomics.Inbox[*letter]
				return func(x *letter) bool { return q.Push(&x.link) }, func(each func(*letter)) {
					for l := q.Take(); l != nil; {
						rest := l.TakeNext()
						each(l.Owner())
						l = rest
					}
				}
			}},
			{"Queue", func(int) (func(*letter) bool, func(func(*letter))) {
				var q atomics.Queue[*letter]
				return func(x *letter) bool { q.Push(&x.link); return true }, func(each func(*letter)) {
					for l := q.Pop(); l != nil; l = q.Pop() {
						each(l.Owner())
					}
				}
			}},
			{"Channel", func(bound int) (func(*letter) bool, func(func(*letter))) {
				c := make(chan *letter, bound)
				return func(x *letter) bool { c <- x; return false }, func(each func(*letter)) { each(<-c) }
			}},
			{"MPMCQueueOf", func(bound int) (func(*letter) bool, func(func(*letter))) {
				m := xsync.NewMPMCQueueOf[*letter](bound)
				return func(x *letter) bool {
						for !m.TryEnqueue(x) { // it also fails when another producer was quicker
							runtime.Gosched()
						}
						return true
					}, func(each func(*letter)) {
						for x, ok := m.TryDequeue(); ok; x, ok = m.TryDequeue() {
							each(x)
						}
					}
			}},
			{"Mutex", func(int) (func(*letter) bool, func(func(*letter))) {
				var mu sync.Mutex
				var waiting, taken []*letter
				return func(x *letter) bool {
						mu.Lock()
						defer mu.Unlock()
						waiting = append(waiting, x)
						return len(waiting) == 1
					}, func(each func(*letter)) {
						mu.Lock()
						taken, waiting = waiting, taken[:0]
						mu.Unlock()
						for _, x := range taken {
							each(x)
						}
					}
			}},
		} {
			b.Run(fmt.Sprintf("producers=%d/%s", producers, q.name), func(b *testing.B) {
				b.ReportAllocs()
				push, take := q.make(producers * batch)
				wake := make(chan struct{}, 1)
				starts := make([]chan struct{}, producers)
				var wg sync.WaitGroup
				for p := range starts {
					var letters []*letter
					for n := range batch {
						x := newLetter()
						x.producer, x.number = p, n
						letters = append(letters, x)
					}
					start := make(chan struct{}, 1)
					starts[p] = start
					wg.Go(func() {
						for range start {
							for _, x := range letters {
								if push(x) {
									select {
									case wake <- struct{}{}:
									default: // it is awake, or about to be
									}
								}
							}
						}
					})
				}
				next := make([]int, producers)
				left := 0
				each := func(x *letter) {
					if x.number != next[x.producer] {
						b.Errorf("producer %d: %d came in place of %d", x.producer, x.number, next[x.producer])
					}
					next[x.producer] = (x.number + 1) % batch
					left--
				}
				for b.Loop() {
					for _, s := range starts {
						s <- struct{}{}
					}
					for left = producers * batch; left > 0; {
						if q.name != "Channel" { // which blocks by itself
							<-wake
						}
						take(each)
					}
				}
				for _, s := range starts {
					close(s)
				}
				wg.Wait()
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*producers*batch), "ns/letter")
			})
		}
	}
}

// BenchmarkList shows what it costs one owner to put 64 letters at the back and to take them from the front: a List of links
// within them, beside the list of the standard library, which allocates, and a slice that is used again.
func BenchmarkList(b *testing.B) {
	const batch = 64
	letters := make([]*letter, batch)
	for i := range letters {
		letters[i] = newLetter()
		letters[i].number = i
	}
	var intrusive atomics.List[*letter]
	standard := list.New()
	var slice []*letter
	for _, q := range []struct {
		name string
		push func(*letter)
		pop  func() *letter
	}{
		{"List", func(x *letter) { intrusive.PushBack(&x.link) }, func() *letter { return intrusive.PopFront().Owner() }},
		{"container-list", func(x *letter) { standard.PushBack(x) }, func() *letter { return standard.Remove(standard.Front()).(*letter) }},
		{"Slice", func(x *letter) { slice = append(slice, x) }, func() *letter {
			x := slice[0]
			slice = slice[1:]
			return x
		}},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, x := range letters {
					q.push(x)
				}
				for i := range letters {
					if x := q.pop(); x.number != i {
						b.Fatalf("%d came in place of %d", x.number, i)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/letter")
		})
	}
}
