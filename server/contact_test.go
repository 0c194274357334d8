package server

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/store"
)

// reticent is a store that says only when it was heard of, and of whom.
type reticent struct {
	store.Shared
	mu     sync.Mutex
	heard  time.Time
	others []string
}

func (s *reticent) Heard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

func (s *reticent) Servers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.others
}

func (s *reticent) knows(others ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others = others
}

func (s *reticent) hears() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
}

func TestContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &reticent{heard: time.Now(), others: []string{"b.example:443"}}
		var mu sync.Mutex // guards told and sent
		var told []bool
		sent := 0
		c := &contact{
			store: st, patience: 15 * time.Second, log: slog.New(slog.DiscardHandler),
			ready: func(is bool) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, is)
			},
			sendAway: func(context.Context) {
				mu.Lock()
				defer mu.Unlock()
				sent++
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var keeper sync.WaitGroup
		keeper.Go(func() { c.keep(ctx) })
		defer keeper.Wait()
		defer cancel()
		pass := func(d time.Duration) {
			mu.Lock()
			told, sent = nil, 0
			mu.Unlock()
			time.Sleep(d)
			synctest.Wait()
		}
		want := func(ready, lost bool) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			last := len(told) > 0 && told[len(told)-1]
			if last != ready || c.isCut() == ready || c.lost() != lost || (sent > 0) != lost {
				t.Errorf("ready: %t, cut off: %t, lost: %t, %d times sent away, want ready: %t, lost: %t", last, c.isCut(), c.lost(), sent, ready, lost)
			}
		}

		pass(contactEvery + 1)
		want(true, false)
		st.hears()
		pass(c.patience + contactEvery - 2)
		want(true, false)
		st.hears() // as after a pause
		pass(c.patience + contactEvery - 2)
		want(true, false) // it was late twice, but not in a row
		pass(contactEvery)
		want(false, true)
		pass(contactEvery)
		want(false, true) // those who came meanwhile
		st.knows()
		pass(contactEvery)
		want(false, false) // there is nowhere to go
		st.knows("c.example:443")
		pass(contactEvery)
		want(false, true)
		st.hears()
		pass(contactEvery)
		want(true, false)
	})
}

func TestNoContactIsNotCutOff(t *testing.T) {
	if c := (*contact)(nil); c.isCut() || c.lost() {
		t.Error("a server that shares nothing is cut off")
	}
}
