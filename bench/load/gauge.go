package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Use is what a server's process has used so far and holds now.
type Use struct {
	CPU        time.Duration
	Memory     int64 // resident, in bytes
	Goroutines int64 // 0 if not known
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
	}
	if err := json.NewDecoder(r.Body).Decode(&shown); err != nil {
		return Use{}, fmt.Errorf("measure the server: read its diagnostics: %w", err)
	}
	return Use{time.Duration(shown.Process.CPU), shown.Process.Memory, shown.Process.Goroutines}, nil
}
