//go:build stepping

package atomics

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/bench/stepped"
)

// Tests in which each atomic operation waits for its turn, which a seed decides.
// `go run ./bench/step` runs them.

// steppedTogether runs all at once, step by step, with many seeds; check is called when
// all have ended.
func steppedTogether(t *testing.T, make func() (all []func(), check func(t *testing.T))) {
	for seed := uint64(1); seed <= 2000 && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			all, check := make()
			scheduler := stepped.On(seed)
			defer scheduler.Off()
			var done atomic.Int32
			for _, f := range all {
				go func() {
					defer done.Add(1)
					f()
				}()
			}
			scheduler.Run(func() bool { return int(done.Load()) == len(all) }, time.Millisecond)
			scheduler.Off()
			check(t)
		})
	}
}

func TestSteppedGenerationIsUnique(t *testing.T) {
	steppedTogether(t, func() ([]func(), func(*testing.T)) {
		var g Generation
		var all []func()
		got := make([][]uint64, 3)
		for i := range got {
			all = append(all, func() {
				for range 3 {
					got[i] = append(got[i], g.Next())
				}
			})
		}
		return all, func(t *testing.T) {
			seen := map[uint64]bool{}
			for _, mine := range got {
				if !slices.IsSorted(mine) {
					t.Errorf("got %d one after the other", mine)
				}
				for _, n := range mine {
					if seen[n] {
						t.Errorf("%d was handed out twice", n)
					}
					seen[n] = true
				}
			}
		}
	})
}

func TestSteppedRefCountEndsOnce(t *testing.T) {
	steppedTogether(t, func() ([]func(), func(*testing.T)) {
		var r RefCount
		var ends atomic.Int32
		var all []func()
		for range 3 {
			all = append(all, func() {
				for r.Acquire() {
					if ends.Load() > 0 {
						panic("a reference after the end")
					}
					if r.Release() {
						ends.Add(1)
					}
				}
			})
		}
		for range 2 {
			all = append(all, func() {
				if _, drained := r.Close(); drained {
					ends.Add(1)
				}
			})
		}
		return all, func(t *testing.T) {
			if ends.Load() != 1 || r.word.Peek() != closedBit {
				t.Errorf("ended %d times, word %x", ends.Load(), r.word.Peek())
			}
		}
	})
}
