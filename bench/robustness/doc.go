// Package robustness finds out whether the server keeps its promises while
// everything around it fails.
//
// A run (run.go) starts a real server process (process.go), and some devices
// (device.go) that use it over gRPC as clients do: they open streams, one after
// the other or overlapping (stream.go), and send commands (command.go), driven
// by a seed (workload.go), while faults happen (fault.go, proxy.go,
// faultyserver). Half of the devices say where they have come to by times, as
// the inherited protocol has it, half by places (book.go). Everything that a
// device sends and sees goes into a history (record.go, recorder.go), a line of
// JSON each, which outlives a run that failed.
//
// When the faults are over, everybody must get what there is on the streams
// that are open; then the server is ended and started once more, everybody comes
// back, and an auditor reads every room's log through the public protocol
// (audit.go). That goes into the history too. Then validators (validate.go and
// validate_*.go) judge the history, off-line: pure functions, one for each
// guarantee.
//
// On MongoDB there are several servers on one database of a replica set of three,
// the devices go from one to another with any command and any stream, and the
// faults are those of the database too (fault_mongodb.go). The set knows one
// address of each member, which is everybody's; so that one server alone can be cut
// off, faultyserver connects to proxies instead. What is not done: the members are
// not cut off from each other, and a server never reaches some members and not the
// others. Of each fault it is measured for how long nothing was acknowledged and
// nothing delivered (recovery.go).
//
// The devices know the wire and nothing else of this project: neither its
// client nor its rules of rooms, so that a mistake is not made twice.
//
//	go test ./bench/robustness -run 'TestRobustness$' -v       under a minute
//	go test ./bench/robustness -run TestRobustnessOnMongoDB -v about one; needs CHATSTREAM_TEST_MONGOD
//	go test ./bench/robustness -run 'TestRobustness$' -robustness.runs 200 -timeout 2h -v
//	go test ./bench/robustness -run TestRobustnessOnMongoDB -robustness.runs 19 -timeout 20m -v    each fault once
//	go test ./bench/robustness -run TestRobustnessOnMongoDB -robustness.faults store-cut -robustness.cut 60s -robustness.runs 1 -v
//
// A run that fails prints the flags that repeat its workload and its faults (not
// their timing), the violations with the records that show them, and where its
// history is kept.
package robustness
