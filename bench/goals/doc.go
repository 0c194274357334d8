// Package goals holds the benchmarks of the goals that are set for a whole
// server: what a delivery costs, how long it takes, what an idle stream weighs.
// Each measures a real server process beside a reference in the same run, in
// turns, since machines drift: one iteration is one pair, and -count makes more.
//
//	go test ./bench/goals -run '^$' -bench . -benchtime 1x -count 5
//
// The reference is bench/baseline, the least that a program on grpc-go can do.
// Processor time is the operating system's account of the server's process; the
// generator's own does not count, but takes its share of the machine, from both
// alike. Data lies on a memory file system where there is one, so that the disk
// is not what is measured. A benchmark fails if a single delivery is missing.
package goals
