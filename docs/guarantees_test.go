// Package docs_test holds the documents against the tree.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link = regexp.MustCompile(`\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)`)
	// testName is a test, or a subtest of one.
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*(/.+)?$`)
)

// TestEveryGuaranteeHasItsTest: every sentence of guarantees.md names a test
// that shows it, and each test it names is in the file it says.
func TestEveryGuaranteeHasItsTest(t *testing.T) {
	text, err := os.ReadFile("guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	promises, named := 0, 0
	for _, item := range strings.Split(string(text), "\n* ")[1:] {
		item, _, _ = strings.Cut(item, "\n\n")
		promises++
		found := 0
		for _, m := range link.FindAllStringSubmatch(item, -1) {
			if testName.MatchString(m[1]) {
				found++
			}
		}
		if named += found; found == 0 {
			t.Errorf("no test is named for: %.100s", item)
		}
	}
	if promises < 20 || named < 60 {
		t.Errorf("%d promises and %d tests: this test does not see them", promises, named)
	}
}

// TestLinksLeadSomewhere checks the links between files of all documents; one
// whose text is the name of a test leads to the file with that test, or with that
// part of a test that several stores share.
func TestLinksLeadSomewhere(t *testing.T) {
	sources := goSources(t)
	links := 0
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			label, target := m[1], m[2]
			if strings.Contains(target, "://") {
				continue
			}
			links++
			path := filepath.Join(filepath.Dir(name), target)
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: [%s] leads nowhere: %v", name, label, err)
				continue
			}
			if !testName.MatchString(label) {
				continue
			}
			test, _, isSub := strings.Cut(label, "/")
			function := fmt.Sprintf("\nfunc %s(", test)
			switch {
			case !isSub && !strings.Contains(sources[path], function):
				t.Errorf("%s: there is no %s in %s", name, test, target)
			case isSub && !strings.Contains(sources[path], fmt.Sprintf("%q", label[strings.LastIndex(label, "/")+1:])):
				t.Errorf("%s: there is no subtest %s in %s", name, label, target)
			case isSub && !somewhere(sources, function):
				t.Errorf("%s: there is no %s", name, test)
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links: this test does not see them", links)
	}
}

func somewhere(sources map[string]string, text string) bool {
	for _, s := range sources {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

// documents are the Markdown files of the tree.
func documents(t *testing.T) []string { return paths(t, ".md") }

func goSources(t *testing.T) map[string]string {
	sources := make(map[string]string)
	for _, path := range paths(t, ".go") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sources[path] = string(text)
	}
	return sources
}

func paths(t *testing.T, extension string) []string {
	var found []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case filepath.Ext(path) == extension:
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
