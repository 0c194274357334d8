package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/chatstream/chatstream/engine/room"
)

func stateAt(id string, seq uint64) room.State {
	return room.Restore(room.Header{ID: id, Seq: seq}, func(func(room.Member) bool) {})
}

func TestStatesAreBounded(t *testing.T) {
	s := newStates(10)
	for i := range 100 {
		s.publish(fmt.Sprint(i), stateAt(fmt.Sprint(i), 1))
		// One that is in use stays.
		if _, ok := s.cached("3"); i >= 3 && !ok {
			t.Fatalf("the room in use has left after %d rooms", i)
		}
	}
	if n := s.entries.Size(); n != 10 || len(s.clock) != 10 {
		t.Errorf("%d states, %d on the clock; want 10", n, len(s.clock))
	}
	for _, e := range s.clock {
		if got, ok := s.entries.Load(e.roomID); !ok || got != e {
			t.Errorf("room %s is on the clock and not in the map", e.roomID)
		}
	}
}

// A state that was read while a newer one was published must not replace it,
// not even if the newer one has been evicted meanwhile.
func TestStatesOvertakenLoad(t *testing.T) {
	s := newStates(1)
	got, err := s.get(t.Context(), "a", func() (room.State, error) {
		old := stateAt("a", 5)
		s.publish("a", stateAt("a", 6))
		s.publish("b", stateAt("b", 1)) // evicts a
		if _, ok := s.cached("a"); ok {
			t.Error("not evicted")
		}
		return old, nil
	})
	if err != nil || got.Seq != 6 {
		t.Errorf("got %d, %v; want 6", got.Seq, err)
	}
	if got, ok := s.cached("a"); ok && got.Seq != 6 {
		t.Errorf("%d is kept, want 6", got.Seq)
	}
}

func TestStatesShareOneLoad(t *testing.T) {
	s := newStates(1)
	reads := 0
	reading, read := make(chan struct{}), make(chan struct{})
	load := func() (room.State, error) {
		reads++
		close(reading)
		<-read
		return stateAt("a", 5), nil
	}
	var wg sync.WaitGroup
	get := func() {
		if got, err := s.get(t.Context(), "a", load); err != nil || got.Seq != 5 {
			t.Errorf("got %d, %v; want 5", got.Seq, err)
		}
	}
	wg.Go(get)
	<-reading
	// One who does not want to wait need not.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.get(ctx, "a", load); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	for range 3 {
		wg.Go(get)
	}
	close(read)
	wg.Wait()
	if reads != 1 {
		t.Errorf("%d reads, want 1", reads)
	}
}

// A read that fails or panics is not kept, and nobody waits for it for ever.
func TestStatesFailedLoad(t *testing.T) {
	s := newStates(1)
	failure := errors.New("disk")
	if _, err := s.get(t.Context(), "a", func() (room.State, error) { return room.State{}, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		_, _ = s.get(t.Context(), "a", func() (room.State, error) { panic("pebble") })
	}()
	got, err := s.get(t.Context(), "a", func() (room.State, error) { return stateAt("a", 1), nil })
	if err != nil || got.Seq != 1 || len(s.loads) != 0 {
		t.Errorf("got %d, %v; %d loads", got.Seq, err, len(s.loads))
	}
	// A room that does not exist takes no place.
	if _, err := s.get(t.Context(), "none", func() (room.State, error) { return room.State{}, nil }); err != nil {
		t.Error(err)
	}
	if _, ok := s.cached("a"); !ok {
		t.Error("a room that does not exist has taken the place of one that does")
	}
}
