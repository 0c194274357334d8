package main

// benchCmd is `chatstream bench`.
type benchCmd struct {
	Report  benchReportCmd  `cmd:"" help:"Make BENCHMARKS.md and its charts from results."`
	Compare benchCompareCmd `cmd:"" help:"Compare two sets of results; exit code 1 if something got worse."`
}
