package report

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawGoals shows all measured goals on one axis: how much of each limit is used.
func drawGoals(rows []goalRow) ([]byte, error) {
	var measured []goalRow
	low, high := 0.5, 2.0
	for _, r := range rows {
		if len(r.spread) == 0 {
			continue
		}
		measured = append(measured, r)
		for _, v := range []float64{r.min(), r.max()} {
			s := math.Min(math.Max(r.Goal.share(v), 0.05), 20)
			low, high = math.Min(low, s), math.Max(high, s)
		}
	}
	low, high = logBounds(low, high)
	c := newChart(vg.Length(len(measured))*19+120, "What was reached of each goal",
		"1 is just at the goal; left of it is better. Points are medians, lines reach from the best to the worst run.")
	var names []plot.Tick
	for i, r := range measured {
		names = append(names, plot.Tick{Value: float64(len(measured) - i), Label: r.ID})
	}
	p := newPlot("measured / limit (limit / measured where more is better)", "", logTicks(low, high, figure), names)
	p.X.Min, p.X.Max = math.Log10(low), math.Log10(high)
	p.Y.Min, p.Y.Max = 0.4, float64(len(measured))+0.6
	p.Y.Tick.Length = 0
	p.Add(grid{x: true}, atGoal{})
	for i, r := range measured {
		p.Add(goalPoint{float64(len(measured) - i), r})
	}
	p.Draw(draw.Crop(c.left, 0, -190, 0, 0))
	return c.bytes()
}

// atGoal is the line that the goals' points should be left of.
type atGoal struct{}

func (atGoal) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.25}, x(0), c.Min.Y, x(0), c.Max.Y)
}

type goalPoint struct {
	at float64
	goalRow
}

func (g goalPoint) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	place := func(v float64) vg.Length {
		return x(math.Min(math.Max(math.Log10(g.Goal.share(v)), p.X.Min), p.X.Max))
	}
	var col color.Color = green
	word := "met"
	if !g.Goal.Met(g.median()) {
		col, word = red, "missed"
	}
	c.StrokeLine2(draw.LineStyle{Color: col, Width: 1.5}, place(g.min()), y(g.at), place(g.max()), y(g.at))
	at := vg.Point{X: place(g.median()), Y: y(g.at)}
	if word == "met" {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: col, Radius: 4.5, Shape: draw.CircleGlyph{}}, at)
	} else {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: col, Radius: 5.5, Shape: draw.BoxGlyph{}}, at)
	}
	sty := style(10)
	sty.Color = col
	c.FillText(sty, vg.Point{X: c.Max.X + 8, Y: y(g.at)},
		fmt.Sprintf("%s: %s, goal %s", word, measure(g.median(), g.Unit), g.limit()))
}
