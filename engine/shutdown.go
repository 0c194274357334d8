package engine

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// Refuse makes the engine take no more streams: the first step of a shutdown.
func (e *Engine) Refuse() { e.accepting.Store(false) }

// Drain delivers what the store shows by now and then ends every stream, a few
// at a time so that the clients do not all come back at once. It returns when
// all streams have ended, or with ctx's error when that ends first: the clients
// of the streams that are left do not read. Refuse must have been called, and
// nothing may be appended any more.
func (e *Engine) Drain(ctx context.Context) error {
	e.sendAway(ctx, chatstreampb.GoAway_REASON_SHUTTING_DOWN)
	e.registry.Range(func(s *Stream) { // also those that were just being opened
		s.End(Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
	})
	for e.gate.Load() > 0 {
		if !sleep(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	go func() {
		e.streams.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SendAway ends the streams that there are, as Drain does, so that their clients
// go to other servers; those that have not been ended when ctx ends stay. It does
// not wait for them, and others may be opened.
func (e *Engine) SendAway(ctx context.Context) { e.sendAway(ctx, chatstreampb.GoAway_REASON_CUT_OFF) }

func (e *Engine) sendAway(ctx context.Context, why chatstreampb.GoAway_Reason) {
	spread := min(max(time.Second, time.Duration(e.Streams())*time.Millisecond), maxSpread)
	var streams []*Stream
	e.registry.Range(func(s *Stream) {
		s.warn(why, rand.N(spread))
		streams = append(streams, s)
	})
	e.delivered(ctx)
	const pace, steps = 10 * time.Millisecond, 50
	each := len(streams)/steps + 1
	for i, s := range streams {
		s.End(Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
		if i%each == each-1 && i != len(streams)-1 && !sleep(ctx, pace) {
			return
		}
	}
}

// delivered waits until what the store shows has been handed to the rooms, and
// turns have taken it to the streams that can take it. What the store shows is
// asked for each time: where other servers go on writing it grows, and a place that
// was asked for once may never be the last.
func (e *Engine) delivered(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainDelivery)
	defer cancel()
	for {
		now, err := e.store.Now(ctx)
		if err != nil || e.feed.reached(now) && e.pool.Quiet() || !sleep(ctx, time.Millisecond) {
			return
		}
	}
}

// maxSpread bounds the time over which clients come back that were told to go
// away: about a thousand of them in a second.
const maxSpread = 30 * time.Second

// drainDelivery bounds the wait for deliveries at a shutdown. Nothing depends
// on it: what a client did not get it asks for when it comes back.
const drainDelivery = 2 * time.Second

// reached reports whether everything up to p has been handed on.
func (f *feed) reached(p store.Position) bool {
	return *f.after.Load() == p
}

// Close stops the engine. Its streams must have ended.
func (e *Engine) Close() {
	e.Refuse()
	e.stop()
	e.running.Wait()
}

// sleep waits for d, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
