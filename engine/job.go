package engine

import (
	"context"
	"errors"
)

var errPanicked = errors.New("engine: a job panicked")

// job runs read on a worker, bounded by Config.StoreTimeout, and then done with
// its error, also when it panicked: somebody counts on being told. Without a
// worker to be had it returns an error, and calls neither.
func (e *Engine) job(read func(context.Context) error, done func(error)) error {
	return e.pool.Submit(func() {
		ctx, cancel := context.WithTimeout(context.Background(), e.cfg.StoreTimeout)
		defer cancel()
		err := errPanicked
		defer func() { done(err) }()
		err = read(ctx)
	})
}
