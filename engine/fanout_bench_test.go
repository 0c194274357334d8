package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatstream/chatstream/bench/measure"
	"github.com/chatstream/chatstream/pool"
)

// word is what the reference has for a member: a word on a cache line of its own, to be exchanged.
type word struct {
	dirty atomic.Bool
	_     [63]byte
}

// busy is an engine with one runner, which is kept busy while the benchmark tells members: streams that are scheduled wait
// in the run queue meanwhile, as they would behind others. let has it work them off.
type busy struct {
	*Engine
	slot   pool.Slot
	inTurn chan struct{}
	work   chan struct{}
	// meanwhile is done by the runner, too: it leaves its cache lines where the streams' turns leave theirs.
	meanwhile func()
}

func newBusy(b *testing.B) *busy {
	b.Helper()
	p, err := pool.New(pool.Config{Runners: 1, Workers: 1})
	if err != nil {
		b.Fatal(err)
	}
	e := &Engine{cfg: Config{TailAge: time.Hour}.withDefaults(), log: slog.New(slog.DiscardHandler), pool: p, registry: newRegistry()}
	e.rooms = newRooms(e)
	r := &busy{Engine: e, inTurn: make(chan struct{}), work: make(chan struct{})}
	r.slot.Init(p, r)
	r.hold()
	b.Cleanup(func() {
		r.work <- struct{}{}
		if err := p.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return r
}

// Turn keeps the runner, which a turn must not do, but that of a benchmark.
func (r *busy) Turn() {
	if r.meanwhile != nil {
		r.meanwhile()
	}
	r.inTurn <- struct{}{}
	<-r.work
}

func (r *busy) hold() {
	r.slot.Schedule()
	<-r.inTurn
}

// let lets the runner give all turns that wait, and holds it again.
func (r *busy) let() {
	r.work <- struct{}{}
	r.hold() // behind all that waited
}

// group is rooms of n members each, in all at least a thousand, and beside each room as many words.
type group struct {
	rooms []*hostedRoom
	words [][]*word
	conns []*discardConn
	each  int // members in all
}

func (r *busy) group(n int) *group {
	g := &group{}
	for range max(1, 1000/n) {
		h := newHostedRoom(r.Engine, fmt.Sprint("room", len(g.rooms)))
		h.ready = true
		var words []*word
		for range n {
			conn := &discardConn{}
			s := newStream(r.Engine, Request{Account: account(g.each), Conn: conn})
			s.turn.live = true
			h.subscribe(s, 0, forever)
			words = append(words, new(word))
			g.conns = append(g.conns, conn)
			g.each++
		}
		g.rooms = append(g.rooms, h)
		g.words = append(g.words, words)
	}
	r.let() // the streams adopt their subscriptions
	return g
}

// pass has an event pass in each room, encoded and in the tail, up to where it is published.
func (g *group) pass() {
	for _, h := range g.rooms {
		h.offer(textEvent(h.state.Seq+1, -1, "a message of an ordinary length, as people write them"))
	}
}

func (g *group) tell() {
	for _, h := range g.rooms {
		up(h)
	}
}

func (g *group) exchange() (told int) {
	for _, words := range g.words {
		for _, w := range words {
			if !w.dirty.Swap(true) {
				told++
			}
		}
	}
	return told
}

func (g *group) clear() {
	for _, words := range g.words {
		for _, w := range words {
			w.dirty.Store(false)
		}
	}
}

// reportAllocs reports what telling allocates, of which there is to be nothing. What the loop allocates besides is not the
// room's.
func (g *group) reportAllocs(b *testing.B, tell func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tell()
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) / float64(g.each)
	b.ReportMetric(allocs, "allocs/member")
	if allocs > 0.01 { // the runtime's own
		b.Errorf("telling a member allocates %v times", allocs)
	}
}

var fanOutMembers = []int{10, 1000, 100_000}

// BenchmarkRouteToThoseWhoKnow shows what routing one event costs a member of a busy room: one whose stream has not come
// round to the event before, and needs to be told nothing but that there is more. Reference: a loop over as many members that does one
// atomic exchange on each one's own cache line.
func BenchmarkRouteToThoseWhoKnow(b *testing.B) {
	for _, n := range fanOutMembers {
		b.Run(fmt.Sprint("members=", n), func(b *testing.B) {
			g := newBusy(b).group(n)
			rounds := max(1, 1_000_000/g.each)
			more := func() { // one more event in each room
				for _, h := range g.rooms {
					h.state.Seq++
				}
				g.tell()
			}
			more() // all know now
			g.exchange()
			var p measure.Pairs
			p.Loop(b, func() time.Duration {
				return measure.Time(func() {
					for range rounds {
						more()
					}
				})
			}, func() time.Duration {
				return measure.Time(func() {
					for range rounds {
						if told := g.exchange(); told != 0 {
							b.Fatalf("%d did not know", told)
						}
					}
				})
			})
			p.Report(b, rounds*g.each, "member")
			g.reportAllocs(b, more)
			for _, h := range g.rooms {
				for _, sub := range h.subs {
					if !sub.dirty.Load() {
						b.Fatal("a member does not know")
					}
				}
				h.state.Seq = 0 // nothing of that exists; the streams have still to come round
				h.head.Store(0)
			}
		})
	}
}

// BenchmarkRouteToIdle shows what routing one event costs a member whose stream has nothing to do: the exchange, the push
// into the stream's inbox, the stream's mark that it wants a turn, and its part of a batch for the run queue. What the
// streams then do is not in it, see BenchmarkDelivery. The reference is the same exchange as above and nothing more, so the
// ratio is what the rest adds; the cache lines of both were last written by the runner.
func BenchmarkRouteToIdle(b *testing.B) {
	for _, n := range fanOutMembers {
		b.Run(fmt.Sprint("members=", n), func(b *testing.B) {
			r := newBusy(b)
			g := r.group(n)
			r.meanwhile = g.clear
			rounds := max(1, 100_000/g.each)
			var p measure.Pairs
			p.Loop(b, func() time.Duration {
				var took time.Duration
				for range rounds {
					g.pass()
					took += measure.Time(g.tell)
					r.let()
				}
				return took
			}, func() time.Duration {
				var took time.Duration
				for range rounds {
					took += measure.Time(func() {
						if told := g.exchange(); told != g.each {
							b.Fatalf("%d of %d were told", told, g.each)
						}
					})
					r.let()
				}
				return took
			})
			p.Report(b, rounds*g.each, "member")
			g.pass()
			g.reportAllocs(b, g.tell)
			r.let()
			for _, c := range g.conns {
				if want := rounds*b.N + 1; c.sent != want {
					b.Fatalf("%d events were sent, want %d", c.sent, want)
				}
			}
		})
	}
}
