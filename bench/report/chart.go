package report

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"math"
	"regexp"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/chatstream/chatstream/bench/result"
)

// width is the width of every chart: what a page of Markdown shows without scaling.
const width = vg.Length(660)

// The colours of what is compared, told apart by most who do not see all colours, and
// dark enough on white for text. The background is white whatever the page's is.
var (
	blue   = color.RGBA{R: 0x00, G: 0x5f, B: 0xa8, A: 0xff}
	grey   = color.RGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff}
	orange = color.RGBA{R: 0xc4, G: 0x4e, B: 0x00, A: 0xff}
	green  = color.RGBA{R: 0x00, G: 0x7d, B: 0x5a, A: 0xff}
	purple = color.RGBA{R: 0x98, G: 0x3d, B: 0x84, A: 0xff}
	brown  = color.RGBA{R: 0x7a, G: 0x5c, B: 0x00, A: 0xff}
	red    = color.RGBA{R: 0xc0, G: 0x1f, B: 0x1f, A: 0xff}
	black  = color.RGBA{R: 0x20, G: 0x20, B: 0x20, A: 0xff}
	faint  = color.RGBA{R: 0xdd, G: 0xdd, B: 0xdd, A: 0xff}
)

// sideName is what a reader calls a side of a pair, and sideColor its colour.
func sideName(side string) string {
	switch side {
	case ours, result.ServerChatstream:
		return "Chatstream"
	case "bare", result.ServerBaseline:
		return "bare grpc-go"
	case "ref":
		return "reference"
	case "centrifugo":
		return "Centrifugo"
	case "centrifugo-api":
		return "Centrifugo, by its API"
	case "centrifuge":
		return "centrifuge's hub"
	case "nats":
		return "NATS"
	case "jetstream":
		return "NATS JetStream"
	case "grpc":
		return "grpc-go"
	}
	return side
}

func sideColor(side string) color.Color {
	switch sideName(side) {
	case "Chatstream":
		return blue
	case "Centrifugo", "Centrifugo, by its API":
		return orange
	case "NATS":
		return green
	case "NATS JetStream":
		return purple
	}
	return grey
}

// style is black text of the charts' font, left-aligned, on its line.
func style(size float64) text.Style {
	return text.Style{
		Color:   black,
		Font:    font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Length(size)),
		XAlign:  draw.XLeft,
		YAlign:  draw.YCenter,
		Handler: plot.DefaultTextHandler,
	}
}

func bold(size float64) text.Style {
	s := style(size)
	s.Font.Weight = xfont.WeightBold
	return s
}

// chart is a drawing with a title, and what is left of it below.
type chart struct {
	svg  *vgsvg.Canvas
	left draw.Canvas // not drawn on yet
}

// newChart begins a chart with a title, which says what is shown, and a line below it,
// which says how to read it.
func newChart(height vg.Length, title, reading string) *chart {
	svg := vgsvg.NewWith(vgsvg.UseWH(width, height))
	c := &chart{svg: svg, left: draw.New(svg)}
	c.left.SetColor(color.White)
	c.left.Fill(c.left.Rectangle.Path())
	c.left = draw.Crop(c.left, 12, -12, 10, -10)
	for _, line := range []struct {
		text  string
		style text.Style
	}{{title, bold(14)}, {reading, style(11)}} {
		for _, l := range wrapped(line.text, line.style, c.left.Max.X-c.left.Min.X) {
			c.left.Max.Y -= line.style.Font.Size * 0.7
			c.left.FillText(line.style, vg.Point{X: c.left.Min.X, Y: c.left.Max.Y}, l)
			c.left.Max.Y -= line.style.Font.Size * 0.7
		}
	}
	c.left.Max.Y -= 8
	return c
}

// wrapped breaks text into lines that are no wider than this.
func wrapped(text string, style text.Style, width vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if next := strings.TrimSpace(line + " " + word); line == "" || style.Width(next) <= width {
			line = next
			continue
		}
		lines = append(lines, line)
		line = word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// bytes is the finished chart.
func (c *chart) bytes() ([]byte, error) {
	var b bytes.Buffer
	if _, err := c.svg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("cannot draw: %w", err)
	}
	return anyFont(b.Bytes()), nil
}

var svgText = regexp.MustCompile(`<text ([^>]*)font-family:Liberation Sans;([^>]*font-weight:(normal|bold);[^>]*font-size:([0-9.]+)px[^>]*)>([^<]*)</text>`)

// anyFont makes text as wide as it is planned to be where the reader has another font:
// the file does not bring the font along, which is many times its size.
func anyFont(svg []byte) []byte {
	return svgText.ReplaceAllFunc(svg, func(element []byte) []byte {
		m := svgText.FindSubmatch(element)
		points, err := strconv.ParseFloat(string(m[4]), 64)
		if err != nil {
			return element
		}
		s := style(points)
		if string(m[3]) == "bold" {
			s = bold(points)
		}
		return fmt.Appendf(nil, `<text textLength="%.1f" lengthAdjust="spacingAndGlyphs" %sfont-family:'Liberation Sans',Arial,Helvetica,sans-serif;%s>%s</text>`,
			s.Width(html.UnescapeString(string(m[5]))), m[1], m[2], m[5])
	})
}

// newPlot is a plot in the charts' style, on axes that are already transformed: the
// ticks say what a place means.
func newPlot(xLabel, yLabel string, x, y []plot.Tick) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []struct {
		axis  *plot.Axis
		label string
		ticks []plot.Tick
	}{{&p.X, xLabel, x}, {&p.Y, yLabel, y}} {
		a.axis.Label.Text = a.label
		a.axis.Label.TextStyle.Font = style(11).Font
		a.axis.Label.TextStyle.Color = black
		a.axis.Label.Padding = 4
		a.axis.Tick.Label.Font = style(10).Font
		a.axis.Tick.Label.Color = black
		a.axis.Tick.Marker = plot.ConstantTicks(a.ticks)
		a.axis.Tick.Color = grey
		a.axis.Color = grey
		a.axis.Padding = 0
	}
	return p
}

// grid draws faint lines at the labelled ticks.
type grid struct{ x, y bool }

func (g grid) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	sty := draw.LineStyle{Color: faint, Width: 0.75}
	if g.x {
		for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
			if !t.IsMinor() && t.Value >= p.X.Min && t.Value <= p.X.Max {
				c.StrokeLine2(sty, x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
			}
		}
	}
	if g.y {
		for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if !t.IsMinor() && t.Value >= p.Y.Min && t.Value <= p.Y.Max {
				c.StrokeLine2(sty, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
			}
		}
	}
}

// linearTicks are some five round values from 0 to max.
func linearTicks(max float64, label func(float64) string) []plot.Tick {
	if !(max > 0) {
		return []plot.Tick{{Value: 0, Label: label(0)}}
	}
	step := math.Pow(10, math.Floor(math.Log10(max)))
	for _, f := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if max/(step*f) <= 6 {
			step *= f
			break
		}
	}
	var ticks []plot.Tick
	for i := 0; float64(i)*step <= max*1.0001; i++ {
		v := float64(i) * step
		ticks = append(ticks, plot.Tick{Value: v, Label: label(v)})
	}
	return ticks
}

// logTicks are labelled powers of ten between min and max, on an axis of logarithms,
// with unlabelled ticks between; where there are few powers, 2 and 5 are labelled too.
func logTicks(min, max float64, label func(float64) string) []plot.Tick {
	var ticks []plot.Tick
	few := math.Log10(max/min) < 2.2
	for e := math.Floor(math.Log10(min)); e <= math.Ceil(math.Log10(max)); e++ {
		for d := 1; d < 10; d++ {
			v := float64(d) * math.Pow(10, e)
			if v < min*0.9999 || v > max*1.0001 {
				continue
			}
			t := plot.Tick{Value: math.Log10(v)}
			if d == 1 || few && (d == 2 || d == 5) {
				t.Label = label(v)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// logBounds are round bounds around min and max.
func logBounds(min, max float64) (low, high float64) {
	steps := []float64{1, 2, 5, 10}
	floor := math.Pow(10, math.Floor(math.Log10(min)))
	ceil := math.Pow(10, math.Floor(math.Log10(max)))
	for _, s := range steps {
		if floor*s <= min {
			low = floor * s
		}
	}
	for i := len(steps) - 1; i >= 0; i-- {
		if ceil*steps[i] >= max {
			high = ceil * steps[i]
		}
	}
	if low == high {
		high *= 2
	}
	return low, high
}
