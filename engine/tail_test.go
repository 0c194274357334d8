package engine

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func entryOf(seq uint64, at time.Time, bytes int64) *entry {
	return &entry{seq: seq, at: at, bytes: bytes, sender: fmt.Sprint(seq)}
}

// A tail against a slice: what was appended, less what was too old, too many or
// too much, oldest first.
func TestTailHoldsTheNewestAndDropsTheOldest(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var total atomic.Int64
		const elsewhere = 500 // bytes of other rooms
		total.Store(elsewhere)
		tl := tail{total: &total}
		var model []*entry
		seq, now := rng.Uint64N(10), time.Unix(1000, 0)
		drop := func(keep func(*entry) bool) {
			for len(model) > 0 && !keep(model[0]) {
				model = model[1:]
			}
		}
		sum := func() (n int64) {
			for _, e := range model {
				n += e.bytes
			}
			return n
		}
		appends := 300
		if seed == 0 {
			appends = 3 * maxTail
		}
		for range appends {
			switch rng.IntN(12) {
			case 0:
				limit := elsewhere + int64(rng.IntN(3000))
				tl.trim(now.Add(-time.Hour), limit, forever)
				drop(func(*entry) bool { return sum()+elsewhere <= limit })
			case 1:
				oldest := now.Add(-time.Duration(rng.IntN(200)) * time.Second)
				tl.trim(oldest, 1<<40, forever)
				drop(func(e *entry) bool { return !e.at.Before(oldest) })
			default:
				for range 1 + 20*int(seed&1) {
					seq++
					now = now.Add(time.Second)
					e := entryOf(seq, now, int64(1+rng.IntN(100)))
					tl.append(e)
					if model = append(model, e); len(model) > maxTail {
						model = model[1:]
					}
				}
			}
			if got := total.Load() - elsewhere; got != sum() || got != tl.bytes {
				t.Fatalf("seed %d: %d bytes are counted, %d in the tail, %d are held", seed, got, tl.bytes, sum())
			}
			low := seq + 1 - uint64(len(model))
			for i := low - min(low, 20); i < seq+5; i++ {
				want := (*entry)(nil)
				if i >= low && i <= seq {
					want = model[i-low]
				}
				if got := tl.get(i); got != want {
					t.Fatalf("seed %d: get(%d) of %d..%d is %v", seed, i, low, seq, got)
				}
			}
		}
		tl.trim(now.Add(time.Hour), 0, forever)
		if total.Load() != elsewhere || tl.bytes != 0 || tl.ring.Load() != nil {
			t.Errorf("seed %d: %d bytes are left", seed, total.Load()-elsewhere)
		}
	}
}

// Streams read while the room's turn appends, grows and drops: they find the entry
// of the number they ask for, or nothing. An event whose head has been published
// is found unless it was dropped.
func TestTailIsReadWhileItChanges(t *testing.T) {
	var total atomic.Int64
	tl := tail{total: &total}
	var head, low atomic.Uint64
	const last = 20_000
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for cursor := uint64(0); cursor < last; {
				h := head.Load()
				for cursor < h {
					e := tl.get(cursor + 1)
					switch {
					case e != nil && (e.seq != cursor+1 || e.sender != fmt.Sprint(cursor+1)):
						t.Errorf("asked for %d, got %d", cursor+1, e.seq)
					case e == nil && low.Load() <= cursor+1:
						t.Errorf("%d is not found, although only those before %d were dropped", cursor+1, low.Load())
					}
					cursor++
				}
			}
		})
	}
	now := time.Unix(1000, 0)
	for seq := uint64(1); seq <= last; seq++ {
		if seq > maxTail {
			low.Store(max(low.Load(), seq-maxTail+1))
		}
		if seq%7000 == 0 { // the ring goes, and comes again small
			low.Store(seq)
			tl.trim(now.Add(time.Hour), 0, forever)
		}
		tl.append(entryOf(seq, now, 1))
		head.Store(seq)
	}
	readers.Wait()
	tl.trim(now.Add(time.Hour), 0, forever)
	if total.Load() != 0 {
		t.Errorf("%d bytes are left", total.Load())
	}
}

// TestTailSparesWhatIsNotPublished: a room that publishes while others hold all
// there is to hold keeps what its members are about to read.
func TestTailSparesWhatIsNotPublished(t *testing.T) {
	var total atomic.Int64
	total.Store(1 << 20) // the others'
	tl := tail{total: &total}
	now := time.Now()
	for seq := uint64(1); seq <= 10; seq++ {
		tl.append(&entry{seq: seq, at: now, bytes: 1})
		tl.trim(now.Add(-time.Minute), 1, 7)
	}
	for seq := uint64(1); seq <= 10; seq++ {
		if held := tl.get(seq) != nil; held != (seq > 7) {
			t.Errorf("event %d is held: %v", seq, held)
		}
	}
}
