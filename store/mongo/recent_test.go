package mongo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatstream/chatstream/store"
)

const ada = "000000000000000000000001"

func TestRecentAccounts(t *testing.T) {
	tests := map[string]struct {
		between func(*recent) // after the read has begun, before it is kept
		behind  func(*recent)
		held    bool
	}{
		"nothing happened":             {held: true},
		"it changed while it was read": {between: func(r *recent) { r.forget(ada) }},
		"another changed in that time": {between: func(r *recent) { r.forget("000000000000000000000002") }},
		"no changed ones":              {between: func(r *recent) { r.forget() }, held: true},
		"the stream ended":             {between: func(r *recent) { r.follow(false) }},
		"the stream ended and began":   {between: func(r *recent) { r.follow(false); r.follow(true) }},
		"it has changed":               {behind: func(r *recent) { r.forget(ada) }},
		"another has changed":          {behind: func(r *recent) { r.forget("000000000000000000000002") }, held: true},
		"the stream has ended":         {behind: func(r *recent) { r.follow(false) }},
		"the stream has been replaced": {behind: func(r *recent) { r.follow(false); r.follow(true) }},
		"the stream lags a bit":        {behind: func(*recent) { time.Sleep(recentFor - 1) }, held: true},
		"the stream lags too much":     {behind: func(*recent) { time.Sleep(recentFor) }},
		"it was long ago": {behind: func(r *recent) {
			for range 20 {
				time.Sleep(recentFor / 2)
				r.reach(time.Now())
			}
		}, held: true},
		"the stream brings what is old": {behind: func(r *recent) {
			for range 20 {
				time.Sleep(recentFor / 20)
				r.reach(time.Now().Add(-recentFor))
			}
		}},
		"the stream says nothing of it": {behind: func(r *recent) { r.reach(time.Time{}) }, held: true},
		"others were read since":        {behind: func(r *recent) { r.keep(accountDocument{ID: "b"}, r.moment()) }, held: true},
		"too many were read since": {behind: func(r *recent) {
			r.keep(accountDocument{ID: "b"}, r.moment())
			r.keep(accountDocument{ID: "c"}, r.moment())
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecent(2)
				r.follow(true)
				r.reach(time.Now())
				moment := r.moment()
				if test.between != nil {
					test.between(r)
				}
				r.keep(accountDocument{ID: ada, Credential: []byte("secret"), Version: 7}, moment)
				if test.behind != nil {
					test.behind(r)
				}
				if d, held := r.get(ada); held != test.held || held && (d.Version != 7 || d.Credential != nil) {
					t.Errorf("held: %t (%+v), want %t", held, d, test.held)
				}
			})
		})
	}
}

// Before a stream has come anywhere nobody knows how far it lags.
func TestNoRecentAccountsBeforeTheStreamHasComeAnywhere(t *testing.T) {
	r := newRecent(1)
	r.follow(true)
	r.keep(accountDocument{ID: ada}, r.moment())
	if _, held := r.get(ada); held {
		t.Error("it is held")
	}
}

// What is held can be changed by nobody who was given it, and has no credential.
func TestRecentAccountIsTheCallers(t *testing.T) {
	t.Parallel()
	s := closing(t, open(t, inTest(t)))
	want := store.Account{ID: ada, Name: "ada", Credential: []byte("secret"), Session: store.Session{Nonce: []byte("nonce")}}
	if err := s.CreateAccount(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for again, held := 0, false; again < 3; _, held = s.recent.get(ada) {
		if held {
			again++
		}
		a, err := s.RecentAccount(ctx, ada)
		if err != nil || a.Credential != nil || string(a.Session.Nonce) != "nonce" {
			t.Fatalf("got %+v, %v; held: %t", a, err, held)
		}
		a.Session.Nonce[0] = 'x'
	}
	if a, err := s.Account(ctx, ada); err != nil || string(a.Credential) != "secret" {
		t.Errorf("the account is %+v, %v", a, err)
	}
}

// Readers that never pause: what they read is kept, or not, in every possible
// moment. Whoever has changed the session gets it back, and who is shown that it
// has changed on another server finds it changed.
func TestRecentAccountKnowsWhatWasShown(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if err := a.CreateAccount(t.Context(), store.Account{ID: ada, Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for _, s := range []*Store{a, b, b} {
		reading.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.RecentAccount(ctx, ada); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer reading.Wait()
	defer cancel()
	for i := range 30 {
		installation := fmt.Sprint("device ", i)
		wait := watchedOf(t, b, func(got store.Batch) bool { return slices.Contains(got.Sessions, ada) })
		err := a.UpdateSession(ctx, ada, func(store.Account) (store.Session, error) {
			return store.Session{Installation: installation}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.RecentAccount(ctx, ada); err != nil || got.Session.Installation != installation {
			t.Fatalf("who has set it to %q gets %q, %v", installation, got.Session.Installation, err)
		}
		wait()
		if got, err := b.RecentAccount(ctx, ada); err != nil || got.Session.Installation != installation {
			t.Fatalf("who was shown that it changed to %q gets %q, %v", installation, got.Session.Installation, err)
		}
	}
}

// Without a change stream nobody would say that it has changed.
func TestNoRecentAccountsWithoutAStream(t *testing.T) {
	t.Parallel()
	s := closing(t, open(t, inTest(t)))
	if err := s.CreateAccount(t.Context(), store.Account{ID: ada, Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for held := false; !held; _, held = s.recent.get(ada) {
		if _, err := s.RecentAccount(ctx, ada); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // also ends the stream
		t.Fatal(err)
	}
	if _, held := s.recent.get(ada); held {
		t.Error("it is held, and nobody watches over it")
	}
}
