package mongo

import (
	"context"
	"fmt"
	"iter"

	"github.com/chatstream/chatstream/store"
)

// Now implements store.Log. Who has the position reads afterwards, from the
// states in memory or from the database, which both have all that was shown
// (S10): nothing between is left out (S7).
func (s *Store) Now(ctx context.Context) (store.Position, error) {
	if err := s.usable(ctx); err != nil {
		return "", fmt.Errorf("store: position: %w", err)
	}
	return s.ring.Now(), nil
}

// Watch implements store.Log. A position of before a new epoch (feed.go) is lost,
// as one of another process is.
func (s *Store) Watch(ctx context.Context, pos store.Position) iter.Seq2[store.Batch, error] {
	return s.ring.Watch(ctx, pos)
}
