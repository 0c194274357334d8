package mongo

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// recent holds accounts as they were read last, so that a message does not cost a
// read to find out whether its sender is still logged in. An account is taken out
// when the change stream shows that it has changed, and when this process has
// changed it. So it is behind the database by as much as the stream is; without a
// stream nothing is held, and nothing is longer than recentFor. Safe for concurrent
// use.
type recent struct {
	mu       sync.Mutex
	accounts *simplelru.LRU[string, recentAccount]
	// followed: a change stream is open.
	followed bool
	// forgotten counts the changes: what was read before one may not be kept behind
	// it.
	forgotten uint64
}

type recentAccount struct {
	document accountDocument
	read     time.Time
}

const (
	recentAccounts = 100_000
	// recentFor bounds what a change stream that lags can do.
	recentFor = 10 * time.Second
)

func newRecent(size int) *recent {
	accounts, err := simplelru.NewLRU[string, recentAccount](size, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &recent{accounts: accounts}
}

// get returns the account if it is held.
func (r *recent) get(id string) (accountDocument, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, ok := r.accounts.Get(id)
	return held.document, ok && time.Since(held.read) < recentFor
}

// moment is what keep wants from who is about to read.
func (r *recent) moment() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgotten
}

// keep holds d, which was read after moment, unless something has changed since:
// d may be of before.
func (r *recent) keep(d accountDocument, moment uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.followed && r.forgotten == moment {
		r.accounts.Add(d.ID, recentAccount{d, time.Now()})
	}
}

// forget takes accounts out that have changed. Who reads one from here on finds
// the change in it.
func (r *recent) forget(ids ...string) {
	if len(ids) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten++
	for _, id := range ids {
		r.accounts.Remove(id)
	}
}

// follow says whether there is a change stream from now on. Nothing of before is
// held.
func (r *recent) follow(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten++
	r.followed = is
	r.accounts.Purge()
}
