package report

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/chatstream/chatstream/bench/result"
)

// distribution is a latency of all runs that did the same.
type distribution struct {
	run   *result.Run // one of them
	name  string      // of the latency
	runs  int
	times *hdrhistogram.Histogram // nanoseconds
}

// distributions joins the first latency of each run of a scenario with those of the
// runs with the same title.
func distributions(runs []result.File[*result.Run], scenario string) ([]*distribution, error) {
	var all []*distribution
	for _, f := range runs {
		r := f.Result
		if r.Scenario != scenario || len(r.Latencies) == 0 {
			continue
		}
		h, err := r.Latencies[0].Decode()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if h.TotalCount() == 0 {
			continue
		}
		joined := false
		for _, d := range all {
			if d.run.Title() == r.Title() && d.name == r.Latencies[0].Name {
				if dropped := d.times.Merge(h); dropped > 0 {
					return nil, fmt.Errorf("%s: its histogram reaches further than that of another run of the same", f.Path)
				}
				d.runs++
				joined = true
				break
			}
		}
		if !joined {
			all = append(all, &distribution{run: r, name: r.Latencies[0].Name, runs: 1, times: h})
		}
	}
	return all, nil
}

// percentiles are a side's latencies in nanoseconds, by percentile: the medians of what
// a benchmark of pairs measured.
type percentiles struct {
	side string
	at   map[float64]float64
}

// percentilesOf reads the metrics of a benchmark that are named ours-p50-us,
// bare-p99.9-ns, and so on.
func percentilesOf(s samples, benchmark string) []percentiles {
	var all []percentiles
	for _, metric := range s.metrics(benchmark) {
		parts := strings.Split(metric, "-")
		if len(parts) != 3 {
			continue
		}
		p := percentile.FindStringSubmatch(parts[1])
		unit, known := map[string]float64{"ns": 1, "us": 1e3, "ms": 1e6}[parts[2]]
		if p == nil || !known {
			continue
		}
		at, err := strconv.ParseFloat(p[1], 64)
		if err != nil || at >= 100 {
			continue
		}
		i := slices.IndexFunc(all, func(o percentiles) bool { return o.side == parts[0] })
		if i < 0 {
			i = len(all)
			all = append(all, percentiles{parts[0], make(map[float64]float64)})
		}
		all[i].at[at] = s.values(benchmark, metric).median() * unit
	}
	// ours first, for its line to be drawn the way it always is
	slices.SortStableFunc(all, func(a, b percentiles) int {
		switch {
		case a.side == b.side:
			return 0
		case a.side == ours:
			return -1
		case b.side == ours:
			return 1
		}
		return strings.Compare(a.side, b.side)
	})
	return all
}

// drawPercentiles shows the percentiles of sides.
func drawPercentiles(title string, all []percentiles) ([]byte, error) {
	var lines []line
	for _, p := range all {
		l := line{name: sideName(p.side), color: sideColor(p.side), dots: true}
		if v, ok := p.at[99]; ok {
			l.name += ": p99 " + duration(v)
		}
		for _, at := range slices.Sorted(maps.Keys(p.at)) {
			l.points = append(l.points, plotter.XY{X: tail(at), Y: math.Log10(math.Max(p.at[at], 1))})
		}
		lines = append(lines, l)
	}
	return drawTail(title, "latency", lines)
}

// drawDistributions shows whole distributions.
func drawDistributions(title string, all []*distribution) ([]byte, error) {
	var lines []line
	for _, d := range all {
		l := line{name: fmt.Sprintf("%s: p99 %s", name(d, all), duration(float64(d.times.ValueAtQuantile(99)))), color: sideColor(d.run.Server)}
		if otherOfSameServer(d, all) {
			l.color = []color.Color{blue, orange, green, purple, brown, grey}[len(lines)%6]
		}
		for x := 0.0; x <= math.Min(6, math.Log10(float64(d.times.TotalCount()))); x += 0.02 {
			v := d.times.ValueAtQuantile((1 - math.Pow(10, -x)) * 100)
			l.points = append(l.points, plotter.XY{X: x, Y: math.Log10(math.Max(float64(v), 1))})
		}
		lines = append(lines, l)
	}
	return drawTail(title, "latency: "+all[0].name, lines)
}

// tail is where a percentile stands on an axis that draws the far end out: the 90th at
// 1, the 99th at 2.
func tail(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

// drawTail draws lines of latencies, which are logarithms, by places of tail.
func drawTail(title, yLabel string, lines []line) ([]byte, error) {
	low, high, end := math.Inf(1), 0.0, 2.0
	for _, l := range lines {
		for _, p := range l.points {
			low, high, end = math.Min(low, math.Pow(10, p.Y)), math.Max(high, math.Pow(10, p.Y)), math.Max(end, p.X)
		}
	}
	low, high = logBounds(low, high)
	ticks := []plot.Tick{{Value: 0, Label: "0 %"}, {Value: tail(50), Label: "50 %"}}
	for i, label := range []string{"90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"} {
		ticks = append(ticks, plot.Tick{Value: float64(i + 1), Label: label})
	}
	c := newChart(330, title, "This share of all deliveries took no longer than that: lower is better. Both axes are logarithmic, the tail is on the right.")
	p := newPlot("share of all deliveries", yLabel, ticks, logTicks(low, high, duration))
	p.X.Min, p.X.Max = 0, end
	p.Y.Min, p.Y.Max = math.Log10(low), math.Log10(high)
	if err := drawLines(c.left, p, lines); err != nil {
		return nil, err
	}
	return c.bytes()
}

// name says what is particular about d among all.
func name(d *distribution, all []*distribution) string {
	s := sideName(d.run.Server)
	if !otherOfSameServer(d, all) {
		return s
	}
	for _, set := range d.run.Config {
		for _, o := range all {
			if o.run.Server == d.run.Server && o.run.Setting(set.Name) != set.Value {
				s += " " + set.Name + "=" + set.Value
				break
			}
		}
	}
	return strings.TrimSpace(s)
}

func otherOfSameServer(d *distribution, all []*distribution) bool {
	for _, o := range all {
		if o != d && o.run.Server == d.run.Server {
			return true
		}
	}
	return false
}
