package embedded

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// view is the store as it was after one sync: everything that is durable, and
// nothing else. Safe for concurrent use between acquire and release.
type view struct {
	snapshot *pebble.Snapshot
	// number is that of the last group in it; those that wrote nothing have none.
	number uint64
	// groups is the number of the last group of events in it, as the ring counts.
	groups uint64
	// refs counts the users, and one more while the view is the current one.
	// Once zero it stays zero.
	refs atomic.Int64
	live *sync.WaitGroup
}

func (v *view) acquire() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *view) release() {
	if v.refs.Add(-1) == 0 {
		// The only error is that of a snapshot closed twice, which panics.
		_ = v.snapshot.Close()
		v.live.Done()
	}
}

// get calls found with the value of key, which found must not keep. It reports
// whether there is one.
func (v *view) get(key []byte, found func([]byte) error) (bool, error) {
	value, closer, err := v.snapshot.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, readError(err)
	}
	if err = errors.Join(found(value), closer.Close()); err != nil {
		return true, readError(err)
	}
	return true, nil
}

// scan calls each with the keys from lower to before upper, in order, until
// each says false. It must keep neither key nor value.
func (v *view) scan(lower, upper []byte, each func(key, value []byte) (more bool, err error)) error {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(readError(err), it.Close())
		}
		more, err := each(it.Key(), value)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !more {
			break
		}
	}
	// Close returns what made First or Next say false.
	if err := it.Close(); err != nil {
		return readError(err)
	}
	return nil
}

// views hands out the current view. Only the syncer replaces it.
type views struct {
	current atomic.Pointer[view]
	live    sync.WaitGroup
}

// acquire returns the current view, or nil once the store is closed.
func (vs *views) acquire() *view {
	for {
		v := vs.current.Load()
		// A view that cannot be acquired has been replaced since it was loaded.
		if v == nil || v.acquire() {
			return v
		}
	}
}

// publish makes the database as it is now the current view. The caller knows
// that all that is in it is durable.
func (vs *views) publish(db *pebble.DB, number, groups uint64) {
	v := &view{snapshot: db.NewSnapshot(), number: number, groups: groups, live: &vs.live}
	v.refs.Store(1)
	vs.live.Add(1)
	if old := vs.current.Swap(v); old != nil {
		old.release()
	}
}

// close hands out no view any more and returns when none is in use.
func (vs *views) close() {
	if old := vs.current.Swap(nil); old != nil {
		old.release()
	}
	vs.live.Wait()
}
