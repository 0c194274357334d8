package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// noteOver begins what is noted when a fault is over that lasted.
const noteOver = "over"

// noteLasting is noted of a fault that lasts as long as the servers do.
const noteLasting = "all the time"

// apart is how much the clocks of the servers of a run differ with FaultSkew.
const apart = 5 * time.Second

// skew is what the clock of the i-th server is off by.
func skew(i int) time.Duration {
	if i%2 == 0 {
		return -apart / 2
	}
	return apart / 2
}

// onMongoDB: one at a time, by whoever looks after the replica set.
func (f Fault) onMongoDB() bool {
	switch f {
	case FaultStepDown, FaultKillPrimary, FaultFreezePrimary, FaultRestartMembers, FaultKillCursors:
		return true
	}
	return f.behindServer()
}

// Needs is how long devices must work so that it is seen what the fault does to
// them, cut being how long a server is cut off.
func (f Fault) Needs(cut time.Duration) time.Duration {
	const before, after = time.Second, 4 * time.Second
	switch f {
	case FaultStepDown, FaultKillCursors:
		return before + 2*after
	case FaultKillPrimary:
		return before + 3*time.Second + 2*after
	case FaultFreezePrimary:
		return before + frozen + 2*after
	case FaultRestartMembers:
		return before + 4*after
	case FaultStoreCut, FaultStoreHalfOpen:
		return before + cut + 2*after
	}
	return 0
}

// frozen is how long a primary is.
const frozen = 5 * time.Second

// onMongoDB does f to the replica set, or to the network between it and a server.
// When it returns all members are there, and everything comes through.
func (in *injector) onMongoDB(ctx context.Context, f Fault, random *rand.Rand) error {
	if f.behindServer() {
		return in.betweenServerAndMongoDB(ctx, f, random)
	}
	primary, err := in.set.Primary(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	in.note(f, "member %d is the primary", primary)
	over := noteOver
	switch f {
	case FaultStepDown:
		err = in.set.StepDown(ctx)
	case FaultKillPrimary:
		in.set.Kill(primary)
		sleep(ctx, millis(1000+random.IntN(2000)))
		err = in.set.Restart(context.WithoutCancel(ctx), primary)
	case FaultFreezePrimary:
		if err = in.set.Freeze(primary); err == nil {
			sleep(ctx, frozen)
			err = in.set.Thaw(primary)
		}
	case FaultRestartMembers:
		err = in.restartMembers(ctx)
	case FaultKillCursors:
		var killed int
		killed, err = in.killCursors(ctx, 2*time.Second)
		over = fmt.Sprintf("%s: %d were killed", noteOver, killed)
		if err == nil && killed == 0 && ctx.Err() == nil {
			err = errors.New("no cursor of a change stream was found")
		}
	}
	if ctx.Err() != nil {
		return nil // heal looks after the rest
	}
	in.note(f, "%s", over)
	// The next one is to begin with a set that is whole again.
	sleep(ctx, 3*time.Second)
	return err
}

// restartMembers restarts one member after the other, each when the one before is
// back.
func (in *injector) restartMembers(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for n := range in.set.Members() {
		late, cancel := context.WithTimeout(ctx, stopTimeout)
		err := in.set.Terminate(late, n)
		cancel()
		if err != nil {
			return err
		}
		if err := in.set.Restart(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// betweenServerAndMongoDB cuts a server off from all members.
func (in *injector) betweenServerAndMongoDB(ctx context.Context, f Fault, random *rand.Rand) error {
	i := random.IntN(len(in.behind))
	in.noteAt(i+1, f, "%v", in.cut)
	for _, p := range in.behind[i] {
		var err error
		if f == FaultStoreCut {
			err = p.refuse()
		} else {
			err = p.halfOpen(true, true)
		}
		if err != nil {
			return err
		}
	}
	sleep(ctx, in.cut)
	if err := healAll(in.behind[i]); err != nil {
		return err
	}
	in.noteAt(i+1, f, noteOver)
	sleep(ctx, 5*time.Second)
	return nil
}

func healAll(proxies []*proxy) error {
	for _, p := range proxies {
		p.heal()
		if err := p.admit(); err != nil {
			return err
		}
	}
	return nil
}

// healMongoDB has all members run and all networks to them work.
func (in *injector) healMongoDB(ctx context.Context) error {
	for _, proxies := range in.behind {
		if err := healAll(proxies); err != nil {
			return err
		}
	}
	if in.set == nil {
		return nil
	}
	for n := range in.set.Members() {
		if !in.set.Running(n) {
			if err := in.set.Restart(ctx, n); err != nil {
				return err
			}
		}
		if err := in.set.Thaw(n); err != nil {
			return fmt.Errorf("thaw member %d: %w", n, err)
		}
	}
	_, err := in.set.Primary(ctx)
	return err
}

// killCursors kills the cursors of all change streams for a while, whether they
// are being read at the moment or not, and counts them.
func (in *injector) killCursors(ctx context.Context, long time.Duration) (killed int, err error) {
	client, err := mongo.Connect(options.Client().ApplyURI(in.set.URI()))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Disconnect(context.WithoutCancel(ctx))) }()
	for until := time.Now().Add(long); ctx.Err() == nil && time.Now().Before(until); {
		n, err := killOnce(ctx, client)
		if err != nil && ctx.Err() == nil {
			return killed, err
		}
		killed += n
		sleep(ctx, 100*time.Millisecond)
	}
	return killed, nil
}

func killOnce(ctx context.Context, client *mongo.Client) (killed int, err error) {
	found, err := client.Database("admin").Aggregate(ctx, bson.A{
		bson.D{{Key: "$currentOp", Value: bson.D{{Key: "allUsers", Value: true}, {Key: "idleCursors", Value: true}}}},
		bson.D{{Key: "$match", Value: bson.D{{Key: "cursor.originatingCommand.pipeline.$changeStream", Value: bson.D{{Key: "$exists", Value: true}}}}}},
	})
	if err != nil {
		return 0, fmt.Errorf("look for cursors: %w", err)
	}
	var cursors []struct {
		NS     string
		Cursor struct {
			CursorID int64 `bson:"cursorId"`
		}
	}
	if err := found.All(ctx, &cursors); err != nil {
		return 0, fmt.Errorf("look for cursors: %w", err)
	}
	for _, c := range cursors {
		database, collection, _ := strings.Cut(c.NS, ".")
		err := client.Database(database).RunCommand(ctx, bson.D{
			{Key: "killCursors", Value: collection}, {Key: "cursors", Value: bson.A{c.Cursor.CursorID}},
		}).Err()
		if err != nil {
			return killed, fmt.Errorf("kill a cursor: %w", err)
		}
		killed++
	}
	return killed, nil
}
