package embedded

import (
	"context"
	"fmt"
	"iter"

	"github.com/chatstream/chatstream/store"
)

// Now implements store.Log. The position is part of the view, so it stands
// exactly behind the events that reads show.
func (s *Store) Now(ctx context.Context) (store.Position, error) {
	v, err := s.view(ctx)
	if err != nil {
		return "", fmt.Errorf("store: position: %w", err)
	}
	defer v.release()
	return s.ring.Position(v.groups), nil
}

// Watch implements store.Log. A store that has failed ends it with
// store.ErrUnavailable.
func (s *Store) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return s.ring.Watch(ctx, pos)
}
