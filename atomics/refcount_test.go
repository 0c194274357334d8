package atomics

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// Holders write plain data inside; the one that is told of the end reads all of it.
func TestRefCountReportsZeroExactlyOnce(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const actors, rounds = 4, 5_000
		for range rounds {
			var (
				r       RefCount
				written [actors]int
				entered atomic.Int64
				ends    atomic.Int64
				firsts  atomic.Int64
			)
			end := func() {
				ends.Add(1)
				sum := 0
				for _, n := range written {
					sum += n
				}
				if int64(sum) != entered.Load() {
					t.Errorf("the end was reported with %d of %d visits seen", sum, entered.Load())
				}
			}
			together(actors+2, func(i int) {
				if i >= actors { // two closers
					runtime.Gosched()
					first, drained := r.Close()
					if first {
						firsts.Add(1)
					}
					if drained && !first {
						t.Error("drained, but not first")
					}
					if drained {
						end()
					}
					if !r.Closed() || r.Acquire() {
						t.Error("open after Close")
					}
					return
				}
				for r.Acquire() {
					entered.Add(1)
					written[i]++
					if r.Release() {
						end()
					}
					runtime.Gosched()
				}
			})
			if ends.Load() != 1 || firsts.Load() != 1 || r.Count() != 0 {
				t.Fatalf("ends %d, first closers %d, count %d; want 1, 1, 0", ends.Load(), firsts.Load(), r.Count())
			}
		}
	})
}

func TestRefCountShowsTheReasonToWhoIsRefused(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 4_000 {
			var (
				r      RefCount
				reason string
			)
			together(3, func(i int) {
				switch i {
				case 0:
					reason = "over"
					r.Close()
				case 1:
					for r.Acquire() {
						r.Release()
						runtime.Gosched()
					}
					if reason != "over" {
						t.Error("refused, without the reason")
					}
				case 2:
					for !r.Closed() {
						runtime.Gosched()
					}
					if reason != "over" {
						t.Error("closed, without the reason")
					}
				}
			})
		}
	})
}

func TestRefCountReleaseWithoutAcquirePanicsAndChangesNothing(t *testing.T) {
	var r RefCount
	if !panicked(func() { r.Release() }) {
		t.Fatal("no panic")
	}
	if r.Count() != 0 || r.Closed() || !r.Acquire() || r.Count() != 1 {
		t.Fatal("the panic left a trace")
	}
	if first, drained := r.Close(); !first || drained {
		t.Fatalf("Close: first %v, drained %v", first, drained)
	}
	if !r.Release() {
		t.Fatal("the last Release did not report the end")
	}
	if !panicked(func() { r.Release() }) {
		t.Fatal("no panic after the end")
	}
	if first, drained := r.Close(); first || drained {
		t.Fatalf("second Close: first %v, drained %v", first, drained)
	}
}

// The sequential specification, written with two fields where the code has one.
type refCountState struct {
	closed bool
	count  int
}

type refCountResult struct{ a, b bool }

var refCountModel = porcupine.Model{
	Init: func() any { return refCountState{} },
	Step: func(state, input, output any) (bool, any) {
		s, got := state.(refCountState), output.(refCountResult)
		var want refCountResult
		switch input.(string) {
		case "acquire":
			want.a = !s.closed
			if want.a {
				s.count++
			}
		case "release":
			s.count--
			want.a = s.closed && s.count == 0
		case "close":
			want.a = !s.closed
			want.b = !s.closed && s.count == 0
			s.closed = true
		}
		return got == want, s
	},
}

// aRefCount is what a history of a RefCount needs of it.
type aRefCount interface {
	Acquire() bool
	Release() (last bool)
	Close() (first, drained bool)
}

func recordRefCount(h *history, r aRefCount) {
	together(historyClients, func(i int) {
		for n := range 6 {
			if i == 0 && n == 3 {
				h.record(i, "close", func() any {
					first, drained := r.Close()
					return refCountResult{first, drained}
				})
				continue
			}
			got := h.record(i, "acquire", func() any { return refCountResult{a: r.Acquire()} })
			if got.(refCountResult).a {
				h.record(i, "release", func() any { return refCountResult{a: r.Release()} })
			}
		}
	})
}

func TestRefCountIsLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 500 {
			var (
				r RefCount
				h history
			)
			recordRefCount(&h, &r)
			h.check(t, refCountModel)
		}
	})
}

// hastyRefCount does not compare when it enters.
type hastyRefCount struct{ RefCount }

func (r *hastyRefCount) Acquire() bool {
	if r.Closed() {
		return false
	}
	yield()
	r.word.Add(1)
	return true
}

// vagueRefCount looks who is in there after it has closed.
type vagueRefCount struct{ RefCount }

func (r *vagueRefCount) Close() (first, drained bool) {
	first, _ = r.RefCount.Close()
	yield()
	return first, r.Count() == 0
}

func TestWrongRefCountsAreNotLinearizable(t *testing.T) {
	for name, wrong := range map[string]func() aRefCount{
		"enters after Close":        func() aRefCount { return new(hastyRefCount) },
		"drained of a moment later": func() aRefCount { return new(vagueRefCount) },
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, refCountModel, func(h *history) { recordRefCount(h, wrong()) })
		})
	}
}
