package load

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Late is a user who has missed messages of a room.
type Late struct {
	*Crowd
	user   *User
	room   Room
	missed int64
}

// FallBehind makes a room and two members, of whom one sends n texts of size
// bytes while the other has no stream.
func FallBehind(ctx context.Context, t Target, n, size int) (_ *Late, err error) {
	c, err := Gather(ctx, t, 2, 0, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	sender, late := c.users[0], c.users[1]
	l := &Late{Crowd: c, user: late, missed: int64(n)}
	if l.room, err = sender.Create(ctx); err != nil {
		return nil, err
	}
	if err := c.join(ctx, l.room, []*User{late}, func() {}); err != nil {
		return nil, err
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(setupAtOnce)
	for range n {
		group.Go(func() error { return sender.Send(sending, l.room.ID, text(Clock(), size)) })
	}
	return l, group.Wait()
}

// CatchUp opens the late user's stream on that server, where it left off, waits
// until it has everything, closes it, and returns how long that took.
func (l *Late) CatchUp(ctx context.Context, t Target) (time.Duration, error) {
	if l.target != t {
		if err := l.connect(t, 0); err != nil {
			return 0, err
		}
	}
	before, began := l.meter.total.Load(), Clock()
	s, err := l.user.open(ctx, l.places, l.meter.lane(0))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := l.meter.wait(ctx, before+l.missed); err != nil {
		return 0, fmt.Errorf("catch up: %w", err)
	}
	return time.Duration(Clock() - began), nil
}
