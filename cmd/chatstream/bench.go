package main

// benchCmd is `chatstream bench`.
type benchCmd struct {
	Fanout  benchFanoutCmd  `cmd:"" help:"One room in which everybody listens: at a rate, or with a window of messages under way."`
	Rooms   benchRoomsCmd   `cmd:"" help:"Many rooms, each with some members."`
	Churn   benchChurnCmd   `cmd:"" help:"Streams that take the place of older ones."`
	Latency benchLatencyCmd `cmd:"" help:"The latency of one room at several rates, one after the other."`
	Soak    benchSoakCmd    `cmd:"" help:"Many rooms for long, while streams break off and come back: nothing may be missing."`
	Report  benchReportCmd  `cmd:"" help:"Make BENCHMARKS.md and its charts from results."`
	Compare benchCompareCmd `cmd:"" help:"Compare two sets of results; exit code 1 if something got worse."`
}
