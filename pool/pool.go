package pool

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"
)

// idleGoroutine is how long ants keeps a goroutine that no worker uses.
const idleGoroutine = 10 * time.Second

// Pool gives turns to tasks and runs jobs; see the package comment. All methods are safe for concurrent use. It is made by
// New and ended by Close.
type Pool struct {
	runners runners
	workers workers

	ants    *ants.Pool
	release sync.Once

	onPanic func(t Task, v any, stack []byte)
	logger  *slog.Logger
}

// New returns a pool whose runners are started. The error says what is wrong with c.
func New(c Config) (*Pool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	p := &Pool{onPanic: c.OnPanic, logger: c.Logger}
	goroutines, err := ants.NewPool(-1, // unlimited: runners and workers are counted here, see the package comment
		ants.WithExpiryDuration(idleGoroutine),
		ants.WithPanicHandler(func(v any) { p.logger.Error("pool: panic outside of turn and job", "panic", v) }),
	)
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	p.ants = goroutines
	p.workers.init(c.Workers, c.Waiting, goroutines.Submit, p.jobPanicked)
	if err := p.runners.init(c.Runners, goroutines.Submit, p.turnPanicked); err != nil {
		goroutines.Release()
		return nil, fmt.Errorf("pool: %w", err)
	}
	return p, nil
}

// Submit runs job on a worker, after the jobs submitted before it have begun. It never blocks: ErrBusy when as many jobs
// wait as may wait, ErrClosed after Close. A panic in job is captured, counted and logged; the worker lives on.
//
// A Submit is synchronized before the beginning of its job.
func (p *Pool) Submit(job func()) error {
	return p.workers.submit(job)
}

// Quiet reports that no task is queued or running and no job waits or runs. True means that there was such an instant
// during the call; a Schedule or Submit that is on its way may end it at once, so it is only worth something when what
// calls these has been stopped. False may also mean that something changed during the call. It is for draining: ask again
// after a while.
func (p *Pool) Quiet() bool {
	// The instant is that of the look at the queue. Nothing is queued then. Were a turn going on then, its runner, which
	// slept at both looks at the sleepers, would have woken, popped, begun (counted) and ended that turn in between. A job
	// that waited or ran then would have been submitted (counted) after the look at the jobs. Neither was, as the counts
	// are the same. That no look can be spared is shown by the model in quiet_model_test.go.
	events := p.runners.turns() + p.workers.submitted.Load()
	return p.workers.outstanding.Load() == 0 &&
		p.runners.asleep() &&
		p.runners.queue.Len() == 0 &&
		p.runners.asleep() &&
		p.runners.turns()+p.workers.submitted.Load() == events
}

// Close ends the pool and returns nil when no goroutine of it is left, or ctx.Err() when ctx ends first. In this order: no
// more jobs are taken; those taken run to their end, and may still schedule tasks; then Schedule does nothing any more,
// and tasks that are queued have their turn; then runners and workers end.
//
// If ctx ends before, Close returns at that moment, with Schedule doing nothing from then on; what runs still ends by
// itself as soon as it can. Close may be called any number of times, also at once: each call waits for the same end. Not
// to be called within a turn or a job, which it would wait for.
//
// A task scheduled while Close goes on gets its turn or does not.
func (p *Pool) Close(ctx context.Context) error {
	p.workers.close()
	select {
	case <-p.workers.drained:
	case <-ctx.Done():
	}
	p.runners.close()
	select {
	case <-p.workers.drained:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.runners.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	// All that ants has to wait for now is goroutines on their way out, so ctx need not bound it.
	p.release.Do(func() { _ = p.ants.ReleaseContext(context.Background()) })
	return nil
}

// turnPanicked is called by a runner within the turn that panicked.
func (p *Pool) turnPanicked(s *Slot, v any) {
	stack := debug.Stack()
	if p.onPanic == nil {
		p.logger.Error("pool: panic in a turn", "task", fmt.Sprintf("%T", s.task), "panic", v, "stack", string(stack))
		return
	}
	returned := false
	defer func() {
		if !returned {
			p.logger.Error("pool: panic in OnPanic", "task", fmt.Sprintf("%T", s.task),
				"panic", recover(), "after", v, "stack", string(stack))
		}
	}()
	p.onPanic(s.task, v, stack)
	returned = true
}

// jobPanicked is called by a worker whose job panicked.
func (p *Pool) jobPanicked(v any) {
	p.logger.Error("pool: panic in a job", "panic", v, "stack", string(debug.Stack()))
}
