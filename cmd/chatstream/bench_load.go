package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/chatstream/chatstream/bench/load"
	"github.com/chatstream/chatstream/bench/result"
)

// loading are the flags of every scenario.
type loading struct {
	Address     string `default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"The server (${default}). Its accounts are made anew: a server for measuring should hash cheaply, with --argon2-time 1 --argon2-memory 64."`
	CA          string `name:"tls-ca" type:"path" placeholder:"FILE" help:"Speak TLS, and trust this certificate authority (PEM)."`
	As          string `default:"chatstream" placeholder:"NAME" help:"What the results call the server (${default})."`
	PID         int    `name:"pid" help:"The server's process on this machine: its processor time and memory are measured."`
	Diagnostics string `env:"-" placeholder:"HOST:PORT" help:"The server's --diagnostics: the same, also from another machine."`

	Streams     int           `default:"1000" help:"Users, each with a stream (${default})."`
	Connections int           `help:"Connections that they share; 0 for one each. One must have room for a call beside its streams: 99 of them, unless the server's --max-streams is raised."`
	Warmup      time.Duration `default:"2s" help:"Load before the measurement (${default})."`
	Duration    time.Duration `default:"10s" help:"Length of the measurement (${default})."`
	Out         string        `placeholder:"DIR" help:"Keep the result there, as JSON."`
}

// sized is the size of what is sent.
type sized struct {
	Size int `default:"200" help:"Bytes of a text (${default})."`
}

type benchFanoutCmd struct {
	loading
	sized
	Rate   float64 `help:"Messages a second, at fixed times whatever the server does; or --window."`
	Window int     `help:"Messages on their way at once: the next is sent when everybody has the oldest (16, unless --rate is given)."`
}

type benchRoomsCmd struct {
	loading
	sized
	Members int     `default:"10" help:"Members of a room (${default})."`
	Rate    float64 `default:"100" help:"Messages a second, to one room after the other (${default})."`
}

type benchChurnCmd struct {
	loading
	Members int     `default:"10" help:"Members of a room (${default})."`
	Rate    float64 `default:"100" help:"Streams opened a second (${default})."`
}

type benchLatencyCmd struct {
	loading
	sized
	Rates []float64 `default:"10,50,100" help:"Messages a second, a run for each (${default})."`
}

type benchSoakCmd struct {
	loading
	sized
	Members    int     `default:"10" help:"Members of a room (${default})."`
	Rate       float64 `default:"100" help:"Messages a second, to one room after the other (${default})."`
	Reconnects float64 `default:"5" help:"Streams cut off and opened again a second (${default})."`
}

func (c *benchFanoutCmd) Run(ctx context.Context, std stdio) error {
	if c.Rate != 0 && c.Window != 0 {
		return &exitError{code: exitUsage, err: errors.New("--rate and --window exclude each other")}
	}
	if c.Rate == 0 && c.Window == 0 {
		c.Window = 16
	}
	return c.run(ctx, std, "fanout", load.Scenario{Rate: c.Rate, Window: c.Window, Size: c.Size}, load.Scenario.Fanout)
}

func (c *benchRoomsCmd) Run(ctx context.Context, std stdio) error {
	return c.run(ctx, std, "rooms", load.Scenario{Members: c.Members, Rate: c.Rate, Size: c.Size}, load.Scenario.Rooms)
}

func (c *benchChurnCmd) Run(ctx context.Context, std stdio) error {
	return c.run(ctx, std, "churn", load.Scenario{Members: c.Members, Rate: c.Rate}, load.Scenario.Churn)
}

func (c *benchLatencyCmd) Run(ctx context.Context, std stdio) error {
	for _, rate := range c.Rates {
		if rate <= 0 {
			return &exitError{code: exitUsage, err: fmt.Errorf("a rate of %v a second: nothing would happen", rate)}
		}
	}
	for _, rate := range c.Rates {
		if err := c.run(ctx, std, "latency", load.Scenario{Rate: rate, Size: c.Size}, load.Scenario.Fanout); err != nil {
			return err
		}
	}
	return nil
}

func (c *benchSoakCmd) Run(ctx context.Context, std stdio) error {
	return c.run(ctx, std, "soak", load.Scenario{Members: c.Members, Rate: c.Rate, Size: c.Size, Reconnects: c.Reconnects}, load.Scenario.Soak)
}

// run runs one scenario: its progress goes to standard error, its result to
// standard output and, if asked for, into a file.
func (l *loading) run(ctx context.Context, std stdio, name string, s load.Scenario, scenario func(load.Scenario, context.Context, string) (*result.Run, error)) error {
	if err := l.into(&s); err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	if err := s.Validate(name); err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	if s.Gauge != nil { // now rather than after the accounts have been made
		if _, err := s.Gauge.Use(ctx); err != nil {
			return &exitError{code: exitUsage, err: err}
		}
	}
	show := &progress{out: std.Err, live: isTerminal(std.Err)}
	s.Progress, s.Observe = show.setup, show.second
	run, err := scenario(s, ctx, name)
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("bench %s: %w", name, err)
	}
	run.Server, run.Command = l.As, "chatstream "+strings.Join(os.Args[1:], " ")
	printRun(std.Out, run)
	if l.Out != "" {
		path := filepath.Join(l.Out, run.FileName())
		if err := result.Write(path, run); err != nil {
			return err
		}
		fmt.Fprintln(std.Out, "kept in", path)
	}
	if run.Counts.Missing > 0 {
		return fmt.Errorf("bench %s: %w: %d deliveries", name, load.ErrLost, run.Counts.Missing)
	}
	return nil
}

// into completes s by the common flags.
func (l *loading) into(s *load.Scenario) error {
	s.Target.Address = l.Address
	if l.CA != "" {
		pem, err := os.ReadFile(l.CA)
		if err != nil {
			return fmt.Errorf("read the certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read the certificate authority: %s holds no PEM certificate", l.CA)
		}
		s.Target.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	switch {
	case l.PID != 0 && l.Diagnostics != "":
		return errors.New("--pid and --diagnostics exclude each other")
	case l.PID != 0:
		s.Gauge = load.Process(l.PID)
	case l.Diagnostics != "":
		s.Gauge = load.Diagnostics(l.Diagnostics)
	}
	s.Streams, s.Connections, s.Warmup, s.Duration = l.Streams, l.Connections, l.Warmup, l.Duration
	return nil
}

// isTerminal reports whether what is written to w is seen by somebody at once.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress shows how a run goes on: one line that changes, on a terminal.
type progress struct {
	out  io.Writer
	live bool

	mu   sync.Mutex
	last time.Time
}

func (p *progress) setup(what string, done, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done < of && time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	if p.live {
		fmt.Fprintf(p.out, "\r\x1b[K%s: %d of %d", what, done, of)
		if done == of {
			fmt.Fprintln(p.out)
		}
	} else if done == of && of > 1 {
		fmt.Fprintf(p.out, "%s: %d\n", what, of)
	}
}

func (p *progress) second(s result.Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%5.0fs %10.0f/s  p99 %8.2f ms", s.At, s.Deliveries, float64(s.P99)/1e6)
	if s.RSS > 0 {
		fmt.Fprintf(p.out, "  %4.0f %% of a core  %5.0f MiB", s.CPU*100, float64(s.RSS)/(1<<20))
	}
	fmt.Fprintln(p.out)
}

// printRun prints what a reader wants first.
func printRun(w io.Writer, r *result.Run) {
	fmt.Fprintln(w, r.Title())
	c := r.Counts
	if c.Sent > 0 {
		fmt.Fprintf(w, "sent %d, delivered %d (%.0f/s), duplicates %d, missing %d\n", c.Sent, c.Deliveries, r.Rates.Deliveries, c.Duplicates, c.Missing)
	}
	if c.Connects > 0 {
		fmt.Fprintf(w, "streams opened %d (%.0f/s), replaced %d\n", c.Connects, r.Rates.Connects, c.Replacements)
	}
	for _, l := range r.Latencies {
		fmt.Fprintf(w, "%s: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n",
			l.Name, float64(l.P50)/1e6, float64(l.P99)/1e6, float64(l.P999)/1e6, float64(l.Max)/1e6)
	}
	if u := r.Use; u != nil {
		fmt.Fprintf(w, "server: %.2f s of processor time", u.CPUSeconds)
		if u.CPUPerDelivery > 0 {
			fmt.Fprintf(w, ", %.2f us a delivery", u.CPUPerDelivery)
		}
		fmt.Fprintf(w, ", %.0f MiB at the end, %.0f at most", float64(u.RSSEnd)/(1<<20), float64(u.RSSPeak)/(1<<20))
		fmt.Fprintln(w)
	}
}
