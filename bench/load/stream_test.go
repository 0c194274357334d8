package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// aStream is one that is in the room r up to 3, and the meter that it counts into.
func aStream() (*Stream, *meter) {
	m := newMeter()
	s := &Stream{out: m.lane(0), told: map[string]*uint64{"r": new(uint64)}, ready: make(chan struct{}), live: true}
	*s.told["r"] = 3
	return s, m
}

func TestStreamSeesWhatIsMissingAndWhatComesTwice(t *testing.T) {
	due := text(1, 30)
	for name, c := range map[string]struct {
		seqs                           [][2]uint64 // seq and previous
		deliveries, missing, duplicate int64
	}{
		"in order":            {[][2]uint64{{4, 3}, {5, 4}}, 2, 0, 0},
		"others' in between":  {[][2]uint64{{4, 3}, {7, 4}}, 2, 0, 0},
		"one was left out":    {[][2]uint64{{4, 3}, {6, 5}}, 2, 1, 0},
		"the first left out":  {[][2]uint64{{6, 5}}, 1, 2, 0},
		"one comes twice":     {[][2]uint64{{4, 3}, {4, 3}, {5, 4}}, 2, 0, 1},
		"from before":         {[][2]uint64{{2, 1}}, 0, 0, 1},
		"server has no place": {[][2]uint64{{0, 0}, {0, 0}}, 2, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := aStream()
			for _, seq := range c.seqs {
				if err := s.take(response(t, message("r", due, seq[0], seq[1]))); err != nil {
					t.Fatal(err)
				}
			}
			duplicates, missing := m.judged()
			if m.total.Load() != c.deliveries || missing != c.missing || duplicates != c.duplicate {
				t.Errorf("%d deliveries, %d missing, %d duplicates; want %+v", m.total.Load(), missing, duplicates, c)
			}
		})
	}
}

func TestSampleThatLostSomethingIsRefused(t *testing.T) {
	for _, s := range []Sample{{Expected: 2, Deliveries: 1}, {Expected: 1, Deliveries: 1, Missing: 1}, {Expected: 1, Deliveries: 2}} {
		if err := s.Check(); !errors.Is(err, ErrLost) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (Sample{Expected: 2, Deliveries: 2, Duplicates: 1}).Check(); err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWhenEverythingIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter()
		go func() {
			for i := range 10 {
				time.Sleep(time.Second)
				m.lane(i).delivered(1)
			}
		}()
		before := time.Now()
		if err := m.wait(t.Context(), 10); err != nil || time.Since(before) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(before), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.wait(ctx, 11); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("until the caller gives up: %v", err)
		}
		if err := m.wait(t.Context(), 11); !errors.Is(err, ErrLost) {
			t.Errorf("for what never comes: %v", err)
		}
	})
}

// Late calls are made up for, and told when they were due: a slow server does
// not slow its measurement down.
func TestPaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := Clock()
		var n int
		err := Pace(t.Context(), 10, 2*time.Second, func(due int64, k int) {
			if want := start + int64(k)*int64(100*time.Millisecond); due != want {
				t.Errorf("call %d was due at %d, want %d", k, due, want)
			}
			if k == 3 {
				time.Sleep(time.Second) // and the next ones are late
			}
			n++
		})
		if took := time.Duration(Clock() - start); err != nil || n != 20 || took != 1900*time.Millisecond {
			t.Errorf("%d calls in %s: %v", n, took, err)
		}
	})
}
