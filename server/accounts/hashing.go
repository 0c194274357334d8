package accounts

import (
	"context"
	"errors"
)

// errHashingBusy: as many as may wait for hashing do.
var errHashingBusy = errors.New("too many passwords are being checked")

// hashing lets a bounded number of callers in at once and a bounded number
// wait, first come first served. Beyond that it refuses: under a flood, an
// answer at once is worth more than one after everybody's deadline. Safe for
// concurrent use.
type hashing struct {
	present chan struct{} // one element per caller that runs or waits
	running chan struct{}
}

func newHashing(atOnce, waiting int) *hashing {
	return &hashing{
		present: make(chan struct{}, atOnce+waiting),
		running: make(chan struct{}, atOnce),
	}
}

// do calls f when it is its turn. Its errors are errHashingBusy and ctx's; f has
// not been called then.
func (h *hashing) do(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil { // select would choose by chance
		return err
	}
	select {
	case h.present <- struct{}{}:
		defer func() { <-h.present }()
	default:
		return errHashingBusy
	}
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		return ctx.Err()
	}
	f()
	return nil
}
