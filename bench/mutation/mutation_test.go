package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The list must not rot: what it replaces is in the tree, once.
func TestMutantsAreOfTheTree(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants() {
		source, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(string(source)); err != nil {
			t.Errorf("%s: %v", m.file, err)
		}
		if seen[m.what] {
			t.Errorf("%q is there twice", m.what)
		}
		seen[m.what] = true
	}
	if len(seen) < 60 {
		t.Errorf("only %d mutants", len(seen))
	}
}

// What docs/mutations.md says is about this list.
func TestTableIsOfTheList(t *testing.T) {
	table, err := os.ReadFile("../../docs/mutations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants() {
		if !strings.Contains(string(table), "| "+cell(m.what, 200)+" | "+m.file+" |") {
			t.Errorf("%q of %s is not in the table: go run ./bench/mutation", m.what, m.file)
		}
	}
	if strings.Contains(string(table), "**nothing**") {
		t.Error("a mutant of the table survived")
	}
}

func TestFirstFailureIsFound(t *testing.T) {
	for _, tc := range []struct{ name, output, test, how string }{
		{"an error", "=== RUN   TestA\n--- PASS: TestA (0.0s)\n=== RUN   TestB\n    b_test.go:7: it is wrong\n--- FAIL: TestB (0.0s)\nFAIL\n", "TestB", "it is wrong"},
		{"of a part", "=== RUN   TestB\n=== RUN   TestB/x\n    b_test.go:7: wrong\n=== NAME  TestB\n    b_test.go:9: in all\n--- FAIL: TestB (0.0s)\n    --- FAIL: TestB/x (0.0s)\n", "TestB/x", "wrong"},
		{"said at the end", "=== RUN   TestB\n--- FAIL: TestB (0.0s)\n    b_test.go:7: wrong\n", "TestB", "wrong"},
		{"a panic elsewhere", "=== RUN   TestA\npanic: nil map\n\ngoroutine 7\n", "TestA", "panic: nil map"},
		{"a leak", "=== RUN   TestA\n--- PASS: TestA (0.0s)\nPASS\ngoleak: Errors on successful test run\n", "TestA", "goleak: Errors on successful test run"},
		{"a race", "=== RUN   TestA\n==================\nWARNING: DATA RACE\n", "TestA", "WARNING: DATA RACE"},
	} {
		if test, how := firstFailure([]byte(tc.output)); test != tc.test || how != tc.how {
			t.Errorf("%s: %q, %q", tc.name, test, how)
		}
	}
}
