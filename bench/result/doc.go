// Package result is what a measurement leaves behind, as files that are kept.
//
// A run of a scenario of the load generator is a [Run], one JSON file each: what
// was done, on which machine, by which program, what was counted, latencies as
// HDR histograms, what the server used, and a sample a second. What `go test
// -bench` prints is kept as it is, as a text file ([Benchmarks]);
// [WriteHeader] puts before it what a reader wants to know besides.
//
// Both are for people too: sorted, indented, with the figures that a reader
// looks for beside the ones that only a program can read.
package result
