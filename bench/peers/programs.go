package peers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// programs are the servers' binaries.
type programs struct {
	chatstream, centrifugo, nats string
}

// build builds the servers into dir: ours from the module around this one, the
// others in the versions that this module's go.mod names as its tools.
func build(ctx context.Context, dir string) (*programs, error) {
	p := &programs{
		chatstream: filepath.Join(dir, "chatstream"),
		centrifugo: filepath.Join(dir, "centrifugo"),
		nats:       filepath.Join(dir, "nats-server"),
	}
	for _, b := range []struct{ module, program, pkg string }{
		// In its own module: with the versions that it is released with.
		{filepath.Join("..", ".."), p.chatstream, "./cmd/chatstream"},
		{".", p.centrifugo, "github.com/centrifugal/centrifugo/v6"},
		{".", p.nats, "github.com/nats-io/nats-server/v2"},
	} {
		out, err := exec.CommandContext(ctx, "go", "build", "-C", b.module, "-o", b.program, b.pkg).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("go build %s: %w\n%s", b.pkg, err, out)
		}
	}
	return p, nil
}
