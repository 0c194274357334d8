package server

import (
	"context"

	"github.com/chatstream/chatstream/atomics"
)

// gate counts the commands under way and lets no more in once it is closed.
type gate struct {
	refs  atomics.RefCount
	empty chan struct{} // closed when the gate is closed and everybody has left
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

func (g *gate) enter() bool { return g.refs.Acquire() }

func (g *gate) leave() {
	if g.refs.Release() {
		close(g.empty)
	}
}

func (g *gate) close() {
	if _, drained := g.refs.Close(); drained {
		close(g.empty)
	}
}

// wait waits until everybody has left a closed gate.
func (g *gate) wait(ctx context.Context) error {
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
