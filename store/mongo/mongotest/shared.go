package mongotest

import (
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Variable is the environment variable that has the path of a mongod.
const Variable = "CHATSTREAM_TEST_MONGOD"

// Mongod returns the path of a server, or skips the test.
func Mongod(t testing.TB) string {
	t.Helper()
	path := os.Getenv(Variable)
	if path == "" {
		path = "mongod"
	}
	found, err := exec.LookPath(path)
	if err != nil {
		t.Skipf("no mongod: set %s to the path of one (5.0 or newer), or put it into PATH: %v", Variable, err)
	}
	return found
}

// Shared is a set of one member that a package's tests share. The zero value is
// ready: the set is started by the first test that wants it.
type Shared struct {
	once sync.Once
	set  *Set
	err  error
}

// Set returns the set, or skips the test if there is no server to run.
func (s *Shared) Set(t testing.TB) *Set {
	t.Helper()
	path := Mongod(t)
	s.once.Do(func() { s.set, s.err = Start(path, Options{}) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.set
}

// URI is the set's.
func (s *Shared) URI(t testing.TB) string {
	t.Helper()
	return s.Set(t).URI()
}

// Stop stops the set, if it was started.
func (s *Shared) Stop() {
	if s.set != nil {
		s.set.Stop()
	}
}

// Database returns a name that no other test has.
func Database() string { return "test-" + strings.ToLower(rand.Text()[:16]) }
