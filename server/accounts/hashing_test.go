package accounts

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

// occupied runs f while all of h's places to hash are taken.
func occupied(t *testing.T, h *hashing, f func()) {
	t.Helper()
	for range cap(h.running) {
		h.present <- struct{}{}
		h.running <- struct{}{}
	}
	f()
	for range cap(h.running) {
		<-h.running
		<-h.present
	}
}

func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const atOnce, waiting = 3, 5
		h := newHashing(atOnce, waiting)
		var running, done, refused atomic.Int32
		finish := make(chan struct{})
		for range atOnce + waiting + 4 {
			go func() {
				err := h.do(t.Context(), func() {
					running.Add(1)
					<-finish
					running.Add(-1)
				})
				if errors.Is(err, errHashingBusy) {
					refused.Add(1)
				} else if err == nil {
					done.Add(1)
				} else {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if running.Load() != atOnce || refused.Load() != 4 {
			t.Errorf("%d run, %d were refused", running.Load(), refused.Load())
		}
		finish <- struct{}{} // one place becomes free, and one that waited gets it
		synctest.Wait()
		if running.Load() != atOnce || done.Load() != 1 {
			t.Errorf("%d run, %d are done", running.Load(), done.Load())
		}
		close(finish)
		synctest.Wait()
		if running.Load() != 0 || done.Load() != atOnce+waiting || len(h.present) != 0 || len(h.running) != 0 {
			t.Errorf("%d run, %d are done, %d and %d left", running.Load(), done.Load(), len(h.present), len(h.running))
		}
	})
}

func TestHashingIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHashing(1, 10)
		var served []int
		finish := make(chan struct{})
		for i := range 8 {
			go func() {
				err := h.do(t.Context(), func() {
					<-finish
					served = append(served, i) // one at a time
				})
				if err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		close(finish)
		synctest.Wait()
		if !slices.IsSorted(served) || len(served) != 8 {
			t.Errorf("served %v", served)
		}
	})
}

// Who no longer waits is not counted among those who do.
func TestHashingHonoursTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHashing(1, 1)
		occupied(t, h, func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for range 3 {
				err := h.do(ctx, func() { t.Error("called") })
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // with a place that is free
			if err := h.do(ctx, func() { t.Error("called") }); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if len(h.present) != 0 || len(h.running) != 0 {
			t.Errorf("%d and %d left", len(h.present), len(h.running))
		}
	})
}

// A panic gives the place back; an interceptor makes it INTERNAL.
func TestHashingPanics(t *testing.T) {
	h := newHashing(1, 1)
	func() {
		defer func() { _ = recover() }()
		_ = h.do(t.Context(), func() { panic("no memory") })
	}()
	if err := h.do(t.Context(), func() {}); err != nil || len(h.present) != 0 || len(h.running) != 0 {
		t.Errorf("%v, %d and %d left", err, len(h.present), len(h.running))
	}
}

// Everything that hashes is behind the bound: with all places taken and nobody
// allowed to wait any more it is refused, with a hint.
func TestLoginAndCreateAreBounded(t *testing.T) {
	f := start(t, func(c *Config) { c.Hashes, c.HashesWaiting = 2, 1 })
	f.create("Ann")
	calls := map[string]func(ctx context.Context) error{
		"login":                   func(ctx context.Context) error { _, err := f.tryLogin(ctx, "Ann", right, phone); return err },
		"login of an unknown one": func(ctx context.Context) error { _, err := f.tryLogin(ctx, "Bob", right, phone); return err },
		"creation":                func(ctx context.Context) error { return f.tryCreate(ctx, "Eve", right) },
	}
	occupied(t, f.hashing, func() {
		// Waiting ends with the request.
		for what, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := call(ctx); err == nil {
				t.Errorf("%s: no error", what)
			} else {
				wantError(t, err, codes.DeadlineExceeded)
			}
			cancel()
		}
		f.hashing.present <- struct{}{}
		for range nameBurst + 1 { // being refused is no guess
			for what, call := range calls {
				err := call(t.Context())
				if err == nil {
					t.Errorf("%s: no error", what)
					continue
				}
				wantError(t, err, codes.ResourceExhausted, "busy", "try again in 1s")
				if got := retryIn(t, err); got != time.Second {
					t.Errorf("%s: retry in %v", what, got)
				}
			}
		}
		<-f.hashing.present
	})
	f.login("Ann", phone)
	if err := f.tryCreate(t.Context(), "Eve", right); err != nil {
		t.Error(err)
	}
}
