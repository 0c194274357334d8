package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

// soon bounds what comes at once.
const soon = 20 * time.Second

// pair is two stores on one database, as of two servers.
func pair(t *testing.T) (a, b *Store) {
	cfg := inTest(t)
	return closing(t, open(t, cfg)), closing(t, open(t, cfg))
}

// watchedOf collects what Watch of s shows from now on, until done says that it is enough.
func watchedOf(t *testing.T, s *Store, done func(store.Batch) bool) (wait func() store.Batch) {
	t.Helper()
	pos, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	var all store.Batch
	var watching sync.WaitGroup
	watching.Go(func() {
		defer cancel()
		for batch, err := range s.Watch(ctx, pos) {
			if err != nil {
				t.Errorf("watch: %v", err)
				return
			}
			all.Events = append(all.Events, batch.Events...)
			all.Claims = append(all.Claims, batch.Claims...)
			all.Sessions = append(all.Sessions, batch.Sessions...)
			if done(all) {
				return
			}
		}
		t.Errorf("watched in vain; seen %+v", all)
	})
	return func() store.Batch {
		watching.Wait()
		return all
	}
}

func TestEachClaimIsAboveAllBefore(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	const account, each = "000000000000000000000001", 20
	var mu sync.Mutex
	var taken []uint64
	var claiming sync.WaitGroup
	for i, s := range []*Store{a, b, a, b} {
		claiming.Go(func() {
			before := uint64(0)
			for range each {
				c, err := s.Claim(t.Context(), account, fmt.Sprint("device", i))
				if err != nil {
					t.Error(err)
					return
				}
				if c.Generation <= before || c.Account != account || c.Installation != fmt.Sprint("device", i) {
					t.Errorf("claimed %+v after %d", c, before)
				}
				before = c.Generation
				mu.Lock()
				taken = append(taken, c.Generation)
				mu.Unlock()
			}
		})
	}
	claiming.Wait()
	slices.Sort(taken)
	if len(slices.Compact(taken)) != 4*each {
		t.Errorf("%d claims have %d generations", 4*each, len(slices.Compact(taken)))
	}
	for _, s := range []*Store{a, b} {
		claims, err := s.Claims(t.Context(), []string{account, "000000000000000000000002"})
		if err != nil || len(claims) != 1 || claims[0].Generation != taken[len(taken)-1] || claims[0].Account != account {
			t.Errorf("the newest is %+v, %v, want generation %d", claims, err, taken[len(taken)-1])
		}
	}
}

// Also the first one, which makes the document, and one by the same installation.
func TestClaimsAreShownOnEveryServer(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	const account = "000000000000000000000001"
	three := func(got store.Batch) bool { return len(got.Claims) == 3 }
	onA, onB := watchedOf(t, a, three), watchedOf(t, b, three)
	var want []store.Claim
	for _, installation := range []string{"phone", "phone", "tablet/$x"} {
		c, err := a.Claim(t.Context(), account, installation)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, c)
	}
	for _, got := range []store.Batch{onA(), onB()} {
		if !slices.Equal(got.Claims, want) {
			t.Errorf("shown %+v, claimed %+v", got.Claims, want)
		}
	}
}

func TestChangedSessionsAreShownOnEveryServer(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	account := store.Account{ID: "000000000000000000000001", Name: "ada"}
	if err := a.CreateAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	one := func(got store.Batch) bool { return len(got.Sessions) > 0 }
	onA, onB := watchedOf(t, a, one), watchedOf(t, b, one)
	err := b.UpdateSession(t.Context(), account.ID, func(store.Account) (store.Session, error) {
		return store.Session{Installation: "phone"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []store.Batch{onA(), onB()} {
		if got.Sessions[0] != account.ID {
			t.Errorf("shown %q", got.Sessions)
		}
	}
}

func TestServersAreNamedWhileTheyLive(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	others := func(s *Store) []string {
		t.Helper()
		if err := s.renewLease(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.Servers()
	}
	if got := others(a); len(got) != 0 {
		t.Errorf("before anybody was announced: %q", got)
	}
	if err := a.Announce(t.Context(), "a.example:443"); err != nil {
		t.Fatal(err)
	}
	if err := b.Announce(t.Context(), "$b.example:443"); err != nil {
		t.Fatal(err)
	}
	if err := b.Announce(t.Context(), "elsewhere:1"); err == nil {
		t.Error("announced twice")
	}
	if got := others(a); !slices.Equal(got, []string{"$b.example:443"}) {
		t.Errorf("a knows %q", got)
	}
	if got := others(b); !slices.Equal(got, []string{"a.example:443"}) {
		t.Errorf("b knows %q", got)
	}
	// The process of a is dead for a while.
	_, err := a.leases.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: a.serverID()}},
		bson.A{bson.D{{Key: "$set", Value: bson.D{{Key: "t", Value: bson.D{{Key: "$subtract", Value: bson.A{"$$NOW", lease.Milliseconds() + 1}}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := others(b); len(got) != 0 {
		t.Errorf("b knows %q, which is dead", got)
	}
	others(a) // it was only slow
	if got := others(b); len(got) != 1 {
		t.Errorf("b knows %q", got)
	}
	if err := a.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	others(a)
	if got := others(b); len(got) != 0 {
		t.Errorf("b knows %q, which has been withdrawn", got)
	}
}

// Who writes, but has heard nothing for as long as a lease, is not named.
func TestServerThatHearsNothingIsNotNamed(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ctx := bounded(t)
	if err := a.Announce(ctx, "a.example:443"); err != nil {
		t.Fatal(err)
	}
	if err := a.CreateAccount(ctx, store.Account{ID: ada, Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	named := func() bool {
		t.Helper()
		for _, s := range []*Store{a, b} {
			if err := s.renewLease(ctx); err != nil {
				t.Fatal(err)
			}
		}
		return len(b.Servers()) > 0
	}
	func() {
		a.mu.Lock() // its feed stands still as soon as there is something to show
		defer a.mu.Unlock()
		before := a.recent.moment()
		err := b.UpdateSession(ctx, ada, func(store.Account) (store.Session, error) { return store.Session{Installation: "phone"}, nil })
		if err != nil {
			t.Fatal(err)
		}
		for a.recent.moment() == before {
			if time.Sleep(5 * time.Millisecond); ctx.Err() != nil {
				t.Fatal("the feed does not come to what it cannot show")
			}
		}
		heard := time.Now().Add(-lease)
		a.feed.heard.Store(&heard)
		if !named() {
			t.Error("its lease has not lapsed yet")
		}
		_, err = a.leases.UpdateOne(ctx, bson.D{{Key: "_id", Value: a.serverID()}},
			bson.A{bson.D{{Key: "$set", Value: bson.D{{Key: "t", Value: bson.D{{Key: "$subtract", Value: bson.A{"$$NOW", lease.Milliseconds() + 1}}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if named() {
			t.Error("it has renewed its lease, and hears nothing")
		}
	}()
	hears(t, a, time.Now())
	if !named() {
		t.Error("it hears again, and is not named")
	}
}

// Who would tell the database of a server does not wait for longer than it may.
func TestTellingOfAServerHeedsTheContext(t *testing.T) {
	t.Parallel()
	s := closing(t, open(t, inTest(t)))
	done, err := s.servers.turn(bounded(t)) // somebody is at it
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(soon, done)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tell := range map[string]func() error{
		"announce": func() error { return s.Announce(ctx, "a.example:443") },
		"withdraw": func() error { return s.Withdraw(ctx) },
	} {
		if err := tell(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if !late.Stop() {
		t.Fatal("they have waited for their turn")
	}
	done()
	if err := s.Withdraw(bounded(t)); err != nil {
		t.Error(err)
	}
}

// A lease that is being renewed when the server withdraws does not come back.
func TestWithdrawnLeaseIsNotRenewed(t *testing.T) {
	t.Parallel()
	set := own(t, mongotest.Options{})
	cfg := Config{URI: set.URI(), Database: mongotest.Database(), Logger: quiet}
	s := closing(t, open(t, cfg))
	ctx := bounded(t)
	if err := s.Announce(ctx, "a.example:443"); err != nil {
		t.Fatal(err)
	}
	admin := database(t, cfg).Client().Database("admin")
	done, err := s.servers.turn(ctx) // so that none that is under way is taken for the one that is held up
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.RunCommand(ctx, bson.D{
		{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: "alwaysOn"},
		{Key: "data", Value: bson.D{
			{Key: "failCommands", Value: bson.A{"update"}}, {Key: "blockConnection", Value: true}, {Key: "blockTimeMS", Value: 1000},
		}},
	}).Err(); err != nil {
		t.Fatal(err)
	}
	done()
	var renewing sync.WaitGroup
	renewing.Go(func() {
		if err := s.renewLease(ctx); err != nil {
			t.Error(err)
		}
	})
	for seen := []bson.M(nil); len(seen) == 0; { // the update has been sent, and is held up
		found, err := admin.Aggregate(ctx, driver.Pipeline{
			{{Key: "$currentOp", Value: bson.D{}}}, {{Key: "$match", Value: bson.D{{Key: "command.update", Value: serversName}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := found.All(ctx, &seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Withdraw(ctx); err != nil {
		t.Fatal(err)
	}
	renewing.Wait()
	if n, err := s.leases.CountDocuments(ctx, bson.D{}); err != nil || n != 0 {
		t.Errorf("%d leases are left, %v", n, err)
	}
}
