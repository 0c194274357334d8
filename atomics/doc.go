// Package atomics holds the lock-free parts the engine is built from.
//
// A chat server of this kind has one hard place: many goroutines (the feed, the runners, grpc-go's own callbacks) touch
// the same stream at the same moment, and none of them may wait for another. What they need from each other is little,
// and always the same:
//
//   - to put something on a list and go on: [Inbox] (many producers, one consumer that takes all), [Queue] (many of
//     both), and [List] for what a single owner holds. All three are intrusive: the element carries its [Link], so that
//     a push allocates nothing and can be done from anywhere;
//   - to be inside an object only while it is alive, and to know who turns off the light: [RefCount];
//   - to tell the newer from the older: [Generation];
//   - and, where a handful of instructions must not be interleaved, a lock that costs no more than they do: [SpinLock].
//
// Every type is one word or a few, ready as its zero value, and must not be copied once used (vet sees to it).
//
// # Memory order
//
// The Go memory model knows one kind of atomic operation: sequentially consistent, and "if the effect of A is observed
// by B, then A is synchronized before B". Each type says which call is synchronized before which. Two consequences are
// used throughout and are easy to lose when code is rearranged:
//
//   - a load has no effect, so nobody can observe it: who only looks at a word publishes nothing. A caller that must be
//     heard has to write, even if it writes the value that is there already;
//   - a store observes nothing: who overwrites a word without reading it (Store instead of Swap) learns nothing of those
//     who wrote before.
//
// # Proof
//
// Each promise has a test that was seen to fail with the line that keeps it taken out: stress under -race with plain
// data handed through, linearizability by porcupine, and for RefCount every interleaving of three actors.
package atomics
