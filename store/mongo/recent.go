package mongo

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// recent holds accounts as they were read last, so that a message does not cost a
// read to find out whether its sender is still logged in. An account is taken out
// when the change stream shows that it has changed, and when this process has
// changed it. So it is behind the database by as much as the stream is, and is of no
// use where that is more than recentFor; without a stream nothing is held. Safe for
// concurrent use.
type recent struct {
	mu       sync.Mutex
	accounts *simplelru.LRU[string, accountDocument]
	// followed: a change stream is open.
	followed bool
	// forgotten counts the changes: what was read before one may not be kept behind
	// it.
	forgotten uint64
	// reached is a moment up to which every change has been shown. So it does not
	// matter when an account was read: what it lacks is newer than this.
	reached time.Time
}

const (
	recentAccounts = 100_000
	// recentFor is how far the change stream may lag.
	recentFor = 10 * time.Second
)

func newRecent(size int) *recent {
	accounts, err := simplelru.NewLRU[string, accountDocument](size, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &recent{accounts: accounts}
}

// get returns the account, without its credential, if it is held.
func (r *recent) get(id string) (accountDocument, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.accounts.Get(id)
	return d, ok && time.Since(r.reached) < recentFor
}

// reach says that every change up to that moment has been shown.
func (r *recent) reach(moment time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if moment.After(r.reached) {
		r.reached = moment
	}
}

// moment is what keep wants from who is about to read.
func (r *recent) moment() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgotten
}

// keep holds d, which was read after moment, unless something has changed since:
// d may be of before. The credential is not held: nobody needs it who needs no more
// than what was recent, and it is nothing to have about.
func (r *recent) keep(d accountDocument, moment uint64) {
	d.Credential = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.followed && r.forgotten == moment {
		r.accounts.Add(d.ID, d)
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
