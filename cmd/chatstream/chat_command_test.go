package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestScriptNeedsAPassword(t *testing.T) {
	t.Setenv("CHATSTREAM_PASSWORD", "")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"chat", "--name=ada", "--state-dir=" + t.TempDir()}, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	if code != 2 || !strings.Contains(errs.String(), "CHATSTREAM_PASSWORD") || strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

func TestInstallationIDIsKept(t *testing.T) {
	c := &chatCmd{Name: "ada", Server: "s", StateDir: filepath.Join(t.TempDir(), "new")}
	first, known, err := c.installation()
	if err != nil || known {
		t.Fatalf("%v, %v, %v", first, known, err)
	}
	if second, known, err := c.installation(); err != nil || !known || second != first {
		t.Errorf("%v, %v, %v; want %v", second, known, err, first)
	}
	other := *c
	other.Name = "bob"
	if third, _, err := other.installation(); err != nil || third == first {
		t.Errorf("bob has ada's installation id, or %v", err)
	}
	files, err := filepath.Glob(filepath.Join(c.StateDir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.installation(); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("a damaged file gave %v", err)
	}
}

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		line string
		want chatLine
	}{
		{"hello", chatLine{text: "hello"}},
		{"  hello\r\n", chatLine{text: "  hello"}},
		{"//slash", chatLine{text: "/slash"}},
		{"/create  my kitchen ", chatLine{verb: "create", args: []string{"my kitchen"}}},
		{"/create", chatLine{verb: "create", args: []string{""}}},
		{"/join a b", chatLine{verb: "join", args: []string{"a", "b"}}},
		{"/join a", chatLine{verb: "join", args: []string{"a"}}},
		{"/leave", chatLine{verb: "leave", args: []string{}}},
		{"/quit", chatLine{verb: "quit", args: []string{}}},
	} {
		got, err := parseLine(c.line)
		if err != nil || got.verb != c.want.verb || got.text != c.want.text || !slices.Equal(got.args, c.want.args) {
			t.Errorf("%q: %+v, %v", c.line, got, err)
		}
	}
	for _, line := range []string{"/", "/nonsense", "/join", "/join a b c", "/quit now"} {
		if got, err := parseLine(line); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}
