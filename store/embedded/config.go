package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says where a Store is and how much memory it may take. Zero values of
// all but Dir mean the defaults named below.
type Config struct {
	// Dir is the data directory. It is created when it does not exist.
	Dir string
	// Logger: slog.Default().
	Logger *slog.Logger
	// Now is the clock events are stamped with: time.Now. Order never depends
	// on it.
	Now func() time.Time
	// FS is the file system: the operating system's.
	FS vfs.FS
	// CacheBytes bounds the cache of blocks read from disk: 128 MiB.
	CacheBytes int64
	// MaxBatch is how many requests may share one fsync: 1024.
	MaxBatch int
	// RingEvents and RingBytes bound what is kept for Watch: 65 536 events and
	// 64 MiB. The last group is kept whatever its size.
	RingEvents int
	RingBytes  int
	// StateRooms is how many rooms' states are kept in memory: 100 000.
	StateRooms int

	// noSync leaves the fsync out. It exists for the test that shows that the
	// power cut test can fail.
	noSync bool
	// memTableBytes is how much pebble gathers before it writes a table. Tests
	// make it small, to have flushes and compactions among their power cuts.
	memTableBytes uint64
	// thaw ends what hangs after a failure, when a test closes it.
	thaw chan struct{}
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("data directory is not set")
	}
	for name, n := range map[string]int64{
		"CacheBytes": c.CacheBytes, "MaxBatch": int64(c.MaxBatch), "RingEvents": int64(c.RingEvents),
		"RingBytes": int64(c.RingBytes), "StateRooms": int64(c.StateRooms),
	} {
		if n < 0 {
			return c, fmt.Errorf("%s must not be negative, is %d", name, n)
		}
	}
	setDefault(&c.CacheBytes, 128<<20)
	setDefault(&c.MaxBatch, 1024)
	setDefault(&c.RingEvents, 1<<16)
	setDefault(&c.RingBytes, 64<<20)
	setDefault(&c.StateRooms, 100_000)
	setDefault(&c.memTableBytes, 32<<20)
	if c.thaw == nil {
		c.thaw = make(chan struct{})
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	return c, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
