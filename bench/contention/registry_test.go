package contention

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/puzpuzpuz/xsync/v3"
)

// stream stands for what the registry holds: the newer generation wins.
type stream struct{ generation uint64 }

// registry is what the engine asks of the map behind its Registry.
type registry interface {
	load(account string) *stream
	// replace puts s there unless a newer one is, and returns which one is there afterwards.
	replace(account string, s *stream) *stream
	// leave takes s out if it is there.
	leave(account string, s *stream)
	size() int
}

type ofXsync struct{ m *xsync.MapOf[string, *stream] }

func (r ofXsync) load(account string) *stream { s, _ := r.m.Load(account); return s }

func (r ofXsync) replace(account string, s *stream) *stream {
	now, _ := r.m.Compute(account, func(old *stream, loaded bool) (*stream, bool) {
		if loaded && old.generation >= s.generation {
			return old, false
		}
		return s, false
	})
	return now
}

func (r ofXsync) leave(account string, s *stream) {
	r.m.Compute(account, func(old *stream, loaded bool) (*stream, bool) { return old, !loaded || old == s })
}

func (r ofXsync) size() int { return r.m.Size() }

// ofSync has no update in one step, so it compares and swaps until it is through.
type ofSync struct{ m sync.Map }

func (r *ofSync) load(account string) *stream {
	s, ok := r.m.Load(account)
	if !ok {
		return nil
	}
	return s.(*stream)
}

func (r *ofSync) replace(account string, s *stream) *stream {
	for {
		old, loaded := r.m.LoadOrStore(account, s)
		switch {
		case !loaded:
			return s
		case old.(*stream).generation >= s.generation:
			return old.(*stream)
		case r.m.CompareAndSwap(account, old, s):
			return s
		}
	}
}

func (r *ofSync) leave(account string, s *stream) { r.m.CompareAndDelete(account, s) }

func (r *ofSync) size() (n int) {
	r.m.Range(func(any, any) bool { n++; return true })
	return n
}

type ofMutex struct {
	mu sync.RWMutex
	m  map[string]*stream
}

func (r *ofMutex) load(account string) *stream {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.m[account]
}

func (r *ofMutex) replace(account string, s *stream) *stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.m[account]; old != nil && old.generation >= s.generation {
		return old
	}
	r.m[account] = s
	return s
}

func (r *ofMutex) leave(account string, s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m[account] == s {
		delete(r.m, account)
	}
}

func (r *ofMutex) size() int { return len(r.m) }

// BenchmarkRegistryMap shows what the registry's map costs: 10 000 accounts, of which each goroutine looks up nine in ten
// times; the tenth is a stream that replaces another or leaves and comes again. The update in one step is what the registry
// needs (generation, and who is told to end, inside of it): sync.Map has none, and must try again where it is disturbed.
func BenchmarkRegistryMap(b *testing.B) {
	const accounts = 10_000
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprintf("%024x", i+1)
	}
	for _, goroutines := range []int{1, 2, 8, 64} {
		for _, r := range []struct {
			name string
			make func() registry
		}{
			{"MapOf", func() registry { return ofXsync{xsync.NewMapOf[string, *stream]()} }},
			{"sync.Map", func() registry { return new(ofSync) }},
			{"RWMutex", func() registry { return &ofMutex{m: map[string]*stream{}} }},
		} {
			b.Run(fmt.Sprintf("goroutines=%d/%s", goroutines, r.name), func(b *testing.B) {
				b.ReportAllocs()
				m := r.make()
				var generations atomic.Uint64
				for _, name := range names {
					m.replace(name, &stream{generations.Add(1)})
				}
				each := b.N/goroutines + 1
				b.ResetTimer()
				together(goroutines, func(g int) {
					at := uint64(g)*0x9e3779b97f4a7c15 + 1
					for n := range each {
						at = at*6364136223846793005 + 1442695040888963407 // an account at random
						name := names[at>>33%accounts]
						switch n % 20 {
						case 0:
							s := &stream{generations.Add(1)}
							if now := m.replace(name, s); now.generation < s.generation {
								b.Errorf("generation %d is there in place of %d", now.generation, s.generation)
							}
						case 10:
							if s := m.load(name); s != nil {
								m.leave(name, s)
							}
							m.replace(name, &stream{generations.Add(1)})
						default:
							m.load(name)
						}
					}
				})
				b.StopTimer()
				if n := m.size(); n > accounts || n < accounts-goroutines {
					b.Errorf("%d accounts are in the map", n)
				}
			})
		}
	}
}
