//go:build stepping

package engine

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/bench/stepped"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/pool"
)

// Tests of the engine in which each atomic operation of it, of the pool and of the
// lock-free parts waits for its turn, which a seed decides. `go run ./bench/step` runs
// them: ENGINE_SEEDS=n of them, or ENGINE_SEED=s alone.

// steppedSeeds runs test with many seeds, each in a world of three users and two rooms.
func steppedSeeds(t *testing.T, test func(w *steppedWorld)) {
	first, n := 1, 300
	if s, err := strconv.Atoi(os.Getenv("ENGINE_SEEDS")); err == nil {
		n = s
	}
	if s, err := strconv.Atoi(os.Getenv("ENGINE_SEED")); err == nil {
		first, n = s, 1
	}
	steps := 0
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cfg := Config{
				TailBytes:     []int64{1, 2000, 100_000}[seed%3],
				GapPatience:   time.Millisecond,
				StallPatience: time.Hour,
				Logger:        slog.New(slog.DiscardHandler),
			}
			inBubbleWith(t, cfg, pool.Config{Runners: 3, Workers: 2}, func(r *rig) {
				w := &steppedWorld{world: newWorld(r, rand.New(rand.NewPCG(uint64(seed), 13))), seed: uint64(seed)}
				w.rooms, w.users = w.rooms[:2], w.users[:3]
				r.settle()
				w.scheduler = stepped.On(uint64(seed))
				defer w.scheduler.Off() // also when it fails
				test(w)
				w.scheduler.Off()
				steps += w.scheduler.Steps
				w.end()
				w.check()
			})
		})
	}
	t.Logf("%d steps", steps)
}

type steppedWorld struct {
	*world
	seed      uint64
	scheduler *stepped.Scheduler
}

// together has each user act at once with the others, step by step, until all have done
// so and nothing moves any more.
func (w *steppedWorld) together(act func(own *world, u *user)) {
	var acting sync.WaitGroup
	var done atomic.Int32
	for _, u := range w.users {
		own := &world{r: w.r, rng: rand.New(rand.NewPCG(w.seed, w.rng.Uint64())), rooms: w.rooms, users: w.users}
		acting.Go(func() {
			defer done.Add(1)
			act(own, u)
		})
	}
	w.scheduler.Run(func() bool { return int(done.Load()) == len(w.users) }, 30*time.Millisecond)
	acting.Wait()
}

// allTold holds that every client that reads has been told all that its rooms have
// published. Nothing moves meanwhile.
func (w *steppedWorld) allTold() {
	w.together(func(_ *world, u *user) {
		for _, s := range u.streams { // the newest is the one that was the last to be opened
			s.client.allow(-1)
		}
	})
	for _, h := range w.r.rooms.hosted.All() {
		for _, sub := range h.subs {
			if s := sub.stream; s.ending.Peek() == nil && s.turn.live && sub.cursor != min(h.head.Peek(), sub.until.Peek()) {
				w.r.t.Errorf("a client is at %d of room %s, which is at %d", sub.cursor, h.id, h.head.Peek())
			}
		}
	}
}

// Random users do random things, as in
// TestManyUsersAtOnceAreToldTheirRoomsInOrderAndWithoutAGap.
func TestSteppedUsersAreToldTheirRoomsInOrderAndWithoutAGap(t *testing.T) {
	steppedSeeds(t, func(w *steppedWorld) {
		for range 5 {
			w.together(func(own *world, u *user) {
				for range 5 {
					own.stepOf(u)
					time.Sleep(time.Duration(own.rng.IntN(3)) * time.Millisecond)
				}
			})
			w.allTold()
		}
	})
}

// One is kicked again and again, and comes back, while another goes on talking.
func TestSteppedKicksAreToldAndNothingBehindThem(t *testing.T) {
	steppedSeeds(t, func(w *steppedWorld) {
		id := w.rooms[0]
		for range 6 {
			w.together(func(own *world, u *user) {
				switch u.who {
				case 0:
					for range 6 {
						own.text(id, u)
						own.append(id, room.Expel{UUID: nextUUID(), Caller: account(0), Target: account(1)})
						own.text(id, u)
					}
				case 1:
					for range 4 {
						if events, ok := own.append(id, room.Join{UUID: nextUUID(), Account: account(1), Name: "x", Password: "p"}); ok {
							u.rooms[id] = events[0].Seq - 1
						}
						if u.conn == nil || own.rng.IntN(4) == 0 {
							own.connect(u, own.rng.IntN(2) == 0)
						}
						time.Sleep(time.Duration(own.rng.IntN(2)) * time.Millisecond)
					}
				}
			})
			w.allTold()
		}
	})
}

// What is read of a watermark is never ahead of what has passed. Each event is ten bytes.
func TestSteppedWatermarkIsNeverAhead(t *testing.T) {
	for seed := uint64(1); seed <= 2000 && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			scheduler := stepped.On(seed)
			defer scheduler.Off()
			var w watermark
			var passed atomic.Int64
			var done atomic.Int32
			go func() {
				defer done.Add(1)
				for seq := uint64(1); seq <= 6; seq++ {
					w.sent(seq, int64(seq)*10, passed.Load())
					if seq%2 == 0 {
						passed.Store(int64(seq)*10 - 10)
					}
				}
			}()
			go func() {
				defer done.Add(1)
				for range 6 {
					p := passed.Load()
					if reached, _ := w.read(p); int64(reached)*10 > passed.Load() {
						t.Errorf("%d events have reached in %d bytes", reached, passed.Load())
					}
				}
			}()
			scheduler.Run(func() bool { return done.Load() == 2 }, time.Millisecond)
		})
	}
}
