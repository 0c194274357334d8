package atomics

import "sync/atomic"

// Generation hands out strictly increasing numbers; the first one is 1, so that 0 can mean "none". The zero value is
// ready. It must not be copied after first use.
//
// It tells the newer of two from the older (the stream that replaces another), nothing else: not the time, and not how
// many there are. Numbers are unique within the process; across a cluster they come from the store.
//
// Memory order: a Next that returned n is synchronized before every Next that returns more than n, and before every Last
// that returns n or more. A number says nothing about what its owner did AFTER taking it: to be the newest in a map, take
// the number inside the map's own update.
//
// Cost: one atomic add. Not for numbering messages: that is one shared cache line per message.
type Generation struct {
	last atomic.Uint64
}

// Next returns a number larger than all before it.
func (g *Generation) Next() uint64 {
	return g.last.Add(1)
}

// Last returns the number handed out last, 0 if none was.
func (g *Generation) Last() uint64 {
	return g.last.Load()
}
