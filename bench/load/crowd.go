package load

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Progress is told how far a set-up has come. It is called by many goroutines.
type Progress func(what string, done, of int)

// Crowd is users with a stream each, who count together.
type Crowd struct {
	// Observe, if not nil, is shown every second of a measurement.
	Observe func(Second)

	// life is that of the streams.
	life context.Context
	end  context.CancelFunc

	target  Target
	conns   *connections
	users   []*User
	streams []*Stream
	// places are up to where rooms are known before streams are opened.
	places map[string]uint64
	meter  *meter
	tell   Progress
	also   []*Crowd // closed with it
}

// Gather makes n accounts on that many connections; 0 is one for each. progress
// may be nil.
func Gather(ctx context.Context, t Target, n, conns int, progress Progress) (*Crowd, error) {
	if conns <= 0 {
		conns = n
	}
	if progress == nil {
		progress = func(string, int, int) {}
	}
	c := &Crowd{target: t, places: make(map[string]uint64), meter: newMeter(), tell: progress}
	c.life, c.end = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if c.conns, err = t.connections(conns); err != nil {
		c.end()
		return nil, err
	}
	made := counted(progress, "accounts", n)
	if c.users, err = signUp(ctx, n, c.conns, made); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// counted is a function to call when one more of n is done.
func counted(progress Progress, what string, n int) func() {
	var done atomic.Int64
	return func() { progress(what, int(done.Add(1)), n) }
}

// join brings the users into the room. Later streams begin behind what is there
// then.
func (c *Crowd) join(ctx context.Context, room Room, users []*User, did func()) error {
	group, joining := errgroup.WithContext(ctx)
	group.SetLimit(setupAtOnce)
	seqs := make([]uint64, len(users))
	for i, u := range users {
		group.Go(func() (err error) {
			seqs[i], err = u.Join(joining, room)
			did()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, seq := range seqs {
		c.places[room.ID] = max(c.places[room.ID], seq)
	}
	return nil
}

// open opens a stream for each of users, in the rooms named for it, and returns
// when all are initialized.
func (c *Crowd) open(ctx context.Context, users []*User, rooms func(i int) []string) error {
	streams := make([]*Stream, len(users))
	group, opening := errgroup.WithContext(ctx)
	group.SetLimit(setupAtOnce)
	did := counted(c.tell, "streams", len(users))
	for i, u := range users {
		group.Go(func() error {
			places := make(map[string]uint64)
			for _, room := range rooms(i) {
				places[room] = c.places[room]
			}
			s, err := u.open(c.life, places, c.meter.lane(i))
			if err != nil {
				return err
			}
			streams[i] = s
			select {
			case <-s.ready:
			case <-s.ended:
				return fmt.Errorf("stream %d ended in its initialization: %w, %v", i, s.err, s.rpc.Trailer())
			case <-opening.Done():
				return opening.Err()
			}
			did()
			return nil
		})
	}
	err := group.Wait()
	for _, s := range streams {
		if s != nil {
			c.streams = append(c.streams, s)
		}
	}
	return err
}

// connect closes all connections and goes on with that server, on that many.
func (c *Crowd) connect(t Target, n int) error {
	if n <= 0 {
		n = len(c.users)
	}
	conns, err := t.connections(n)
	if err != nil {
		return err
	}
	c.conns.Close()
	c.target, c.conns = t, conns
	for i, u := range c.users {
		u.use(conns.of(i))
	}
	return nil
}

// Ended is how many streams have ended by themselves, and why one of them did.
func (c *Crowd) Ended() (n int, err error) {
	for _, s := range c.streams {
		select {
		case <-s.ended:
			n++
			err = fmt.Errorf("%w, trailer %v", s.err, s.rpc.Trailer())
		default:
		}
	}
	return n, err
}

// Close ends streams and connections and waits for their readers.
func (c *Crowd) Close() {
	c.end()
	for _, s := range c.streams {
		<-s.ended
	}
	c.conns.Close()
	for _, other := range c.also {
		other.Close()
	}
}
