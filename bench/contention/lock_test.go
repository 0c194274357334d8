package contention

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/bench/measure"
)

// locks are what could stand where a SpinLock does. read and done are how readers enter and leave, nil if they exclude each
// other as well.
var locks = []struct {
	name string
	make func() (lock sync.Locker, read func() *xsync.RToken, done func(*xsync.RToken))
}{
	{"SpinLock", func() (sync.Locker, func() *xsync.RToken, func(*xsync.RToken)) {
		return new(atomics.SpinLock), nil, nil
	}},
	{"Mutex", func() (sync.Locker, func() *xsync.RToken, func(*xsync.RToken)) {
		return new(sync.Mutex), nil, nil
	}},
	{"RWMutex", func() (sync.Locker, func() *xsync.RToken, func(*xsync.RToken)) {
		l := new(sync.RWMutex)
		return l, func() *xsync.RToken { l.RLock(); return nil }, func(*xsync.RToken) { l.RUnlock() }
	}},
	{"RBMutex", func() (sync.Locker, func() *xsync.RToken, func(*xsync.RToken)) {
		l := xsync.NewRBMutex()
		return l, l.RLock, l.RUnlock
	}},
}

// sections are how long a lock is held. 20 ns is the splice of a list, what SpinLock is made for; 200 ns an allocation or
// two; 2 us what must not be done under it.
var sections = []struct {
	name string
	time time.Duration
}{{"20ns", 20 * time.Nanosecond}, {"200ns", 200 * time.Nanosecond}, {"2us", 2 * time.Microsecond}}

// spin works on its caller's own cache line for n steps.
func spin(p *padded, n int) {
	for range n {
		p.n = p.n*3 + 1
	}
}

// stepsIn is how many steps of spin take about d.
func stepsIn(d time.Duration) int {
	const steps = 1 << 20
	var p padded
	best := time.Duration(1 << 62)
	for range 3 {
		best = min(best, measure.Time(func() { spin(&p, steps) }))
	}
	return max(1, int(int64(d)*steps/int64(best)))
}

// BenchmarkLock shows what a lock costs by how many want it and how long it is held: the mean (ns/op, of which the section
// itself is known), and how long the wait was for the last in a hundred, in a thousand, and of all. SpinLock is to be the
// best, or as good, where it is used: sections of 20 ns, few goroutines at once (those of the pool's runners and of grpc-go
// that happen to run). With long sections and many goroutines it is to lose by its tail: that is why nothing else may be
// done under it. What is measured of the tail is every eighth wait, with the clock's own 50 ns in it.
func BenchmarkLock(b *testing.B) {
	for _, section := range sections {
		for _, goroutines := range []int{1, 2, 8, 64, 1024} {
			for _, l := range locks {
				b.Run(fmt.Sprintf("section=%s/goroutines=%d/%s", section.name, goroutines, l.name), func(b *testing.B) {
					lock, _, _ := l.make()
					contend(b, goroutines, section.time, lock)
				})
			}
		}
	}
}

// contend has goroutines share b.N sections. It checks that the lock excludes: the counter in the section is plain.
func contend(b *testing.B, goroutines int, section time.Duration, lock sync.Locker) {
	b.ReportAllocs()
	steps := stepsIn(section)
	var held padded
	entered := 0
	tails := make([]measure.Tail, goroutines)
	each := b.N/goroutines + 1
	for i := range tails {
		tails[i] = make(measure.Tail, 0, each/8+1)
	}
	b.ResetTimer()
	together(goroutines, func(i int) {
		for n := range each {
			if n%8 == 0 {
				begin := time.Now()
				lock.Lock()
				tails[i] = append(tails[i], time.Since(begin))
			} else {
				lock.Lock()
			}
			entered++
			spin(&held, steps)
			lock.Unlock()
		}
	})
	b.StopTimer()
	if entered != each*goroutines {
		b.Errorf("%d sections were counted, want %d: the lock does not exclude", entered, each*goroutines)
	}
	var all measure.Tail
	for _, t := range tails {
		all = append(all, t...)
	}
	all.Report(b, "wait")
}

// BenchmarkReadMostlyLock shows what locks with readers are worth beside those without, when one section in a hundred
// writes and 64 goroutines want in: how often a lock like that would have to be asked for before RBMutex pays.
func BenchmarkReadMostlyLock(b *testing.B) {
	const goroutines = 64
	for _, section := range sections {
		for _, l := range locks {
			b.Run(fmt.Sprintf("section=%s/%s", section.name, l.name), func(b *testing.B) {
				b.ReportAllocs()
				lock, read, done := l.make()
				if read == nil {
					read = func() *xsync.RToken { lock.Lock(); return nil }
					done = func(*xsync.RToken) { lock.Unlock() }
				}
				steps := stepsIn(section.time)
				written := 0
				each := b.N/goroutines + 1
				b.ResetTimer()
				together(goroutines, func(i int) {
					var own padded
					for n := range each {
						if (n+i)%100 == 0 {
							lock.Lock()
							written++
							spin(&own, steps)
							lock.Unlock()
							continue
						}
						token := read()
						spin(&own, steps)
						done(token)
					}
				})
				b.StopTimer()
				want := 0
				for i := range goroutines {
					for n := i; n < each+i; n++ {
						if n%100 == 0 {
							want++
						}
					}
				}
				if written != want {
					b.Errorf("%d sections wrote, want %d", written, want)
				}
			})
		}
	}
}
