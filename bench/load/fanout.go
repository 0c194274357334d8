package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Sample is what one measurement has seen.
type Sample struct {
	Elapsed                    time.Duration
	Sent, Deliveries, Expected int64
	Duplicates, Missing        int64
	Latency                    *hdrhistogram.Histogram // due to received, ns
	Acknowledged               *hdrhistogram.Histogram // due to acknowledged, ns
}

// Check is an error if anything was lost: the most that a benchmark may never
// pass over.
func (s Sample) Check() error {
	if s.Missing != 0 || s.Deliveries != s.Expected {
		return fmt.Errorf("%w: %d of %d deliveries came, %d places were skipped", ErrLost, s.Deliveries, s.Expected, s.Missing)
	}
	return nil
}

// ErrLost is when messages did not reach streams.
var ErrLost = errors.New("messages are missing")

// Fanout is one room in which a crowd listens, and one more user who talks and
// has no stream.
type Fanout struct {
	*Crowd
	room   Room
	sender *User
}

// OpenFanout sets it up: n streams on that many connections, 0 being one for
// each.
func OpenFanout(ctx context.Context, t Target, n, conns int, progress Progress) (_ *Fanout, err error) {
	c, err := Gather(ctx, t, n+1, conns, progress)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	f := &Fanout{Crowd: c, sender: c.users[n]}
	if f.room, err = f.sender.Create(ctx); err != nil {
		return nil, err
	}
	if err := c.join(ctx, f.room, c.users[:n]); err != nil {
		return nil, err
	}
	if err := c.open(ctx, c.users[:n], func(int) []string { return []string{f.room.ID} }); err != nil {
		return nil, err
	}
	return f, nil
}

// Backlog sends texts of size bytes for d, so that up to window of them are on
// their way at any time: one more is sent when the oldest has been delivered to
// everybody.
func (f *Fanout) Backlog(ctx context.Context, window, size int, d time.Duration) (Sample, error) {
	return f.measure(ctx, func(ctx context.Context, send func(due int64)) error {
		first, n := f.meter.total.Load(), int64(len(f.streams))
		end := clock() + int64(d)
		for k := int64(0); clock() < end; k++ {
			if err := f.meter.wait(ctx, first+(k-int64(window)+1)*n); err != nil {
				return err
			}
			send(clock())
		}
		return nil
	}, window, size)
}

// Paced sends rate texts a second for d, at fixed times whatever the server does.
func (f *Fanout) Paced(ctx context.Context, rate float64, size int, d time.Duration) (Sample, error) {
	return f.measure(ctx, func(ctx context.Context, send func(due int64)) error {
		return pace(ctx, rate, d, send)
	}, maxUnderWay, size)
}

// maxUnderWay bounds the calls at once of a paced run. A server that leaves more
// unanswered does not keep up: the pace breaks, and latency shows it.
const maxUnderWay = 4096

// pace calls f rate times a second for d, with the time at which each call was
// due: late calls are made up for.
func pace(ctx context.Context, rate float64, d time.Duration, f func(due int64)) error {
	start := clock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := 0; ; k++ {
		due := start + int64(float64(k)*float64(time.Second)/rate)
		if due-start >= int64(d) {
			return nil
		}
		if wait := due - clock(); wait > 0 {
			timer.Reset(time.Duration(wait))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f(due)
	}
}

// settle is how long a measurement waits for what it has sent.
const settle = 30 * time.Second

// measure runs drive, which sends, and waits until everything has arrived.
func (f *Fanout) measure(ctx context.Context, drive func(context.Context, func(due int64)) error, atOnce, size int) (Sample, error) {
	before, began := f.meter.total.Load(), clock()
	duplicates, missing := f.meter.judged()
	f.meter.take()
	acks := newMeter()
	var sent atomic.Int64
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	err := drive(sending, func(due int64) {
		group.Go(func() error {
			if err := f.sender.Send(sending, f.room.ID, text(due, size)); err != nil {
				return err
			}
			acks.lane(int(sent.Add(1))).latency(clock() - due)
			return nil
		})
	})
	if failed := group.Wait(); failed != nil {
		return Sample{}, failed
	}
	if err != nil {
		return Sample{}, err
	}
	s := Sample{Sent: sent.Load(), Expected: sent.Load() * int64(len(f.streams))}
	waiting, stop := context.WithTimeout(ctx, settle)
	defer stop()
	if err := f.meter.wait(waiting, before+s.Expected); err != nil && ctx.Err() != nil {
		return Sample{}, ctx.Err()
	}
	s.Elapsed = time.Duration(clock() - began)
	s.Deliveries = f.meter.total.Load() - before
	s.Latency, s.Acknowledged = f.meter.take(), acks.take()
	d, m := f.meter.judged()
	s.Duplicates, s.Missing = d-duplicates, m-missing
	return s, nil
}

// AddDeaf adds n members, each with a stream on a connection of its own that is
// never read: a client that hangs.
func (f *Fanout) AddDeaf(ctx context.Context, n int) error {
	target := f.target
	target.Window = 64 << 10 // so that they hang soon
	deaf, err := Gather(ctx, target, n, 0, f.tell)
	if err != nil {
		return err
	}
	f.also = append(f.also, deaf)
	if err := deaf.join(ctx, f.room, deaf.users); err != nil {
		return err
	}
	for _, u := range deaf.users {
		if _, err := u.stream(ctx, deaf.places); err != nil {
			return err
		}
	}
	return nil
}
