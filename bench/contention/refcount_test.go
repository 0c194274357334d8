package contention

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chatstream/chatstream/atomics"
)

// counted is what RefCount is for: to be inside while something is open, and to know who was the last to leave.
type counted interface {
	enter() bool
	leave() (last bool)
	close() (drained bool)
}

type oneWord struct{ atomics.RefCount }

func (c *oneWord) enter() bool { return c.Acquire() }
func (c *oneWord) leave() bool { return c.Release() }
func (c *oneWord) close() bool { _, drained := c.Close(); return drained }

// withMutex is the same with a mutex, a number and a flag.
type withMutex struct {
	mu     sync.Mutex
	n      int
	closed bool
}

func (c *withMutex) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.n++
	return true
}

func (c *withMutex) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	return c.closed && c.n == 0
}

func (c *withMutex) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.n == 0
}

// withReaders is an RWMutex whose readers are those inside, as net/http's and others' closers are written. Its close waits.
type withReaders struct {
	mu     sync.RWMutex
	closed bool
}

func (c *withReaders) enter() bool {
	c.mu.RLock()
	if c.closed {
		c.mu.RUnlock()
		return false
	}
	return true
}

func (c *withReaders) leave() bool { c.mu.RUnlock(); return false }

func (c *withReaders) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return true
}

// withGroup is a flag beside a sync.WaitGroup, which is what many write. It is wrong where it matters: between the look at
// the flag and the Add somebody may close, and Wait may have returned. It is here for its cost.
type withGroup struct {
	closed atomic.Bool
	group  sync.WaitGroup
}

func (c *withGroup) enter() bool {
	if c.closed.Load() {
		return false
	}
	c.group.Add(1)
	return true
}

func (c *withGroup) leave() bool { c.group.Done(); return false }
func (c *withGroup) close() bool { c.closed.Store(true); c.group.Wait(); return true }

// BenchmarkRefCount shows what it costs to enter one object and to leave it, by how many goroutines do so at once: RefCount
// is to be cheaper than a mutex and a number, and no dearer than the WaitGroup, which does not keep the promise.
func BenchmarkRefCount(b *testing.B) {
	for _, goroutines := range []int{1, 2, 8, 64} {
		for _, c := range []struct {
			name string
			make func() counted
		}{
			{"RefCount", func() counted { return new(oneWord) }},
			{"Mutex", func() counted { return new(withMutex) }},
			{"RWMutex", func() counted { return new(withReaders) }},
			{"WaitGroup", func() counted { return new(withGroup) }},
		} {
			b.Run(fmt.Sprintf("goroutines=%d/%s", goroutines, c.name), func(b *testing.B) {
				b.ReportAllocs()
				x := c.make()
				var refused, ended atomic.Int64
				each := b.N/goroutines + 1
				b.ResetTimer()
				together(goroutines, func(int) {
					for range each {
						if !x.enter() {
							refused.Add(1)
						} else if x.leave() {
							ended.Add(1)
						}
					}
				})
				b.StopTimer()
				if refused.Load() != 0 || ended.Load() != 0 || !x.close() || x.enter() {
					b.Errorf("%d refused, %d times at its end while it was open; or it does not close", refused.Load(), ended.Load())
				}
			})
		}
	}
}
