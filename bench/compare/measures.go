package compare

import (
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/chatstream/chatstream/bench/result"
)

// key names one measure of one thing.
type key struct{ name, unit string }

// measure is what was measured of it, and how to judge it.
type measure struct {
	key
	values []float64
	higher bool // more is better
	judged bool // it getting worse is a regression
	exact  bool // any change for the worse is one, chance or not
}

// measures are all measures of a set, in the order in which they were met.
type measures struct {
	order []key
	of    map[key]*measure
}

func (m *measures) add(k key, v float64, judge func(*measure)) {
	one := m.of[k]
	if one == nil {
		one = &measure{key: k, judged: true}
		judge(one)
		m.of[k] = one
		m.order = append(m.order, k)
	}
	one.values = append(one.values, v)
}

func measuresOf(set *result.Set) *measures {
	m := &measures{of: make(map[key]*measure)}
	for _, f := range set.Benchmarks {
		for _, r := range f.Result.Results {
			m.addBenchmark(f.Result, r)
		}
	}
	for _, f := range set.Runs {
		m.addRun(f.Result)
	}
	return m
}

func (m *measures) addBenchmark(b *result.Benchmarks, r *benchfmt.Result) {
	paired := false
	for _, v := range r.Values {
		paired = paired || strings.HasSuffix(v.Unit, "ratio")
	}
	for _, v := range r.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		m.add(key{strings.TrimPrefix(result.BenchmarkName(r), "Benchmark"), unit}, value, func(one *measure) {
			one.higher = higher(unit)
			switch b.Units.GetBetter(unit) {
			case 1:
				one.higher = true
			case -1:
				one.higher = false
			}
			if paired {
				one.judged = strings.HasSuffix(unit, "ratio") || unit == "B/op" || unit == "allocs/op"
			}
		})
	}
}

// higher says whether more of a unit is better: rates, and ratios of rates. Of
// everything else less is better, unless a Unit line of the file says otherwise.
func higher(unit string) bool {
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "rate-ratio")
}

// addRun adds the main figures of a run.
func (m *measures) addRun(r *result.Run) {
	title := r.Title()
	add := func(unit string, v float64, judge func(*measure)) { m.add(key{title, unit}, v, judge) }
	more := func(one *measure) { one.higher = true }
	less := func(*measure) {}
	exact := func(one *measure) { one.exact = true }
	add("missing", float64(r.Counts.Missing), exact)
	for _, rate := range []struct {
		unit string
		v    float64
	}{{"deliveries/s", r.Rates.Deliveries}, {"connects/s", r.Rates.Connects}, {"replacements/s", r.Rates.Replacements}} {
		if rate.v > 0 {
			add(rate.unit, rate.v, more)
		}
	}
	for _, l := range r.Latencies {
		if l.Count > 0 {
			add(l.Name+" p50-ns", float64(l.P50), less)
			add(l.Name+" p99-ns", float64(l.P99), less)
		}
	}
	if u := r.Use; u != nil {
		for _, use := range []struct {
			unit string
			v    float64
		}{{"cpu-us/delivery", u.CPUPerDelivery}, {"rss-end-B", float64(u.RSSEnd)}} {
			if use.v > 0 {
				add(use.unit, use.v, less)
			}
		}
	}
}
