package result

import (
	"context"
	"os/exec"
	"runtime/debug"
	"strings"
)

// Commit is the commit that this program was built from: what the linker has noted, or,
// when it noted nothing (go run, go test), that of the checkout the program was
// started in. A commit with changes beside it ends in "+changes". Without either it is
// "unknown".
func Commit(ctx context.Context) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		revision, modified := "", ""
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				modified = s.Value
			}
		}
		if revision != "" {
			return revision + changes(modified == "true")
		}
	}
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	// Results and reports that were just written are no change of what was measured.
	status, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":(top)*.go", ":(top)go.mod", ":(top)go.sum").Output()
	return strings.TrimSpace(string(head)) + changes(err != nil || len(status) > 0)
}

func changes(are bool) string {
	if are {
		return "+changes"
	}
	return ""
}
