package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/bench/result"
)

// Use is what a server's process has used so far and holds now.
type Use struct {
	CPU        time.Duration
	Memory     int64 // resident, in bytes
	Goroutines int64 // 0 if not known
	// Locks is what waiting for its locks has cost; empty if not known.
	Locks []result.LockWaits
}

// Gauge tells what a server uses: a Process, or Diagnostics.
type Gauge interface {
	Use(ctx context.Context) (Use, error)
}

// Use implements Gauge.
func (p Process) Use(context.Context) (Use, error) {
	cpu, err := p.CPU()
	if err != nil {
		return Use{}, err
	}
	memory, err := p.Memory()
	return Use{CPU: cpu, Memory: memory}, err
}

// Diagnostics is where a server of ours serves them: host:port. They tell what
// the server uses also from another machine.
type Diagnostics string

// Use implements Gauge.
func (d Diagnostics) Use(ctx context.Context) (Use, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(d)+"/debug/stats", nil)
	if err != nil {
		return Use{}, fmt.Errorf("measure the server: %w", err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		return Use{}, fmt.Errorf("measure the server: %w", err)
	}
	defer r.Body.Close()
	var shown struct {
		Process struct {
			CPU, Memory, Goroutines int64
		}
		Server struct { // null of a program that is not ours
			Pool struct{ RunQueueLock, JobQueueLock *atomics.Waits }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&shown); err != nil {
		return Use{}, fmt.Errorf("measure the server: read its diagnostics: %w", err)
	}
	u := Use{CPU: time.Duration(shown.Process.CPU), Memory: shown.Process.Memory, Goroutines: shown.Process.Goroutines}
	if p := shown.Server.Pool; p.RunQueueLock != nil && p.JobQueueLock != nil {
		u.Locks = []result.LockWaits{waits("run queue", *p.RunQueueLock), waits("job queue", *p.JobQueueLock)}
	}
	return u, nil
}

func waits(name string, w atomics.Waits) result.LockWaits {
	return result.LockWaits{Name: name, Waited: w.Waited, Spins: w.Spins, Yields: w.Yields, Longest: w.Longest.Nanoseconds()}
}

// since is what waiting has cost after an earlier look at the same locks.
func since(before, now []result.LockWaits) []result.LockWaits {
	if len(before) != len(now) {
		return nil
	}
	var all []result.LockWaits
	for i, w := range now {
		w.Waited -= before[i].Waited
		w.Spins -= before[i].Spins
		w.Yields -= before[i].Yields
		all = append(all, w)
	}
	return all
}
