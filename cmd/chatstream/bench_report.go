package main

import (
	"fmt"
	"path/filepath"

	"github.com/chatstream/chatstream/bench/report"
)

// benchReportCmd is `chatstream bench report`.
type benchReportCmd struct {
	Results string `default:"bench/results" placeholder:"DIR" help:"Results: *.json of bench scenarios, *.txt of go test -bench (${default})."`
	Out     string `default:"BENCHMARKS.md" placeholder:"FILE" help:"The report (${default})."`
	Charts  string `default:"docs/charts" placeholder:"DIR" help:"Where its charts go (${default})."`
}

// Run writes the report, says what was written, and warns of what is missing in it.
func (c *benchReportCmd) Run(std stdio) error {
	written, err := report.Write(report.Config{Results: filepath.Clean(c.Results), Out: c.Out, Charts: c.Charts, Command: c.command()})
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	for _, w := range written.Warnings {
		fmt.Fprintln(std.Err, "chatstream: warning:", w)
	}
	for _, path := range append([]string{c.Out}, written.Charts...) {
		fmt.Fprintln(std.Out, path)
	}
	return nil
}

// command is the command that makes this report, with the flags that are not the
// defaults.
func (c *benchReportCmd) command() string {
	s := "go run ./cmd/chatstream bench report"
	for _, f := range []struct{ flag, value, standard string }{
		{"results", c.Results, "bench/results"}, {"out", c.Out, "BENCHMARKS.md"}, {"charts", c.Charts, "docs/charts"},
	} {
		if f.value != f.standard {
			s += " --" + f.flag + " " + f.value
		}
	}
	return s
}
