package report

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/chatstream/chatstream/bench/result"
)

// worked_example.md is optional: a pattern may match more than what is there.
//
//go:embed *.md *.tmpl
var texts embed.FS

// Config says where a report is from and where it goes.
type Config struct {
	Results string // folder of results
	Out     string // the Markdown file
	Charts  string // folder of the charts
	Command string // that makes the report; said in it
}

// Written is what Write has done.
type Written struct {
	Charts []string // paths
	// Warnings are what a person has still to do: goals that were missed without a
	// reason given, or not measured.
	Warnings []string
}

// Write makes the report. A file of the charts' folder that is no longer part of it is
// left where it is.
func Write(cfg Config) (*Written, error) {
	set, err := result.ReadDir(cfg.Results)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		set = new(result.Set)
	case err != nil:
		return nil, err
	}
	if len(set.Runs)+len(set.Benchmarks) == 0 {
		return nil, fmt.Errorf("%s has no results (*.json, *.txt); the first ones are made by: %s", cfg.Results, makeGoals)
	}
	r, err := newReport(cfg, set)
	if err != nil {
		return nil, err
	}
	text, err := r.markdown()
	if err != nil {
		return nil, err
	}
	w := &Written{Warnings: r.warnings()}
	if err := os.MkdirAll(cfg.Charts, 0o777); err != nil {
		return nil, fmt.Errorf("cannot keep the charts: %w", err)
	}
	for _, c := range r.charts {
		path := filepath.Join(cfg.Charts, c.name)
		if err := os.WriteFile(path, c.svg, 0o644); err != nil {
			return nil, fmt.Errorf("cannot keep a chart: %w", err)
		}
		w.Charts = append(w.Charts, path)
	}
	if err := os.WriteFile(cfg.Out, text, 0o644); err != nil {
		return nil, fmt.Errorf("cannot write the report: %w", err)
	}
	return w, nil
}

// report is what the template shows.
type report struct {
	cfg     Config
	set     *result.Set
	samples samples
	remarks map[string]string
	links   string // from the report's folder to the charts'
	charts  []drawn

	Command       string
	ResultsLink   string
	Goals         []goalRow
	WorkedExample string
}

// goalRow is a goal and what was measured for it, which may be nothing.
type goalRow struct {
	Goal
	spread
}

// drawn is a finished chart.
type drawn struct {
	name string
	svg  []byte
}

func newReport(cfg Config, set *result.Set) (*report, error) {
	r := &report{cfg: cfg, set: set, samples: samplesOf(set), Command: cfg.Command}
	text, err := texts.ReadFile("remarks.md")
	if err != nil {
		return nil, fmt.Errorf("cannot read the remarks: %w", err)
	}
	if r.remarks, err = parseRemarks(string(text)); err != nil {
		return nil, err
	}
	switch example, err := texts.ReadFile("worked_example.md"); {
	case err == nil:
		r.WorkedExample = strings.TrimSpace(string(example))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cannot read the worked example: %w", err)
	}
	for _, g := range Goals {
		r.Goals = append(r.Goals, goalRow{g, r.samples.of(g)})
	}
	if r.links, err = link(cfg.Out, cfg.Charts); err != nil {
		return nil, err
	}
	if r.ResultsLink, err = link(cfg.Out, cfg.Results); err != nil {
		return nil, err
	}
	return r, nil
}

// link is the way from a file to a folder, as a link in the file.
func link(from, to string) (string, error) {
	file, err := filepath.Abs(from)
	if err != nil {
		return "", fmt.Errorf("cannot find %s: %w", from, err)
	}
	folder, err := filepath.Abs(to)
	if err != nil {
		return "", fmt.Errorf("cannot find %s: %w", to, err)
	}
	way, err := filepath.Rel(filepath.Dir(file), folder)
	if err != nil {
		return "", fmt.Errorf("%s cannot link to %s: %w", from, to, err)
	}
	return filepath.ToSlash(way), nil
}

// markdown is the text. It draws the charts as it comes to them.
func (r *report) markdown() ([]byte, error) {
	t, err := template.ParseFS(texts, "benchmarks.md.tmpl")
	if err != nil {
		return nil, fmt.Errorf("cannot read the report's frame: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, r); err != nil {
		return nil, fmt.Errorf("cannot write the report: %w", err)
	}
	// A section without results leaves its empty lines.
	return regexp.MustCompile("\n{3,}").ReplaceAllLiteral([]byte(b.String()), []byte("\n\n")), nil
}

// chart keeps a chart and is the Markdown that shows it.
func (r *report) chart(name, alternative string, svg []byte, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("chart %s: %w", name, err)
	}
	if slices.ContainsFunc(r.charts, func(d drawn) bool { return d.name == name }) {
		return "", fmt.Errorf("two charts are named %s", name)
	}
	r.charts = append(r.charts, drawn{name, svg})
	return fmt.Sprintf("![%s](%s/%s)\n", alternative, r.links, name), nil
}

func (r *report) warnings() []string {
	var all []string
	for _, g := range r.Goals {
		switch {
		case len(g.spread) == 0:
			all = append(all, fmt.Sprintf("goal %s is not measured: there is no %s of %s in %s", g.ID, g.Metric, g.Benchmark, r.cfg.Results))
		case !g.Met(g.median()) && r.remarks[g.ID] == "":
			all = append(all, fmt.Sprintf("goal %s is missed, and bench/report/remarks.md gives no reason", g.ID))
		}
	}
	return all
}
