// Package pool gives turns to the many and lends goroutines to the few that must wait.
//
// A server with a hundred thousand streams cannot give each a goroutine that hops for every message: the hop is the
// largest cost that can be avoided (2.5 to 2.8 times less CPU per delivery under load without it). So there are two kinds
// of goroutines here:
//
//   - Runners, about one per processor. They take a [Task] (a stream, a room) from the front of one run queue, give it one
//     [Task.Turn], and if it was scheduled again meanwhile put it at the back. A turn never waits for anything, so a
//     runner never does; with nothing to do it parks. This is the original's CoroutineThreadPool with its SUSPEND: a
//     task that has to wait returns, and is scheduled again by what it waited for.
//   - Workers, elastic and bounded. They run jobs that may wait: store reads, lookups. Jobs queue first-in-first-out
//     behind them; Submit never blocks, it refuses.
//
// A task embeds a [Slot], three facts in two bits, which sees to it that a task has at most one turn at a time, waits in
// the queue at most once however often it is scheduled, and that no Schedule is lost. A panic ends the turn or the job it
// happened in and nothing else.
// Who has news for many tasks schedules them in a [Batch], at the price of one splice of the queue.
//
// # Goroutines
//
//	role=runner  Config.Runners  loop over the run queue               ends when the pool is closed and the queue is empty
//	role=worker  0..Workers      loop over the waiting jobs            back to ants when none waits; gone after 10 s idle
//	(ants)       2               clock and purge of the ants pool      end with Close
//
// All come from one ants pool. It recycles goroutines and their stacks; how many runners and workers there are is decided
// here, exactly, by counters of our own, because a goroutine of ants counts as running for a moment after its function
// has returned, and a pool of exactly that size would then refuse or block.
//
// Importing ants starts two goroutines of its default pool, which nobody uses. A TestMain that checks for leaks passes
// goleak.IgnoreCurrent() to be deaf to them and to nothing else.
//
// The package works inside a testing/synctest bubble: all waiting is on channels and condition variables made by New, and
// nothing depends on the clock. As ants keeps a ticker, a bubble whose goroutines all wait for ever does not report a
// deadlock until the pool is closed; it lets its time run.
package pool
