package mongo

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store/storetest"
)

// BenchmarkAppend: clients that each send one message after another, to rooms of
// their own or to one. bare is the driver's InsertOne of the same documents, which
// is what there would be without a committer.
func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 64} {
		for _, rooms := range []int{1, 64} {
			if rooms > clients {
				continue
			}
			b.Run(fmt.Sprintf("clients=%d/rooms=%d", clients, rooms), func(b *testing.B) {
				s := open(b, Config{URI: mongod.URI(b), Database: inTest(b).Database, Logger: quiet})
				defer func() {
					if err := s.Close(); err != nil {
						b.Error(err)
					}
				}()
				for i := range rooms {
					(&storetest.Room{Store: s, ID: storetest.RoomID(i)}).Create(b, storetest.Account(0))
				}
				body := storetest.Text(fmt.Sprintf("%0200d", 0))
				before := s.commands.Load()
				closedLoop(b, clients, func(c, n int) error {
					_, err := s.Append(b.Context(), storetest.RoomID(c%rooms), storetest.OpOf(room.Post{
						UUID: storetest.UUID(n, 1), Sender: storetest.Account(0), Kind: room.KindText, Body: body,
					}))
					return err
				})
				b.ReportMetric(float64(b.N)/float64(s.commands.Load()-before), "msg/command")
			})
		}
	}
	b.Run("clients=64/bare", func(b *testing.B) {
		s := open(b, Config{URI: mongod.URI(b), Database: inTest(b).Database, Logger: quiet})
		defer func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		}()
		body := storetest.Text(fmt.Sprintf("%0200d", 0))
		closedLoop(b, 64, func(c, n int) error {
			e := record{Event: room.Event{
				Draft: room.Draft{UUID: storetest.UUID(n, 1), Sender: storetest.Account(0), Kind: room.KindText, Body: body},
				Room:  storetest.RoomID(c), Seq: uint64(n) + 1, Time: int64(n),
			}}
			_, err := s.events.InsertOne(b.Context(), e.document())
			return err
		})
	})
}

// closedLoop makes b.N calls by clients at a time, and reports how long one takes.
func closedLoop(b *testing.B, clients int, call func(client, n int) error) {
	b.ReportAllocs()
	var next atomic.Int64
	times := make([][]time.Duration, clients)
	var wg sync.WaitGroup
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
				began := time.Now()
				if err := call(c, n); err != nil {
					b.Error(err)
					return
				}
				times[c] = append(times[c], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}
