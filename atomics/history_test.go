package atomics

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// historyClients is how many goroutines a history is of.
const historyClients = 4

// history records concurrent calls for porcupine. Its clock is a counter, so that two moments are never equal; each client
// keeps its own calls, so that recording does not hold one up for another.
type history struct {
	clock   atomic.Int64
	clients [historyClients][]porcupine.Operation
}

// record makes the call and keeps when it began, when it ended, and what it returned.
func (h *history) record(client int, input any, call func() any) any {
	begin := h.clock.Add(1)
	output := call()
	end := h.clock.Add(1)
	h.clients[client] = append(h.clients[client],
		porcupine.Operation{ClientId: client, Input: input, Call: begin, Output: output, Return: end})
	return output
}

// check fails the test if no order of the calls explains what they returned.
func (h *history) check(t *testing.T, m porcupine.Model) {
	t.Helper()
	ops := slices.Concat(h.clients[:]...)
	if !porcupine.CheckOperations(m, ops) {
		for _, op := range ops {
			t.Logf("%3d-%3d client %d: %v -> %v", op.Call, op.Return, op.ClientId, op.Input, op.Output)
		}
		t.Fatal("not linearizable")
	}
}

// caught records histories of what is wrong on purpose until one has no order. A check that refuses none in so many
// cannot fail. To know that there is no order may take for ever; then the next history is tried.
func caught(t *testing.T, m porcupine.Model, record func(h *history)) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		var h history
		record(&h)
		if porcupine.CheckOperationsTimeout(m, slices.Concat(h.clients[:]...), 200*time.Millisecond) == porcupine.Illegal {
			return
		}
	}
	t.Error("every history of it was found to be linearizable")
}

// yield lets others run in the middle of what must look like one step.
func yield() {
	for range 3 {
		runtime.Gosched()
	}
}
