package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/pool"
)

// atOnce has goroutines share b.N calls of f, which gets who calls and for which time.
// It returns how many there were.
func atOnce(b *testing.B, goroutines int, f func(g, n int)) (calls int) {
	each := b.N/goroutines + 1
	var done sync.WaitGroup
	b.ResetTimer()
	for g := range goroutines {
		done.Go(func() {
			for n := range each {
				f(g, n)
			}
		})
	}
	done.Wait()
	b.StopTimer()
	return each * goroutines
}

// BenchmarkRegistry shows what the registry of 10 000 streams costs by how many goroutines want something of it at once:
// nineteen times in twenty they take a reference to an account's stream and give it back, the twentieth time they replace
// it, with the making of a stream in it.
func BenchmarkRegistry(b *testing.B) {
	const accounts = 10_000
	for _, goroutines := range []int{1, 2, 8, 64} {
		b.Run(fmt.Sprint("goroutines=", goroutines), func(b *testing.B) {
			b.ReportAllocs()
			e := bench(b)
			for i := range accounts {
				e.registry.Replace(newStream(e, Request{Account: account(i), Conn: &discardConn{}}), e.registry.generations.Next)
			}
			var missed, refused atomic.Int64
			names := make([]string, accounts)
			for i := range names {
				names[i] = account(i)
			}
			atOnce(b, goroutines, func(g, n int) {
				name := names[(g*7919+n*104_729)%accounts]
				if n%20 == 0 {
					if !e.registry.Replace(newStream(e, Request{Account: name, Conn: &discardConn{}}), e.registry.generations.Next) {
						refused.Add(1)
					}
					return
				}
				ref, ok := e.registry.Acquire(name)
				if !ok {
					missed.Add(1)
					return
				}
				ref.Release()
			})
			if missed.Load() != 0 || refused.Load() != 0 || e.registry.Len() != accounts {
				b.Errorf("%d accounts had no stream, %d streams were refused, %d streams are left", missed.Load(), refused.Load(), e.registry.Len())
			}
		})
	}
}

// countNote is a note that only counts.
type countNote struct {
	atomics.Link[note]
	applied *atomic.Int64
}

func (n *countNote) apply(*hostedRoom) { n.applied.Add(1) }

// BenchmarkRooms shows what it costs to tell a room something, by how many goroutines do so at once and whether it is one
// room for all or 1 000, until the rooms' turns have applied it: the update of the map, the push inside of it, the turn.
func BenchmarkRooms(b *testing.B) {
	for _, rooms := range []int{1, 1000} {
		for _, goroutines := range []int{1, 2, 8, 64} {
			b.Run(fmt.Sprintf("rooms=%d/goroutines=%d", rooms, goroutines), func(b *testing.B) {
				b.ReportAllocs()
				p, err := pool.New(pool.Config{})
				if err != nil {
					b.Fatal(err)
				}
				e := &Engine{cfg: Config{}.withDefaults(), log: slog.New(slog.DiscardHandler), pool: p, registry: newRegistry()}
				e.rooms = newRooms(e)
				ids := make([]string, rooms)
				for i := range ids {
					ids[i] = fmt.Sprintf("room%04d", i)
					e.rooms.hosted.Store(ids[i], newHostedRoom(e, ids[i])) // not ready, so that it does not leave
				}
				var applied, refused atomic.Int64
				told := atOnce(b, goroutines, func(g, n int) {
					x := &countNote{applied: &applied}
					x.Init(x)
					if !e.rooms.tellID(ids[(g*7919+n)%rooms], &x.Link) {
						refused.Add(1)
					}
				})
				b.StartTimer()
				if err := p.Close(context.Background()); err != nil { // after the turns that are queued
					b.Fatal(err)
				}
				b.StopTimer()
				if want := int64(told); applied.Load() != want || refused.Load() != 0 {
					b.Errorf("%d notes were applied and %d refused, of %d", applied.Load(), refused.Load(), want)
				}
			})
		}
	}
}

// served is an engine as it runs, with rooms of four members each, whose streams take everything.
type served struct {
	*Engine
	b    *testing.B
	pool *pool.Pool
	log  *memLog
	open sync.WaitGroup
}

func newServed(b *testing.B, accounts int) *served {
	b.Helper()
	r := &served{b: b, log: newMemLog()}
	discard := slog.New(slog.DiscardHandler)
	var err error
	if r.pool, err = pool.New(pool.Config{Logger: discard, OnPanic: func(t pool.Task, v any, stack []byte) {
		b.Errorf("panic in %T: %v\n%s", t, v, stack)
	}}); err != nil {
		b.Fatal(err)
	}
	for i := range accounts {
		r.log.enter(b, fmt.Sprintf("room%04d", i/4), i)
	}
	if r.Engine, err = New(b.Context(), r.log, r.pool, Config{Logger: discard}); err != nil {
		b.Fatal(err)
	}
	return r
}

// enter has an account join a room, or create it if it is the first.
func (l *memLog) enter(b *testing.B, id string, who int) {
	b.Helper()
	c := benchJoin(who)
	if _, there := l.states[id]; !there {
		c = benchCreate(who)
	}
	if _, err := l.Append(b.Context(), id, opOf(c)); err != nil {
		b.Fatal(err)
	}
}

// serve opens a stream and returns it once it is initialized.
func (r *served) serve(who int, installation string) (s *Stream, ended chan struct{}) {
	opened := make(chan struct{})
	ended = make(chan struct{})
	r.open.Go(func() {
		defer close(ended)
		r.Serve(context.Background(), Request{Account: account(who), Installation: installation, Conn: &discardConn{}}, func(opening *Stream) {
			s = opening
			close(opened)
		})
	})
	<-opened
	select {
	case <-s.replySlots: // a Read may start: it is initialized
		s.replySlots <- struct{}{}
	case <-ended:
		r.b.Error("a stream ended while it was initialized")
	}
	return s, ended
}

// stop ends the engine when its streams have ended.
func (r *served) stop() {
	r.open.Wait()
	if s := r.Stats(); s.StreamsOpened != s.StreamsFinished || s.Streams != 0 {
		r.b.Errorf("%d streams were opened, %d finished, %d are left", s.StreamsOpened, s.StreamsFinished, s.Streams)
	}
	r.Close()
	if err := r.pool.Close(context.Background()); err != nil {
		r.b.Error(err)
	}
}

// BenchmarkOpenAndEnd shows how many streams a second are opened, initialized with one room of four members, and ended,
// by how many goroutines do so at once.
func BenchmarkOpenAndEnd(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprint("goroutines=", goroutines), func(b *testing.B) {
			b.ReportAllocs()
			r := newServed(b, max(4, goroutines))
			n := atOnce(b, goroutines, func(g, n int) {
				s, ended := r.serve(g, "device")
				s.End(failed(0))
				<-ended
			})
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "streams/s")
			r.stop()
		})
	}
}

// BenchmarkReplace shows how many streams a second are opened that take the place of one, as when a client comes back before
// its old connection is known to be broken, with the older one's end in it.
func BenchmarkReplace(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprint("goroutines=", goroutines), func(b *testing.B) {
			b.ReportAllocs()
			r := newServed(b, max(4, goroutines))
			last := make([]*Stream, goroutines)
			gone := make([]chan struct{}, goroutines)
			for g := range last {
				last[g], gone[g] = r.serve(g, "device")
			}
			n := atOnce(b, goroutines, func(g, n int) {
				s, ended := r.serve(g, "device")
				<-gone[g]
				last[g], gone[g] = s, ended
			})
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "streams/s")
			for _, s := range last {
				if !s.End(failed(0)) {
					b.Error("the last stream had been replaced")
				}
			}
			r.stop()
		})
	}
}

// BenchmarkDrain shows how long a shutdown of 10 000 streams takes, from the first refused stream to the last one's end.
// Half a second of it is the pace at which they are told, so that not all clients come back at once; beyond-pace-ms is
// what the engine takes for itself.
func BenchmarkDrain(b *testing.B) {
	const (
		streams = 10_000
		pace    = 490 * time.Millisecond // 49 pauses of 10 ms
	)
	b.ReportAllocs()
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		r := newServed(b, streams)
		var opening sync.WaitGroup
		for g := range 64 {
			opening.Go(func() {
				for who := g; who < streams; who += 64 {
					r.serve(who, "device")
				}
			})
		}
		opening.Wait()
		if n := r.Streams(); n != streams {
			b.Fatalf("%d streams are open", n)
		}
		b.StartTimer()
		begin := time.Now()
		r.Refuse()
		if err := r.Drain(context.Background()); err != nil {
			b.Fatal(err)
		}
		took += time.Since(begin)
		b.StopTimer()
		r.stop()
		b.StartTimer()
	}
	each := took / time.Duration(b.N)
	b.ReportMetric(float64(each.Milliseconds()), "ms/shutdown")
	b.ReportMetric(float64((each-pace).Microseconds())/1000, "beyond-pace-ms")
}
