// Package measure holds what benchmarks of several packages share: pairs, which compare two ways of doing the same work in
// one run, and tails, which say how bad the worst waits were.
//
// A machine drifts by a fifth within an hour, by its clock, its neighbours and its caches. So where a number has a goal, the
// reference is measured in the same run, turn and turn about, and the goal is about the median of the ratios. A benchmark
// that does so makes one pair in each round of its loop: with -benchtime 5x there are five.
package measure
