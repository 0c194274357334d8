// Package robustness finds out whether the server keeps its promises while
// everything around it fails.
//
// A run (run.go) starts a real server process (process.go), and some devices
// (device.go) that use it over gRPC as clients do: they open streams, one after
// the other or overlapping (stream.go), and send commands (command.go), driven
// by a seed (workload.go), while faults happen (fault.go, proxy.go,
// faultyserver). Everything that a device sends and sees goes into a history
// (record.go, recorder.go), a line of JSON each, which outlives a run that
// failed.
//
// When the faults are over, an auditor reads every room's log from the healed
// server, through the public protocol (audit.go); it goes into the history too.
// Then validators (validate.go and validate_*.go) judge the history, off-line:
// pure functions, one for each guarantee.
//
// The devices know the wire and nothing else of this project: neither its
// client nor its rules of rooms, so that a mistake is not made twice.
package robustness
