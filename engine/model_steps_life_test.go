package engine

import "testing"

// The same for the models of a stream's life, of requests and of the maps.
func TestStepsAreInTheOrderOfTheModelsOfLife(t *testing.T) {
	for _, tc := range []struct {
		file, fn string
		steps    []string
	}{
		// The handler.
		{"engine.go", "Serve", []string{"e.begin(ctx, r)", "e.prepare(", "case <-s.ended:", "s.finish()"}},
		{"engine.go", "Open", []string{"e.begin(ctx, r)", "s.then(", "s.finish()", "e.prepare("}},
		{"engine.go", "begin", []string{"e.enter()", "e.claim(ctx, &r)", "e.registry.Replace(s, next)"}},
		{"engine.go", "prepare", []string{"opened(s)", "e.fence(", "!e.accepting.Load()", "s.initialize("}},
		{"engine.go", "enter", []string{"e.gate.Add(1)", "e.accepting.Load()", "e.streams.Add(1)"}},
		{"stream_init.go", "initialize", []string{"in.rooms(known)", "s.startTimer(life)", "in.goLive, s.live)"}},
		{"stream_init.go", "ask", []string{"rooms.open(id, &n.Link)", "<-answer", "<-in.s.ended"}},
		{"stream.go", "End", []string{"if !s.ending.CompareAndSwap(nil, &why) {", "return false", "close(s.ended)", "s.atEnd.Swap(nil)"}},
		{"stream.go", "then", []string{"s.atEnd.Store(&f)", "s.ending.Load() == nil", "s.atEnd.Swap(nil)"}},
		{"stream.go", "release", []string{"if s.refs.Release() {", "close(s.drained)"}},
		{"stream_end.go", "finish", []string{"s.refs.Close(); drained {", "close(s.drained)", "<-s.drained"}},
		// The timer.
		{"stream_end.go", "startTimer", []string{"s.expires.Store(", "s.timer.Reset("}},
		{"stream_end.go", "timeUp", []string{"if !s.acquire() {", "defer s.release()", "s.expires.Load()", "case left <= 0:", "s.End(", "s.timer.Reset("}},
		// Requests.
		{"stream_read.go", "MayRead", []string{"case <-s.replySlots:", "return !s.refs.Closed()"}},
		{"stream_read.go", "Handle", []string{"if !s.acquire() {", "defer s.release()", "switch"}},
		{"stream_read.go", "complete", []string{"r.ready.Store(true)", "s.slot.Schedule()"}},
		{"stream_read.go", "reply.fill", []string{"r.responses[1:]", "return front", "r.answered()", "s.replySlots <- struct{}{}", "return done"}},
		{"stream_lookup.go", "lookUp", []string{"if !s.lookingUp.CompareAndSwap(false, true) {", "r.answered = ", "s.push(&r.Link)", "s.engine.job("}},
		{"stream_turn.go", "adoptSubscription", []string{"if sub.finished {", "return false", "held.next = sub", "return false"}},
		{"stream_turn.go", "fetched", []string{"if !s.acquire() {", "defer s.release()", "sub.page = page", "s.push(&sub.Link)"}},
		// The room.
		{"note.go", "leaveNote.apply", []string{"h.byAccount[n.sub.stream.account] == n.sub {", "h.removed = append(h.removed, n.sub)", "h.dismiss()", "n.left()"}},
		{"note.go", "subscribeNote.apply", []string{"if !h.ready {", "h.state.Present(n.stream.account)", "h.subscribe(", "n.answer <- answer"}},
		{"hosted.go", "end", []string{"sub.until.Store(seq)", "delete(h.byAccount", "h.removed = append("}},
		{"tail.go", "grow", []string{"for seq := t.low", "t.ring.Store(r)"}},
		// The maps: what is within their updates, and what is behind them.
		{"registry.go", "Replace", []string{"Compute(", "next()", "old.generation >= generation", "s.generation, replaced = generation, true", "old.End(", "return s, false", "})"}},
		{"registry.go", "leave", []string{"Compute(", "held == s", "})"}},
		{"rooms.go", "open", []string{"Compute(", "h.inbox.Push(n)", "})", "h.load()", "h.slot.Schedule()"}},
		{"rooms.go", "tellID", []string{"Compute(", "h.inbox.Push(n)", "})", "h.slot.Schedule()"}},
		{"rooms.go", "tell", []string{"Compute(", "held == h {", "h.inbox.Push(n)", "})", "h.slot.Schedule()"}},
		{"rooms.go", "leave", []string{"Compute(", "held == h && h.inbox.Empty() {", "})"}},
		// The transport.
		{"../server/conn.go", "Credit", []string{"c.outstanding() < writeQuota", "c.parked.Store(true)", "c.outstanding() < writeQuota", "c.parked.CompareAndSwap(true, false)"}},
		{"../server/conn.go", "mark.Put", []string{"c.completed.CompareAndSwap(completed, m.upTo)", "if c.parked.CompareAndSwap(true, false) {", "c.wake()"}},
		// The store's watchers.
		{"../store/embedded/commit.go", "commitLoop", []string{"close(s.decided)", "syncer.Wait()", "s.ring.Finish(s.refusal)", "close(s.stopped)"}},
		{"../store/ring/ring.go", "after", []string{"case p.number+1 < r.next:", "case r.end != nil:"}},
		// The pool.
		{"../pool/runners.go", "run", []string{"r.closing.Load()", "r.queue.Pop()", "if closing {", "r.park()"}},
		{"../pool/runners.go", "park", []string{"r.parking.announce()", "r.queue.Len() > 0 || r.closing.Load()", "r.parking.withdraw()", "r.parking.take()"}},
		{"../pool/runners.go", "push", []string{"r.queue.Push(", "r.parking.wakeOne()"}},
		{"../pool/slot.go", "schedule", []string{"return s.state.Or(wanted) == idle"}},
		{"../pool/slot.go", "begin", []string{"s.state.Swap(running)"}},
		{"../pool/slot.go", "end", []string{"return s.state.And(wanted)&wanted != 0"}},
		{"../pool/pool.go", "Quiet", []string{"events :=", "outstanding.Load() == 0 &&", "asleep() &&", "queue.Len() == 0 &&", "asleep() &&", "p.runners.turns()+p.workers.submitted.Load() == events"}},
		{"../pool/workers.go", "submit", []string{"w.open.Acquire()", "w.admit()", "w.queue.Push(", "w.hire()"}},
		{"../pool/workers.go", "admit", []string{"n >= w.limit", "w.outstanding.CompareAndSwap(n, n+1)"}},
		{"../pool/workers.go", "leave", []string{"w.active.Add(-1)", "w.queue.Len() > 0", "w.hire()"}},
	} {
		mustHaveSteps(t, tc.file, tc.fn, tc.steps)
	}
}
