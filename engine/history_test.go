package engine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Registry and Rooms are linearizable: whatever concurrent calls return, there is
// an order of them, each somewhere between its call and its return, in which the
// same calls one after another return the same. The histories are recorded from
// the real types; porcupine looks for the order.

// history records concurrent calls. Its clock is a counter, so that two moments
// are never equal; each client keeps its own calls, so that recording does not
// hold one up for another.
type history struct {
	clock   atomic.Int64
	clients [][]porcupine.Operation
}

func newHistory(clients int) *history {
	return &history{clients: make([][]porcupine.Operation, clients)}
}

// now is a moment of the history.
func (h *history) now() int64 { return h.clock.Add(1) }

// record makes the call and keeps when it began, when it ended, and what came of it.
func (h *history) record(client int, input any, call func() any) {
	begin := h.now()
	output := call()
	end := h.now()
	h.clients[client] = append(h.clients[client],
		porcupine.Operation{ClientId: client, Input: input, Call: begin, Output: output, Return: end})
}

// errNoOrder: no order of the calls explains what they returned.
var errNoOrder = errors.New("not linearizable")

// linearizable says that there is no order that explains the calls; nil if there
// is one. To know that there is none may take for ever: that is another error.
func (h *history) linearizable(m porcupine.Model) error {
	ops := slices.Concat(h.clients...)
	switch porcupine.CheckOperationsTimeout(m, ops, 20*time.Second) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return errors.New("no order was found, or excluded")
	}
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, op := range ops {
		fmt.Fprintf(&b, "\n%4d-%4d client %d: %+v -> %+v", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
	return fmt.Errorf("%w:%s", errNoOrder, b.String())
}

// caught runs history after history of what is wrong on purpose, until one of
// them is refused. A check that refuses none in so many cannot fail.
func caught(t *testing.T, run func() error) {
	t.Helper()
	for range 3_000 {
		if errors.Is(run(), errNoOrder) {
			return
		}
	}
	t.Error("every history of it was found to be linearizable")
}

// atProcs runs f with one processor (only preemption and Gosched interleave), two,
// and eight (the operating system preempts in the middle of anything).
func atProcs(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
			before := runtime.GOMAXPROCS(procs)
			defer runtime.GOMAXPROCS(before)
			f(t)
		})
	}
}

// together runs f n times at once and returns when all have returned.
func together(n int, f func(i int)) {
	var start, end sync.WaitGroup
	start.Add(1)
	for i := range n {
		end.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	end.Wait()
}

// yield lets others run here: in the middle of what must look like one step.
func yield() {
	for range 3 {
		runtime.Gosched()
	}
}
