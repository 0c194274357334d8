package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/chatstream/chatstream/bench/compare"
	"github.com/chatstream/chatstream/bench/result"
)

// benchCompareCmd is `chatstream bench compare`.
type benchCompareCmd struct {
	Old   string  `arg:"" help:"Results: a folder, a .json of a scenario, or a .txt of go test -bench."`
	New   string  `arg:"" help:"Results to hold against them."`
	Worse float64 `default:"10" placeholder:"PERCENT" help:"By how much a measure must be worse, and not by chance, to count (${default})."`
}

// Run prints the table, and fails if something got worse.
func (c *benchCompareCmd) Run(std stdio) error {
	before, err := results(c.Old)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	after, err := results(c.New)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	table, err := compare.Compare(before, after, c.Worse)
	if err != nil {
		return &exitError{code: exitUsage, err: fmt.Errorf("cannot compare %s with %s: %w", c.Old, c.New, err)}
	}
	if err := table.Write(std.Out); err != nil {
		return fmt.Errorf("cannot print the comparison: %w", err)
	}
	worse := table.Worse()
	if len(worse) == 0 {
		return nil
	}
	var names []string
	for _, r := range worse {
		names = append(names, r.Name+" "+r.Unit+" "+r.Delta)
	}
	return fmt.Errorf("worse by more than %g %%: %s", c.Worse, strings.Join(names, ", "))
}

// results are those in a folder, or in one file.
func results(path string) (*result.Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read results: %w", err)
	}
	if info.IsDir() {
		return result.ReadDir(path)
	}
	return result.ReadFiles(path)
}
