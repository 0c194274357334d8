//go:build frames

package engine

import (
	"context"

	"github.com/chatstream/chatstream/proto/streampb"
)

// serve is how the tests have a stream served: with the tag, all of them are
// about Open.
func serve(e *Engine, ctx context.Context, r Request, opened func(*Stream)) Ending {
	ended := make(chan Ending, 1)
	e.Open(ctx, r, func(s *Stream) {
		context.AfterFunc(ctx, func() { s.End(Ending{Reason: streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON}) })
		opened(s)
	}, func(why Ending) { ended <- why })
	return <-ended
}
