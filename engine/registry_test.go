package engine

import (
	"runtime"
	"sync"
	"testing"
)

// Invariant 3 of the design: the newest stream of an account holds the highest
// generation, and is the one in the Registry.

func TestNewestStreamIsInTheRegistry(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		reg := newRegistry()
		const each, openers = 300, 4
		for range each {
			streams := make([]*Stream, openers)
			var opening sync.WaitGroup
			for i := range streams {
				streams[i] = newStream(r.Engine, Request{Account: account(0), Conn: newFakeConn()})
				opening.Go(func() {
					// Taking the generation and being put into the map are one step: were
					// they two, others would come between here.
					next := func() uint64 {
						generation := reg.generations.Next()
						for range 10 {
							runtime.Gosched()
						}
						return generation
					}
					if !reg.Replace(streams[i], next) {
						t.Error("an opening was refused")
					}
				})
			}
			opening.Wait()
			held, ok := reg.Acquire(account(0))
			if !ok {
				t.Fatal("no stream")
			}
			for _, s := range streams {
				switch {
				case s == held.Stream() && s.ending.Load() != nil:
					t.Error("the newest stream was told to end")
				case s != held.Stream() && s.generation >= held.Stream().generation:
					t.Errorf("generation %d is in the registry, %d is not", held.Stream().generation, s.generation)
				case s != held.Stream() && s.ending.Load() == nil:
					t.Error("a replaced stream was not told to end")
				}
			}
			held.Release()
		}
		if reg.Len() != 1 {
			t.Errorf("%d streams", reg.Len())
		}
	})
}

// Generations may come from elsewhere once there are several servers; a lower one
// never takes the place of a higher one.
func TestOlderGenerationReplacesNothing(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		reg := newRegistry()
		newer := newStream(r.Engine, Request{Account: account(0), Conn: newFakeConn()})
		older := newStream(r.Engine, Request{Account: account(0), Conn: newFakeConn()})
		reg.Replace(newer, func() uint64 { return 7 })
		for _, generation := range []uint64{6, 7} {
			if reg.Replace(older, func() uint64 { return generation }) {
				t.Errorf("generation %d has replaced 7", generation)
			}
		}
		if held, _ := reg.Acquire(account(0)); held.Stream() != newer || newer.ending.Load() != nil {
			t.Error("the newer stream is gone")
		} else {
			held.Release()
		}
		reg.leave(older)
		if reg.Len() != 1 {
			t.Error("the older one's leaving took the newer one out")
		}
		reg.leave(newer)
		if reg.Len() != 0 {
			t.Error("the newer one did not leave")
		}
	})
}

// Openings of one account through the whole engine, at once: all but the newest
// end, for the reason that they were replaced.
func TestManyOpeningsOfOneAccountLeaveOneStream(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		for range 50 {
			r.connect(0)
		}
		r.settle()
		open := 0
		for _, c := range r.open {
			select {
			case <-c.ended:
			default:
				open++
				if n := r.subscriptionsOf(c.stream); n != 2 {
					t.Errorf("the stream that is left has %d entries", n)
				}
			}
		}
		if open != 1 || r.Streams() != 1 {
			t.Errorf("%d streams are open, %d in the registry", open, r.Streams())
		}
	})
}

// Invariant 4. A room that is asked by two streams of one account, the newer one
// first, keeps the newer one.
func TestOlderStreamIsNotSubscribedInPlaceOfANewerOne(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		newer := r.connected(0)
		// One that was replaced, and has not come to its end yet.
		n := &rejoinNote{stream: newStream(r.Engine, Request{Account: account(0), Conn: newFakeConn()})}
		n.Init(n)
		r.rooms.tellID(roomA, &n.Link)
		r.settle()
		text := r.text(roomA, 0, "hello")
		r.settle()
		if got := times(newer.live()); len(got) != 1 || got[0] != text.Time {
			t.Errorf("the newer stream got %v", got)
		}
	})
}

// An account that always has a stream which is not ending is never found without
// one, however fast its streams replace each other.
func TestAcquireFindsTheStreamThatTookThePlace(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		g := newRegistry()
		open := func() *Stream {
			s := &Stream{account: account(0), ended: make(chan struct{}), drained: make(chan struct{})}
			g.Replace(s, g.generations.Next)
			return s
		}
		before := open()
		var over sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			over.Go(func() {
				for missed := 0; ; {
					ref, ok := g.Acquire(account(0))
					if ok {
						ref.Release()
					} else if missed++; missed == 1 {
						t.Error("no stream was found")
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		for range 20_000 {
			now := open()
			before.refs.Close()
			before = now
		}
		close(done)
		over.Wait()
	})
}
