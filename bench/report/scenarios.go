package report

import "github.com/chatstream/chatstream/bench/result"

// scenarios are those of the load generator, in the order of the report.
var scenarios = []struct{ name, shows string }{
	{"fanout", "One room, many streams: what a message to all of them costs."},
	{"rooms", "Many small rooms: what it costs when few share a message."},
	{"churn", "Streams that come, go and replace each other."},
	{"soak", "The same load for long: whether anything grows."},
	{"latency", "Messages at fixed times, however late the one before was (open loop): how long each took from when it was due."},
}

// The figures of a run that the report shows, where they are not 0.
var (
	counts = []struct {
		name string
		of   func(*result.Counts) int64
	}{
		{"messages sent", func(c *result.Counts) int64 { return c.Sent }},
		{"acknowledged", func(c *result.Counts) int64 { return c.Acknowledged }},
		{"deliveries", func(c *result.Counts) int64 { return c.Deliveries }},
		{"duplicates", func(c *result.Counts) int64 { return c.Duplicates }},
		{"streams opened", func(c *result.Counts) int64 { return c.Connects }},
		{"streams replaced", func(c *result.Counts) int64 { return c.Replacements }},
		{"sends due and not made", func(c *result.Counts) int64 { return c.Late }},
	}
	// failures are shown in any case: 0 is what they should be.
	failures = []struct {
		name string
		of   func(*result.Counts) int64
	}{
		{"missing deliveries", func(c *result.Counts) int64 { return c.Missing }},
		{"errors", func(c *result.Counts) int64 { return c.Errors }},
	}
	rates = []struct {
		name string
		of   func(*result.Rates) float64
	}{
		{"messages due per second", func(r *result.Rates) float64 { return r.Offered }},
		{"messages sent per second", func(r *result.Rates) float64 { return r.Sent }},
		{"deliveries per second", func(r *result.Rates) float64 { return r.Deliveries }},
		{"streams opened per second", func(r *result.Rates) float64 { return r.Connects }},
		{"streams replaced per second", func(r *result.Rates) float64 { return r.Replacements }},
	}
	uses = []struct {
		name string
		of   func(*result.ServerUse) float64
		show func(float64) string
	}{
		{"server CPU", func(u *result.ServerUse) float64 { return u.CPUSeconds * 1e9 }, duration},
		{"server CPU per delivery", func(u *result.ServerUse) float64 { return u.CPUPerDelivery * 1e3 }, duration},
		{"server memory at the begin", func(u *result.ServerUse) float64 { return float64(u.RSSBegin) }, size},
		{"server memory at the end", func(u *result.ServerUse) float64 { return float64(u.RSSEnd) }, size},
		{"server memory at its peak", func(u *result.ServerUse) float64 { return float64(u.RSSPeak) }, size},
		{"memory per stream", func(u *result.ServerUse) float64 { return u.KBPerStream * 1024 }, size},
		{"goroutines", func(u *result.ServerUse) float64 { return float64(u.Goroutines) }, figure},
	}
)
