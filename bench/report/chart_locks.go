package report

import (
	"image/color"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawLocks shows what the locks cost by the number of goroutines that want them, the
// mean on the left and the 99th percentile on the right, for sections of one length.
func drawLocks(held string, points []lockPoint) ([]byte, error) {
	low, high, most := math.Inf(1), 0.0, 1.0
	counts := make(map[int]bool)
	for _, p := range points {
		for _, v := range []spread{p.mean, p.p99} {
			if len(v) > 0 {
				low, high = math.Min(low, math.Max(v.median(), 1)), math.Max(high, v.median())
			}
		}
		counts[p.goroutines] = true
		most = math.Max(most, float64(p.goroutines))
	}
	low, high = logBounds(low, math.Max(high, low))
	var ticks []plot.Tick
	for _, n := range slices.Sorted(maps.Keys(counts)) {
		ticks = append(ticks, plot.Tick{Value: math.Log10(float64(n)), Label: figure(float64(n))})
	}
	c := newChart(330, "What a lock costs that is held for "+held,
		"Lower is better; both axes are logarithmic. Left the mean, right what one in a hundred waits or longer.")
	middle := (c.left.Max.X - c.left.Min.X) / 2
	for _, panel := range []struct {
		label  string
		canvas draw.Canvas
		value  func(lockPoint) spread
	}{
		{"mean time of a lock and unlock", draw.Crop(c.left, 0, -middle-6, 0, 0), func(p lockPoint) spread { return p.mean }},
		{"99th percentile of the wait", draw.Crop(c.left, middle+6, 0, 0, 0), func(p lockPoint) spread { return p.p99 }},
	} {
		p := newPlot("goroutines that want it", panel.label, ticks, logTicks(low, high, duration))
		p.X.Min, p.X.Max = 0, math.Max(math.Log10(most), 0.3)
		p.Y.Min, p.Y.Max = math.Log10(low), math.Log10(high)
		var lines []line
		for _, q := range points {
			v := panel.value(q)
			if len(v) == 0 {
				continue
			}
			if len(lines) == 0 || lines[len(lines)-1].name != q.lock {
				lines = append(lines, line{name: q.lock, color: lockColor(q.lock, points), dots: true})
			}
			l := &lines[len(lines)-1]
			l.points = append(l.points, plotter.XY{X: math.Log10(float64(q.goroutines)), Y: math.Log10(math.Max(v.median(), low))})
		}
		if len(lines) == 0 {
			panel.canvas.FillText(style(11), vg.Point{X: panel.canvas.Min.X + 40, Y: panel.canvas.Center().Y}, "not measured: "+panel.label)
			continue
		}
		if err := drawLines(panel.canvas, p, lines); err != nil {
			return nil, err
		}
	}
	return c.bytes()
}

// lockColor gives each lock the same colour in both panels.
func lockColor(lock string, points []lockPoint) color.Color {
	colors := []color.Color{blue, orange, green, purple, brown, grey}
	seen := make(map[string]bool)
	for _, p := range points {
		if p.lock == lock {
			break
		}
		seen[p.lock] = true
	}
	return colors[len(seen)%len(colors)]
}
