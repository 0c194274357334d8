// Package report makes BENCHMARKS.md and its charts from a folder of results
// (package result).
//
// What is said in it comes from three places, and nothing that was measured is
// written down anywhere else: the results; the goals (goals.go), which name
// the benchmark and the metric that each is judged by; and texts that a person
// wrote: the frame (benchmarks.md.tmpl, a template), the reasons for misses
// (remarks.md), and an example of profiling (worked_example.md, if there is one).
//
// Where results of some kind are missing the report says which command makes
// them.
package report
