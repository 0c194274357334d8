package contention

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chatstream/chatstream/atomics"
)

// BenchmarkGeneration shows what a number costs that nobody else gets and that is larger than all before, by how many
// goroutines take one at once. One shared word is what all of them wait for; the add does so the shortest. A counter spread
// over the processors, as xsync.Counter, is faster and no alternative: it has no order.
func BenchmarkGeneration(b *testing.B) {
	for _, goroutines := range []int{1, 2, 8, 64} {
		for _, g := range []struct {
			name string
			make func() func() uint64
		}{
			{"Generation", func() func() uint64 { return new(atomics.Generation).Next }},
			{"CompareAndSwap", func() func() uint64 {
				var last atomic.Uint64
				return func() uint64 {
					for {
						if n := last.Load(); last.CompareAndSwap(n, n+1) {
							return n + 1
						}
					}
				}
			}},
			{"Mutex", func() func() uint64 {
				var mu sync.Mutex
				var last uint64
				return func() uint64 {
					mu.Lock()
					defer mu.Unlock()
					last++
					return last
				}
			}},
		} {
			b.Run(fmt.Sprintf("goroutines=%d/%s", goroutines, g.name), func(b *testing.B) {
				b.ReportAllocs()
				next := g.make()
				each := b.N/goroutines + 1
				b.ResetTimer()
				together(goroutines, func(int) {
					before := uint64(0)
					for range each {
						n := next()
						if n <= before {
							b.Errorf("%d after %d", n, before)
						}
						before = n
					}
				})
				b.StopTimer()
				if n := next(); n != uint64(each*goroutines)+1 {
					b.Errorf("the last number is %d, want %d: one was given twice", n, each*goroutines+1)
				}
			})
		}
	}
}
