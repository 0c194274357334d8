package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// audit finds out, after the faults, whether everybody gets everything, and what
// there is. Everybody says something more, at once, and the auditor joins the
// rooms; up to the last of that everybody must come on the streams that are
// open.
func (r *run) audit(ctx context.Context, settled []*device) error {
	if got := r.auditor.logIn(ctx, r.world.auditor); got.Outcome != Done {
		return fmt.Errorf("the auditor cannot log in: %s", got.Error)
	}
	marks := &marks{times: make(map[string]int64)}
	var last sync.WaitGroup
	for i, d := range settled {
		random := rand.New(rand.NewPCG(r.cfg.Seed, uint64(300+i)))
		last.Go(func() { d.lastWords(ctx, random, marks) })
	}
	s := r.auditor.loggedIn()
	for _, room := range r.world.allRooms() {
		got := r.auditor.join(ctx, s, room, r.world.password(room))
		if got.Outcome == Unknown {
			return fmt.Errorf("the auditor cannot join room %s: %s %s", room, got.Status, got.Error)
		}
		marks.add(got)
	}
	last.Wait()
	waiting, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	for _, d := range settled {
		d.awaitMarks(waiting, marks.times)
	}
	for _, d := range settled {
		d.awaitAnswers(waiting, r.random)
	}
	for _, d := range r.devices {
		d.awaitEnds(waiting)
	}
	// What may still be under way from clients that have given up ends here.
	if r.random.IntN(2) == 0 {
		r.server.kill()
	} else {
		r.server.stop()
	}
	restarted := r.rec.Number()
	if err := r.server.start(); err != nil {
		return err
	}
	again, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	for _, d := range settled {
		s := d.loggedIn()
		if s == nil || !d.await(again, func() bool { return d.isSettled(restarted) }) {
			d.stuck(&account{}, "its last stream does not become live")
		}
	}
	return r.truth(again)
}

// marks are the last acknowledged times, by room. Safe for concurrent use.
type marks struct {
	mu    sync.Mutex
	times map[string]int64
}

func (m *marks) add(r Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Outcome == Done {
		m.times[r.Room] = max(m.times[r.Room], r.Time)
	}
}

// lastWords says something in each of the device's rooms, in all at once, so
// that a stream that is woken for one message and misses the next is found out:
// nothing comes after that.
func (d *device) lastWords(ctx context.Context, random *rand.Rand, marks *marks) {
	s := d.loggedIn()
	if s == nil {
		return
	}
	var all sync.WaitGroup
	for _, room := range s.book.list() {
		uuid := uuidOf(random)
		all.Go(func() { marks.add(d.send(ctx, s, room, uuid)) })
	}
	all.Wait()
}

// awaitMarks waits until the device's book has come to the marks.
func (d *device) awaitMarks(ctx context.Context, marks map[string]int64) {
	s := d.loggedIn()
	if s == nil {
		d.stuck(&account{}, "it lost its session, and nobody took it")
		return
	}
	behind := ""
	if !d.await(ctx, func() bool {
		behind = s.book.behind(marks)
		return behind == ""
	}) {
		d.stuck(s.account, "it does not get what there is in room %s", behind)
	}
}

// awaitAnswers asks for messages and more time, and waits for the answers.
func (d *device) awaitAnswers(ctx context.Context, random *rand.Rand) {
	d.mu.Lock()
	c := d.current
	d.mu.Unlock()
	d.lookLately(c, random)
	c.refresh()
	if !d.await(ctx, func() bool { return c.asked.Load() == 0 || c.isOver() }) {
		d.stuck(c.s.account, "%d requests on stream %d are not answered", c.asked.Load(), c.number)
	}
}

// awaitEnds waits until all of the device's streams but the last have ended.
func (d *device) awaitEnds(ctx context.Context) {
	d.mu.Lock()
	chats := slices.Clone(d.chats)
	current := d.current
	d.mu.Unlock()
	for _, c := range chats {
		if c != current && !d.await(ctx, c.isOver) {
			d.stuck(c.s.account, "stream %d does not end, though stream %d is newer", c.number, current.number)
		}
	}
}

// truth reads every room's log: once as somebody who knows nothing of the rooms,
// which shows their members, and once as somebody who has seen nothing in them,
// which shows what was said.
func (r *run) truth(ctx context.Context) error {
	d := r.auditor
	s := d.loggedIn()
	if s == nil {
		return fmt.Errorf("the auditor lost its session")
	}
	var claims []Claim
	for _, room := range r.world.allRooms() {
		claims = append(claims, Claim{Room: room, Updated: -1, Viewed: -1})
	}
	for _, claims := range [][]Claim{nil, claims} {
		c := d.openWith(ctx, s, Record{Audit: true, Claims: claims}, nil)
		select {
		case <-c.live:
		case <-c.over:
			return fmt.Errorf("the auditor's stream ended")
		case <-ctx.Done():
			return fmt.Errorf("the auditor's stream does not become live")
		}
		c.quit("the audit is over")
		c.cancel()
		<-c.over
	}
	return nil
}
