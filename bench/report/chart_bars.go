package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bars is a group of bars under one heading.
type bars struct {
	heading string
	bars    []bar
}

// bar is the median of some measurements, and how far they lie apart.
type bar struct {
	name  string
	color color.Color
	spread
	label string // what stands at its end
}

// drawBars draws horizontal bars from 0, in groups, each bar with its name, its value,
// and a thin line from the smallest to the largest measurement.
func drawBars(title, reading, axis string, groups []bars) ([]byte, error) {
	const row, gap = vg.Length(19), 0.5
	rows := 0.0
	largest := 0.0
	for _, g := range groups {
		rows += 1 + float64(len(g.bars)) + gap
		for _, b := range g.bars {
			largest = max(largest, b.max())
		}
	}
	c := newChart(vg.Length(rows)*row+115, title, reading)

	var names []plot.Tick
	at := rows
	var drawn []drawnBar
	var headings []heading
	for _, g := range groups {
		at -= 0.5
		headings = append(headings, heading{at, g.heading})
		at -= 0.5
		for _, b := range g.bars {
			at -= 0.5
			names = append(names, plot.Tick{Value: at, Label: b.name})
			drawn = append(drawn, drawnBar{at, b})
			at -= 0.5
		}
		at -= gap
	}
	p := newPlot(axis, "", linearTicks(largest, figure), names)
	p.X.Min, p.X.Max = 0, largest
	p.Y.Min, p.Y.Max = 0, rows
	p.Y.Tick.Length = 0
	p.Add(grid{x: true})
	for _, h := range headings {
		p.Add(h)
	}
	for _, b := range drawn {
		p.Add(b)
	}
	// The bars are so long that there is room on the right for each one's label.
	whole := p.DataCanvas(c.left)
	room := whole.Max.X - whole.Min.X
	longest := room
	for _, b := range drawn {
		longest = min(longest, (room-style(10).Width(b.label)-8)*vg.Length(largest/b.max()))
	}
	p.Draw(draw.Crop(c.left, 0, longest-room, 0, 0))
	return c.bytes()
}

type heading struct {
	at   float64
	text string
}

func (h heading) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	c.FillText(bold(11), vg.Point{X: c.Min.X + 4, Y: y(h.at)}, h.text)
}

type drawnBar struct {
	at float64
	bar
}

func (b drawnBar) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	const half = 6.5
	at := y(b.at)
	c.FillPolygon(b.color, []vg.Point{
		{X: x(0), Y: at - half}, {X: x(b.median()), Y: at - half}, {X: x(b.median()), Y: at + half}, {X: x(0), Y: at + half},
	})
	if len(b.spread) > 1 {
		line := draw.LineStyle{Color: black, Width: 1}
		c.StrokeLine2(line, x(b.min()), at, x(b.max()), at)
		for _, end := range []float64{b.min(), b.max()} {
			c.StrokeLine2(line, x(end), at-3, x(end), at+3)
		}
	}
	c.FillText(style(10), vg.Point{X: x(b.max()) + 6, Y: at + 1}, b.label)
}
