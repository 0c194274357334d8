//go:build frames

package goals

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// The experiment of package server/frames against the server as it is: one
// iteration is one pair, as everywhere here.
//
//	go test -tags frames ./bench/goals -run '^$' -bench Frames -benchtime 1x -count 5

var framesProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programDir, "frames")
	cmd := exec.Command("go", "build", "-tags=frames", "-o", path, "github.com/chatstream/chatstream/cmd/chatstream")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// direct starts the server that writes frames itself.
func direct(tb testing.TB, dir string, flags ...string) server {
	tb.Helper()
	path, err := framesProgram()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "frames", path, append([]string{"serve", "--data=" + dir, "--log-level=warn",
		"--argon2-time=1", "--argon2-memory=64", "--max-streams=1000"}, flags...)...)
}

// framesBeside is the experiment and the server as it is, each with its streams.
func framesBeside(b *testing.B, conns int) (frames, grpc side) {
	b.Helper()
	return pair(b, streams, conns, direct(b, dataDir(b)), ours(b, dataDir(b)).called("grpc"))
}

func framesCost(b *testing.B, conns, window int) {
	frames, grpc := framesBeside(b, conns)
	compareCost(b, frames, grpc, window)
}

func BenchmarkFramesBacklog(b *testing.B)     { framesCost(b, 0, window) }
func BenchmarkFramesOneAtATime(b *testing.B)  { framesCost(b, 0, 1) }
func BenchmarkFramesSharedConns(b *testing.B) { framesCost(b, streams/100, window) }

// How long after a message is due everybody has it, at half of the rate at which
// the slower one is saturated.
func BenchmarkFramesLatency(b *testing.B) {
	frames, grpc := framesBeside(b, 0)
	compareLatency(b, frames, grpc, saturation(b, frames, grpc)/2)
}

// What an idle stream weighs.
func BenchmarkFramesIdle(b *testing.B) {
	for _, c := range idleConnections {
		b.Run("connections="+c.name, func(b *testing.B) {
			compareWeight(b, c.n, func(dir string) server { return direct(b, dir) },
				func(dir string) server { return ours(b, dir).called("grpc") })
		})
	}
}
