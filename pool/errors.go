package pool

import "errors"

var (
	// ErrBusy is returned by Submit when as many jobs wait for a worker as may wait.
	ErrBusy = errors.New("pool: too many jobs are waiting")

	// ErrClosed is returned by Submit after Close.
	ErrClosed = errors.New("pool: closed")

	// ErrExited is the value passed to OnPanic when a turn ended its goroutine with runtime.Goexit (in tests: with
	// t.FailNow), and logged when a job did. The pool replaces the goroutine.
	ErrExited = errors.New("pool: goroutine ended by runtime.Goexit")
)
