package mongo

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// holdUp has the database take its time over a command, and waits until it has
// one. A find is one of events: to insert, the database itself finds, too.
func holdUp(ctx context.Context, t *testing.T, cfg Config, command string) (underWay func()) {
	t.Helper()
	data := bson.D{
		{Key: "failCommands", Value: bson.A{command}}, {Key: "blockConnection", Value: true}, {Key: "blockTimeMS", Value: 4000},
	}
	if command == "find" {
		data = append(data, bson.E{Key: "namespace", Value: cfg.Database + "." + eventsName})
	}
	admin := database(t, cfg).Client().Database("admin")
	if err := admin.RunCommand(ctx, bson.D{
		{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: "alwaysOn"},
		{Key: "data", Value: data},
	}).Err(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		for seen := []bson.M(nil); len(seen) == 0; {
			found, err := admin.Aggregate(ctx, driver.Pipeline{
				{{Key: "$currentOp", Value: bson.D{}}},
				{{Key: "$match", Value: bson.D{{Key: "command." + command, Value: bson.D{{Key: "$exists", Value: true}}}}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := found.All(ctx, &seen); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Who is refused, and who opens a room, holds nobody up in other rooms.
func TestNobodyWaitsForWhatGoesAside(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		command string
		room    int
		op      store.Op
		refused error
	}{
		"a refusal is looked into": {
			command: "find", room: 0, refused: room.ErrNotMember,
			op: storetest.OpOf(room.Post{UUID: storetest.UUID(9, 9), Sender: storetest.Account(9), Kind: room.KindText, Body: storetest.Text("let me in")}),
		},
		"a room is opened": {
			command: "commitTransaction", room: 2,
			op: storetest.OpOf(room.Create{
				Name: "n", Password: "p", Creator: storetest.Account(0), CreatorName: "ada", CapUUID: storetest.UUID(9, 0), JoinUUID: storetest.UUID(9, 1),
			}),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := own(t, mongotest.Options{})
			cfg := Config{URI: set.URI(), Database: mongotest.Database(), Logger: quiet, Timeout: 20 * time.Second}
			s := closing(t, open(t, cfg))
			ctx := bounded(t)
			other := &storetest.Room{Store: s, ID: storetest.RoomID(1)}
			for _, r := range []*storetest.Room{{Store: s, ID: storetest.RoomID(0)}, other} {
				r.Create(t, storetest.Account(0))
			}
			if _, err := s.State(ctx, storetest.RoomID(2)); err != nil { // in memory, and empty
				t.Fatal(err)
			}
			underWay := holdUp(ctx, t, cfg, test.command)
			aside := make(chan error, 1)
			go func() {
				_, err := s.Append(ctx, storetest.RoomID(test.room), test.op)
				aside <- err
			}()
			underWay()
			for range 3 {
				if _, err := s.Append(ctx, other.ID, storetest.OpOf(postOf(other))); err != nil {
					t.Fatal(err)
				}
			}
			if len(aside) > 0 {
				t.Error("it was answered first")
			}
			if err := <-aside; !errors.Is(err, test.refused) {
				t.Errorf("got %v, want %v", err, test.refused)
			}
		})
	}
}

// What is aside when the store is closed was accepted, and is carried out.
func TestCloseWaitsForWhatGoesAside(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	cfg := Config{URI: set.URI(), Logger: quiet, Timeout: 20 * time.Second}
	s := open(t, cfg)
	ctx := bounded(t)
	underWay := holdUp(ctx, t, cfg, "commitTransaction")
	aside := make(chan error, 1)
	go func() {
		_, err := s.Append(ctx, storetest.RoomID(0), storetest.OpOf(room.Create{
			Name: "n", Password: "p", Creator: storetest.Account(0), CreatorName: "ada", CapUUID: storetest.UUID(9, 0), JoinUUID: storetest.UUID(9, 1),
		}))
		aside <- err
	}()
	underWay()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-aside; err != nil {
		t.Error(err)
	}
}
