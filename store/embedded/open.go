package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/store/ring"
)

// ErrInUse: another store has the data directory open, in this or in another
// process.
var ErrInUse = errors.New("is in use by another process")

// formatVersion is raised when an older program could not read what this one
// writes. pebbleFormat is the same for pebble's own files; pinned, so that a
// newer pebble changes nothing on disk until somebody decides so.
const (
	formatVersion = 1
	pebbleFormat  = pebble.FormatValueSeparation
)

// Open opens the store in cfg.Dir, creating it if there is none. Its errors are
// one line that an operator understands; ErrInUse is one of them.
func Open(cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	s := &Store{
		cfg:     cfg,
		log:     cfg.Logger,
		states:  newStates(cfg.StateRooms),
		ring:    ring.New(cfg.RingEvents, cfg.RingBytes),
		queue:   make(chan *request, cfg.MaxBatch),
		memory:  newMemory(),
		decided: make(chan *group, 1),
		free:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		failed:  make(chan struct{}),
	}
	dir, err := prepare(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, directoryError(cfg.Dir, err)
	}
	if s.lock, err = pebble.LockDirectory(dir, cfg.FS); err != nil {
		if !isPathError(err) {
			err = ErrInUse
		}
		return nil, directoryError(cfg.Dir, err)
	}
	s.guard = newGuard(cfg.FS, dir, s.fail, cfg.thaw)
	if s.db, err = openPebble(s, dir); err != nil {
		return nil, directoryError(cfg.Dir, err)
	}
	if err = s.checkFormat(); err != nil {
		return nil, directoryError(cfg.Dir, errors.Join(err, s.db.Close(), s.lock.Close()))
	}
	s.views.publish(s.db, 0, 0)
	s.free <- struct{}{}
	s.guard.armed.Store(true)
	go pprof.Do(context.Background(), pprof.Labels("role", "committer"), func(context.Context) { s.commitLoop() })
	return s, nil
}

func directoryError(dir string, err error) error {
	if errors.Is(err, ErrInUse) {
		return fmt.Errorf("data directory %q %w", dir, err)
	}
	return fmt.Errorf("data directory %q cannot be used: %w", dir, err)
}

// prepare creates the directory and returns the name it is locked by. The
// operating system's locks do not exclude the process that holds them, and
// pebble's own goes by the name, so there must be one name only.
func prepare(fsys vfs.FS, dir string) (string, error) {
	if err := makeDir(fsys, dir); err != nil {
		return "", err
	}
	info, err := fsys.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", syscall.ENOTDIR
	}
	if fsys != vfs.Default {
		return dir, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// makeDir creates dir and what is missing above it, and syncs the directories
// that got a new entry: pebble does so only for what it creates itself.
func makeDir(fsys vfs.FS, dir string) error {
	var grown []string
	for path := dir; ; {
		_, err := fsys.Stat(path)
		if !errors.Is(err, fs.ErrNotExist) {
			break // it is there, or MkdirAll will say what is wrong
		}
		parent := fsys.PathDir(path)
		if grown = append(grown, parent); parent == path {
			break
		}
		path = parent
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, path := range grown {
		d, err := fsys.OpenDir(path)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// isPathError tells "the lock file cannot be made" from "somebody holds it".
func isPathError(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}

func openPebble(s *Store, dir string) (*pebble.DB, error) {
	logger := pebbleLogger{s}
	cache := pebble.NewCache(s.cfg.CacheBytes)
	defer cache.Unref()
	o := &pebble.Options{
		Cache:              cache,
		FS:                 s.guard,
		Lock:               s.lock,
		FormatMajorVersion: pebbleFormat,
		Logger:             logger,
		EventListener:      logger.listener(),
		MemTableSize:       s.cfg.memTableBytes,
		// Two tables of memory that wait to be written, so that a burst does
		// not have to wait for the disk.
		MemTableStopWritesThreshold: 3,
	}
	for i := range o.Levels {
		// Most uuids that are looked up are not there.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	// On a full disk pebble.Open does not end: it tries for ever to write a
	// table of what it found in its log (see backgroundError). It is left behind
	// then, with the lock; the process is of no use any more.
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	s.opening.Store(true)
	go func() {
		db, err := pebble.Open(dir, o)
		s.opening.Store(false)
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		} else if s.Err() != nil {
			err = errors.Join(s.Err(), db.Close(), s.lock.Close())
		}
		opened <- result{db, err}
	}()
	select {
	case r := <-opened:
		return r.db, r.err
	case <-s.failed:
		return nil, s.Err()
	}
}

// checkFormat reads the format version, or writes it into a new database.
func (s *Store) checkFormat() error {
	value, closer, err := s.db.Get([]byte{keyFormat})
	switch {
	case err == nil:
		version, n := binary.Uvarint(value)
		if err := closer.Close(); err != nil {
			return err
		}
		if n <= 0 {
			return fmt.Errorf("format version: %w", errCorrupt)
		}
		if version > formatVersion {
			return fmt.Errorf("it has format %d, which is newer than this program (it knows format %d)",
				version, formatVersion)
		}
		return nil
	case !errors.Is(err, pebble.ErrNotFound):
		return err
	}
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	foreign := it.First()
	if err := it.Close(); err != nil {
		return err
	}
	if foreign {
		return errors.New("it holds the database of another program")
	}
	if err := s.db.Set([]byte{keyFormat}, binary.AppendUvarint(nil, formatVersion), pebble.Sync); err != nil {
		return err
	}
	return s.Err()
}

// pebbleLogger is where pebble reports. It logs no keys' values and no bodies.
type pebbleLogger struct{ s *Store }

func (l pebbleLogger) Infof(format string, args ...any) {
	l.s.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.s.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf returns, which pebble does not expect: what called it goes on as if
// nothing had happened, and Commit returns nil. The failure is set before that,
// and the syncer looks at it after every commit.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.s.fail(errors.New("pebble: " + fmt.Sprintf(format, args...)))
}

func (l pebbleLogger) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: l.backgroundError,
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			l.s.log.Warn("writes wait for the disk", "reason", info.Reason)
		},
	}
}

// backgroundError: a flush or a compaction failed. Pebble would try again for
// ever while writes pile up in memory and then block, so a full or broken disk
// has to end the store. Only running out of file handles passes.
func (l pebbleLogger) backgroundError(err error) {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.s.log.Error("pebble: background error", "error", err)
		return
	}
	l.s.fail(fmt.Errorf("pebble: %w", err))
	if l.s.opening.Load() {
		// Pebble would try again at once and without end.
		<-l.s.cfg.thaw
	}
}
