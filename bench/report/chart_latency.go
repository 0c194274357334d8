package report

import (
	"fmt"
	"image/color"
	"math"
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

// drawLatency shows distributions by percentile, the far end drawn out.
func drawLatency(title string, all []*distribution) ([]byte, error) {
	low, high, most := math.Inf(1), 0.0, 0.0
	for _, d := range all {
		low = math.Min(low, math.Max(float64(d.times.ValueAtQuantile(1)), 1))
		high = math.Max(high, float64(d.times.Max()))
		most = math.Max(most, math.Log10(float64(d.times.TotalCount())))
	}
	low, high = logBounds(low, high)
	ticks := []plot.Tick{{Value: 0, Label: "0 %"}}
	end := math.Min(math.Max(2, math.Floor(most)), 6)
	for e, label := range []string{"90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"} {
		if float64(e+1) <= end {
			ticks = append(ticks, plot.Tick{Value: float64(e + 1), Label: label})
		}
	}
	ticks = append(ticks, plot.Tick{Value: math.Log10(2), Label: "50 %"})

	var lines []line
	for _, d := range all {
		l := line{name: fmt.Sprintf("%s: p99 %s", name(d, all), duration(float64(d.times.ValueAtQuantile(99)))), color: sideColor(d.run.Server)}
		if otherOfSameServer(d, all) {
			l.color = []color.Color{blue, orange, green, purple, brown, grey}[len(lines)%6]
		}
		for x := 0.0; x <= math.Min(end, math.Log10(float64(d.times.TotalCount())))+1e-9; x += 0.02 {
			v := d.times.ValueAtQuantile((1 - math.Pow(10, -x)) * 100)
			l.points = append(l.points, plotter.XY{X: x, Y: math.Log10(math.Max(float64(v), low))})
		}
		lines = append(lines, l)
	}
	c := newChart(330, title, "How long it took at most for a share of all deliveries: lower is better. Both axes are logarithmic; the tail is on the right.")
	p := newPlot("share of all deliveries", "latency: "+all[0].name, ticks, logTicks(low, high, duration))
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
