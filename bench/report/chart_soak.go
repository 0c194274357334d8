package report

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"github.com/chatstream/chatstream/bench/result"
)

// drawSoak shows a long run second by second: what was delivered, how late, and what
// the server held.
func drawSoak(r *result.Run) ([]byte, error) {
	panels := []struct {
		label string
		tick  func(float64) string
		value func(result.Sample) float64
	}{
		{"deliveries per second", figure, func(s result.Sample) float64 { return s.Deliveries }},
		{"p99 of the second", duration, func(s result.Sample) float64 { return float64(s.P99) }},
		{"server memory (RSS)", size, func(s result.Sample) float64 { return float64(s.RSS) }},
	}
	c := newChart(520, fmt.Sprintf("%s for %s: deliveries, latency and memory, second by second", sideName(r.Server), seconds(r.Seconds)),
		"Flat is good: what grows here would go on growing. All axes begin at 0.")
	end := r.Series[len(r.Series)-1].At
	var plots [][]*plot.Plot
	for i, panel := range panels {
		l := line{color: blue}
		largest := 0.0
		for _, s := range r.Series {
			v := panel.value(s)
			largest = math.Max(largest, v)
			l.points = append(l.points, plotter.XY{X: s.At, Y: v})
		}
		if largest == 0 {
			continue
		}
		unit := 1.0
		if i == 2 {
			for largest/unit >= 1024 {
				unit *= 1024
			}
		}
		ticks := linearTicks(largest/unit, func(v float64) string { return panel.tick(v * unit) })
		for i := range ticks {
			ticks[i].Value *= unit
			if i%2 == 1 && len(ticks) > 4 { // every other one is enough for a small panel
				ticks[i].Label = ""
			}
		}
		ticks[0].Label = "0"
		p := newPlot("", panel.label, linearTicks(end, figure), ticks)
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, end, 0, largest*1.05
		if err := addLines(p, []line{l}); err != nil {
			return nil, err
		}
		plots = append(plots, []*plot.Plot{p})
	}
	if len(plots) == 0 {
		return nil, errors.New("the series has nothing but zeros")
	}
	plots[len(plots)-1][0].X.Label.Text = "seconds since the begin"
	tiles := draw.Tiles{Rows: len(plots), Cols: 1, PadY: 10, PadRight: 14}
	for i, canvas := range plot.Align(plots, tiles, c.left) {
		plots[i][0].Draw(canvas[0])
	}
	return c.bytes()
}
