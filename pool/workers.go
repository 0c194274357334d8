package pool

import (
	"context"
	"runtime/pprof"
	"sync/atomic"

	"github.com/chatstream/chatstream/atomics"
)

// workers runs jobs that may wait: a first-in-first-out queue, worked off by at most max goroutines at once.
//
// A worker is hired when a job comes and fewer than max are there, and leaves when it finds no job. No job is left lying:
// who brings one first puts it into the queue and then looks at active; who leaves first counts itself out of active and
// then looks at the queue. Both are sequentially consistent, so either the bringer sees room for one more and hires, or
// the one who leaves sees the job and hires.
type workers struct {
	queue  atomics.Queue[*job] // padded: what follows is not dragged along with it
	active atomic.Int32        // workers hired and not left
	max    int32

	// outstanding is the number of jobs that wait or run, never above limit = max + how many may wait. Counting both, and
	// not the waiting ones alone, makes "busy" independent of how fast a free worker takes up its job.
	outstanding atomic.Int64
	limit       int64

	// open holds one reference per job from before it is admitted until it has ended; drained is closed with the last one
	// after Close.
	open    atomics.RefCount
	drained chan struct{}

	submitted, done, panics, refused atomic.Uint64

	start  func(func()) error // takes a goroutine from ants
	caught func(v any)
	labels context.Context // carries role=worker, made once: a pprof.Do per hiring would allocate
	work   func()          // the method value, made once for the same reason
}

// job is one that waits or runs.
type job struct {
	link atomics.Link[*job]
	run  func()
}

func (w *workers) init(most, waiting int, start func(func()) error, caught func(v any)) {
	w.max = int32(most)
	w.limit = int64(most) + int64(waiting)
	w.drained = make(chan struct{})
	w.start = start
	w.caught = caught
	w.labels = pprof.WithLabels(context.Background(), pprof.Labels("role", "worker"))
	w.work = w.workOff
}

func (w *workers) submit(run func()) error {
	if !w.open.Acquire() {
		return ErrClosed
	}
	if !w.admit() {
		w.refused.Add(1)
		w.release()
		return ErrBusy
	}
	w.submitted.Add(1)
	j := &job{run: run}
	j.link.Init(j)
	w.queue.Push(&j.link)
	w.hire()
	return nil
}

func (w *workers) admit() bool {
	for {
		n := w.outstanding.Load()
		if n >= w.limit {
			return false
		}
		if w.outstanding.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives back a job's reference.
func (w *workers) release() {
	if w.open.Release() {
		close(w.drained)
	}
}

// hire adds a worker if there is room for one.
func (w *workers) hire() {
	for {
		n := w.active.Load()
		if n >= w.max {
			return
		}
		if !w.active.CompareAndSwap(n, n+1) {
			continue
		}
		if w.start(w.work) != nil {
			// Only when ants has been released, which is after the last job has ended: a colleague was quicker with the job we
			// were called for.
			w.active.Add(-1)
		}
		return
	}
}

// workOff is what a worker does.
func (w *workers) workOff() {
	defer w.leave() // deferred for jobs that call runtime.Goexit
	for l := w.queue.Pop(); l != nil; l = w.queue.Pop() {
		w.do(l.Owner())
	}
}

func (w *workers) leave() {
	w.active.Add(-1)
	if w.queue.Len() > 0 {
		w.hire()
	}
}

// do runs one job. Whatever happens in there, it is counted out.
func (w *workers) do(j *job) {
	pprof.SetGoroutineLabels(w.labels) // per job, as a job may have left others
	defer w.ended()
	returned := false
	defer func() {
		if !returned {
			v := recover()
			if v == nil {
				v = ErrExited // recover returns nil for Goexit only: panic(nil) has a value since Go 1.21
			}
			w.panics.Add(1)
			w.caught(v)
		}
	}()
	j.run()
	returned = true
}

func (w *workers) ended() {
	w.done.Add(1)
	w.outstanding.Add(-1)
	w.release()
}

// close takes no more jobs. It may be called any number of times.
func (w *workers) close() {
	if _, drained := w.open.Close(); drained {
		close(w.drained)
	}
}
