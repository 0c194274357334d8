package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/connectivity"
)

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// uuidOf makes the uuid of a message.
func uuidOf(random *rand.Rand) string {
	a, b := random.Uint64(), random.Uint64()
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", uint32(a), uint16(a>>32), uint16(a>>48), uint16(b), b>>16)
}

// listen opens streams, one after the other or overlapping, until done is closed.
// The last ones stay open.
func (d *device) listen(ctx context.Context, done <-chan struct{}, random *rand.Rand) {
	for {
		select {
		case <-done:
			return
		default:
		}
		s := d.loggedIn()
		if s == nil {
			sleep(ctx, millis(20)) // the actor logs in
			continue
		}
		c := d.open(ctx, s, random)
		select {
		case <-c.live:
			d.hold(ctx, done, c, random)
		case <-c.over:
			sleep(ctx, millis(50+random.IntN(150)))
		case <-time.After(millis(2500)):
			c.quit("it did not become live: canceled")
			c.cancel()
		case <-done:
		}
	}
}

// hold keeps a stream for a while, and then leaves it in one of the ways in
// which clients leave.
func (d *device) hold(ctx context.Context, done <-chan struct{}, c *chat, random *rand.Rand) {
	for {
		select {
		case <-c.over:
			sleep(ctx, millis(random.IntN(50)))
			return
		case <-done:
			return
		case <-time.After(millis(20 + random.IntN(250))): // part of the load
		}
		if d.loggedIn() != c.s {
			return // the next stream is another session's
		}
		if d.settling.Load() || d.deaf.Load() && random.IntN(10) > 0 {
			continue
		}
		switch n := random.IntN(100); {
		case n < 40:
			d.lookLately(c, random)
			if random.IntN(4) == 0 {
				d.lookLately(c, random) // while the first may be under way
			}
		case n < 55:
			c.refresh()
			if d.exact {
				c.confirm()
			}
		case d.steady && random.IntN(10) > 0:
		case n < 62:
			c.quit("canceled")
			c.cancel()
			return
		case n < 69:
			c.quit("half-closed")
			c.send.Lock()
			_ = c.rpc.CloseSend() // the reader will see what comes of it
			c.send.Unlock()
			select {
			case <-c.over:
			case <-time.After(time.Second):
				c.cancel()
			}
			return
		case n < 80:
			return // the next stream replaces it
		case n < 84:
			if err := d.redial(c.server); err != nil {
				c.record(Record{Kind: KindStuck, Note: err.Error()})
			}
			return
		}
	}
}

// lookLately asks for some messages of a room, in any order, some of them twice
// or not there.
func (d *device) lookLately(c *chat, random *rand.Rand) {
	room, _ := d.w.room(random)
	if rooms := c.s.book.list(); len(rooms) > 0 && random.IntN(10) > 0 {
		room = rooms[random.IntN(len(rooms))]
	}
	uuids := c.s.book.lately(room, random, 8)
	if random.IntN(4) == 0 {
		uuids = append(uuids, uuidOf(random))
	}
	if len(uuids) > 0 && random.IntN(4) == 0 {
		uuids = append(uuids, uuids[0])
	}
	random.Shuffle(len(uuids), func(i, j int) { uuids[i], uuids[j] = uuids[j], uuids[i] })
	if len(uuids) > 0 {
		c.lookUp(room, uuids)
	}
}

// act sends commands until ctx ends. own is the account that it prefers.
func (d *device) act(ctx context.Context, random *rand.Rand, own *account) {
	for sleep(ctx, millis(5+random.IntN(30))) {
		s := d.loggedIn()
		if s == nil {
			sleep(ctx, millis(random.IntN(500))) // another device may have the account now
			to := own
			if random.IntN(6) == 0 {
				to = d.w.accounts[random.IntN(len(d.w.accounts))]
			}
			if d.logIn(ctx, to).Outcome != Done {
				sleep(ctx, millis(50+random.IntN(100)))
			}
			continue
		}
		d.actOnce(ctx, s, random)
	}
}

func (d *device) actOnce(ctx context.Context, s *session, random *rand.Rand) {
	room, _ := d.w.room(random)
	mine := s.book.list()
	if len(mine) > 0 && random.IntN(20) > 0 {
		room = mine[random.IntN(len(mine))]
	}
	if room == "" {
		d.create(ctx, s, d.id)
		return
	}
	// Whoever made a room mostly is its admin, who alone can remove others.
	made := room
	if n := len(d.made); n > 0 && random.IntN(4) > 0 {
		made = d.made[random.IntN(n)]
	}
	target := d.w.accounts[random.IntN(len(d.w.accounts))].id
	if state := d.connection().GetState(); state == connectivity.TransientFailure {
		sleep(ctx, millis(50)) // there is nobody to talk to
	}
	switch n := random.IntN(1000); {
	case n < 780:
		uuid := uuidOf(random)
		r := d.send(ctx, s, room, uuid)
		if r.Outcome == Unknown && random.IntN(5) > 0 || random.IntN(25) == 0 {
			d.send(ctx, s, room, uuid)
		}
	case n < 800: // a burst
		var burst sync.WaitGroup
		for range 4 {
			mine := rand.New(rand.NewPCG(random.Uint64(), 0))
			burst.Go(func() {
				for range 8 {
					d.send(ctx, s, room, uuidOf(mine))
				}
			})
		}
		burst.Wait()
	case n < 890:
		room, password := d.w.room(random)
		if out := s.book.out(); len(out) > 0 && random.IntN(2) == 0 {
			room = out[random.IntN(len(out))] // where it was kicked, or banned
			password = d.w.password(room)
		}
		d.join(ctx, s, room, password)
	case n < 915:
		d.leave(ctx, s, room)
	case n < 940:
		uuid := uuidOf(random)
		if d.remove(ctx, s, OpKick, made, target, uuid).Outcome == Unknown {
			d.remove(ctx, s, OpKick, made, target, uuid)
		}
	case n < 950:
		d.remove(ctx, s, OpBan, made, target, uuidOf(random))
	case n < 970:
		d.observe(ctx, s, room)
	case n < 977:
		d.create(ctx, s, d.id)
	case n < 985: // another user takes the device
		d.logOut(ctx, s)
		d.logIn(ctx, d.w.accounts[random.IntN(len(d.w.accounts))])
	case n < 990: // the user comes back, without having logged out
		d.logIn(ctx, s.account)
	}
}
