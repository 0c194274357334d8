package main

import (
	"errors"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the operating system's file system, made slower, smaller, and less
// lasting.
type disk struct {
	vfs.FS
	// slow is how much longer a sync takes, in nanoseconds.
	slow atomic.Int64

	// mu is held by whoever changes a file, so that when the power fails
	// nothing changes any more.
	mu sync.Mutex
	// free is how many bytes there is room for.
	free int64
	// files are those that are being written, by name.
	files map[string]*file
}

func newDisk() *disk {
	return &disk{FS: vfs.Default, free: math.MaxInt64, files: make(map[string]*file)}
}

// fill leaves room for n bytes more; a negative n makes room without end.
func (d *disk) fill(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free = n; n < 0 {
		d.free = math.MaxInt64
	}
}

// powerFails takes back what was written and not synced, and ends the process
// before anybody can notice. Names of files are taken to be safe at once.
func (d *disk) powerFails() error {
	d.mu.Lock() // for good
	var errs []error
	for name, f := range d.files {
		if f.written > f.synced {
			errs = append(errs, os.Truncate(name, f.synced))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func (d *disk) track(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	t := &file{File: f, disk: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name] = t
	return t, nil
}

func (d *disk) hasRoom() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free <= 0 {
		return syscall.ENOSPC
	}
	return nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.hasRoom(); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, c)
	return d.track(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(from, to, c)
	d.forget(from)
	return d.track(to, f, err)
}

// Rename implements vfs.FS.
func (d *disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.FS.Rename(from, to)
	if f, ok := d.files[from]; ok && err == nil {
		delete(d.files, from)
		d.files[to] = f
	}
	return err
}

// Remove implements vfs.FS.
func (d *disk) Remove(name string) error {
	d.forget(name)
	return d.FS.Remove(name)
}

func (d *disk) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
}

// OpenDir implements vfs.FS.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &directory{File: f, disk: d}, nil
}

func (d *disk) wait() { time.Sleep(time.Duration(d.slow.Load())) }

// directory is slow to sync as files are.
type directory struct {
	vfs.File
	disk *disk
}

func (f *directory) Sync() error {
	f.disk.wait()
	return f.File.Sync()
}

// file knows how much of it is safe. Pebble writes files from their beginning to
// their end.
type file struct {
	vfs.File
	disk *disk
	// written and synced are offsets; the disk's mu guards them.
	written, synced int64
}

func (f *file) Write(p []byte) (n int, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if room := f.disk.free; int64(len(p)) > room {
		n, err = f.File.Write(p[:room])
		if err == nil {
			err = syscall.ENOSPC
		}
	} else {
		n, err = f.File.Write(p)
	}
	f.written += int64(n)
	if f.disk.free != math.MaxInt64 {
		f.disk.free -= int64(n)
	}
	return n, err
}

func (f *file) Sync() error     { return f.sync(f.File.Sync) }
func (f *file) SyncData() error { return f.sync(f.File.SyncData) }

func (f *file) SyncTo(length int64) (all bool, err error) {
	err = f.sync(func() error {
		all, err = f.File.SyncTo(length)
		if err == nil && !all {
			return errPartly
		}
		return err
	})
	if errors.Is(err, errPartly) {
		err = nil
	}
	return all, err
}

// errPartly: a sync promises nothing of the whole file.
var errPartly = errors.New("not all of it")

func (f *file) sync(do func() error) error {
	f.disk.mu.Lock()
	written := f.written
	f.disk.mu.Unlock()
	f.disk.wait()
	if err := do(); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.synced = max(f.synced, written)
	return nil
}
