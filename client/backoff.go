package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait before an attempt is repeated: a random time
// between Min and a bound that starts at twice Min, doubles with every failure
// in a row and stays below Max. It is random over the whole range so that the
// clients of a server that comes back do not come back together.
type Backoff struct {
	// Zero means 100 ms.
	Min time.Duration
	// Zero means 10 s.
	Max time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = 100 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 10 * time.Second
	}
	b.Max = max(b.Min, b.Max)
	return b
}

// delay is the time to wait after so many failures in a row.
func (b Backoff) delay(failures int) time.Duration {
	bound := b.Min
	for range failures + 1 {
		if bound *= 2; bound >= b.Max {
			bound = b.Max
			break
		}
	}
	return b.Min + rand.N(bound-b.Min+1)
}

// sleep waits, and returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
