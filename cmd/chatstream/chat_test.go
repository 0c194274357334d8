package main_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// script is `chatstream chat` with its input under the test's control.
type script struct {
	*process
	in io.WriteCloser
}

// chatScript starts a script that goes on until its input is closed, and waits
// until it is connected.
func chatScript(t *testing.T, server *process, name string, args ...string) *script {
	t.Helper()
	s := startScript(t, "password of "+name, append([]string{"--name=" + name, "--server=" + server.addr, "--state-dir=" + stateDir(t)}, args...)...)
	s.await("connected ")
	return s
}

func startScript(t *testing.T, password string, args ...string) *script {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	t.Cleanup(func() { w.Close() })
	p := launchWith(t, r, []string{"CHATSTREAM_PASSWORD=" + password}, append([]string{"chat"}, args...)...)
	return &script{p, w}
}

var stateDirs sync.Map

// stateDir is one directory a test, so that a second script of a name is the
// same installation.
func stateDir(t *testing.T) string {
	dir, _ := stateDirs.LoadOrStore(t.Name(), filepath.Join(t.TempDir(), "state"))
	return dir.(string)
}

func (s *script) line(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, format+"\n", args...); err != nil {
		s.t.Fatal(err)
	}
}

// await waits for a line that begins so, and returns it.
func (s *script) await(prefix string) string {
	s.t.Helper()
	late := time.After(patience)
	for {
		changed := s.stdout.wait()
		for line := range strings.Lines(s.stdout.String()) {
			if strings.HasPrefix(line, prefix) && strings.HasSuffix(line, "\n") {
				return strings.TrimSuffix(line, "\n")
			}
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("no line begins with %q:\n%s%s", prefix, s.stdout.String(), s.stderr.String())
		}
	}
}

// finish ends the input and returns the exit code.
func (s *script) finish() int {
	s.t.Helper()
	s.in.Close()
	return s.wait()
}

// created reads the room and the password off "created ROOM PASSWORD".
func (s *script) created() (id, password string) {
	s.t.Helper()
	fields := strings.Fields(s.await("created "))
	return fields[1], fields[2]
}

func TestScriptsChat(t *testing.T) {
	p := serve(t)
	ada := chatScript(t, p, "ada")
	ada.line("/create kitchen")
	id, password := ada.created()
	ada.line("hello")
	ada.await(id + " ada> hello")
	bob := chatScript(t, p, "bob", "--linger=0s")
	bob.line("/join %s %s", id, password)
	bob.line("hi ada")
	ada.await(id + " bob> hi ada")
	long := strings.Repeat("long text ", 900)
	bob.line("%s", long)
	ada.await(id + " bob> " + strings.TrimSpace(long))
	if code := bob.finish(); code != 0 {
		t.Errorf("bob's exit code is %d:\n%s", code, bob.stderr.String())
	}
	if code := ada.finish(); code != 0 {
		t.Errorf("ada's exit code is %d:\n%s", code, ada.stderr.String())
	}
	wantLines(t, bob, "connected", "joined "+id, id+" ada> hello", id+" bob> hi ada", id+" bob> "+strings.TrimSpace(long))
	wantLines(t, ada, "connected", "created "+id, id+" ada> hello", id+" bob> hi ada", id+" bob> "+strings.TrimSpace(long))
}

// wantLines holds the output against the beginnings of its lines.
func wantLines(t *testing.T, s *script, want ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(s.stdout.String(), "\n"), "\n")
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("got\n%.2000s\nwant\n%.2000s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestScriptSelectsARoomAndSeesItsLast50(t *testing.T) {
	p := serve(t)
	ada := chatScript(t, p, "ada")
	ada.line("/create kitchen")
	id, _ := ada.created()
	for i := range 60 {
		ada.line("text %d", i)
	}
	if code := ada.finish(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	again := chatScript(t, p, "ada")
	again.line("/rooms")
	again.line("/room %s", id)
	again.line("/members")
	again.line("/reached")
	if code := again.finish(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, again.stderr.String())
	}
	want := []string{"connected ", "room " + id + " kitchen"}
	for i := 10; i < 60; i++ {
		want = append(want, fmt.Sprintf("%s ada> text %d", id, i))
	}
	wantLines(t, again, append(want, "member "+id+" ada", "reached "+id+" ada ")...)
}

func TestScriptSaysWhatWasRefused(t *testing.T) {
	p := serve(t)
	for _, c := range []struct{ name, line, says string }{
		{"nobody", "a text", "no room is selected"},
		{"wrong", "/join abcdefgh secret", "no such room"},
		{"unknown", "/dance", "there is no command /dance"},
		{"few", "/join", "arguments"},
		{"stranger", "/room abcdefgh", "not in a room"},
	} {
		s := chatScript(t, p, c.name)
		s.line("%s", c.line)
		if code := s.finish(); code != 1 {
			t.Errorf("%q: exit code %d, want 1", c.line, code)
		}
		if !strings.Contains(s.stderr.String(), c.says) {
			t.Errorf("%q says %q, want %q", c.line, s.stderr.String(), c.says)
		}
	}
}

func TestScriptComesBackAndMissesNothing(t *testing.T) {
	data, address := filepath.Join(t.TempDir(), "data"), fixedAddress(t)
	p := serve(t, "--listen="+address, "--data="+data)
	ada, bob := chatScript(t, p, "ada"), chatScript(t, p, "bob")
	ada.line("/create kitchen")
	id, password := ada.created()
	bob.line("/join %s %s", id, password)
	bob.await("joined " + id)
	ada.line("before")
	bob.await(id + " ada> before")
	p.kill()
	ada.await("disconnected")
	ada.line("while it was down") // waits, and is sent when the server is back
	bob.line("me too")
	serve(t, "--listen="+address, "--data="+data)
	ada.await("reconnected")
	for _, s := range []*script{ada, bob} {
		s.await(id + " ada> while it was down")
		s.await(id + " bob> me too")
	}
	for _, s := range []*script{ada, bob} {
		if code := s.finish(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, s.stderr.String())
		}
		texts := 0
		for line := range strings.Lines(s.stdout.String()) {
			if strings.HasPrefix(line, id) {
				texts++
			}
		}
		if texts != 3 {
			t.Errorf("each text once, please:\n%s", s.stdout.String())
		}
	}
}

func TestWrongPasswordIsSaid(t *testing.T) {
	p := serve(t)
	chatScript(t, p, "ada").finish()
	for _, dir := range []string{stateDir(t), t.TempDir()} { // here before, and not
		s := startScript(t, "something else", "--name=ada", "--server="+p.addr, "--state-dir="+dir)
		code, says := s.finish(), s.stderr.String()
		if code != 1 || !strings.Contains(says, "password is wrong") || strings.Count(says, "\n") != 1 {
			t.Errorf("exit code %d, %q", code, says)
		}
	}
}

func TestScriptEndsWhenItIsTold(t *testing.T) {
	p := serve(t)
	s := chatScript(t, p, "ada")
	s.line("/create kitchen")
	s.created()
	s.signal(syscall.SIGTERM) // its input is still open
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.stderr.String())
	}
}

func TestScriptEndsWhenTheAccountIsUsedElsewhere(t *testing.T) {
	p := serve(t)
	s := chatScript(t, p, "ada")
	elsewhere := startScript(t, "password of ada", "--name=ada", "--server="+p.addr, "--state-dir="+t.TempDir())
	elsewhere.await("connected ")
	if code := s.wait(); code != 1 || !strings.Contains(s.stderr.String(), "in use from another installation") {
		t.Errorf("exit code %d, %q", code, s.stderr.String())
	}
	if code := elsewhere.finish(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, elsewhere.stderr.String())
	}
}
