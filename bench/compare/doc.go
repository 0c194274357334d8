// Package compare says what has changed between two sets of results (package
// result), as benchstat does: medians, by how much they differ, and whether that can be
// told from chance (Mann-Whitney U test).
//
// What counts as worse: where a benchmark measured a ratio to a reference in the
// same run, that ratio, and allocations; else each of its figures. The absolute figures of
// pairs are shown, but a machine drifts, and they drift with it.
package compare
