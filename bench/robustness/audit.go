package robustness

import (
	"context"
	"fmt"
	"sync"
)

// audit finds out, after the faults, whether everybody gets everything, and what
// there is. Everybody says something more, at once, and the auditor joins the
// rooms; up to the last of that everybody must come on the streams that are
// open.
func (r *run) audit(ctx context.Context, settled []owner) error {
	if got := r.auditor.logIn(ctx, r.world.auditor); got.Outcome != Done {
		return fmt.Errorf("the auditor cannot log in: %s", got.Error)
	}
	marks := &marks{times: make(map[string]int64)}
	var last sync.WaitGroup
	for _, o := range settled {
		last.Go(func() { o.lastWords(ctx, marks) })
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
	for _, o := range settled {
		o.awaitMarks(waiting, marks.times)
	}
	for _, o := range settled {
		o.awaitAnswers(waiting)
	}
	for _, o := range settled {
		o.awaitEnds(waiting, r.devices)
	}
	// What may still be under way from clients that have given up ends here.
	for _, p := range r.servers {
		if r.random.IntN(2) == 0 {
			p.kill()
		} else {
			p.stop()
		}
	}
	r.rec.Add(Record{Kind: KindLast})
	restarted := r.rec.Number()
	for _, p := range r.servers {
		if err := p.start(); err != nil {
			return err
		}
	}
	again, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	for _, o := range settled {
		if !o.awaits(again, func(*session) bool { return o.isSettled(restarted) }) {
			o.stuck("its last stream does not become live")
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
func (o owner) lastWords(ctx context.Context, marks *marks) {
	s := o.loggedIn()
	if s == nil {
		return
	}
	var all sync.WaitGroup
	for _, room := range s.book.list() {
		uuid := uuidOf(o.random)
		all.Go(func() { marks.add(o.send(ctx, s, room, uuid)) })
	}
	all.Wait()
}

// awaitMarks waits until the device's book has come to the marks.
func (o owner) awaitMarks(ctx context.Context, marks map[string]int64) {
	behind := ""
	if !o.awaits(ctx, func(s *session) bool {
		behind = s.book.behind(marks)
		return behind == ""
	}) {
		o.stuck("it does not get what there is in room %s", behind)
	}
}

// awaitAnswers asks for messages and more time, and waits for the answers.
func (o owner) awaitAnswers(ctx context.Context) {
	o.mu.Lock()
	c := o.current
	o.mu.Unlock()
	o.lookLately(c, o.random)
	c.refresh()
	if !o.await(ctx, func() bool { return c.asked.Load() == 0 || c.isOver() }) {
		o.stuck("%d requests on stream %d are not answered", c.asked.Load(), c.number)
	}
}

// awaitEnds waits until all of the account's streams but the last have ended,
// on whatever device.
func (o owner) awaitEnds(ctx context.Context, devices []*device) {
	o.mu.Lock()
	current := o.current
	o.mu.Unlock()
	for _, d := range devices {
		for _, c := range d.openChats() {
			if c != current && c.s.account == o.account && !d.await(ctx, c.isOver) {
				o.stuck("stream %d does not end, though stream %d is newer", c.number, current.number)
			}
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
