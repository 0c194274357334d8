package accounts

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/store"
)

func (f *fixture) tryCreate(ctx context.Context, name, password string) error {
	_, err := f.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: name, Password: password})
	return err
}

func TestCreateAccount(t *testing.T) {
	f := start(t)
	a, b := f.create("Ann"), f.create("Bob")
	if !room.ValidOID(a) || strings.ToLower(a) != a || a == b {
		t.Errorf("ids %q and %q", a, b)
	}
	stored, err := f.store.Account(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Created != f.clock.now().UnixMilli() || stored.Standing != store.Active || !loggedOut(stored.Session) {
		t.Errorf("%+v", stored)
	}
	for _, name := range []string{"Ann", "ANN", "ａｎｎ"} {
		wantError(t, f.tryCreate(t.Context(), name, right), codes.AlreadyExists, "name", "another")
	}
}

func TestCreateRefusesMalformedRequests(t *testing.T) {
	f := start(t)
	for _, c := range []struct{ name, password, field string }{
		{"", right, "name"},
		{" Ann", right, "name"},
		{"Ann", "1234567", "password"},
		{"Ann", strings.Repeat("é", 512), "password"},
		{"Ann", "not UTF-8 \xff", "password"},
	} {
		err := f.tryCreate(t.Context(), c.name, c.password)
		wantError(t, err, codes.InvalidArgument, c.field)
		if strings.Contains(fmt.Sprint(err), c.password) {
			t.Errorf("%v shows the password", err)
		}
	}
	for i, password := range []string{"12345678", strings.Repeat("p", 1023)} {
		if err := f.tryCreate(t.Context(), fmt.Sprint("Ann", i), password); err != nil {
			t.Error(err)
		}
	}
}

// Of many who want one name at once, one gets it.
func TestCreateAtOnce(t *testing.T) {
	f := start(t)
	var made atomic.Int32
	together(20, func(i int) {
		err := f.tryCreate(t.Context(), []string{"Ann", "ann", "ANN", "aNN"}[i%4], right)
		switch status.Code(err) {
		case codes.OK:
			made.Add(1)
		case codes.AlreadyExists:
		default:
			t.Error(err)
		}
	})
	if made.Load() != 1 {
		t.Errorf("%d accounts", made.Load())
	}
}

// Asking for names that are taken tells who has an account, and is bounded by
// address. Accounts that are made cost nothing.
func TestTakenNamesAreBounded(t *testing.T) {
	f := start(t)
	asker, other := from(t, "192.0.2.1:1"), from(t, "192.0.2.2:1")
	for i := range takenBurst + 50 {
		if err := f.tryCreate(asker, fmt.Sprint("name ", i), right); err != nil {
			t.Fatal(err)
		}
	}
	for range takenBurst {
		wantError(t, f.tryCreate(asker, "name 1", right), codes.AlreadyExists)
	}
	err := f.tryCreate(asker, "name 1", right)
	wantError(t, err, codes.ResourceExhausted, "try again in 3s")
	if got := retryIn(t, err); got != takenEvery {
		t.Errorf("retry in %v, want %v", got, takenEvery)
	}
	wantError(t, f.tryCreate(asker, "a free name", right), codes.ResourceExhausted) // or it would tell
	wantError(t, f.tryCreate(other, "name 1", right), codes.AlreadyExists)

	f.clock.add(takenEvery)
	wantError(t, f.tryCreate(asker, "name 1", right), codes.AlreadyExists)
	wantError(t, f.tryCreate(asker, "name 1", right), codes.ResourceExhausted)

	// Logins are another matter.
	if _, err := f.tryLogin(asker, "name 1", right, phone); err != nil {
		t.Error(err)
	}
}

// Requests at once may overdraw, and pay for it.
func TestTakenNamesAtOnceAreCounted(t *testing.T) {
	f := start(t)
	f.create("Ann")
	const over = 10
	var inside atomic.Int32
	all := make(chan struct{})
	f.store.byName = func() error { // all have passed the check before the first is counted
		if inside.Add(1) == takenBurst+over {
			close(all)
		}
		<-all
		return nil
	}
	together(takenBurst+over, func(int) { wantError(t, f.tryCreate(t.Context(), "Ann", right), codes.AlreadyExists) })
	f.store.byName = nil
	if got := retryIn(t, f.tryCreate(t.Context(), "Ann", right)); got != (over+1)*takenEvery {
		t.Errorf("retry in %v, want %v", got, (over+1)*takenEvery)
	}
}

// A name that is taken between the question and the creation counts too.
func TestNameTakenMeanwhile(t *testing.T) {
	f := start(t)
	f.store.create = func() error { return fmt.Errorf("wrapped: %w", store.ErrNameTaken) }
	for i := range takenBurst {
		wantError(t, f.tryCreate(t.Context(), fmt.Sprint("name ", i), right), codes.AlreadyExists)
	}
	wantError(t, f.tryCreate(t.Context(), "name", right), codes.ResourceExhausted)
}

func TestCreateWithAStoreThatFails(t *testing.T) {
	f := start(t)
	f.store.byName = func() error { return store.ErrUnavailable }
	wantError(t, f.tryCreate(t.Context(), "Ann", right), codes.Unavailable, "try again")
	f.store.byName, f.store.create = nil, func() error { return errDisk }
	wantError(t, f.tryCreate(t.Context(), "Ann", right), codes.Unavailable, "may have been created")
	ctx, cancel := context.WithCancel(t.Context())
	f.store.create = func() error { cancel(); return ctx.Err() }
	wantError(t, f.tryCreate(ctx, "Ann", right), codes.Canceled)
	f.store.create = nil
	f.create("Ann")
}
