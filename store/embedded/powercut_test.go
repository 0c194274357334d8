package embedded

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/storetest"
)

// powerCuts runs clients on one store after another and cuts the power count
// times, at random moments before a write or a sync of pebble's, so also in the
// middle of a commit. Each time it opens what is left, checks it, and counts
// what had been acknowledged and is lost.
func powerCuts(t *testing.T, count int, noSync bool) (lost int) {
	t.Helper()
	const perStore = 10
	// Without syncs there are few moments to cut at.
	oneIn := 6
	if noSync {
		oneIn = 1
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex // guards random, which is used by pebble's goroutines too
	random := rand.New(rand.NewPCG(seed, seed))
	flip := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n) == 0
	}
	type remains struct {
		fs   *vfs.MemFS
		told storetest.Told
	}
	var missing atomic.Int64
	for done := 0; done < count; done += perStore {
		mem := vfs.NewCrashableMem()
		d := &disk{FS: mem}
		cfg := inMemory(d)
		cfg.noSync = noSync
		cfg.memTableBytes = 64 << 10
		s := open(t, cfg)
		load := &storetest.Load{Rooms: 3, Clients: 8}
		ctx, cancel := context.WithCancel(t.Context())
		cuts := make(chan remains)
		var taken atomic.Int64
		d.during(func(string, string) error {
			if ctx.Err() != nil || !flip(oneIn) {
				return nil
			}
			if taken.Add(1) > perStore {
				cancel()
				return nil
			}
			// First what was acknowledged, then the cut: nothing may be counted
			// that was acknowledged after it.
			told := load.Told()
			mu.Lock()
			left := cut(mem, random)
			mu.Unlock()
			cuts <- remains{left, told}
			return nil
		})
		var checkers sync.WaitGroup
		for range 2 {
			checkers.Go(func() {
				for left := range cuts {
					missing.Add(int64(checkRemains(t, left.fs, load, left.told)))
				}
			})
		}
		load.Run(ctx, t, s, 1<<30)
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		close(cuts)
		checkers.Wait()
	}
	return int(missing.Load())
}

// checkRemains opens what a power cut left and checks it.
func checkRemains(t *testing.T, fs *vfs.MemFS, load *storetest.Load, told storetest.Told) (lost int) {
	s, err := Open(inMemory(fs))
	if err != nil {
		t.Errorf("open after a power cut: %v", err)
		return 0
	}
	ctx := t.Context()
	lost = load.Check(ctx, t, s, told)
	// What it has shown now must still be there after another cut right away:
	// a restart may not show what is not durable either (S3).
	read := func() []room.Event {
		events, err := s.Events(ctx, storetest.RoomID(0), 0, store.Page{})
		if err != nil {
			t.Error(err)
		}
		return events
	}
	shown := read()
	again := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if s, err = Open(inMemory(again)); err != nil {
		t.Errorf("open after a second power cut: %v", err)
		return lost
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if got := read(); !slices.EqualFunc(got, shown, storetest.Equal) {
		t.Errorf("S3: a read showed %d events, after another power cut there are %d", len(shown), len(got))
	}
	// And it goes on.
	done, err := s.Append(ctx, storetest.RoomID(0), store.Op{
		Decide: func(st room.State) ([]room.Draft, error) {
			return []room.Draft{{
				UUID: storetest.UUID(1<<30, 0), Kind: room.KindText, Sender: storetest.Account(0), Body: storetest.Text("x"),
			}}, nil
		},
	})
	if err != nil || done.Events[0].Seq != uint64(len(shown))+1 {
		t.Errorf("S1: %+v, %v after %d events", done, err, len(shown))
	}
	return lost
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	if lost := powerCuts(t, 200, false); lost > 0 {
		t.Errorf("%d acknowledged things are lost", lost)
	}
}

// Without the fsync the same test finds losses: it can fail.
func TestPowerCutWithoutSyncLoses(t *testing.T) {
	lost := powerCuts(t, 10, true)
	if lost == 0 {
		t.Error("nothing was lost without fsync: the test for power cuts proves nothing")
	}
	t.Logf("%d acknowledged things were lost without fsync", lost)
}
