package report

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A goal whose benchmark was renamed would never be measured again.
func TestGoalsHaveTheirBenchmarks(t *testing.T) {
	missing := make(map[string]bool)
	for _, g := range Goals {
		name, _, _ := strings.Cut(g.Benchmark, "/")
		missing[name] = true
	}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for name := range missing {
			if strings.Contains(string(code), "\nfunc "+name+"(b *testing.B)") {
				delete(missing, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range missing {
		t.Errorf("there is no %s", name)
	}
}
