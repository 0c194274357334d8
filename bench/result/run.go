package result

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Schema is the version of the JSON form that this package writes, and the only
// one that it reads.
const Schema = 1

// Names of servers in [Run.Server].
const (
	ServerChatstream = "chatstream"
	ServerBaseline   = "baseline" // bare grpc-go
)

// Run is one run of a scenario. Not safe for concurrent use.
type Run struct {
	Schema   int    `json:"schema"`
	Scenario string `json:"scenario"` // fanout, rooms, churn, soak, latency
	Server   string `json:"server"`   // ServerChatstream, ServerBaseline, or another's name

	// Config says what was asked for, in the order of the scenario's flags. Runs
	// with the same scenario, server and config are samples of the same thing.
	Config []Setting `json:"config"`

	Command string    `json:"command"` // the command line that repeats it
	Commit  string    `json:"commit"`  // of the load generator; see Commit
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // length of the measured interval
	Machine Machine   `json:"machine"` // see ThisMachine

	Counts    Counts     `json:"counts"`    // in the measured interval
	Rates     Rates      `json:"rates"`     // see Counts.Over
	Latencies []Latency  `json:"latencies"` // by name, in the order in which a reader wants them
	Use       *ServerUse `json:"use,omitempty"`

	// Series has a sample for each second of the run.
	Series []Sample `json:"series,omitempty"`
}

// Setting is one name and value of a configuration.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// NewSetting is the setting of name to value, as fmt prints it.
func NewSetting(name string, value any) Setting { return Setting{Name: name, Value: fmt.Sprint(value)} }

// Counts is how often something happened. What a scenario does not count is 0.
type Counts struct {
	Sent         int64 `json:"sent,omitempty"`         // messages
	Acknowledged int64 `json:"acknowledged,omitempty"` // messages the server said were stored
	Deliveries   int64 `json:"deliveries,omitempty"`   // messages that reached a stream; one message to 10 streams counts 10
	Duplicates   int64 `json:"duplicates,omitempty"`   // deliveries of what the stream had already
	Missing      int64 `json:"missing,omitempty"`      // deliveries that never came, though the message was acknowledged
	Connects     int64 `json:"connects,omitempty"`     // streams that were opened
	Replacements int64 `json:"replacements,omitempty"` // streams that were ended by a newer one of the same user
}

// Over is the counts per second of an interval of this length.
func (c Counts) Over(seconds float64) Rates {
	if seconds <= 0 {
		return Rates{}
	}
	return Rates{
		Sent:         float64(c.Sent) / seconds,
		Deliveries:   float64(c.Deliveries) / seconds,
		Connects:     float64(c.Connects) / seconds,
		Replacements: float64(c.Replacements) / seconds,
	}
}

// Rates are per second of the measured interval.
type Rates struct {
	Offered      float64 `json:"offered,omitempty"` // messages that were to be sent; 0 if there was no fixed rate
	Sent         float64 `json:"sent,omitempty"`
	Deliveries   float64 `json:"deliveries,omitempty"`
	Connects     float64 `json:"connects,omitempty"`
	Replacements float64 `json:"replacements,omitempty"`
}

// ServerUse is what the server's process used, as the operating system or the
// server's diagnostics say. What is not known is 0.
type ServerUse struct {
	CPUSeconds     float64 `json:"cpu_seconds"`              // user and system, in the measured interval
	CPUPerDelivery float64 `json:"cpu_us_per_delivery"`      // microseconds
	RSSEnd         int64   `json:"rss_end_bytes,omitempty"`  // at the end of the measured interval, streams open
	RSSPeak        int64   `json:"rss_peak_bytes,omitempty"` // of the whole run
	Goroutines     int64   `json:"goroutines,omitempty"`     // with all streams open

	Locks []LockWaits `json:"locks,omitempty"` // those that the server's diagnostics tell of
}

// LockWaits is what waiting for a spin lock of the server has cost in the measured
// interval.
type LockWaits struct {
	Name    string `json:"name"`
	Waited  uint64 `json:"waited"`     // how often it was not free at once
	Spins   uint64 `json:"spins"`      // looks that found it taken
	Yields  uint64 `json:"yields"`     // how often a waiter gave up its processor
	Longest int64  `json:"longest_ns"` // of the waits that came to yield since the server began
}

// Sample is one second of a run.
type Sample struct {
	At         float64 `json:"at"`                  // seconds since Run.Started, at the end of the sample
	Deliveries float64 `json:"deliveries"`          // a second
	P99        int64   `json:"p99_ns,omitempty"`    // of the scenario's first latency, of this second alone
	CPU        float64 `json:"cpu,omitempty"`       // cores the server used
	RSS        int64   `json:"rss_bytes,omitempty"` // of the server
	Streams    int64   `json:"streams,omitempty"`   // open
}

// Title names what was run: scenario, server and config, in one line. Runs with
// the same title can be compared.
func (r *Run) Title() string {
	var b strings.Builder
	b.WriteString(r.Scenario + " " + r.Server)
	for _, s := range r.Config {
		b.WriteString(" " + s.Name + "=" + s.Value)
	}
	return b.String()
}

// Setting is the value of a setting, or "".
func (r *Run) Setting(name string) string {
	for _, s := range r.Config {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}

// Latency is the latency of that name.
func (r *Run) Latency(name string) (Latency, bool) {
	for _, l := range r.Latencies {
		if l.Name == name {
			return l, true
		}
	}
	return Latency{}, false
}

// Validate says all that is wrong with r, or nil.
func (r *Run) Validate() error {
	var errs []error
	wrong := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if r.Schema != Schema {
		return fmt.Errorf("schema is %d, and this program reads %d", r.Schema, Schema)
	}
	if r.Scenario == "" {
		wrong("scenario is missing")
	}
	if r.Server == "" {
		wrong("server is missing")
	}
	if r.Command == "" {
		wrong("command is missing: nobody could repeat the run")
	}
	if r.Started.IsZero() {
		wrong("started is missing")
	}
	if !(r.Seconds > 0) || math.IsInf(r.Seconds, 0) {
		wrong("seconds is %v: a run lasts longer than that", r.Seconds)
	}
	if r.Machine.Cores <= 0 || r.Machine.Go == "" {
		wrong("machine is missing")
	}
	names := make(map[string]bool)
	for _, s := range r.Config {
		if s.Name == "" || names[s.Name] {
			wrong("config has the name %q twice, or none", s.Name)
		}
		names[s.Name] = true
	}
	c := r.Counts
	for _, n := range []struct {
		name string
		n    int64
	}{
		{"sent", c.Sent}, {"acknowledged", c.Acknowledged}, {"deliveries", c.Deliveries}, {"duplicates", c.Duplicates}, {"missing", c.Missing},
		{"connects", c.Connects}, {"replacements", c.Replacements},
	} {
		if n.n < 0 {
			wrong("counts: %s is %d", n.name, n.n)
		}
	}
	seen := make(map[string]bool)
	for _, l := range r.Latencies {
		if l.Name == "" || seen[l.Name] {
			wrong("latencies has the name %q twice, or none", l.Name)
		}
		seen[l.Name] = true
		if err := l.Validate(); err != nil {
			wrong("latency %q: %w", l.Name, err)
		}
	}
	last := 0.0
	for i, s := range r.Series {
		if s.At < last {
			wrong("series: sample %d is at %v, before the one before it", i, s.At)
		}
		last = s.At
	}
	return errors.Join(errs...)
}
