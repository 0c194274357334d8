package mongo

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"
)

// Config says where the database is and how much memory the store may take. Zero
// values of all but URI mean the defaults named below.
type Config struct {
	// URI is a MongoDB connection string: mongodb://user:password@host,host/?...
	// It is in no error and no line of the log.
	URI string
	// Database: "chatstream".
	Database string
	// Logger: slog.Default().
	Logger *slog.Logger
	// Now is the clock events are stamped with: this machine's, corrected by the
	// database's. A clock that is given here is not corrected. Order never depends
	// on it.
	Now func() time.Time
	// Timeout bounds each attempt to write or read: 5 s. An append is tried a
	// second time at most when it is not known what became of it.
	Timeout time.Duration
	// MaxBatch is how many events one command may store: 512.
	MaxBatch int
	// RingEvents and RingBytes bound what is kept for Watch: 65 536 events and
	// 64 MiB. The last group is kept whatever its size.
	RingEvents int
	RingBytes  int
	// Rooms is how many rooms' states are kept in memory: 100 000. Those that are
	// being written to are kept whatever their number.
	Rooms int
	// Dialer makes the connections to the database: the driver's own.
	Dialer Dialer

	// The rest is for tests, which cannot wait as long.

	// local is the clock that the database's corrects, if Now is not set.
	local func() time.Time
	// silence is how long the change stream may say nothing.
	silence time.Duration
	// foldAfter is after how many events a room's snapshot is written anew.
	foldAfter uint64
	// heartbeat is how often the driver looks at each server.
	heartbeat time.Duration
}

// databaseName is what a database may be called here: what MongoDB allows on
// every system, and no more.
var databaseName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

func (c Config) withDefaults() (Config, error) {
	if c.URI == "" {
		return c, errors.New("the URI is not set")
	}
	setDefault(&c.Database, "chatstream")
	if !databaseName.MatchString(c.Database) {
		return c, fmt.Errorf("database name %q: use 1 to 63 letters, digits, - and _", c.Database)
	}
	for name, n := range map[string]int64{
		"Timeout": int64(c.Timeout), "MaxBatch": int64(c.MaxBatch), "RingEvents": int64(c.RingEvents),
		"RingBytes": int64(c.RingBytes), "Rooms": int64(c.Rooms),
	} {
		if n < 0 {
			return c, fmt.Errorf("%s must not be negative, is %d", name, n)
		}
	}
	setDefault(&c.Timeout, 5*time.Second)
	setDefault(&c.MaxBatch, 512)
	setDefault(&c.RingEvents, 1<<16)
	setDefault(&c.RingBytes, 64<<20)
	setDefault(&c.Rooms, 100_000)
	setDefault(&c.silence, 3*time.Second)
	setDefault(&c.foldAfter, 128)
	setDefault(&c.heartbeat, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.local == nil {
		c.local = time.Now
	}
	return c, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
