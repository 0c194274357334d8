package atomics

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// history records concurrent calls for porcupine. Its clock is a counter, so that two moments are never equal.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// record makes the call and keeps when it began, when it ended, and what it returned.
func (h *history) record(client int, input any, call func() any) any {
	begin := h.clock.Add(1)
	output := call()
	end := h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: input, Call: begin, Output: output, Return: end})
	return output
}

// check fails the test if no order of the calls explains what they returned.
func (h *history) check(t *testing.T, m porcupine.Model) {
	t.Helper()
	if !porcupine.CheckOperations(m, h.ops) {
		for _, op := range h.ops {
			t.Logf("%3d-%3d client %d: %v -> %v", op.Call, op.Return, op.ClientId, op.Input, op.Output)
		}
		t.Fatal("not linearizable")
	}
}
