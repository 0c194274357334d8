//go:build !frames

package engine

import "context"

// serve is how the tests have a stream served.
func serve(e *Engine, ctx context.Context, r Request, opened func(*Stream)) Ending {
	return e.Serve(ctx, r, opened)
}
