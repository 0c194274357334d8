package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chatstream/chatstream/store"
)

// schemaID is the document of meta that says which schema the database has, and
// schemaVersion the one this program writes. It is raised when an older program
// could not read what this one writes.
const (
	schemaID      = "schema"
	schemaVersion = 1
)

type schemaDocument struct {
	Version int32 `bson:"version"`
}

// byTarget is the index that RoomsOf reads; see there.
const byTarget = "byTarget"

// collections are what a database has, by name: validators and indexes. An event's
// size is bounded by the database too, since a change stream ends at a document
// that is too large for it.
func collections() map[string]struct {
	validator bson.D
	indexes   []driver.IndexModel
} {
	number := bson.D{{Key: "bsonType", Value: bson.A{"int", "long"}}}
	text := bson.D{{Key: "bsonType", Value: "string"}}
	index := func(name string, how *options.IndexOptionsBuilder, keys ...bson.E) driver.IndexModel {
		return driver.IndexModel{Keys: bson.D(keys), Options: how.SetName(name)}
	}
	up, down := func(key string) bson.E { return bson.E{Key: key, Value: 1} }, func(key string) bson.E { return bson.E{Key: key, Value: -1} }
	type collection = struct {
		validator bson.D
		indexes   []driver.IndexModel
	}
	return map[string]collection{
		eventsName: {
			validator: bson.D{
				{Key: "$jsonSchema", Value: bson.D{
					{Key: "bsonType", Value: "object"},
					{Key: "required", Value: bson.A{"_id", "r", "s", "t", "k", "u"}},
					{Key: "properties", Value: bson.D{
						{Key: "_id", Value: text}, {Key: "r", Value: text}, {Key: "s", Value: number}, {Key: "t", Value: number},
						{Key: "k", Value: number}, {Key: "u", Value: text}, {Key: "g", Value: text},
						{Key: "b", Value: bson.D{{Key: "bsonType", Value: "binData"}}},
					}},
				}},
				{Key: "$expr", Value: bson.D{{Key: "$lte", Value: bson.A{
					bson.D{{Key: "$bsonSize", Value: "$$ROOT"}}, store.MaxEventBytes + 4096,
				}}}},
			},
			indexes: []driver.IndexModel{
				index("bySeq", options.Index().SetUnique(true), up("r"), up("s")),
				index("byTime", options.Index(), up("r"), up("t")),
				index(byTarget, options.Index().SetPartialFilterExpression(
					bson.D{{Key: "g", Value: bson.D{{Key: "$exists", Value: true}}}}), up("g"), up("r"), down("s"), up("a")),
			},
		},
		roomsName:    {},
		membersName:  {},
		seenName:     {},
		accountsName: {indexes: []driver.IndexModel{index("byName", options.Index().SetUnique(true), up("n"))}},
		metaName:     {},
		streamsName:  {},
		serversName: {indexes: []driver.IndexModel{
			index("byAge", options.Index().SetExpireAfterSeconds(int32(leaseKept.Seconds())), up("t")),
		}},
	}
}

// bootstrap makes what is missing, unless meta says that all is there. Any number
// of servers may do so at once, and each again.
func (s *Store) bootstrap(ctx context.Context) error {
	version, err := s.schema(ctx)
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return fmt.Errorf("it has schema %d, which is newer than this program (it knows schema %d); use a newer program",
			version, schemaVersion)
	case version == schemaVersion:
		return nil
	}
	for name, c := range collections() {
		if err := s.bootstrapCollection(ctx, name, c.validator, c.indexes); err != nil {
			return err
		}
	}
	return s.causally(ctx, func(ctx context.Context) error {
		_, err := s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: schemaID}},
			bson.D{{Key: "$max", Value: bson.D{{Key: "version", Value: int32(schemaVersion)}}}}, options.UpdateOne().SetUpsert(true))
		if code(err) == codeDuplicateKey {
			return nil // another server was first
		}
		return err
	})
}

// schema is the version of what is there, 0 for nothing.
func (s *Store) schema(ctx context.Context) (int32, error) {
	var d schemaDocument
	err := s.causally(ctx, func(ctx context.Context) error {
		err := s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: schemaID}}).Decode(&d)
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		return err
	})
	return d.Version, err
}

func (s *Store) bootstrapCollection(ctx context.Context, name string, validator bson.D, indexes []driver.IndexModel) error {
	ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
	defer cancel()
	create := bson.D{{Key: "create", Value: name}}
	if validator != nil {
		create = append(create, bson.E{Key: "validator", Value: validator})
	}
	err := s.database.RunCommand(ctx, create).Err()
	if code(err) == codeNamespaceExists {
		err = nil
		if validator != nil { // of an older schema, or of nobody's
			err = s.database.RunCommand(ctx, bson.D{{Key: "collMod", Value: name}, {Key: "validator", Value: validator}}).Err()
		}
	}
	if err != nil {
		return err
	}
	for _, index := range indexes {
		how := new(options.IndexOptions)
		for _, set := range index.Options.List() {
			if err := set(how); err != nil {
				return err
			}
		}
		_, err := s.database.Collection(name).Indexes().CreateOne(ctx, index)
		switch code(err) {
		case codeIndexOptions, codeIndexKeySpecs:
			return fmt.Errorf("the index %s of collection %s is there in another shape; drop it, and start again", *how.Name, name)
		case codeDuplicateKey:
			return fmt.Errorf("the unique index %s of collection %s cannot be made, since what is there is not unique; is it another program's?",
				*how.Name, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oldestWire is the wire version of MongoDB 5.0, the first that reads as of one
// moment outside of transactions.
const oldestWire = 13

// checkDeployment says whether the database is one that the store can be kept in.
func checkDeployment(h hello) error {
	switch {
	case h.MaxWireVersion < oldestWire:
		return errors.New("it is older than MongoDB 5.0; use 5.0 or newer, best 7.0 or newer")
	case h.IsReplicaSet:
		return errors.New("its replica set is not initiated; run rs.initiate()")
	case h.SetName == "" && h.Message != "isdbgrid":
		return errors.New("it is a standalone server, and only a replica set has change streams; " +
			"start mongod with --replSet NAME and run rs.initiate(), one member is enough")
	}
	return nil
}

// advice is what there is to say about an error of opening, in one line.
func (s *Store) advice(err error) error {
	told := s.secrets.told(err)
	switch c := code(err); {
	case c == codeUnauthorized:
		return fmt.Errorf("%w: the user lacks a right; it needs the role readWrite on database %s, and dbAdmin too when a new version starts first",
			told, s.cfg.Database)
	case c == codeAuthenticationFailed || strings.Contains(err.Error(), "auth error"):
		return fmt.Errorf("%w: user, password or authSource of the URI are not accepted", told)
	case driver.IsTimeout(err) || driver.IsNetworkError(err):
		return fmt.Errorf("it cannot be reached: %w", told)
	}
	return told
}
