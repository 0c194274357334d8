package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/chatstream/chatstream/bench/result"
	"github.com/chatstream/chatstream/engine/room"
)

// Scenario is what a run does. Zero values of what a scenario does not use are
// left out of its result.
type Scenario struct {
	Target Target
	// Gauge, if not nil, tells what the server uses.
	Gauge Gauge
	// Progress and Observe, if not nil, are told how a set-up goes on, and shown
	// every second of the measurement.
	Progress Progress
	Observe  func(result.Sample)

	Streams     int           // how many users have a stream
	Connections int           // shared by them; 0 is one for each
	Members     int           // of each room
	Rate        float64       // messages a second; of churn, streams a second
	Window      int           // messages on their way at once, instead of a rate
	Reconnects  float64       // streams cut off and opened again a second
	Size        int           // of a text, in bytes
	Warmup      time.Duration // before the measurement
	Duration    time.Duration // of the measurement
}

// Names of latencies.
const (
	dueToReceived     = "due to received"
	dueToAcknowledged = "due to acknowledged"
	dueToInitialized  = "due to initialized"
)

// Fanout measures one room whose members all listen, and one user who talks: at
// a rate, or with a window of messages on their way.
func (c Scenario) Fanout(ctx context.Context, name string) (*result.Run, error) {
	r := c.begin(ctx, name)
	r.setting("streams", c.Streams)
	r.setting("connections", c.connections())
	if c.Window > 0 {
		r.setting("window", c.Window)
	} else {
		r.setting("rate", c.Rate)
		r.run.Rates.Offered = c.Rate
	}
	r.setting("size", c.Size)
	r.setting("duration", c.Duration)
	f, err := OpenFanout(ctx, c.Target, c.Streams, c.Connections, c.Progress)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return r.messages(ctx, f.Crowd, func(ctx context.Context, d time.Duration) (Sample, error) {
		if c.Window > 0 {
			return f.Backlog(ctx, c.Window, c.Size, d)
		}
		return f.Paced(ctx, c.Rate, c.Size, d)
	})
}

// Rooms measures many rooms of Members users each, to which messages are sent in
// turn.
func (c Scenario) Rooms(ctx context.Context, name string) (*result.Run, error) {
	r, rooms, err := c.openRooms(ctx, name)
	if err != nil {
		return nil, err
	}
	defer rooms.Close()
	r.run.Rates.Offered = c.Rate
	return r.messages(ctx, rooms.Crowd, func(ctx context.Context, d time.Duration) (Sample, error) {
		return rooms.Paced(ctx, c.Rate, c.Size, d)
	})
}

// Soak is Rooms, while streams are cut off and opened again.
func (c Scenario) Soak(ctx context.Context, name string) (*result.Run, error) {
	r, rooms, err := c.openRooms(ctx, name)
	if err != nil {
		return nil, err
	}
	defer rooms.Close()
	r.setting("reconnects", c.Reconnects)
	r.run.Rates.Offered = c.Rate
	return r.messages(ctx, rooms.Crowd, func(ctx context.Context, d time.Duration) (Sample, error) {
		s, opened, err := rooms.Soak(ctx, c.Rate, c.Reconnects, c.Size, d)
		r.run.Counts.Connects = opened
		return s, err
	})
}

// Churn measures the opening of streams that take the place of older ones.
func (c Scenario) Churn(ctx context.Context, name string) (*result.Run, error) {
	r, rooms, err := c.openRooms(ctx, name)
	if err != nil {
		return nil, err
	}
	defer rooms.Close()
	if err := r.opened(ctx); err != nil {
		return nil, err
	}
	if c.Warmup > 0 {
		if _, err := rooms.Churn(ctx, c.Rate, c.Warmup); err != nil {
			return nil, err
		}
	}
	if err := r.measuring(ctx); err != nil {
		return nil, err
	}
	rooms.Observe = r.second
	s, err := rooms.Churn(ctx, c.Rate, c.Duration)
	if err != nil {
		return nil, err
	}
	r.run.Counts = result.Counts{Connects: s.Opened, Replacements: s.Replaced}
	return r.end(ctx, s.Elapsed, map[string]*hdrhistogram.Histogram{dueToInitialized: s.Latency}, dueToInitialized)
}

func (c Scenario) openRooms(ctx context.Context, name string) (*recording, *Rooms, error) {
	r := c.begin(ctx, name)
	r.setting("streams", c.Streams)
	r.setting("connections", c.connections())
	r.setting("members", c.Members)
	r.setting("rate", c.Rate)
	if name != "churn" {
		r.setting("size", c.Size)
	}
	r.setting("duration", c.Duration)
	rooms, err := OpenRooms(ctx, c.Target, c.Streams, c.Connections, c.Members, c.Progress)
	if err != nil {
		return nil, nil, err
	}
	if err := rooms.Connect(ctx, c.Target, c.Connections); err != nil {
		rooms.Close()
		return nil, nil, err
	}
	return r, rooms, nil
}

func (c Scenario) connections() int {
	if c.Connections <= 0 {
		return c.Streams
	}
	return c.Connections
}

// recording makes a result of what is measured.
type recording struct {
	Scenario
	run *result.Run

	mu     sync.Mutex
	before Use // when the measurement began
	last   Use
	began  time.Time // Run.Started has no monotonic clock
	at     time.Time
}

func (c Scenario) begin(ctx context.Context, name string) *recording {
	return &recording{Scenario: c, run: &result.Run{
		Schema: result.Schema, Scenario: name, Commit: result.Commit(ctx), Machine: result.ThisMachine(),
	}}
}

func (r *recording) setting(name string, value any) {
	r.run.Config = append(r.run.Config, result.NewSetting(name, value))
}

// use asks the gauge.
func (r *recording) use(ctx context.Context) (Use, error) {
	if r.Gauge == nil {
		return Use{}, nil
	}
	if r.run.Use == nil {
		r.run.Use = &result.ServerUse{}
	}
	u, err := r.Gauge.Use(ctx)
	r.run.Use.RSSPeak = max(r.run.Use.RSSPeak, u.Memory)
	return u, err
}

// opened is called when all streams are open.
func (r *recording) opened(ctx context.Context) error {
	u, err := r.use(ctx)
	if err != nil || r.run.Use == nil {
		return err
	}
	r.run.Use.Goroutines = u.Goroutines
	return nil
}

// measuring is called when the measurement begins.
func (r *recording) measuring(ctx context.Context) (err error) {
	r.before, err = r.use(ctx)
	r.began = time.Now()
	r.last, r.at, r.run.Started = r.before, r.began, r.began.UTC()
	return err
}

// second is called every second of the measurement.
func (r *recording) second(s Second) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	passed := now.Sub(r.at).Seconds()
	sample := result.Sample{
		At: now.Sub(r.began).Seconds(), Deliveries: float64(s.Deliveries) / passed,
		P99: s.Latency.ValueAtQuantile(99), Streams: int64(r.Streams),
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if u, err := r.use(ctx); err == nil && r.Gauge != nil {
		sample.CPU, sample.RSS = (u.CPU-r.last.CPU).Seconds()/passed, u.Memory
		r.last = u
	}
	r.at = now
	r.run.Series = append(r.run.Series, sample)
	if r.Observe != nil {
		r.Observe(sample)
	}
}

// messages runs a scenario whose messages are counted.
func (r *recording) messages(ctx context.Context, c *Crowd, send func(context.Context, time.Duration) (Sample, error)) (*result.Run, error) {
	if err := r.opened(ctx); err != nil {
		return nil, err
	}
	if r.Warmup > 0 {
		if _, err := send(ctx, r.Warmup); err != nil {
			return nil, err
		}
	}
	if err := r.measuring(ctx); err != nil {
		return nil, err
	}
	c.Observe = r.second
	s, err := send(ctx, r.Duration)
	if err != nil {
		return nil, err
	}
	r.run.Counts.Sent, r.run.Counts.Acknowledged = s.Sent, s.Sent
	r.run.Counts.Deliveries, r.run.Counts.Duplicates = s.Deliveries, s.Duplicates
	r.run.Counts.Missing = max(s.Missing, s.Expected-s.Deliveries)
	if n, why := c.Ended(); n > 0 {
		return nil, fmt.Errorf("%d streams ended, one of them: %w", n, why)
	}
	return r.end(ctx, s.Elapsed, map[string]*hdrhistogram.Histogram{dueToReceived: s.Latency, dueToAcknowledged: s.Acknowledged},
		dueToReceived, dueToAcknowledged)
}

// end completes the result.
func (r *recording) end(ctx context.Context, elapsed time.Duration, latencies map[string]*hdrhistogram.Histogram, order ...string) (*result.Run, error) {
	u, err := r.use(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	offered := r.run.Rates.Offered
	r.run.Seconds = elapsed.Seconds()
	r.run.Rates = r.run.Counts.Over(r.run.Seconds)
	r.run.Rates.Offered = offered
	if use := r.run.Use; use != nil {
		use.RSSEnd, use.CPUSeconds = u.Memory, (u.CPU - r.before.CPU).Seconds()
		use.Locks = since(r.before.Locks, u.Locks)
		if n := r.run.Counts.Deliveries; n > 0 {
			use.CPUPerDelivery = use.CPUSeconds * 1e6 / float64(n)
		}
	}
	for _, name := range order {
		l, err := result.NewLatency(name, latencies[name])
		if err != nil {
			return nil, err
		}
		r.run.Latencies = append(r.run.Latencies, l)
	}
	return r.run, nil
}

// Validate reports every value that makes no sense for the scenario of that name.
func (c Scenario) Validate(name string) error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	want(c.Streams > 0, "%d streams: there must be one at least", c.Streams)
	want(c.Connections >= 0 && c.Connections <= c.Streams, "%d connections: more than streams, or less than none", c.Connections)
	want(c.Duration >= time.Second, "a duration of %s: a second at least", c.Duration)
	want(c.Warmup >= 0, "a warm-up of %s", c.Warmup)
	want(c.Rate > 0 || c.Window > 0, "a rate of %v a second: nothing would happen", c.Rate)
	want(c.Rate >= 0 && c.Rate <= 1e6, "a rate of %v a second", c.Rate)
	want(c.Reconnects > 0 || name != "soak", "%v reconnects a second: use rooms instead", c.Reconnects)
	if name != "churn" {
		want(c.Size >= minText && c.Size <= room.MaxText, "texts of %d bytes: %d at least, for the time they carry, and %d at most", c.Size, minText, room.MaxText)
	}
	if name != "fanout" && name != "latency" {
		want(c.Members > 1, "%d members of a room: two at least", c.Members)
		want(c.Streams%max(c.Members, 1) == 0, "%d streams do not fill rooms of %d members", c.Streams, c.Members)
	}
	return errors.Join(errs...)
}
