package mongo

import (
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chatstream/chatstream/store"
)

// watchedChanges are the changes of the database that the stream brings: events,
// claims, what becomes of accounts, and the end of any of these collections.
var watchedChanges = bson.D{{Key: "$or", Value: bson.A{
	bson.D{{Key: "operationType", Value: "insert"}, {Key: "ns.coll", Value: bson.D{{Key: "$in", Value: bson.A{eventsName, streamsName}}}}},
	bson.D{
		{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"update", "replace", "delete"}}}},
		{Key: "ns.coll", Value: bson.D{{Key: "$in", Value: bson.A{streamsName, accountsName}}}},
	},
	bson.D{
		{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"drop", "rename"}}}},
		{Key: "ns.coll", Value: eventsName},
	},
	bson.D{{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"dropDatabase", "invalidate"}}}}},
}}}

// change is what the stream brings.
type change struct {
	Operation   string         `bson:"operationType"`
	ClusterTime bson.Timestamp `bson:"clusterTime"`
	Namespace   struct {
		Collection string `bson:"coll"`
	} `bson:"ns"`
	Key struct {
		ID string `bson:"_id"`
	} `bson:"documentKey"`
	Document bson.Raw `bson:"fullDocument"`
	Update   struct {
		Fields struct {
			Claim string `bson:"c"`
		} `bson:"updatedFields"`
	} `bson:"updateDescription"`
}

// ends reports whether what the store rests on is gone.
func (c *change) ends() bool {
	return slices.Contains([]string{"drop", "rename", "dropDatabase", "invalidate"}, c.Operation)
}

// shown is what came together.
type shown struct {
	records  []record
	claims   []store.Claim
	sessions []string
	last     bson.Timestamp
}

// add takes over a change.
func (s *shown) add(c *change) error {
	switch c.Namespace.Collection {
	case eventsName:
		var d eventDocument
		if err := bson.Unmarshal(c.Document, &d); err != nil {
			return fmt.Errorf("event %s: %w", c.Key.ID, err)
		}
		e, err := d.record()
		if err != nil {
			return err
		}
		s.records = append(s.records, e)
	case streamsName:
		text := c.Update.Fields.Claim
		if c.Document != nil {
			var d claimDocument
			if err := bson.Unmarshal(c.Document, &d); err != nil {
				return fmt.Errorf("claim of account %s: %w", c.Key.ID, err)
			}
			text = d.Claim
		}
		if claim, ok := claimOf(c.Key.ID, text); ok { // else somebody has changed it by hand
			s.claims = append(s.claims, claim)
		}
	case accountsName:
		s.sessions = append(s.sessions, c.Key.ID)
	}
	s.last = c.ClusterTime
	return nil
}
