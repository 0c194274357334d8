package compare

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchunit"

	"github.com/chatstream/chatstream/bench/result"
)

// ErrNothing: the two sets have no measure in common.
var ErrNothing = errors.New("nothing to compare: no measure is in both")

// Verdict is what became of a measure.
type Verdict int

const (
	Same   Verdict = iota // or not to be told from chance, or by less than was asked for
	Better                // by more than that
	Worse                 // by more than that
	Shown                 // not judged: one side of a pair
)

// Row is one measure in both sets.
type Row struct {
	Name, Unit string
	Old, New   benchmath.Summary // median and its confidence interval
	Delta      string            // of the medians, or "~"
	Comparison benchmath.Comparison
	Verdict    Verdict
}

// Table is the measures of two sets.
type Table struct {
	Rows             []Row
	OnlyOld, OnlyNew []string // what only one set has
}

// Compare holds two sets against each other. A change of more than bound per cent that is not
// by chance is Better or Worse.
func Compare(before, after *result.Set, bound float64) (*Table, error) {
	a, b := measuresOf(before), measuresOf(after)
	t := new(Table)
	for _, k := range a.order {
		if b.of[k] == nil {
			t.OnlyOld = append(t.OnlyOld, k.name+" "+k.unit)
			continue
		}
		t.Rows = append(t.Rows, row(a.of[k], b.of[k], bound))
	}
	for _, k := range b.order {
		if a.of[k] == nil {
			t.OnlyNew = append(t.OnlyNew, k.name+" "+k.unit)
		}
	}
	if len(t.Rows) == 0 {
		return nil, ErrNothing
	}
	return t, nil
}

func row(before, after *measure, bound float64) Row {
	const confidence = 0.95
	a := benchmath.NewSample(before.values, &benchmath.DefaultThresholds)
	b := benchmath.NewSample(after.values, &benchmath.DefaultThresholds)
	r := Row{
		Name: before.name, Unit: before.unit,
		Old: benchmath.AssumeNothing.Summary(a, confidence), New: benchmath.AssumeNothing.Summary(b, confidence),
		Comparison: benchmath.AssumeNothing.Compare(a, b),
	}
	r.Delta = r.Comparison.FormatDelta(r.Old.Center, r.New.Center)
	worse := change(r, before.higher)
	switch {
	case !before.judged:
		r.Verdict = Shown
	case before.exact && slices.Max(after.values) > slices.Max(before.values):
		r.Verdict = Worse
		if r.Delta == "~" {
			r.Delta = fmt.Sprintf("up to %g", slices.Max(after.values))
		}
	case r.Comparison.P > r.Comparison.Alpha:
		r.Verdict = Same
	case worse > bound:
		r.Verdict = Worse
	case -worse > bound:
		r.Verdict = Better
	}
	return r
}

// change is by how many per cent the median is worse; less than 0 is better. What is in
// per cent itself changes by what lies between: from 1 % to 2 % is 1, not 100.
func change(r Row, higher bool) float64 {
	by := r.New.Center - r.Old.Center
	switch {
	case by == 0:
		return 0
	case strings.HasSuffix(r.Unit, "%"):
	case r.Old.Center == 0:
		by = math.Copysign(math.Inf(1), by)
	default:
		by *= 100 / math.Abs(r.Old.Center)
	}
	if higher {
		return -by
	}
	return by
}

// Worse are the rows that got worse.
func (t *Table) Worse() []Row {
	var all []Row
	for _, r := range t.Rows {
		if r.Verdict == Worse {
			all = append(all, r)
		}
	}
	return all
}

// Write writes the table for people.
func (t *Table) Write(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tab, "what\tunit\told\tnew\tchange\t\t\n")
	name := ""
	for _, r := range t.Rows {
		shown := r.Name
		if shown == name {
			shown = ""
		}
		name = r.Name
		verdict := map[Verdict]string{Better: "better", Worse: "WORSE", Shown: "(not judged)"}[r.Verdict]
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t(%s)\t%s\n", shown, r.Unit, center(r.Old, r.Unit), center(r.New, r.Unit), r.Delta, r.Comparison, verdict)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if few := t.tooFew(); few > 0 {
		if _, err := fmt.Fprintf(w, "%d of %d were measured too few times to tell a change from chance: at least 4 runs on each side are needed\n", few, len(t.Rows)); err != nil {
			return err
		}
	}
	for _, only := range []struct {
		where string
		names []string
	}{{"old", t.OnlyOld}, {"new", t.OnlyNew}} {
		if len(only.names) > 0 {
			if _, err := fmt.Fprintf(w, "only in %s: %s\n", only.where, strings.Join(only.names, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// tooFew counts the judged rows that no change could have shown in.
func (t *Table) tooFew() int {
	n := 0
	for _, r := range t.Rows {
		if r.Verdict == Same && min(r.Comparison.N1, r.Comparison.N2) < 4 {
			n++
		}
	}
	return n
}

// center is a median and how far it is certain, at 95 %.
func center(s benchmath.Summary, unit string) string {
	return benchunit.Scale(s.Center, benchunit.ClassOf(unit)) + " ±" + s.PctRangeString()
}
