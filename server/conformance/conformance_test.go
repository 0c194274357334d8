package conformance

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/embedded"
	"github.com/chatstream/chatstream/store/mongo"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

// mongod is the replica set that the tests share.
var mongod mongotest.Shared

func TestMain(m *testing.M) {
	before := goleak.IgnoreCurrent() // the goroutines of ants' default pool exist from its import on
	code := m.Run()
	mongod.Stop()
	if err := goleak.Find(before); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestEmbeddedStore(t *testing.T) {
	Run(t, func(t *testing.T) store.Store {
		st, err := embedded.Open(embedded.Config{
			Dir: "data", FS: vfs.NewMem(), CacheBytes: 1 << 20, Logger: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		return st
	})
}

func TestMongoStore(t *testing.T) {
	Run(t, func(t *testing.T) store.Store { return openMongo(t, mongotest.Database()) })
}

func TestServersOnOneMongoDatabase(t *testing.T) {
	RunCluster(t, func(t *testing.T) func(*testing.T) store.Store {
		database := mongotest.Database()
		return func(t *testing.T) store.Store { return openMongo(t, database) }
	})
}

func openMongo(t *testing.T, database string) store.Store {
	t.Helper()
	st, err := mongo.Open(t.Context(), mongo.Config{URI: mongod.URI(t), Database: database, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestContents: the tree has rules for every section of the specification that
// it is about, in its order, and no rule twice; but for those that say why not.
func TestContents(t *testing.T) {
	without := map[string]string{
		"9.1":  "the change stream's receiver: inside a server",
		"9.6":  "out-of-order repair: nothing is out of order",
		"13.5": "not served", "13.6": "not served", "13.8": "not served", "13.9": "not served",
	}
	tree := contents()
	for _, number := range []string{
		"2", "3", "4", "4.1", "5.1", "5.2", "5.3", "6.1", "6.2", "6.3", "6.4", "7", "8", "9.1", "9.2", "9.3", "9.4", "9.5", "9.6",
		"11", "13", "13.1", "13.2", "13.3", "13.4", "13.5", "13.6", "13.7", "13.8", "13.9", "14",
	} {
		if _, ok := without[number]; ok {
			continue
		}
		if len(tree) == 0 || tree[0].number != number {
			t.Fatalf("section %s is missing, or out of order", number)
		}
		s := tree[0]
		tree = tree[1:]
		if s.title == "" || len(s.rules) == 0 {
			t.Errorf("section %s %q has %d rules", s.number, s.title, len(s.rules))
		}
		seen := map[string]bool{}
		for _, r := range s.rules {
			if !regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(r.name) || seen[r.name] || r.holds == nil {
				t.Errorf("%s/%s is no name of a rule, is there twice, or has no test", s.number, r.name)
			}
			seen[r.name] = true
		}
	}
	for _, s := range tree {
		t.Errorf("section %s is not expected", s.number)
	}
}
