package mongo

import (
	"context"
	"errors"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// sendShared stores what is staged, or finds out that it cannot, with one command:
// in order for one room, so that it stops at the first that fails; otherwise not,
// so that a room's failure is its own. Then there is one event of each room in it:
// two would let the second in where the first is refused, and leave a hole.
func (s *Store) sendShared(turns []*turn) {
	var documents []any
	for _, t := range turns {
		documents = append(documents, t.documents()...)
	}
	alone := len(turns) == 1
	s.commands.Add(1)
	began := time.Now()
	err := s.causally(s.life, func(ctx context.Context) error {
		_, err := s.events.InsertMany(ctx, documents, options.InsertMany().SetOrdered(alone))
		return err
	})
	if err == nil {
		s.mu.Lock()
		s.latency = (7*s.latency + time.Since(began)) / 8
		s.mu.Unlock()
	}
	s.outcome(turns, err)
}

// outcome says of each turn of a command what became of it.
func (s *Store) outcome(turns []*turn, err error) {
	var bulk driver.BulkWriteException
	switch {
	case err == nil:
		for _, t := range turns {
			t.stored = len(t.staged)
		}
	case errors.As(err, &bulk) && bulk.WriteConcernError == nil && len(bulk.WriteErrors) > 0:
		for _, t := range turns {
			t.stored = len(t.staged)
		}
		for _, w := range bulk.WriteErrors {
			t, n := turns[0], w.Index
			if len(turns) > 1 {
				t, n = turns[w.Index], 0
			}
			t.stored = n
			t.blame(w.Code, s.secrets.told(err))
		}
	default:
		// A write concern error too: no majority has what the rest of it speaks of.
		for _, t := range turns {
			t.unknown = s.secrets.told(err)
		}
	}
}

// Codes with which the database refuses a document for good.
const (
	codeValidation     = 121
	codeObjectTooLarge = 10334
)

func (t *turn) blame(code int, err error) {
	switch code {
	case codeDuplicateKey:
		t.collided = true
	case codeValidation, codeObjectTooLarge:
		t.broken = err
	default:
		t.unknown = err
	}
}

// sendTogether sends one op's several events in a transaction: no other way stores
// all of them or none.
func (s *Store) sendTogether(t *turn) {
	committing := false
	err := s.within(s.life, options.Session().SetCausalConsistency(true), func(ctx context.Context, session *driver.Session) error {
		if err := session.StartTransaction(); err != nil {
			return err
		}
		if _, err := s.events.InsertMany(ctx, t.documents()); err != nil {
			// On the server it has ended already, or will by itself.
			_ = session.AbortTransaction(ctx)
			return err
		}
		committing = true
		return session.CommitTransaction(ctx)
	})
	var labelled driver.LabeledError
	var bulk driver.BulkWriteException
	switch {
	case err == nil:
		t.stored = len(t.staged)
	case !committing && errors.As(err, &bulk) && len(bulk.WriteErrors) > 0:
		t.blame(bulk.WriteErrors[0].Code, s.secrets.told(err))
	case !committing && errors.As(err, &labelled) && labelled.HasErrorLabel("TransientTransactionError"):
		t.collided = true // with another's that is not through yet
	default:
		t.unknown = s.secrets.told(err)
	}
}
