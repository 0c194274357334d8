package mongo

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/measure"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
	"github.com/chatstream/chatstream/store/storetest"
)

// BenchmarkAppendAgainstInserts shows how many messages a second 64 senders store, each in a room of its own and each
// waiting for its acknowledgement, beside 64 goroutines that insert documents of the same size, with the same indexes and
// the same write concern, one at a time each. One committer for all is what makes ours faster.
func BenchmarkAppendAgainstInserts(b *testing.B) {
	for _, members := range []int{1, 3} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			set, err := mongotest.Start(mongotest.Mongod(b), mongotest.Options{Members: members})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(set.Stop)
			againstInserts(b, set.URI())
		})
	}
}

func againstInserts(b *testing.B, uri string) {
	const senders, each = 64, 40
	s, err := Open(b.Context(), Config{URI: uri, Database: mongotest.Database(), Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	for i := range senders {
		_, err := s.Append(b.Context(), storetest.RoomID(i), storetest.OpOf(room.Create{
			Name: "n", Password: "p", Creator: storetest.Account(i), CreatorName: "ada", CapUUID: storetest.UUID(i, 0), JoinUUID: storetest.UUID(i, 1),
		}))
		if err != nil {
			b.Fatal(err)
		}
	}
	body := storetest.Text(strings.Repeat("a message ", 29))
	var uuids atomic.Int64
	uuid := func() string { return storetest.UUID(1<<25, int(uuids.Add(1))) }
	ours := func() time.Duration {
		return atOnce(b, senders, func(i int) error {
			for range each {
				_, err := s.Append(b.Context(), storetest.RoomID(i), storetest.OpOf(room.Post{
					UUID: uuid(), Sender: storetest.Account(i), Kind: room.KindText, Body: body,
				}))
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	bare := s.database.Collection("inserts")
	for _, i := range collections()[eventsName].indexes {
		if _, err := bare.Indexes().CreateOne(b.Context(), i.model()); err != nil {
			b.Fatal(err)
		}
	}
	var seq atomic.Int64
	reference := func() time.Duration {
		return atOnce(b, senders, func(i int) error {
			for range each {
				n, id := seq.Add(1), uuid()
				_, err := bare.InsertOne(b.Context(), eventDocument{
					ID: eventID(storetest.RoomID(i), id), Room: storetest.RoomID(i), Seq: n, Time: n, Kind: int32(room.KindText),
					Sender: storetest.Account(i), Body: body, Author: author{}, Mark: make([]byte, 16),
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	var p measure.Pairs
	p.Loop(b, ours, reference)
	p.ReportRates(b, senders*each, "appends")
}

// atOnce is how long it takes that all have done it.
func atOnce(b *testing.B, n int, do func(i int) error) time.Duration {
	b.Helper()
	return measure.Time(func() {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if err := do(i); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	})
}
