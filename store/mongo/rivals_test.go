package mongo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/measure"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// Several servers write to one room, each 500 messages a second whatever becomes
// of them: all are stored once, in one order that each server shows without a gap.
func TestServersWriteToOneRoom(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{2, 4} {
		t.Run(fmt.Sprint("servers=", servers), func(t *testing.T) { writeToOneRoom(t, servers) })
	}
}

func writeToOneRoom(t *testing.T, servers int) {
	const rate, each = 500, 750
	cfg := inTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stores []*Store
	var watches []*watching
	for range servers {
		s := closing(t, open(t, cfg))
		stores = append(stores, s)
		watches = append(watches, watch(ctx, t, s, storetest.RoomID(0)))
	}
	id := storetest.RoomID(0)
	(&storetest.Room{Store: stores[0], ID: id}).Create(t, storetest.Account(0))

	var mu sync.Mutex
	acknowledged := make(map[string]room.Event)
	var took measure.Tail
	var sending sync.WaitGroup
	for w, s := range stores {
		sending.Go(func() {
			began := time.Now()
			for n := range each {
				due := began.Add(time.Duration(n) * time.Second / rate)
				time.Sleep(time.Until(due)) // part of the load
				sending.Go(func() {
					uuid := storetest.UUID(1<<20+w, n)
					done, err := post(ctx, s, id, room.Post{UUID: uuid, Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text(uuid)})
					if err != nil || len(done.Events) != 1 {
						t.Errorf("message %d of server %d: %+v, %v", n, w, done, err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					acknowledged[uuid] = done.Events[0]
					took = append(took, time.Since(due))
				})
			}
		})
	}
	sending.Wait()
	if t.Failed() {
		return
	}
	t.Logf("acknowledged after %v (p50), %v (p99)", took.At(0.5), took.At(0.99))

	var log []room.Event
	for {
		page, err := stores[0].Events(ctx, id, uint64(len(log)), store.Page{Events: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if log = append(log, page...); len(page) < 1000 {
			break
		}
	}
	storetest.FoldAll(t, id, log) // S1 and S2
	if len(log) != 2+servers*each {
		t.Errorf("%d events are stored, want %d", len(log), 2+servers*each)
	}
	for _, e := range log[2:] {
		if !storetest.Equal(acknowledged[e.UUID], e) {
			t.Errorf("event %d was acknowledged as %+v", e.Seq, acknowledged[e.UUID])
		}
	}
	for w, shown := range watches {
		if got := shown.until(ctx, t, len(log)); !slices.EqualFunc(got, log, storetest.Equal) {
			t.Errorf("server %d has shown %d events, in another way than the log of %d", w, len(got), len(log))
		}
	}
}
