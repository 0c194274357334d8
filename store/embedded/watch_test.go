package embedded

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// A watcher that falls behind is told so; it finds the rest in the logs (S9).
func TestSlowWatcherLosesHistory(t *testing.T) {
	cfg := inMemory(vfs.NewCrashableMem())
	cfg.RingEvents = 4
	s := open(t, cfg)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	pos, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	var last uint64
	var end error
	for batch, err := range s.Watch(ctx, pos) {
		if end = err; err != nil {
			continue
		}
		last = batch.Events[len(batch.Events)-1].Seq
		for i := range 6 {
			r.Post(t, storetest.Account(0), fmt.Sprint(i))
		}
	}
	if !errors.Is(end, store.ErrHistoryLost) || last != 2 {
		t.Errorf("ended after event %d with %v, want %v", last, end, store.ErrHistoryLost)
	}
	events, err := s.Events(ctx, r.ID, last, store.Page{})
	if err != nil || len(events) != 6 {
		t.Errorf("%d events after it, %v; want 6", len(events), err)
	}
}

// What is being synced when Close begins is shown before the watch ends (S4).
func TestLastGroupIsShownBeforeTheEnd(t *testing.T) {
	d := &disk{FS: vfs.NewCrashableMem()}
	s := open(t, inMemory(d))
	ctx := t.Context()
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	pos, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	var end error
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for batch, err := range s.Watch(ctx, pos) {
			shown += len(batch.Events)
			end = err
		}
	})
	begun, outcome := stepSyncs(d)
	last := startAppend(ctx, s, r.ID, room.Post{UUID: r.UUID(), Sender: storetest.Account(0), Kind: room.KindText})
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if _, open := <-s.decided; open { // it is closed when the committer ends
		t.Fatal("there is another group")
	}
	d.during(nil)
	outcome <- nil
	if err := errors.Join(<-last.answer, <-closed); err != nil {
		t.Error(err)
	}
	if watcher.Wait(); shown != 1 || !errors.Is(end, store.ErrClosed) {
		t.Errorf("shown were %d events, want 1; then %v, want %v", shown, end, store.ErrClosed)
	}
}
