package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chatstream/chatstream/bench/result"
)

// scenarios are those of the load generator, in the order of the report.
var scenarios = []struct{ name, shows string }{
	{"fanout", "One room, many streams: what a message to all of them costs."},
	{"rooms", "Many small rooms: what it costs when few share a message."},
	{"churn", "Streams that come, go and replace each other."},
	{"soak", "The same load for long: whether anything grows."},
	{"latency", "Messages at fixed times, however late the one before was (open loop): how long each took from when it was due."},
}

// figureOf is a figure of a run, and how it is shown.
type figureOf struct {
	name string
	of   func(*result.Run) float64
	show func(float64) string
}

// figures are those that the report shows where they are not 0: the median of the runs
// of the same.
var figures = []figureOf{
	{"messages sent", func(r *result.Run) float64 { return float64(r.Counts.Sent) }, figure},
	{"acknowledged", func(r *result.Run) float64 { return float64(r.Counts.Acknowledged) }, figure},
	{"deliveries", func(r *result.Run) float64 { return float64(r.Counts.Deliveries) }, figure},
	{"duplicates", func(r *result.Run) float64 { return float64(r.Counts.Duplicates) }, figure},
	{"streams opened", func(r *result.Run) float64 { return float64(r.Counts.Connects) }, figure},
	{"streams replaced", func(r *result.Run) float64 { return float64(r.Counts.Replacements) }, figure},
	{"messages due per second", func(r *result.Run) float64 { return r.Rates.Offered }, figure3},
	{"messages sent per second", func(r *result.Run) float64 { return r.Rates.Sent }, figure3},
	{"deliveries per second", func(r *result.Run) float64 { return r.Rates.Deliveries }, figure3},
	{"streams opened per second", func(r *result.Run) float64 { return r.Rates.Connects }, figure3},
	{"streams replaced per second", func(r *result.Run) float64 { return r.Rates.Replacements }, figure3},
	{"server CPU", func(r *result.Run) float64 { return use(r).CPUSeconds * 1e9 }, duration},
	{"server CPU per delivery", func(r *result.Run) float64 { return use(r).CPUPerDelivery * 1e3 }, duration},
	{"server memory at the end", func(r *result.Run) float64 { return float64(use(r).RSSEnd) }, size},
	{"server memory at its peak", func(r *result.Run) float64 { return float64(use(r).RSSPeak) }, size},
	{"goroutines", func(r *result.Run) float64 { return float64(use(r).Goroutines) }, figure},
}

// failures are shown in any case, of all runs together: 0 is what they should be.
var failures = []figureOf{
	{"missing deliveries, in all", func(r *result.Run) float64 { return float64(r.Counts.Missing) }, figure},
}

func figure3(v float64) string { return figure(round3(v)) }

func use(r *result.Run) result.ServerUse {
	if r.Use == nil {
		return result.ServerUse{}
	}
	return *r.Use
}

// scenarioTable has a column for each thing that was done, once or more often, and a
// row for each figure that one of them has.
func scenarioTable(runs []*result.Run) string {
	var columns [][]*result.Run
	for _, r := range runs {
		i := slices.IndexFunc(columns, func(same []*result.Run) bool { return same[0].Title() == r.Title() })
		if i < 0 {
			i = len(columns)
			columns = append(columns, nil)
		}
		columns[i] = append(columns[i], r)
	}
	head := []string{""}
	for _, same := range columns {
		name := sideName(same[0].Server)
		if len(same) > 1 {
			name += fmt.Sprintf(", median of %d runs", len(same))
		}
		head = append(head, name)
	}
	rows := [][]string{head}
	row := func(name string, cell func([]*result.Run) string) {
		cells, some := []string{name}, false
		for _, same := range columns {
			c := cell(same)
			some = some || c != ""
			cells = append(cells, c)
		}
		if some {
			rows = append(rows, cells)
		}
	}

	var settings, latencies []string
	for _, r := range runs {
		for _, s := range r.Config {
			if !slices.Contains(settings, s.Name) {
				settings = append(settings, s.Name)
			}
		}
		for _, l := range r.Latencies {
			if l.Count > 0 && !slices.Contains(latencies, l.Name) {
				latencies = append(latencies, l.Name)
			}
		}
	}
	for _, name := range settings {
		row(name, func(same []*result.Run) string { return same[0].Setting(name) })
	}
	row("measured for", func(same []*result.Run) string {
		return seconds(median(same, func(r *result.Run) float64 { return r.Seconds }))
	})
	for _, f := range failures {
		row(f.name, func(same []*result.Run) string {
			sum := 0.0
			for _, r := range same {
				sum += f.of(r)
			}
			return f.show(sum)
		})
	}
	for _, name := range latencies {
		row(name+": p50 / p90 / p99 / p99.9 / max", func(same []*result.Run) string { return latencyCell(same, name) })
	}
	for _, f := range figures {
		row(f.name, func(same []*result.Run) string {
			v := median(same, f.of)
			if v == 0 {
				return ""
			}
			return f.show(v)
		})
	}
	for _, name := range locksOf(runs) {
		row("waits for the lock of the "+name+" / looks / yields / longest since the start", func(same []*result.Run) string { return waitsCell(same, name) })
	}
	return table(rows)
}

// locksOf are the locks that runs tell of.
func locksOf(runs []*result.Run) []string {
	var names []string
	for _, r := range runs {
		for _, l := range use(r).Locks {
			if !slices.Contains(names, l.Name) {
				names = append(names, l.Name)
			}
		}
	}
	return names
}

// waitsCell is what waiting for a lock has cost: medians of the runs that tell of it, and the
// longest wait of all.
func waitsCell(same []*result.Run, name string) string {
	var waited, looks, yields spread
	var longest int64
	for _, r := range same {
		for _, l := range use(r).Locks {
			if l.Name == name {
				waited, looks, yields = append(waited, float64(l.Waited)), append(looks, float64(l.Spins)), append(yields, float64(l.Yields))
				longest = max(longest, l.Longest)
			}
		}
	}
	if len(waited) == 0 {
		return ""
	}
	cells := make([]string, 0, 4)
	for _, s := range []spread{waited, looks, yields} {
		slices.Sort(s)
		cells = append(cells, figure(s.median()))
	}
	return strings.Join(append(cells, duration(float64(longest))), " / ")
}

func latencyCell(same []*result.Run, name string) string {
	var with []*result.Run
	for _, r := range same {
		if l, ok := r.Latency(name); ok && l.Count > 0 {
			with = append(with, r)
		}
	}
	if len(with) == 0 {
		return ""
	}
	var all []string
	for _, of := range []func(result.Latency) int64{
		func(l result.Latency) int64 { return l.P50 }, func(l result.Latency) int64 { return l.P90 }, func(l result.Latency) int64 { return l.P99 },
		func(l result.Latency) int64 { return l.P999 }, func(l result.Latency) int64 { return l.Max },
	} {
		all = append(all, duration(median(with, func(r *result.Run) float64 {
			l, _ := r.Latency(name)
			return float64(of(l))
		})))
	}
	return strings.Join(all, " / ")
}

// median is that of a figure of some runs.
func median(runs []*result.Run, of func(*result.Run) float64) float64 {
	var all spread
	for _, r := range runs {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all.median()
}
