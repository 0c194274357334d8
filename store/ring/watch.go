package ring

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/chatstream/chatstream/store"
)

// Watch is the Watch of store.Log: it yields the groups after pos, with the position
// behind each, and blocks while there is none. It ends when ctx does, without an
// error, or with the reason: store.ErrHistoryLost, or that of Finish. It needs no
// goroutine and holds nothing while the caller looks at a batch. The slice of
// events is the caller's; nothing else of a batch may be changed.
func (r *Ring) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		at, ok := placeOf(pos)
		if !ok {
			yield(store.Batch{}, fmt.Errorf("store: watch from %q: %w", pos, store.ErrHistoryLost))
			return
		}
		var batches []store.Batch
		for {
			if ctx.Err() != nil {
				return
			}
			var wake <-chan struct{}
			var err error
			if batches, wake, err = r.after(at, batches[:0]); err != nil {
				yield(store.Batch{}, fmt.Errorf("store: watch from %q: %w", at.position(), err))
				return
			}
			for _, b := range batches {
				at.number++
				b.Events, b.After = slices.Clone(b.Events), at.position()
				if !yield(b, nil) {
					return
				}
				if ctx.Err() != nil {
					return
				}
			}
			if len(batches) > 0 {
				clear(batches)
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}
}
