package pool

import "github.com/chatstream/chatstream/atomics"

// Stats is what a pool has done and is doing. Each number is exact; they are not taken at one instant.
type Stats struct {
	Runners     int    // runners that live
	Sleeping    int    // of these, how many have nothing to do
	QueuedTasks int    // tasks that wait for a turn
	Turns       uint64 // turns begun
	Requeues    uint64 // turns after which the task went to the back of the queue, as it had been scheduled meanwhile
	TurnPanics  uint64

	Workers       int    // goroutines that work off jobs
	JobsWaiting   int    // jobs that wait for a worker
	JobsRunning   int    // jobs that run
	JobsSubmitted uint64 // jobs accepted
	JobsDone      uint64 // jobs ended, in whatever way
	JobsRefused   uint64 // jobs not accepted, with ErrBusy
	JobPanics     uint64

	// What waiting for the two locks of the pool has cost: those around the splice of the run queue, and of the queue of
	// jobs. There is no other spin lock in a server.
	RunQueueLock atomics.Waits
	JobQueueLock atomics.Waits
}

// Stats returns the numbers of this moment.
func (p *Pool) Stats() Stats {
	s := Stats{
		Runners:     int(p.runners.live.Load()),
		Sleeping:    int(p.runners.parking.sleepers.Load()),
		QueuedTasks: p.runners.queue.Len(),
		Turns:       p.runners.turns(),
		Requeues:    p.runners.requeues(),
		TurnPanics:  p.runners.panics.Load(),

		Workers:     int(p.workers.active.Load()),
		JobsWaiting: p.workers.queue.Len(),
		JobsDone:    p.workers.done.Load(),
		JobsRefused: p.workers.refused.Load(),
		JobPanics:   p.workers.panics.Load(),

		RunQueueLock: p.runners.queue.Waits(),
		JobQueueLock: p.workers.queue.Waits(),
	}
	// Read after JobsDone and JobsWaiting, so that what is submitted is at least what is done and no difference is negative.
	s.JobsRunning = max(0, int(p.workers.outstanding.Load())-s.JobsWaiting)
	s.JobsSubmitted = p.workers.submitted.Load()
	return s
}
