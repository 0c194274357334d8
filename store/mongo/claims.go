package mongo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/store"
)

// claimDocument is the newest claim of an account. Its number and its
// installation are in one string, so that each change of the document, as the
// change stream shows it, has both: a field that keeps its value is not in there.
type claimDocument struct {
	Account string `bson:"_id"`
	Claim   string `bson:"c"`
}

func claimOf(account, text string) (store.Claim, bool) {
	number, installation, ok := strings.Cut(text, "/")
	generation, err := strconv.ParseUint(number, 10, 64)
	return store.Claim{Account: account, Generation: generation, Installation: installation}, ok && err == nil
}

// Claim implements store.Shared. The database counts, so no clock and no
// installation can be ahead of another.
func (s *Store) Claim(ctx context.Context, account, installation string) (store.Claim, error) {
	what := "claim the stream of account " + account
	if err := s.usable(ctx); err != nil {
		return store.Claim{}, fmt.Errorf("store: %s: %w", what, err)
	}
	before := bson.D{{Key: "$toLong", Value: bson.D{{Key: "$arrayElemAt", Value: bson.A{
		bson.D{{Key: "$split", Value: bson.A{bson.D{{Key: "$ifNull", Value: bson.A{"$c", "0/"}}}, "/"}}}, 0,
	}}}}}
	next := bson.D{{Key: "$concat", Value: bson.A{
		bson.D{{Key: "$toString", Value: bson.D{{Key: "$add", Value: bson.A{before, int64(1)}}}}}, "/",
		bson.D{{Key: "$literal", Value: installation}},
	}}}
	var d claimDocument
	err := s.causally(ctx, func(ctx context.Context) error {
		claim := func() error {
			return s.claims.FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: account}},
				bson.A{bson.D{{Key: "$set", Value: bson.D{{Key: "c", Value: next}}}}},
				options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&d)
		}
		err := claim()
		if code(err) == codeDuplicateKey { // the account's first two claims at once
			err = claim()
		}
		return err
	})
	if err != nil {
		return store.Claim{}, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	c, ok := claimOf(account, d.Claim)
	if !ok {
		return store.Claim{}, fmt.Errorf("store: %s: the database has %q", what, d.Claim)
	}
	return c, nil
}

// Claims implements store.Shared.
func (s *Store) Claims(ctx context.Context, accounts []string) ([]store.Claim, error) {
	const what = "read claims of streams"
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, err)
	}
	var documents []claimDocument
	err := s.causally(ctx, func(ctx context.Context) error {
		found, err := s.claims.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: accounts}}}})
		if err != nil {
			return err
		}
		return found.All(ctx, &documents)
	})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", what, s.failure(ctx, err))
	}
	claims := make([]store.Claim, 0, len(documents))
	for _, d := range documents {
		if c, ok := claimOf(d.Account, d.Claim); ok {
			claims = append(claims, c)
		}
	}
	return claims, nil
}
