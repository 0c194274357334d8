package report

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// line is a curve with its name at its end.
type line struct {
	name   string
	color  color.Color
	points plotter.XYs
	dots   bool // the points are measurements, not only places of a curve
}

// drawLines adds lines to a plot and draws it, with the names on the right.
func drawLines(c draw.Canvas, p *plot.Plot, lines []line) error {
	if err := addLines(p, lines); err != nil {
		return err
	}
	space := vg.Length(0)
	for _, l := range lines {
		if len(l.points) > 0 {
			space = max(space, style(10).Width(l.name)+14)
		}
	}
	c = draw.Crop(c, 0, -space, 0, 0)
	p.Draw(c)
	nameLines(c, p, lines)
	return nil
}

// addLines adds lines to a plot, over a grid.
func addLines(p *plot.Plot, lines []line) error {
	p.Add(grid{x: true, y: true})
	for _, l := range lines {
		if len(l.points) == 0 {
			continue
		}
		xMin, xMax, yMin, yMax := p.X.Min, p.X.Max, p.Y.Min, p.Y.Max
		curve, err := plotter.NewLine(l.points)
		if err != nil {
			return err
		}
		curve.Color, curve.Width = l.color, 2
		p.Add(curve)
		if l.dots {
			dots, err := plotter.NewScatter(l.points)
			if err != nil {
				return err
			}
			dots.GlyphStyle = draw.GlyphStyle{Color: l.color, Radius: 2.5, Shape: draw.CircleGlyph{}}
			p.Add(dots)
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = xMin, xMax, yMin, yMax // Add widens them
	}
	return nil
}

// nameLines writes the names of lines beside their ends, in their colours, moved apart
// where the ends are too close to each other.
func nameLines(c draw.Canvas, p *plot.Plot, lines []line) {
	const apart = vg.Length(12)
	data := p.DataCanvas(c)
	x, y := p.Transforms(&data)
	type label struct {
		line line
		end  vg.Point
		at   vg.Length
	}
	var labels []label
	for _, l := range lines {
		if len(l.points) > 0 {
			last := l.points[len(l.points)-1]
			labels = append(labels, label{l, vg.Point{X: x(last.X), Y: y(last.Y)}, y(last.Y)})
		}
	}
	slices.SortStableFunc(labels, func(a, b label) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	for range 100 {
		moved := false
		for i := 1; i < len(labels); i++ {
			if d := apart - (labels[i].at - labels[i-1].at); d > 0.01 {
				labels[i-1].at -= d / 2
				labels[i].at += d / 2
				moved = true
			}
		}
		if !moved {
			break
		}
	}
	for _, l := range labels {
		sty := style(10)
		sty.Color = l.line.color
		left := data.Max.X + 12
		c.StrokeLine2(draw.LineStyle{Color: l.line.color, Width: 0.75}, l.end.X+2, l.end.Y, left-2, l.at)
		c.FillText(sty, vg.Point{X: left, Y: l.at}, l.line.name)
	}
}
