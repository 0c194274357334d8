package embedded

import (
	"context"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/bench/result"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

func TestMain(m *testing.M) {
	if err := result.BeginBenchmarks(context.Background()); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m,
		// Pebble leaves it behind when its Open fails late.
		goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

// quiet is a logger for tests in which errors are the point.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// inMemory is the configuration of the tests: a file system that knows what was
// synced, and little memory, so that every bound is met.
func inMemory(fs vfs.FS) Config {
	return Config{
		Dir: "data", FS: fs, Logger: quiet, CacheBytes: 1 << 20, StateRooms: 3, memTableBytes: 256 << 10,
	}
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		fs := vfs.NewCrashableMem()
		return storetest.Harness{
			Open: func(t *testing.T, now func() time.Time) store.Store {
				cfg := inMemory(fs)
				cfg.Now = now
				return open(t, cfg)
			},
			Crash: func(t *testing.T, s store.Store) {
				fs = cut(fs, rand.New(rand.NewPCG(1, 2)))
				if err := s.Close(); err != nil { // what it writes now is on the old file system
					t.Error(err)
				}
			},
		}
	})
}

// On the operating system's files, with the configuration of a server. The long
// random test would find nothing here that it does not find in memory.
func TestConformanceOnDisk(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		dir := t.TempDir()
		return storetest.Harness{
			Open: func(t *testing.T, now func() time.Time) store.Store {
				return open(t, Config{Dir: dir, Now: now, Logger: quiet})
			},
		}
	}, "Properties")
}

// cut is what is left after a power cut at this moment: all that was synced, and
// at random some of what was not.
func cut(fs *vfs.MemFS, random *rand.Rand) *vfs.MemFS {
	percent := 0
	if random.IntN(2) == 0 {
		percent = random.IntN(101)
	}
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})
}
