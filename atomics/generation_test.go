package atomics

import (
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
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

// The sequential specification: the number handed out last.
var generationModel = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		last, got := state.(uint64), output.(uint64)
		if input == "next" {
			return got == last+1, got
		}
		return got == last, last
	},
}

type aGeneration interface{ Next() uint64 }

func recordGeneration(h *history, g aGeneration, last func() uint64) {
	together(historyClients, func(i int) {
		for n := range 8 {
			if n%3 == 2 {
				h.record(i, "last", func() any { return last() })
			} else {
				h.record(i, "next", func() any { return g.Next() })
			}
		}
	})
}

func TestGenerationIsLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 500 {
			var (
				g Generation
				h history
			)
			recordGeneration(&h, &g, g.Last)
			h.check(t, generationModel)
		}
	})
}

// twiceGeneration loads and stores where the right one adds.
type twiceGeneration struct{ Generation }

func (g *twiceGeneration) Next() uint64 {
	n := g.last.Load() + 1
	yield()
	g.last.Store(n)
	return n
}

func TestWrongGenerationIsNotLinearizable(t *testing.T) {
	caught(t, generationModel, func(h *history) {
		var g twiceGeneration
		recordGeneration(h, &g, g.Last)
	})
}
