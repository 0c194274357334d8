package embedded

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logCategory is what pebble calls the files of its write-ahead log.
const logCategory vfs.DiskWriteCategory = "pebble-wal"

// guard stands between pebble and the disk and keeps errors of the write-ahead
// log from it. Pebble cannot handle them: when it fails to begin a new log file
// it panics in a place where a deferred Unlock turns the panic into a fatal
// error, which ends the process at once and says nothing an operator
// understands. So here the store fails, and pebble's call never returns: to
// pebble it looks like a very slow disk. Callers are released by Store.failed,
// and the process is expected to end.
//
// Errors of other files pass. Pebble reports them as background errors or by
// Fatalf, and both end the store too.
type guard struct {
	vfs.FS
	dir  string
	fail func(error)
	// armed is set while the committer runs. Open and Close handle errors
	// themselves, and pebble takes them well there.
	armed atomic.Bool
	// stuck is closed when a call does not return any more.
	stuck     chan struct{}
	stuckOnce sync.Once
	// thaw lets such calls try again. It stays open but in tests.
	thaw <-chan struct{}
}

func newGuard(fs vfs.FS, dir string, fail func(error), thaw <-chan struct{}) *guard {
	return &guard{FS: fs, dir: dir, fail: fail, stuck: make(chan struct{}), thaw: thaw}
}

func (g *guard) attempt(do func() error) error {
	for {
		err := do()
		if err == nil || !g.armed.Load() {
			return err
		}
		g.fail(fmt.Errorf("write-ahead log: %w", err))
		g.stuckOnce.Do(func() { close(g.stuck) })
		<-g.thaw
	}
}

// log makes a file of the log by create.
func (g *guard) log(create func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := g.attempt(func() (err error) {
		f, err = create()
		return err
	})
	if err != nil {
		return nil, err
	}
	// Pebble is about to do the same, and cannot handle its failure either. It
	// costs one more sync of a directory for each new log file.
	if err := g.attempt(g.syncDir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &guardedLog{File: f, guard: g}, nil
}

func (g *guard) syncDir() error {
	d, err := g.OpenDir(g.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Create implements vfs.FS.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if category != logCategory {
		return g.FS.Create(name, category)
	}
	return g.log(func() (vfs.File, error) { return g.FS.Create(name, category) })
}

// ReuseForWrite implements vfs.FS.
func (g *guard) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if category != logCategory {
		return g.FS.ReuseForWrite(from, to, category)
	}
	return g.log(func() (vfs.File, error) { return g.FS.ReuseForWrite(from, to, category) })
}

type guardedLog struct {
	vfs.File
	guard *guard
}

func (f *guardedLog) Write(p []byte) (n int, err error) {
	err = f.guard.attempt(func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	})
	return n, err
}

func (f *guardedLog) Sync() error     { return f.guard.attempt(f.File.Sync) }
func (f *guardedLog) SyncData() error { return f.guard.attempt(f.File.SyncData) }
func (f *guardedLog) Close() error    { return f.guard.attempt(f.File.Close) }

func (f *guardedLog) SyncTo(length int64) (all bool, err error) {
	err = f.guard.attempt(func() (err error) {
		all, err = f.File.SyncTo(length)
		return err
	})
	return all, err
}

func (f *guardedLog) Stat() (info vfs.FileInfo, err error) {
	err = f.guard.attempt(func() (err error) {
		info, err = f.File.Stat()
		return err
	})
	return info, err
}
