package engine

import "hash/maphash"

// exploreFar is explore for models with millions of states. It stops at the first
// fault, and keeps of a state that it has visited only 128 bits of hash: among ten
// million states the chance that one is taken for another is below 2^-80.
func exploreFar[S comparable](init S, next func(S) []S, bad func(s S, final bool) string) exploration {
	var x exploration
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	seen := make(map[[2]uint64]struct{})
	var stack []S
	visit := func(s S) {
		key := [2]uint64{maphash.Comparable(seeds[0], s), maphash.Comparable(seeds[1], s)}
		if _, known := seen[key]; !known {
			seen[key] = struct{}{}
			stack = append(stack, s)
		}
	}
	for visit(init); len(stack) > 0 && x.fault == ""; {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		after := next(s)
		if len(after) == 0 {
			x.finals++
		}
		x.fault = bad(s, len(after) == 0)
		for _, t := range after {
			visit(t)
		}
	}
	x.states = len(seen)
	return x
}
