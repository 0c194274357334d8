package accounts

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
)

// How many wrong guesses are let through: so many at once, and one more in
// every such time. An address may be shared by a company or a whole mobile
// network, hence more than for a name.
const (
	nameBurst, nameEvery   = 10, time.Minute
	peerBurst, peerEvery   = 50, 6 * time.Second
	takenBurst, takenEvery = 200, 3 * time.Second
	// maxBuckets bounds the memory of each kind. Forgetting a bucket gives its
	// name or address all guesses again; to push one out, so many others must
	// have failed after it.
	maxBuckets = 1 << 16
)

// guesses bounds how often somebody may be wrong: about passwords, per name and
// per address; about names that are taken (which tells who has an account), per
// address. Being right costs nothing. Safe for concurrent use.
//
// A guess takes its tokens before it is tried and gets them back when it was
// right. Were they taken afterwards, any number of guesses in parallel would
// pass the check before the first of them is known to be wrong.
type guesses struct {
	mu    sync.Mutex // guards everything; a guess takes from two buckets or from none
	names buckets[string]
	peers buckets[netip.Prefix]
	taken buckets[netip.Prefix]
}

// newGuesses makes guesses for so many that are tried at once. Those hold a
// token each while they are tried, even if right, so an address needs more
// tokens than that.
func newGuesses(atOnce int) *guesses {
	return &guesses{
		names: newBuckets[string](nameBurst, nameEvery),
		peers: newBuckets[netip.Prefix](max(peerBurst, 2*atOnce), peerEvery),
		taken: newBuckets[netip.Prefix](takenBurst, takenEvery),
	}
}

// wait is how long it takes until a guess at name's password may be tried; 0 or
// less for now. It takes nothing and remembers nothing.
func (g *guesses) wait(now time.Time, name string, from netip.Prefix) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waitLocked(now, name, from)
}

func (g *guesses) waitLocked(now time.Time, name string, from netip.Prefix) time.Duration {
	return max(g.peers.wait(from, now), g.names.wait(name, now))
}

// take takes the tokens of one guess, or none if wait is above 0. The
// caller gives them back if the guess was right.
func (g *guesses) take(now time.Time, name string, from netip.Prefix) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Looked at first: somebody who has used up an address must not push other
	// names' buckets out with names that are refused anyway.
	if wait := g.waitLocked(now, name, from); wait > 0 {
		return wait
	}
	g.peers.take(from, now)
	g.names.take(name, now)
	return 0
}

// give gives back what take took.
func (g *guesses) give(now time.Time, name string, from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers.give(from, now)
	g.names.give(name, now)
}

// waitTaken is how long it takes until from may ask for a name again.
func (g *guesses) waitTaken(now time.Time, from netip.Prefix) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken.wait(from, now)
}

// nameWasTaken counts that from asked for a name that was taken. Requests in
// parallel may all have passed waitTaken; what they overdraw has to be waited
// for afterwards. They are not made to reserve, as a guess is, since a thousand
// people who choose free names behind one address must not refuse each other.
func (g *guesses) nameWasTaken(now time.Time, from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken.take(from, now)
}

// buckets are token buckets, one per key, as many as maxBuckets; a full one is
// forgotten. Not safe for concurrent use.
type buckets[K comparable] struct {
	lru   *simplelru.LRU[K, *rate.Limiter]
	burst int
	every time.Duration
}

func newBuckets[K comparable](burst int, every time.Duration) buckets[K] {
	lru, err := simplelru.NewLRU[K, *rate.Limiter](maxBuckets, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return buckets[K]{lru: lru, burst: burst, every: every}
}

// wait is how long it takes until key's bucket has a token, to the microsecond:
// what is beyond is an error of the limiter's floating point.
func (b buckets[K]) wait(key K, now time.Time) time.Duration {
	l, ok := b.lru.Peek(key)
	if !ok {
		return 0
	}
	return time.Duration((1 - l.TokensAt(now)) * float64(b.every)).Round(time.Microsecond)
}

// take takes a token, and one that is not there yet if need be.
func (b buckets[K]) take(key K, now time.Time) {
	l, ok := b.lru.Get(key)
	if !ok {
		l = rate.NewLimiter(rate.Every(b.every), b.burst)
		b.lru.Add(key, l)
	}
	l.ReserveN(now, 1)
}

// give gives a token back. Reservation.Cancel would not: it gives nothing back
// once the time of the reservation has come. Taking -1 adds one, and the
// limiter itself cuts what is above the burst.
func (b buckets[K]) give(key K, now time.Time) {
	l, ok := b.lru.Peek(key)
	if !ok {
		return // pushed out meanwhile
	}
	l.ReserveN(now, -1)
	if l.TokensAt(now) >= float64(b.burst) {
		b.lru.Remove(key)
	}
}

// caller is the address a request comes from, as the key of its bucket: IPv4
// addresses whole, of IPv6 the /64 that one customer is given. Callers without
// such an address share the zero value.
func caller(ctx context.Context) netip.Prefix {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Prefix{}
	}
	at, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap(), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
