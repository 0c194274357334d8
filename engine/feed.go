package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// feed receives what the store shows and hands each event to its room. It is
// one goroutine, and it waits for nothing but the store's Watch: not for a
// stream, not for a room, not for a worker.
type feed struct {
	engine   *Engine
	position store.Position
	// after is the position behind what has been handed on.
	after atomic.Pointer[store.Position]
}

// run watches until ctx ends. An interrupted Watch goes on from where it was;
// if the store no longer holds that place, rooms are read instead.
func (f *feed) run(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		err := f.watch(ctx, &attempt)
		switch {
		case ctx.Err() != nil || errors.Is(err, store.ErrClosed):
			return
		case errors.Is(err, store.ErrHistoryLost):
			err = f.restart(ctx)
		}
		f.engine.log.Warn("the store's watch was interrupted; it is opened again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff(attempt)):
		}
	}
}

func (f *feed) watch(ctx context.Context, attempt *int) error {
	for batch, err := range f.engine.store.Watch(ctx, f.position) {
		if err != nil {
			return err
		}
		*attempt = 0
		// First, since the events may be what came after them: an older stream is
		// told nothing of that. What came before, its device gets on the newer one.
		for _, c := range batch.Claims {
			f.engine.claimed(c)
		}
		f.hand(batch.Events)
		for _, account := range batch.Sessions {
			f.engine.recheck(account)
		}
		f.position = batch.After
		f.after.Store(&batch.After)
	}
	return nil
}

// hand gives the events to their rooms: to those that are hosted, and to those
// that will be because somebody with a stream here has joined.
func (f *feed) hand(events []room.Event) {
	for len(events) > 0 {
		id, n := events[0].Room, 1
		for n < len(events) && events[n].Room == id {
			n++
		}
		note := &eventsNote{events: events[:n:n]}
		note.Init(note)
		if !f.engine.rooms.tellID(id, &note.Link) && f.concerns(events[:n]) {
			f.engine.rooms.open(id, &note.Link)
		}
		events = events[n:]
	}
}

// concerns reports whether one of the events is a join of somebody who has a
// stream here. One that opens later asks the store for its rooms after this.
func (f *feed) concerns(events []room.Event) bool {
	for i := range events {
		if events[i].Action != room.Add {
			continue
		}
		if ref, ok := f.engine.registry.Acquire(events[i].Target); ok {
			ref.Release()
			return true
		}
	}
	return false
}

// restart goes on from now, after the store has lost the place: what was not
// shown is read, for every hosted room and for every stream's rooms.
func (f *feed) restart(ctx context.Context) error {
	position, err := f.engine.store.Now(ctx)
	if err != nil {
		return err
	}
	f.position = position
	f.after.Store(&position)
	f.engine.rooms.each(func(h *hostedRoom) {
		n := &healNote{force: true}
		n.Init(n)
		f.engine.rooms.tell(h, &n.Link)
	})
	f.engine.registry.Range(func(s *Stream) {
		read := func(ctx context.Context) error { return f.rejoin(ctx, s) }
		f.engine.untilAnswered(read, func() {}, func() bool { return s.ending.Load() == nil })
	})
	f.engine.recheckAll()
	return store.ErrHistoryLost
}

// rejoin subscribes s to rooms that it joined unseen.
func (f *feed) rejoin(ctx context.Context, s *Stream) error {
	rooms, err := f.engine.store.RoomsOf(ctx, s.account)
	for _, id := range rooms {
		n := &rejoinNote{stream: s}
		n.Init(n)
		f.engine.rooms.open(id, &n.Link)
	}
	return err
}

// backoff grows from 50 ms to 2 s, with jitter.
func backoff(attempt int) time.Duration {
	longest := min(50*time.Millisecond<<min(attempt, 10), 2*time.Second)
	return longest/2 + rand.N(longest/2)
}
