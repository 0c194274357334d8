package atomics

import (
	"slices"
	"testing"
)

func TestGenerationIsUniqueAndRises(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const actors, rounds = 8, 5_000
		var g Generation
		if g.Last() != 0 {
			t.Fatalf("Last of the zero value is %d", g.Last())
		}
		taken := make([][]uint64, actors)
		together(actors, func(i int) {
			var before uint64
			for range rounds {
				n := g.Next()
				if n <= before {
					t.Errorf("%d after %d", n, before)
				}
				if last := g.Last(); last < n {
					t.Errorf("Last is %d after Next returned %d", last, n)
				}
				before = n
				taken[i] = append(taken[i], n)
			}
		})
		all := slices.Concat(taken...)
		slices.Sort(all)
		for i, n := range all {
			if n != uint64(i+1) {
				t.Fatalf("number %d of all is %d: one was given twice or left out", i+1, n)
			}
		}
	})
}

// What was done before the Next that returned 1 is seen after the Next that returned 2.
func TestGenerationHandsPlainDataToTheNewer(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 5_000 {
			var (
				g    Generation
				data [2]int
			)
			together(2, func(i int) {
				data[i] = 1
				if g.Next() == 2 && data[1-i] != 1 {
					t.Error("the newer does not see what the older wrote")
				}
			})
		}
	})
}

func BenchmarkGenerationNext(b *testing.B) {
	b.ReportAllocs()
	var g Generation
	for b.Loop() {
		g.Next()
	}
}
