package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

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

// collection is what one has but its documents. An event's size is bounded by the
// database too, since a change stream ends at a document that is too large for it.
type collection struct {
	validator bson.D
	indexes   []index
}

type index struct {
	name   string
	unique bool
	keys   bson.D
	how    *options.IndexOptionsBuilder
}

func (i index) model() driver.IndexModel {
	how := i.how.SetName(i.name)
	if i.unique {
		how.SetUnique(true)
	}
	return driver.IndexModel{Keys: i.keys, Options: how}
}

// collections are those that a database has, by name.
func collections() map[string]collection {
	number := bson.D{{Key: "bsonType", Value: bson.A{"int", "long"}}}
	text := bson.D{{Key: "bsonType", Value: "string"}}
	up, down := func(key string) bson.E { return bson.E{Key: key, Value: 1} }, func(key string) bson.E { return bson.E{Key: key, Value: -1} }
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
			indexes: []index{
				{name: "bySeq", unique: true, keys: bson.D{up("r"), up("s")}, how: options.Index()},
				{name: "byTime", keys: bson.D{up("r"), up("t")}, how: options.Index()},
				{name: byTarget, keys: bson.D{up("g"), up("r"), down("s"), up("a")}, how: options.Index().SetPartialFilterExpression(
					bson.D{{Key: "g", Value: bson.D{{Key: "$exists", Value: true}}}})},
			},
		},
		roomsName:   {},
		membersName: {},
		seenName:    {},
		accountsName: {indexes: []index{
			{name: "byName", unique: true, keys: bson.D{up("n")}, how: options.Index()},
		}},
		metaName:    {},
		streamsName: {},
		serversName: {indexes: []index{
			{name: "byAge", keys: bson.D{up("t")}, how: options.Index().SetExpireAfterSeconds(int32(leaseKept.Seconds()))},
		}},
	}
}

// bootstrap makes what is missing. Any number of servers may do so at once, and each
// again. That meta has the version says only that all was there once: a collection
// that was dropped is made again by the next insert, and one may be restored, without
// its indexes. Without the unique one two servers would write to the same place.
func (s *Store) bootstrap(ctx context.Context) error {
	version, err := s.schema(ctx)
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return fmt.Errorf("it has schema %d, which is newer than this program (it knows schema %d); use a newer program",
			version, schemaVersion)
	}
	missing := collections()
	if version == schemaVersion {
		if missing, err = s.missing(ctx); err != nil || len(missing) == 0 {
			return err
		}
	}
	for name, c := range missing {
		if version == schemaVersion {
			s.log.Warn("a collection is not there, or lacks an index or its validator; what is missing is made, "+
				"which takes its time if there is much in it", "collection", name)
		}
		if err := s.bootstrapCollection(ctx, name, c); err != nil {
			return err
		}
	}
	// Also where the version is there: a majority that confirms this has what was
	// made before it.
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

// missing are the collections of which something is not there, though all was. A
// log that is gone is not made anew, or a supervisor that starts the server again
// would have it write over what is yet to be restored. To ask for all that takes no
// right but to read.
func (s *Store) missing(ctx context.Context) (map[string]collection, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	all := collections()
	bare := make(chan string, len(all)) // those without their indexes
	var there []driver.CollectionSpecification
	asking, ctx := errgroup.WithContext(ctx)
	asking.Go(func() (err error) {
		there, err = s.database.ListCollectionSpecifications(ctx, bson.D{})
		return err
	})
	for name, c := range all {
		if len(c.indexes) == 0 {
			continue
		}
		asking.Go(func() error {
			indexed, err := s.indexed(ctx, name, c.indexes)
			if !indexed {
				bare <- name
			}
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	close(bare)
	validated := make(map[string]bool)
	for _, c := range there {
		_, err := c.Options.LookupErr("validator")
		validated[c.Name] = err == nil
	}
	if _, ok := validated[eventsName]; !ok {
		return nil, fmt.Errorf("its collection %s was dropped or renamed; restore it, or drop the database to begin anew", eventsName)
	}
	missing := make(map[string]collection)
	for name, c := range all {
		if valid, ok := validated[name]; !ok || c.validator != nil && !valid {
			missing[name] = c
		}
	}
	for name := range bare {
		missing[name] = all[name]
	}
	return missing, nil
}

// indexed reports whether a collection is there and has the indexes, of which none
// is only being made: until it is there it keeps out nothing.
func (s *Store) indexed(ctx context.Context, name string, indexes []index) (bool, error) {
	// Asked so, the database puts what it says of one that is being made elsewhere.
	cursor, err := s.database.RunCommandCursor(ctx, bson.D{{Key: "listIndexes", Value: name}, {Key: "includeBuildUUIDs", Value: true}})
	if err != nil {
		if code(err) == codeNamespaceNotFound {
			err = nil
		}
		return false, err
	}
	var there []struct {
		Name   string `bson:"name"`
		Keys   bson.D `bson:"key"`
		Unique bool   `bson:"unique"`
	}
	if err := cursor.All(ctx, &there); err != nil {
		return false, err
	}
	same := func(a, b bson.E) bool { // a number may have come back as one of another type
		return a.Key == b.Key && fmt.Sprint(a.Value) == fmt.Sprint(b.Value)
	}
	for _, want := range indexes {
		found := false
		for _, has := range there {
			found = found || has.Name == want.name && has.Unique == want.unique && slices.EqualFunc(has.Keys, want.keys, same)
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}

func (s *Store) bootstrapCollection(ctx context.Context, name string, c collection) error {
	run := func(command bson.D) error {
		ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
		defer cancel()
		return s.database.RunCommand(ctx, command).Err()
	}
	create := bson.D{{Key: "create", Value: name}}
	if c.validator != nil {
		create = append(create, bson.E{Key: "validator", Value: c.validator})
	}
	err := run(create)
	there := code(err) == codeNamespaceExists
	if err != nil && !there {
		return err
	}
	for _, i := range c.indexes {
		// That may take as long as it does: given up, it would begin at nothing again.
		_, err := s.database.Collection(name).Indexes().CreateOne(ctx, i.model())
		switch code(err) {
		case codeIndexOptions, codeIndexKeySpecs:
			return fmt.Errorf("the index %s of collection %s is there in another shape; drop it, and start again", i.name, name)
		case codeDuplicateKey:
			return fmt.Errorf("the unique index %s of collection %s is missing, and cannot be made, since what is there is not unique; "+
				"restore the collection with its indexes from a backup, or use another database if it is another program's", i.name, name)
		}
		if err != nil {
			return err
		}
	}
	if !there || c.validator == nil {
		return nil
	}
	// It may have one of an older schema, or none. Only now, since the database
	// refuses that while another server makes an index.
	return run(bson.D{{Key: "collMod", Value: name}, {Key: "validator", Value: c.validator}})
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
		return fmt.Errorf("%w: the user lacks a right; it needs the role readWrite on database %s, and dbAdmin too when something is to be made there",
			told, s.cfg.Database)
	case c == codeAuthenticationFailed || strings.Contains(err.Error(), "auth error"):
		return fmt.Errorf("%w: user, password or authSource of the URI are not accepted", told)
	case s.leaderless(err):
		return fmt.Errorf("its replica set has no primary and elects none; a majority of its members has to run, and to reach each other: %w", told)
	case driver.IsTimeout(err) || driver.IsNetworkError(err):
		return fmt.Errorf("it cannot be reached: %w", told)
	}
	return told
}
