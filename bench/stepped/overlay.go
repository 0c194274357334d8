package stepped

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Packages are those whose steps are taken one by one.
var Packages = []string{"atomics", "pool", "engine", "server"}

// left are the engine's test files that are not compiled: they hand words of
// sync/atomic to the code.
var left = []string{
	"tail_test.go", "splice_test.go", "history_test.go", "registry_linear_test.go", "rooms_linear_test.go", "watermark_test.go",
	"registry_test.go",
}

// kept are the other packages' that are.
var kept = []string{"main_test.go", "stepped_test.go"}

// Overlay writes the replaced files of the module in root into dir, and the list of
// them for -overlay, whose path it returns. mutated are files, by their path in the
// module, that are replaced already.
func Overlay(root, dir string, mutated map[string]string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, name := range Packages {
		files, err := filepath.Glob(filepath.Join(root, name, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			base := filepath.Base(file)
			if strings.HasSuffix(base, "_test.go") {
				if name == "engine" && slices.Contains(left, base) || name != "engine" && !slices.Contains(kept, base) {
					replace[file] = ""
				}
				continue
			}
			source, known := mutated[name+"/"+base]
			if !known {
				raw, err := os.ReadFile(file)
				if err != nil {
					return "", err
				}
				source = string(raw)
			}
			const here = `"github.com/chatstream/chatstream/bench/stepped"`
			source = strings.Replace(source, "\t\"sync/atomic\"\n", "\tatomic "+here+"\n", 1)
			source = strings.Replace(source, "import \"sync/atomic\"\n", "import atomic "+here+"\n", 1)
			source = strings.Replace(source, "\t\"github.com/puzpuzpuz/xsync/v3\"\n", "\txsync "+here+"\n", 1)
			replace[file] = filepath.Join(dir, name+"_"+base)
			if err := os.WriteFile(replace[file], []byte(source), 0o644); err != nil {
				return "", err
			}
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("overlay: %w", err)
	}
	list := filepath.Join(dir, "stepped.json")
	return list, os.WriteFile(list, raw, 0o644)
}
