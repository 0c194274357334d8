package load

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Rooms is a crowd in rooms of equal size, everybody in one. The first of each
// room talks.
type Rooms struct {
	*Crowd
	rooms []Room
	size  int
}

// OpenRooms makes n accounts on that many connections, 0 being one for each, and
// puts them into rooms of size members. It opens no streams: see Connect.
func OpenRooms(ctx context.Context, t Target, n, conns, size int, progress Progress) (*Rooms, error) {
	c, err := Gather(ctx, t, n, conns, progress)
	if err != nil {
		return nil, err
	}
	r := &Rooms{Crowd: c, rooms: make([]Room, (n+size-1)/size), size: size}
	for i := range r.rooms {
		members := r.members(i)
		if r.rooms[i], err = members[0].Create(ctx); err == nil {
			err = c.join(ctx, r.rooms[i], members[1:])
		}
		if err != nil {
			c.Close()
			return nil, err
		}
	}
	return r, nil
}

// members are the users of the i-th room.
func (r *Rooms) members(i int) []*User {
	return r.users[i*r.size : min((i+1)*r.size, len(r.users))]
}

// Connect opens everybody's stream on that server, which may be another process
// than before, on that many connections.
func (r *Rooms) Connect(ctx context.Context, t Target, conns int) error {
	if err := r.connect(t, conns); err != nil {
		return err
	}
	return r.open(ctx, r.users, func(i int) []string { return []string{r.rooms[i/r.size].ID} })
}

// Once sends one text of size bytes to each room, and waits until everybody but
// the sender has it.
func (r *Rooms) Once(ctx context.Context, size int) (Sample, error) {
	var s Sample
	before := r.meter.total.Load()
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(setupAtOnce)
	for i, room := range r.rooms {
		members := r.members(i)
		s.Sent++
		s.Expected += int64(len(members) - 1)
		group.Go(func() error { return members[0].Send(sending, room.ID, text(clock(), size)) })
	}
	if err := group.Wait(); err != nil {
		return s, err
	}
	waiting, stop := context.WithTimeout(ctx, settle)
	defer stop()
	if err := r.meter.wait(waiting, before+s.Expected); err != nil && ctx.Err() != nil {
		return s, ctx.Err()
	}
	s.Deliveries = r.meter.total.Load() - before
	s.Duplicates, s.Missing = r.meter.judged()
	s.Latency = r.meter.take()
	return s, nil
}
