package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
)

// audit finds out, after the faults, whether everybody gets everything, and what
// there is. The auditor's joins are the marks up to which everybody must come
// on the streams that are open.
func (r *run) audit(ctx context.Context, settled []*device) error {
	marks := make(map[string]int64)
	auditor := r.world.auditor
	if got := r.auditor.logIn(ctx, auditor); got.Outcome != Done {
		return fmt.Errorf("the auditor cannot log in: %s", got.Error)
	}
	s := r.auditor.loggedIn()
	for _, room := range r.world.allRooms() {
		got := r.auditor.join(ctx, s, room, r.world.password(room))
		if got.Outcome == Unknown {
			return fmt.Errorf("the auditor cannot join room %s: %s %s", room, got.Status, got.Error)
		}
		if got.Outcome == Done {
			marks[room] = got.Time
		}
	}
	waiting, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	for _, d := range settled {
		d.awaitMarks(waiting, marks)
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
