package pool

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
)

// Config says how large a pool is and who is told of panics. The zero value is useful.
type Config struct {
	// Runners is the number of goroutines that give turns. 0: GOMAXPROCS at the time of New.
	Runners int

	// Workers is how many jobs run at once at most. 0: 64.
	Workers int

	// Waiting is how many jobs may wait for a worker; beyond that Submit returns ErrBusy. 0: 65536.
	Waiting int

	// OnPanic is called when a turn panicked, with the task, the value and the stack. It runs on the runner and still
	// within the turn, so nobody else has a turn of that task: it may mark the task as broken, and like Turn it must not
	// wait. nil: the panic is logged. In both cases only that turn has ended; a task whose OnPanic does nothing gets its
	// next turn when it is scheduled.
	OnPanic func(t Task, v any, stack []byte)

	// Logger is told of panics: those of jobs, those of turns when OnPanic is nil, and that of OnPanic itself.
	// nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultWorkers = 64
	defaultWaiting = 1 << 16
)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{{"Runners", c.Runners}, {"Workers", c.Workers}, {"Waiting", c.Waiting}} {
		if f.value < 0 || f.value > maxCount {
			errs = append(errs, fmt.Errorf("pool: Config.%s is %d, must be 0 (default) to %d", f.name, f.value, maxCount))
		}
	}
	return errors.Join(errs...)
}

// maxCount keeps the counters, some of which have 32 bits, far from their end.
const maxCount = 1 << 30

func (c Config) withDefaults() Config {
	if c.Runners == 0 {
		c.Runners = runtime.GOMAXPROCS(0)
	}
	if c.Workers == 0 {
		c.Workers = defaultWorkers
	}
	if c.Waiting == 0 {
		c.Waiting = defaultWaiting
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
