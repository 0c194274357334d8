package mongo

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/bench/result"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// mongod is the set of one member that the tests share.
var mongod mongotest.Shared

func TestMain(m *testing.M) {
	if err := result.BeginBenchmarks(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Each step of the random test is some twenty queries.
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "12")
	}
	code := m.Run()
	mongod.Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// quiet is a logger for tests in which errors are the point.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// inTest is the configuration of the tests: a database of its own, and little
// memory, so that every bound is met.
func inTest(t testing.TB) Config {
	return Config{
		URI: mongod.URI(t), Database: mongotest.Database(), Logger: quiet, Rooms: 3, foldAfter: 10,
		heartbeat: 500 * time.Millisecond,
	}
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closing closes s when the test ends.
func closing(t testing.TB, s *Store) *Store {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		cfg := inTest(t)
		return storetest.Harness{
			Open: func(t *testing.T, now func() time.Time) store.Store {
				cfg := cfg
				cfg.Now = now
				return open(t, cfg)
			},
			// The process dies; the database lives on.
			Crash: func(t *testing.T, s store.Store) { s.(*Store).abandon() },
		}
	})
}

// abandon ends the store as the end of the process would: nothing that is under
// way is waited for, or answered in the database.
func (s *Store) abandon() {
	s.end()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.client.Disconnect(ended)
	_ = s.streams.Disconnect(ended)
	_ = s.Close()
}
