package pool

import "errors"

var (
	// ErrBusy is returned by Submit and Do when as many jobs wait for a worker as may wait.
	ErrBusy = errors.New("pool: too many jobs are waiting")

	// ErrClosed is returned by Submit and Do after Close.
	ErrClosed = errors.New("pool: closed")

	// ErrPanic is wrapped by what Do returns when its job panicked.
	ErrPanic = errors.New("pool: job panicked")

	// ErrExited is the value passed to OnPanic, or wrapped by the error of Do, when a turn or a job ended its goroutine
	// with runtime.Goexit (in tests: with t.FailNow). The pool replaces the goroutine.
	ErrExited = errors.New("pool: goroutine ended by runtime.Goexit")
)
