package load

import (
	"context"
	"time"
)

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
	if err := c.join(ctx, f.room, c.users[:n], counted(c.tell, "members", n)); err != nil {
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
	return f.measure(ctx, window, func(ctx context.Context, start func(int64, sending)) error {
		first, n := f.meter.total.Load(), int64(len(f.streams))
		end := Clock() + int64(d)
		for k := int64(0); Clock() < end; k++ {
			if err := f.meter.wait(ctx, first+(k-int64(window)+1)*n); err != nil {
				return err
			}
			start(Clock(), f.send(size))
		}
		return nil
	})
}

// Paced sends rate texts a second for d, at fixed times whatever the server does.
func (f *Fanout) Paced(ctx context.Context, rate float64, size int, d time.Duration) (Sample, error) {
	return f.measure(ctx, maxUnderWay, func(ctx context.Context, start func(int64, sending)) error {
		return Pace(ctx, rate, d, func(due int64, _ int) { start(due, f.send(size)) })
	})
}

func (f *Fanout) send(size int) sending {
	return func(ctx context.Context, due int64) (int64, error) {
		return int64(len(f.streams)), f.sender.Send(ctx, f.room.ID, text(due, size))
	}
}

// SendBy has what is said go to another server on the same store from now on.
func (f *Fanout) SendBy(t Target) error {
	conns, err := t.connections(1)
	if err != nil {
		return err
	}
	f.also = append(f.also, &Crowd{target: t, conns: conns, meter: newMeter(), end: func() {}})
	f.sender.use(conns.of(0))
	return nil
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
	if err := deaf.join(ctx, f.room, deaf.users, counted(f.tell, "members that never read", n)); err != nil {
		return err
	}
	for _, u := range deaf.users {
		if _, err := u.stream(ctx, deaf.places); err != nil {
			return err
		}
	}
	return nil
}
