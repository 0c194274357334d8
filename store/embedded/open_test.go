package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chatstream/chatstream/store/storetest"
)

// inOtherProcess tells the test binary to do nothing but open a directory.
const inOtherProcess = "CHATSTREAM_TEST_OPEN"

func TestSecondOpen(t *testing.T) {
	if dir := os.Getenv(inOtherProcess); dir != "" {
		_, err := Open(Config{Dir: dir, Logger: quiet})
		fmt.Printf("opened: %v; in use: %v\n", err, errors.Is(err, ErrInUse))
		os.Exit(0)
	}
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, Logger: quiet})
	want := fmt.Sprintf("data directory %q is in use by another process", dir)

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	for _, name := range []string{dir, dir + "/", link, filepath.Base(dir), "./" + filepath.Base(dir)} {
		_, err := Open(Config{Dir: name, Logger: quiet})
		if !errors.Is(err, ErrInUse) {
			t.Fatalf("%s: got %v, want %v", name, err, ErrInUse)
		}
		if name == dir && err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSecondOpen$")
	cmd.Env = append(os.Environ(), inOtherProcess+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "opened: "+want+"; in use: true" {
		t.Errorf("in another process: %v, %s", err, out)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: link, Logger: quiet})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// lockFails is a file system on which the lock file cannot be made.
type lockFails struct{ vfs.FS }

func (lockFails) Lock(name string) (io.Closer, error) {
	return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EACCES}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := vfs.NewMem()
	db, err := pebble.Open("data", &pebble.Options{FS: foreign, Logger: pebbleLogger{&Store{log: quiet}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("somebody's"), nil, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	full := &disk{FS: vfs.NewMem()}
	full.during(func(op, _ string) error { return syscall.ENOSPC })

	for name, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"not set":         {Config{}, "data directory is not set"},
		"a file":          {Config{Dir: file}, "not a directory"},
		"below a file":    {Config{Dir: file + "/data"}, "not a directory"},
		"not writable":    {Config{Dir: "data", FS: lockFails{vfs.NewMem()}}, "permission denied"},
		"disk full":       {Config{Dir: "data", FS: full}, "no space left on device"},
		"other program's": {Config{Dir: "data", FS: foreign}, "another program"},
		"bad bound":       {Config{Dir: "data", MaxBatch: -1}, "MaxBatch must not be negative, is -1"},
	} {
		tt.cfg.Logger = quiet
		s, err := Open(tt.cfg)
		if err == nil {
			t.Errorf("%s: opened", name)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || errors.Is(err, ErrInUse) {
			t.Errorf("%s: got %q, want one line with %q", name, err, tt.want)
		}
	}
}

func TestFormatVersion(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, inMemory(fs))
	if got := s.db.FormatMajorVersion(); got != pebbleFormat {
		t.Errorf("pebble's format is %v, want %v", got, pebbleFormat)
	}
	newer := binary.AppendUvarint(nil, formatVersion+1)
	if err := s.db.Set([]byte{keyFormat}, newer, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(inMemory(fs))
	want := `data directory "data" cannot be used: it has format 2, which is newer than this program (it knows format 1)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A directory whose store was begun but never finished can be used.
func TestOpenAfterCrashWhileCreating(t *testing.T) {
	for after := range 40 {
		mem := vfs.NewCrashableMem()
		d := &disk{FS: mem}
		n := 0
		var left *vfs.MemFS
		d.during(func(string, string) error {
			if n++; n == after+1 {
				left = mem.CrashClone(vfs.CrashCloneCfg{})
			}
			return nil
		})
		s := open(t, inMemory(d))
		d.during(nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if left == nil {
			break
		}
		if s, err := Open(inMemory(left)); err != nil {
			t.Errorf("power cut before operation %d of creating a store: %v", after+1, err)
		} else if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The directories that Open creates are there after a power cut, too.
func TestNewDirectoriesAreDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := inMemory(mem)
	cfg.Dir = "srv/chat/data"
	s := open(t, cfg)
	r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
	r.Create(t, storetest.Account(0))
	cfg.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if n := len(storetest.CheckRoom(t.Context(), t, s, r.ID)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A disk that is still full at the next start is an error of Open, not a wait
// without end.
func TestOpenOnFullDisk(t *testing.T) {
	for name, full := range map[string]func(op, name string) bool{
		"everything": func(string, string) bool { return true },
		"tables":     func(_, name string) bool { return isTable(name) },
		"log":        func(_, name string) bool { return isLog(name) },
		"manifest":   func(_, name string) bool { return isManifest(name) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			s := open(t, inMemory(mem))
			r := &storetest.Room{Store: s, ID: storetest.RoomID(0)}
			r.Create(t, storetest.Account(0))
			left := mem.CrashClone(vfs.CrashCloneCfg{})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			d := &disk{FS: left}
			d.during(func(op, name string) error {
				if full(op, name) {
					return syscall.ENOSPC
				}
				return nil
			})
			cfg := inMemory(d)
			cfg.thaw = make(chan struct{})
			if s, err := Open(cfg); err == nil {
				t.Errorf("opened: %v", s.Close())
			} else if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
				t.Errorf("got %v, want %v", err, syscall.ENOSPC)
			}
			d.during(nil)
			close(cfg.thaw)
			s = open(t, inMemory(left.CrashClone(vfs.CrashCloneCfg{})))
			storetest.CheckRoom(t.Context(), t, s, storetest.RoomID(0))
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
