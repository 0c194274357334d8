package report

import (
	"fmt"
	"strings"
)

// parseRemarks reads remarks.md: what stands under a heading "## id" is said beside the
// goal, or the benchmark, with that id.
func parseRemarks(text string) (map[string]string, error) {
	known := make(map[string]bool)
	for _, g := range Goals {
		known[g.ID] = true
	}
	remarks := make(map[string]string)
	id := ""
	for i, line := range strings.Split(text, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			id = strings.TrimSpace(heading)
			if !known[id] {
				return nil, fmt.Errorf("remarks.md:%d: there is no goal %q", i+1, id)
			}
			if _, twice := remarks[id]; twice {
				return nil, fmt.Errorf("remarks.md:%d: a second remark on %q", i+1, id)
			}
			remarks[id] = ""
			continue
		}
		if id != "" {
			remarks[id] = strings.TrimSpace(remarks[id] + " " + strings.TrimSpace(line))
		}
	}
	for id, text := range remarks {
		if text == "" {
			return nil, fmt.Errorf("remarks.md: nothing is said on %q", id)
		}
	}
	return remarks, nil
}
