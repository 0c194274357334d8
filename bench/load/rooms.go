package load

import (
	"context"
	"sync"
	"time"
)

// Rooms is a crowd in rooms of equal size, everybody in one. The first of each
// room talks.
type Rooms struct {
	*Crowd
	rooms []Room
	size  int
	// A seat is held by who changes its user's stream.
	seats []sync.Mutex
}

// OpenRooms makes n accounts on that many connections, 0 being one for each, and
// puts them into rooms of size members. It opens no streams: see Connect.
func OpenRooms(ctx context.Context, t Target, n, conns, size int, progress Progress) (*Rooms, error) {
	c, err := Gather(ctx, t, n, conns, progress)
	if err != nil {
		return nil, err
	}
	r := &Rooms{Crowd: c, rooms: make([]Room, (n+size-1)/size), size: size, seats: make([]sync.Mutex, n)}
	did := counted(c.tell, "members", n-len(r.rooms))
	for i := range r.rooms {
		members := r.members(i)
		if r.rooms[i], err = members[0].Create(ctx); err == nil {
			err = c.join(ctx, r.rooms[i], members[1:], did)
		}
		if err != nil {
			r.Close()
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
	return r.measure(ctx, setupAtOnce, func(_ context.Context, start func(int64, sending)) error {
		for i := range r.rooms {
			start(Clock(), r.send(i, size))
		}
		return nil
	})
}

// Paced sends rate texts a second for d, at fixed times, to one room after the
// other.
func (r *Rooms) Paced(ctx context.Context, rate float64, size int, d time.Duration) (Sample, error) {
	return r.measure(ctx, maxUnderWay, func(ctx context.Context, start func(int64, sending)) error {
		return Pace(ctx, rate, d, func(due int64, k int) { start(due, r.send(k%len(r.rooms), size)) })
	})
}

// send has the first member of the i-th room talk to the others.
func (r *Rooms) send(i, size int) sending {
	return func(ctx context.Context, due int64) (int64, error) {
		members := r.members(i)
		return int64(len(members) - 1), members[0].Send(ctx, r.rooms[i].ID, text(due, size))
	}
}
