package report

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/chatstream/chatstream/bench/result"
)

// samples are the results of benchmarks by name; each name in the order in which
// it was measured.
type samples struct {
	names  []string // in the order in which they were first met
	byName map[string][]*benchfmt.Result
}

func samplesOf(set *result.Set) samples {
	s := samples{byName: make(map[string][]*benchfmt.Result)}
	for _, f := range set.Benchmarks {
		for _, r := range f.Result.Results {
			name := result.BenchmarkName(r)
			if s.byName[name] == nil {
				s.names = append(s.names, name)
			}
			s.byName[name] = append(s.byName[name], r)
		}
	}
	return s
}

// values are the measurements of one metric, in ascending order.
func (s samples) values(name, metric string) spread {
	var all spread
	for _, r := range s.byName[name] {
		if v, ok := result.Metric(r, metric); ok {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}

// of are the measurements of a goal.
func (s samples) of(g Goal) spread {
	all := s.values(g.Benchmark, g.Metric)
	if g.Sizes == "" {
		return all
	}
	smallest := 1.0 // the reference's, by itself
	for _, name := range s.names {
		if v := s.values(name, g.Metric); strings.HasPrefix(name, g.Sizes) && len(v) > 0 {
			smallest = min(smallest, v.median())
		}
	}
	for i := range all {
		all[i] /= smallest
	}
	return all
}

// spread is some measurements of the same thing, in ascending order.
type spread []float64

// median is the middle, or the mean of the two in the middle.
func (s spread) median() float64 {
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

func (s spread) min() float64 { return s[0] }
func (s spread) max() float64 { return s[len(s)-1] }

// text is the median, the smallest and the largest.
func (s spread) text(unit string) string {
	low, _, _ := strings.Cut(measure(s.min(), unit), " ")
	high, _, _ := strings.Cut(measure(s.max(), unit), " ")
	return measure(s.median(), unit) + " (" + low + " .. " + high + ")"
}

// Prefixes of the metrics that a pair is about: this project's side, and that of the
// experiment. "ours-us/delivery" stands beside "bare-us/delivery", "nats-us/delivery".
const (
	ours   = "ours"
	frames = "frames"
)

// percentile is how a benchmark names one: p50, p99.9.
var percentile = regexp.MustCompile(`^p([0-9.]+)$`)

// sides is one quantity that a benchmark measured on both sides of its pairs, or on
// all of them.
type sides struct {
	benchmark string
	unit      string            // what follows the side's name: us/delivery
	names     []string          // what the pair is about first
	values    map[string]spread // by side
	ratios    map[string]spread // the first to this side, pair by pair
}

// pairs finds the quantities that a benchmark measured of a side that it is about and
// of others.
func (s samples) pairs(name, first string) []sides {
	var found []sides
	metrics := s.metrics(name)
	_, peer, _ := strings.Cut(name, peerPart)
	for _, m := range metrics {
		unit, ok := strings.CutPrefix(m, first+"-")
		if !ok {
			continue
		}
		q := sides{benchmark: name, unit: unit, names: []string{first}, values: make(map[string]spread), ratios: make(map[string]spread)}
		q.values[first] = s.values(name, m)
		for _, other := range metrics {
			side, ok := strings.CutSuffix(other, "-"+unit)
			// Sides are single words, unless the benchmark's name says so; p99-us beside ours-us is no side.
			if !ok || side == first || side != peer && strings.Contains(side, "-") || percentile.MatchString(side) {
				continue
			}
			q.names = append(q.names, side)
			q.values[side] = s.values(name, other)
			q.ratios[side] = s.ratios(name, m, other)
		}
		if len(q.names) > 1 {
			found = append(found, q)
		}
	}
	return found
}

// metrics are the names of all that a benchmark reported, sorted.
func (s samples) metrics(name string) []string {
	all := make(map[string]bool)
	for _, r := range s.byName[name] {
		for _, v := range r.Values {
			if v.OrigUnit != "" {
				all[v.OrigUnit] = true
			} else {
				all[v.Unit] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// ratios are a by b, result by result, where b is not 0.
func (s samples) ratios(name, a, b string) spread {
	var all spread
	for _, r := range s.byName[name] {
		x, okX := result.Metric(r, a)
		y, okY := result.Metric(r, b)
		if okX && okY && y != 0 {
			all = append(all, x/y)
		}
	}
	slices.Sort(all)
	return all
}
