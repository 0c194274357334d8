package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/chatstream/chatstream/store"
)

func account(n int, name string) store.Account {
	return store.Account{ID: Account(n), Name: name, Display: "The " + name, Credential: []byte("credential of " + name), Created: int64(n) + 1}
}

func testAccounts(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	a, b := account(0, "alice"), account(1, "Ålice, with a long name")
	b.Standing = store.AccountBanned
	for _, x := range []store.Account{a, b} {
		if err := s.CreateAccount(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []store.Account{a, b} {
		if got, err := s.Account(ctx, want.ID); err != nil || !sameAccount(got, want) {
			t.Errorf("by id: got %+v, %v; want %+v", got, err, want)
		}
		if got, err := s.AccountByName(ctx, want.Name); err != nil || !sameAccount(got, want) {
			t.Errorf("by name: got %+v, %v; want %+v", got, err, want)
		}
	}
	for _, id := range []string{"", Account(2), Account(0)[:23]} {
		if got, err := s.Account(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("account %q: got %+v, %v; want %v", id, got, err, store.ErrNotFound)
		}
	}
	for _, name := range []string{"", "Alice", "alic", "alice "} {
		if got, err := s.AccountByName(ctx, name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("account of %q: got %+v, %v; want %v", name, got, err, store.ErrNotFound)
		}
	}
	// An id that exists is not replaced.
	if err := s.CreateAccount(ctx, account(0, "mallory")); err == nil {
		t.Error("the same id again: no error")
	}
	if got, err := s.Account(ctx, a.ID); err != nil || !sameAccount(got, a) {
		t.Errorf("got %+v, %v; want %+v", got, err, a)
	}
	if got, err := s.AccountByName(ctx, "mallory"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %+v, %v; want %v", got, err, store.ErrNotFound)
	}
}

func testAccountNames(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	const names, callers = 10, 6
	var made [names][callers]error
	start := make(chan struct{})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			<-start
			for n := range names {
				made[n][c] = s.CreateAccount(ctx, account(n*callers+c, fmt.Sprint("name ", n)))
			}
		})
	}
	close(start)
	wg.Wait()
	for n := range names {
		got, err := s.AccountByName(ctx, fmt.Sprint("name ", n))
		if err != nil {
			t.Fatal(err)
		}
		for c, err := range made[n] {
			id := Account(n*callers + c)
			_, missing := s.Account(ctx, id)
			switch {
			case err == nil && (got.ID != id || missing != nil):
				t.Errorf("name %d: %s was told to have it, %s has (%v)", n, id, got.ID, missing)
			case err != nil && !errors.Is(err, store.ErrNameTaken):
				t.Errorf("name %d: got %v, want %v", n, err, store.ErrNameTaken)
			case err != nil && !errors.Is(missing, store.ErrNotFound):
				t.Errorf("name %d: %s was refused but exists (%v)", n, id, missing)
			}
		}
	}
}

func testSessions(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	a := account(0, "alice")
	if err := s.CreateAccount(ctx, a); err != nil {
		t.Fatal(err)
	}
	set := func(session store.Session) {
		t.Helper()
		err := s.UpdateSession(ctx, a.ID, func(got store.Account) (store.Session, error) {
			if !sameAccount(got, a) {
				t.Errorf("shown %+v, want %+v", got, a)
			}
			return session, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a.Session = session
		if got, err := s.Account(ctx, a.ID); err != nil || !sameAccount(got, a) {
			t.Errorf("got %+v, %v; want %+v", got, err, a)
		}
		if got, err := s.AccountByName(ctx, a.Name); err != nil || !sameAccount(got, a) {
			t.Errorf("by name: got %+v, %v; want %+v", got, err, a)
		}
	}
	set(store.Session{Installation: "phone", TokenHash: [32]byte{31: 7}, Nonce: []byte{0, 1}, Expires: 1 << 42})
	set(store.Session{Installation: "tablet", TokenHash: [32]byte{9}, Expires: -1})
	set(store.Session{})
	set(store.Session{Nonce: []byte("only this")})

	refused := errors.New("no")
	err := s.UpdateSession(ctx, a.ID, func(store.Account) (store.Session, error) {
		return store.Session{Installation: "never"}, refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got %v, want %v", err, refused)
	}
	if err := s.UpdateSession(ctx, a.ID, func(store.Account) (store.Session, error) { panic("a bug") }); err == nil {
		t.Error("a panic is no error")
	}
	if got, err := s.Account(ctx, a.ID); err != nil || !sameAccount(got, a) {
		t.Errorf("after refusals: got %+v, %v; want %+v", got, err, a)
	}
	err = s.UpdateSession(ctx, Account(5), func(store.Account) (store.Session, error) { return store.Session{}, nil })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want %v", err, store.ErrNotFound)
	}
}

func testSessionsConcurrently(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	if err := s.CreateAccount(ctx, account(0, "alice")); err != nil {
		t.Fatal(err)
	}
	const callers, each = 8, 25
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				err := s.UpdateSession(ctx, Account(0), func(a store.Account) (store.Session, error) {
					return store.Session{Expires: a.Session.Expires + 1}, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := s.Account(ctx, Account(0)); err != nil || got.Session.Expires != callers*each {
		t.Errorf("%d updates are left of %d (%v)", got.Session.Expires, callers*each, err)
	}
}
