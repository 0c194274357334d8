package embedded

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// benchStore is a store on disk with a number of rooms and the 64 senders in
// each.
func benchStore(b *testing.B, rooms int) *Store {
	b.Helper()
	s := open(b, Config{Dir: b.TempDir(), Logger: quiet})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	var wg sync.WaitGroup
	for i := range rooms {
		wg.Go(func() {
			r := &storetest.Room{Store: s, ID: storetest.RoomID(i)}
			r.Create(b, storetest.Account(0))
			for a := 1; a < 64; a++ {
				r.Join(b, storetest.Account(a))
			}
		})
	}
	wg.Wait()
	return s
}

var body300 = storetest.Text(strings.Repeat("x", 294))

// BenchmarkAppend is 64 senders, each of whom waits for the acknowledgement of
// a message of 300 bytes before he sends the next.
func BenchmarkAppend(b *testing.B) {
	for _, rooms := range []int{1, 64} {
		for _, watchers := range []int{0, 1} {
			b.Run(fmt.Sprintf("rooms=%d/watchers=%d", rooms, watchers), func(b *testing.B) {
				s := benchStore(b, rooms)
				ctx := b.Context()
				before := s.views.current.Load().groups
				pos, err := s.Now(ctx)
				if err != nil {
					b.Fatal(err)
				}
				var observers sync.WaitGroup
				for range watchers {
					observers.Go(func() {
						n := 0
						for batch, err := range s.Watch(ctx, pos) {
							if err != nil {
								b.Error(err)
								return
							}
							if n += len(batch.Events); n >= b.N {
								return
							}
						}
					})
				}
				var next atomic.Int64
				var senders sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for a := range 64 {
					senders.Go(func() {
						for {
							i := next.Add(1)
							if i > int64(b.N) {
								return
							}
							op := storetest.OpOf(room.Post{
								UUID: storetest.UUID(1<<25, int(i)), Sender: storetest.Account(a), Kind: room.KindText, Body: body300,
							})
							if _, err := s.Append(ctx, storetest.RoomID(a%rooms), op); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				senders.Wait()
				observers.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/float64(s.views.current.Load().groups-before), "msgs/sync")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			})
		}
	}
}

func BenchmarkStateHot(b *testing.B) {
	s := benchStore(b, 1)
	ctx, id := b.Context(), storetest.RoomID(0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if state, err := s.State(ctx, id); err != nil || !state.Exists() {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkStateCold restores a room of 64 members from its projection.
func BenchmarkStateCold(b *testing.B) {
	s := benchStore(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		v := s.views.acquire()
		if _, err := v.state(storetest.RoomID(0)); err != nil {
			b.Fatal(err)
		}
		v.release()
	}
}

func BenchmarkEvents256(b *testing.B) {
	s := benchStore(b, 1)
	ctx := b.Context()
	fill(b, s, storetest.RoomID(0), 2000)
	b.ReportAllocs()
	for b.Loop() {
		events, err := s.Events(ctx, storetest.RoomID(0), 1000, store.Page{Events: 256})
		if err != nil || len(events) != 256 {
			b.Fatal(len(events), err)
		}
	}
}

func BenchmarkSeqAt(b *testing.B) {
	s := benchStore(b, 1)
	ctx := b.Context()
	fill(b, s, storetest.RoomID(0), 2000)
	e, err := s.Events(ctx, storetest.RoomID(0), 1233, store.Page{Events: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if seq, err := s.SeqAt(ctx, storetest.RoomID(0), e[0].Time); err != nil || seq != 1234 {
			b.Fatal(seq, err)
		}
	}
}

// BenchmarkUUIDMiss looks for a uuid that is not there among 300 000.
func BenchmarkUUIDMiss(b *testing.B) {
	s := benchStore(b, 1)
	ctx := b.Context()
	fill(b, s, storetest.RoomID(0), 300_000)
	id := storetest.RoomID(0)
	uuids := make([]string, 1<<14)
	for i := range uuids {
		uuids[i] = storetest.UUID(1<<26, i*7919+1)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if _, err := s.Event(ctx, id, uuids[i%len(uuids)]); !errors.Is(err, store.ErrNotFound) {
			b.Fatal(err)
		}
	}
}

// fill appends messages, many in one op.
func fill(b *testing.B, s *Store, id string, messages int) {
	b.Helper()
	for n := 0; n < messages; {
		var ds []room.Draft
		for range min(1000, messages-n) {
			n++
			ds = append(ds, room.Draft{
				UUID: storetest.UUID(1<<26, n*7919), Kind: room.KindText, Sender: storetest.Account(0), Body: body300,
			})
		}
		_, err := s.Append(b.Context(), id, store.Op{Decide: func(room.State) ([]room.Draft, error) { return ds, nil }})
		if err != nil {
			b.Fatal(err)
		}
	}
}
