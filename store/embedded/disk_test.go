package embedded

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is a file system with something between it and pebble: hook is called
// before each write and each sync, and decides whether it happens. It may block.
type disk struct {
	vfs.FS
	hook atomic.Pointer[func(op, name string) error]
}

// The operations a hook is told of.
const (
	opCreate = "create"
	opWrite  = "write"
	opSync   = "sync"
)

func (d *disk) do(op, name string) error {
	if hook := d.hook.Load(); hook != nil {
		return (*hook)(op, name)
	}
	return nil
}

// during sets the hook; nil: everything happens.
func (d *disk) during(hook func(op, name string) error) {
	if hook == nil {
		d.hook.Store(nil)
		return
	}
	d.hook.Store(&hook)
}

func (d *disk) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, disk: d, name: name}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.do(opCreate, name); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, c)
	return d.wrap(name, f, err)
}

func (d *disk) ReuseForWrite(from, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.do(opCreate, name); err != nil {
		return nil, err
	}
	f, err := d.FS.ReuseForWrite(from, name, c)
	return d.wrap(name, f, err)
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, opts...)
	return d.wrap(name, f, err)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.wrap(name, f, err)
}

type diskFile struct {
	vfs.File
	disk *disk
	name string
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := f.disk.do(opWrite, f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *diskFile) Sync() error {
	if err := f.disk.do(opSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *diskFile) SyncData() error {
	if err := f.disk.do(opSync, f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *diskFile) SyncTo(n int64) (bool, error) {
	if err := f.disk.do(opSync, f.name); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}

func isLog(name string) bool      { return strings.HasSuffix(name, ".log") }
func isTable(name string) bool    { return strings.HasSuffix(name, ".sst") }
func isManifest(name string) bool { return strings.Contains(name, "MANIFEST") }
