package accounts

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

// addr is the i-th address.
func addr(i int) string { return fmt.Sprintf("10.0.%d.%d:1000", i/200, i%200) }

func TestGuessesPerName(t *testing.T) {
	f := start(t)
	f.create("Ann")
	f.create("Bob")
	// From many addresses, in several spellings: it is one name.
	for i := range nameBurst {
		_, err := f.tryLogin(from(t, addr(i)), []string{"Ann", "ANN", "ａnn"}[i%3], wrong, phone)
		wantError(t, err, codes.Unauthenticated)
	}
	_, err := f.tryLogin(from(t, addr(100)), "Ann", right, phone) // even if it is right
	wantError(t, err, codes.ResourceExhausted, "too many wrong guesses", "try again in 1m0s")
	if got := retryIn(t, err); got != nameEvery {
		t.Errorf("retry in %v, want %v", got, nameEvery)
	}
	if _, err := f.tryLogin(from(t, addr(0)), "Bob", right, phone); err != nil {
		t.Error(err)
	}

	f.clock.add(nameEvery - time.Second)
	_, err = f.tryLogin(from(t, addr(100)), "Ann", right, phone)
	wantError(t, err, codes.ResourceExhausted, "try again in 1s")
	f.clock.add(time.Second)
	f.login("Ann", phone)
	f.login("Ann", phone) // being right cost nothing
	_, err = f.tryLogin(from(t, addr(100)), "Ann", wrong, phone)
	wantError(t, err, codes.Unauthenticated)
	_, err = f.tryLogin(from(t, addr(100)), "Ann", wrong, phone)
	wantError(t, err, codes.ResourceExhausted)

	// All come back with time.
	f.clock.add(nameBurst * nameEvery)
	for range nameBurst {
		_, err = f.tryLogin(from(t, addr(100)), "Ann", wrong, phone)
		wantError(t, err, codes.Unauthenticated)
	}
}

func TestGuessesPerAddress(t *testing.T) {
	f := start(t)
	f.create("Ann")
	for i := range peerBurst {
		_, err := f.tryLogin(from(t, addr(1)), fmt.Sprint("name ", i), wrong, phone) // unknown names count
		wantError(t, err, codes.Unauthenticated)
	}
	_, err := f.tryLogin(from(t, addr(1)), "Ann", right, phone)
	wantError(t, err, codes.ResourceExhausted, "too many wrong guesses")
	if got := retryIn(t, err); got != peerEvery {
		t.Errorf("retry in %v, want %v", got, peerEvery)
	}
	if _, err := f.tryLogin(from(t, addr(2)), "Ann", right, phone); err != nil {
		t.Error(err)
	}
	f.clock.add(peerEvery)
	if _, err := f.tryLogin(from(t, addr(1)), "Ann", right, phone); err != nil {
		t.Error(err)
	}
}

func TestRightPasswordsCostNothing(t *testing.T) {
	f := start(t)
	f.create("Ann")
	for range 2 * peerBurst {
		f.login("Ann", phone)
	}
	if n := f.guesses.names.lru.Len() + f.guesses.peers.lru.Len(); n != 0 {
		t.Errorf("%d buckets are remembered for nothing", n)
	}
}

// A thousand users of one address at once, all of them right.
func TestCrowd(t *testing.T) {
	const users = 1000
	f := start(t, func(c *Config) { c.HashesWaiting = users })
	for i := range users {
		f.put(fmt.Sprint("user ", i), 0)
	}
	together(users, func(i int) {
		if _, err := f.tryLogin(from(t, addr(1)), fmt.Sprint("user ", i), right, phone); err != nil {
			t.Error(err)
		}
	})
}

// What a crowd holds while it is being tried must not use up its address.
func TestMoreTokensThanAreTriedAtOnce(t *testing.T) {
	const atOnce = 3 * peerBurst
	g := newGuesses(atOnce)
	now, from := time.UnixMilli(0), netip.MustParsePrefix("10.0.0.1/32")
	for i := range atOnce {
		if wait := g.take(now, fmt.Sprint(i), from); wait > 0 {
			t.Fatalf("%d is refused for %v", i, wait)
		}
	}
}

// Guesses in parallel must not pass all together because none of them is known
// to be wrong yet.
func TestGuessesAtOnce(t *testing.T) {
	const n = 5 * nameBurst
	f := start(t)
	f.create("Ann")
	var inside, tried atomic.Int32
	all := make(chan struct{})
	f.store.byName = func() error { // all are asked about before the first is tried
		if inside.Add(1) == n {
			close(all)
		}
		<-all
		return nil
	}
	together(n, func(i int) {
		_, err := f.tryLogin(from(t, addr(i)), "Ann", wrong, phone)
		switch status.Code(err) {
		case codes.Unauthenticated:
			tried.Add(1)
		case codes.ResourceExhausted:
		default:
			t.Error(err)
		}
	})
	if tried.Load() != nameBurst {
		t.Errorf("%d guesses were tried, want %d", tried.Load(), nameBurst)
	}
}

// Who has guessed too often does not even wait for hashing.
func TestRefusedBeforeHashing(t *testing.T) {
	f := start(t)
	f.create("Ann")
	for range nameBurst {
		_, _ = f.tryLogin(t.Context(), "Ann", wrong, phone)
	}
	occupied(t, f.hashing, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := f.tryLogin(ctx, "Ann", wrong, phone)
		wantError(t, err, codes.ResourceExhausted, "guesses")
	})
	// Nor is the store asked.
	f.store.byName = func() error { t.Error("the store was asked"); return nil }
	_, err := f.tryLogin(t.Context(), "Ann", wrong, phone)
	wantError(t, err, codes.ResourceExhausted, "guesses")
}

// What an address that is used up asks for pushes no bucket out.
func TestRefusedGuessesAreNotRemembered(t *testing.T) {
	g := newGuesses(1)
	now, from := time.UnixMilli(0), netip.MustParsePrefix("10.0.0.1/32")
	for i := range peerBurst {
		if wait := g.take(now, fmt.Sprint(i), from); wait > 0 {
			t.Fatal(wait)
		}
	}
	before := g.names.lru.Len()
	for i := range 100 {
		if wait := g.take(now, fmt.Sprint("other ", i), from); wait <= 0 {
			t.Fatal("not refused")
		}
	}
	if after := g.names.lru.Len(); after != before {
		t.Errorf("%d names, before %d", after, before)
	}
	// And a refusal for the name takes nothing from the address.
	g = newGuesses(1)
	for i := range nameBurst {
		g.take(now, "Ann", netip.MustParsePrefix(fmt.Sprintf("10.0.1.%d/32", i)))
	}
	for range 2 * peerBurst {
		if wait := g.take(now, "Ann", from); wait != nameEvery {
			t.Fatalf("wait %v", wait)
		}
	}
	if wait := g.take(now, "Bob", from); wait > 0 {
		t.Errorf("the address is refused for %v", wait)
	}
}

func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets[int](1, time.Second)
	for i := range maxBuckets + 10 {
		b.take(i, time.UnixMilli(0))
	}
	if b.lru.Len() != maxBuckets {
		t.Errorf("%d buckets, want %d", b.lru.Len(), maxBuckets)
	}
	b.give(0, time.UnixMilli(0)) // was pushed out
	if b.wait(0, time.UnixMilli(0)) > 0 {
		t.Error("a bucket that is forgotten is not full")
	}
}

// TestBucket compares with a model that adds up.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const burst, every = 5, 60 * time.Second
		b := newBuckets[string](burst, every)
		now := time.UnixMilli(1_700_000_000_000)
		credit := burst * every // in time
		t.Repeat(map[string]func(*rapid.T){
			"take": func(*rapid.T) { b.take("k", now); credit -= every },
			"give": func(*rapid.T) { b.give("k", now); credit = min(credit+every, burst*every) },
			"wait": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second
				now, credit = now.Add(d), min(credit+d, burst*every)
			},
			"": func(t *rapid.T) {
				if got, want := max(0, b.wait("k", now)), max(0, every-credit); (got - want).Abs() > time.Millisecond {
					t.Fatalf("wait %v, want %v", got, want)
				}
				if _, kept := b.lru.Peek("k"); !kept && credit < burst*every {
					t.Fatal("forgotten")
				}
			},
		})
	})
}

type textAddr string

func (textAddr) Network() string  { return "text" }
func (a textAddr) String() string { return string(a) }

func TestCaller(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:443":             "192.0.2.7/32",
		"[::ffff:192.0.2.7]:443":    "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:1":  "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:2":       "2001:db8:1:2::/64",
		"[fe80::1%eth0]:2":          "fe80::/64",
		"bufconn":                   "invalid Prefix",
		"@":                         "invalid Prefix",
		"":                          "invalid Prefix",
		"host.example:80":           "invalid Prefix",
		"192.0.2.7":                 "invalid Prefix",
		"[2001:db8:1:2:3:4:5:6]:xx": "invalid Prefix",
	} {
		got := caller(peer.NewContext(t.Context(), &peer.Peer{Addr: textAddr(addr)}))
		if got.String() != want {
			t.Errorf("%s is %v, want %s", addr, got, want)
		}
	}
	if got := caller(t.Context()); got != (netip.Prefix{}) {
		t.Errorf("no peer is %v", got)
	}
	if got := caller(peer.NewContext(t.Context(), &peer.Peer{})); got != (netip.Prefix{}) {
		t.Errorf("no address is %v", got)
	}
	if got := caller(peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4}})); got.String() != "10.1.2.3/32" {
		t.Errorf("a TCP address is %v", got)
	}
}
