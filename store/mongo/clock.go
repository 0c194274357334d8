package mongo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A clock stamps events. It is this machine's, corrected to agree with the
// primary's, so that servers whose clocks differ stamp a room's events alike.
// Order never depends on it: a time is never below the one before it.
type clock struct {
	local func() time.Time
	// ahead is how much the database's clock is ahead of local, in nanoseconds.
	ahead    atomic.Int64
	compared atomic.Bool
	// fixed: the clock was given, and is not corrected.
	fixed bool
}

const (
	// clockSampled is how often the two clocks are compared.
	clockSampled = 10 * time.Second
	// clockPrecise is how long the database may take to tell its time, but for the
	// first time.
	clockPrecise = time.Second
	// clockNoted is a difference that is worth a line of the log, clockRefused one
	// with which the store does not open.
	clockNoted   = 500 * time.Millisecond
	clockRefused = 30 * time.Second
)

// now is in milliseconds since the Unix epoch.
func (c *clock) now() int64 {
	if c.fixed {
		return c.local().UnixMilli()
	}
	return c.local().Add(time.Duration(c.ahead.Load())).UnixMilli()
}

// compare takes over what the primary's clock showed, between two moments of the
// local one, and returns the difference. It is as precise as those are close, and
// what it cannot tell from none is none.
func (c *clock) compare(before, after time.Time, primary time.Time) time.Duration {
	ahead := primary.Sub(before.Add(after.Sub(before) / 2))
	if ahead.Abs() <= after.Sub(before)/2+time.Millisecond { // a database tells its time in milliseconds
		ahead = 0
	}
	if first := !c.compared.Swap(true); first || after.Sub(before) < clockPrecise {
		c.ahead.Store(int64(ahead))
	}
	return ahead
}

// hello is what a server says of itself.
type hello struct {
	SetName           string    `bson:"setName"`
	Message           string    `bson:"msg"`
	IsReplicaSet      bool      `bson:"isreplicaset"`
	IsWritablePrimary bool      `bson:"isWritablePrimary"`
	MaxWireVersion    int32     `bson:"maxWireVersion"`
	Arbiters          []string  `bson:"arbiters"`
	Hosts             []string  `bson:"hosts"`
	LocalTime         time.Time `bson:"localTime"`
}

// hello asks the primary, and compares its clock with ours.
func (s *Store) hello(ctx context.Context) (hello, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var h hello
	before := s.clock.local()
	err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	if err != nil {
		return h, 0, err
	}
	return h, s.clock.compare(before, s.clock.local(), h.LocalTime), nil
}

func clockRefusal(ahead time.Duration) error {
	if s := ahead.Abs(); s > clockRefused {
		return fmt.Errorf("this machine's clock and the database's differ by %v; set both by NTP (more than %v is refused)",
			s.Round(time.Millisecond), clockRefused)
	}
	return nil
}

// keepClock compares the clocks until ctx ends.
func (s *Store) keepClock(ctx context.Context) {
	tick := time.NewTicker(clockSampled)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, ahead, err := s.hello(ctx)
			if err == nil && ahead.Abs() > clockNoted {
				s.log.Warn("this machine's clock and the database's differ", "database ahead by", ahead)
			}
		}
	}
}
