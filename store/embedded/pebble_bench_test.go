package embedded

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/chatstream/chatstream/bench/measure"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// rawStore is what a durable send costs at least: the keys that an append writes, with values of the same sizes, in the same
// group loop over the same kind of pebble database. Nothing is decided, looked up, kept or shown.
type rawStore struct {
	db    *pebble.DB
	queue chan *rawRequest
	most  int
	// groups is how many syncs there were.
	groups int
}

type rawRequest struct {
	roomID, uuid, account string
	event                 []byte
	err                   error
	done                  chan struct{}
}

func (s *rawStore) append(r *rawRequest) error {
	s.queue <- r
	<-r.done
	return r.err
}

func (s *rawStore) commitLoop() {
	// The values of the projections, of the sizes they have.
	header := encodeHeader(&room.Header{Name: "name", Password: "password", Created: 1 << 40, Seq: 1 << 20, Time: 1 << 40, Admin: storetest.Account(0)})
	seen := encodeSeen(store.Seen{Activity: 1 << 40})
	mark := make([]byte, store.FingerprintBytes)
	seq := uint64(1 << 20)
	for first := range s.queue {
		batch := s.db.NewBatch()
		rooms, senders := map[string]struct{}{}, map[seenBy]struct{}{}
		var requests []*rawRequest
		runtime.Gosched()
		for r := first; r != nil; {
			seq++
			_ = batch.Set(eventKey(r.roomID, seq), r.event, nil)
			_ = batch.Set(uuidKey(r.roomID, r.uuid), encodeUUID(uuidRecord{seq, fingerprint(mark)}), nil)
			rooms[r.roomID] = struct{}{}
			senders[seenBy{r.roomID, r.account}] = struct{}{}
			if requests = append(requests, r); len(requests) >= s.most {
				break
			}
			select {
			case r = <-s.queue:
			default:
				r = nil
			}
		}
		for id := range rooms {
			_ = batch.Set(roomKey(id), header, nil)
		}
		for by := range senders {
			_ = batch.Set(seenKey(by.roomID, by.account), seen, nil)
		}
		err := batch.Commit(pebble.Sync)
		_ = batch.Close()
		s.groups++
		for _, r := range requests {
			r.err = err
			close(r.done)
		}
	}
}

// BenchmarkAppendAgainstPebble shows what is left of pebble's rate when a message is decided, looked up by its uuid, numbered
// and shown as well: 64 senders, each of whom waits for the acknowledgement, which comes after the fsync, before he sends the
// next message of 300 bytes. Reference: a batch of the same keys in the same group loop. Both write into databases of their
// own on the same disk.
func BenchmarkAppendAgainstPebble(b *testing.B) {
	const senders, each = 64, 128
	for _, rooms := range []int{1, 64} {
		b.Run(fmt.Sprintf("rooms=%d", rooms), func(b *testing.B) {
			s := benchStore(b, rooms)
			raw := &rawStore{db: benchStore(b, rooms).db, queue: make(chan *rawRequest, cap(s.queue)), most: s.cfg.MaxBatch}
			var committer sync.WaitGroup
			committer.Go(raw.commitLoop)
			event := encodeEvent(&room.Event{Draft: room.Draft{UUID: storetest.UUID(1, 1), Kind: room.KindText, Sender: storetest.Account(1), Body: body300}, Time: 1 << 40})
			var uuids atomic.Int64
			all := func(send func(a int) error) time.Duration {
				return measure.Time(func() {
					var sending sync.WaitGroup
					for a := range senders {
						sending.Go(func() {
							for range each {
								if err := send(a); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					sending.Wait()
				})
			}
			ctx := b.Context()
			before, err := s.State(ctx, storetest.RoomID(0))
			if err != nil {
				b.Fatal(err)
			}
			first := s.views.current.Load().groups
			b.ReportAllocs()
			var p measure.Pairs
			p.Loop(b, func() time.Duration {
				return all(func(a int) error {
					op := storetest.OpOf(room.Post{
						UUID: storetest.UUID(1<<25, int(uuids.Add(1))), Sender: storetest.Account(a), Kind: room.KindText, Body: body300,
					})
					_, err := s.Append(ctx, storetest.RoomID(a%rooms), op)
					return err
				})
			}, func() time.Duration {
				return all(func(a int) error {
					return raw.append(&rawRequest{
						roomID: storetest.RoomID(a % rooms), uuid: storetest.UUID(1<<25, int(uuids.Add(1))),
						account: storetest.Account(a), event: event, done: make(chan struct{}),
					})
				})
			})
			close(raw.queue)
			committer.Wait()
			p.ReportRates(b, senders*each, "msgs")
			groups := s.views.current.Load().groups - first
			b.ReportMetric(float64(b.N*senders*each)/float64(groups), "ours-msgs/sync")
			b.ReportMetric(float64(b.N*senders*each)/float64(raw.groups), "ref-msgs/sync")
			after, err := s.State(ctx, storetest.RoomID(0))
			if err != nil {
				b.Fatal(err)
			}
			if got, want := after.Seq-before.Seq, uint64(b.N*senders*each/rooms); got != want {
				b.Errorf("%d events were stored in the first room, want %d", got, want)
			}
		})
	}
}
