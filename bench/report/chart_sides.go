package report

import (
	"fmt"
	"strings"
)

// shown is a quantity of a benchmark in a chart, under a heading.
type shown struct {
	heading string
	sides
}

// find is the quantity of a benchmark whose unit is this or ends like it, if it was
// measured.
// Times are in microseconds.
func find(s samples, heading, benchmark, unit string) (shown, bool) {
	for _, q := range s.pairs(benchmark, ours) {
		if q.unit == unit || strings.HasSuffix(q.unit, unit) && !strings.HasPrefix(q.unit, "p") {
			return shown{heading, microseconds(q)}, true
		}
	}
	return shown{}, false
}

func microseconds(q sides) sides {
	rest, ok := strings.CutPrefix(q.unit, "ns/")
	if !ok {
		return q
	}
	values := make(map[string]spread)
	for side, all := range q.values {
		for _, v := range all {
			values[side] = append(values[side], v/1e3)
		}
	}
	q.unit, q.values = "us/"+rest, values
	return q
}

// drawSides draws a quantity of several benchmarks side by side: those that are in the
// unit of the first.
func drawSides(title, axis string, all []shown) ([]byte, error) {
	var groups []bars
	unit, n := all[0].unit, 0
	for _, q := range all {
		if q.unit != unit {
			continue
		}
		g := bars{heading: q.heading}
		for _, side := range q.names {
			v := q.values[side]
			n = max(n, len(v))
			label, _, _ := strings.Cut(amount(round3(v.median()), q.unit), "/")
			if r := q.ratios[side]; len(r) > 0 {
				label += fmt.Sprintf("; Chatstream takes %s x as much", figure(round3(r.median())))
			}
			g.bars = append(g.bars, bar{name: sideName(side), color: sideColor(side), spread: v, label: label})
		}
		groups = append(groups, g)
	}
	return drawBars(title, reading(n), fmt.Sprintf("%s (%s)", axis, unit), groups)
}

func reading(n int) string {
	s := "Shorter is better."
	if n > 1 {
		s += fmt.Sprintf(" Bars are medians of %d runs, lines reach from the smallest to the largest.", n)
	}
	return s
}
