package report

import (
	"slices"
	"strings"
)

// setting is one of grpc-go's that BenchmarkTransport changes.
type setting struct {
	name string // as in setting=NAME
	does string // what it does, and why one might want it
}

var settings = []setting{
	{"none", "Nothing is changed: how far apart two runs of the same program are."},
	{"write-buffer-4KiB", "`WriteBufferSize`, 32 KiB by default: what a connection gathers before it writes. A smaller one is filled sooner, so that a backlog takes more " +
		"write calls; but each connection that is being written to holds one."},
	{"write-buffer-128KiB", "The same, larger: fewer write calls where there is more than 32 KiB for a connection at once."},
	{"write-buffer-off", "The same, without any: nothing is copied, and each frame's head and each piece of a message is a write call of its own."},
	{"shared-write-buffer-off", "`SharedWriteBuffer`, on by default: a connection takes its buffer from a pool and gives it back when all is written. Without, it keeps it: " +
		"no pool is asked with each write, and each idle connection weighs as much more."},
	{"read-buffer-4KiB", "`ReadBufferSize`, 32 KiB by default: how much is read at once. Clients send little. It comes from a pool where a connection is plain TCP; with TLS " +
		"each connection keeps its own."},
	{"read-buffer-off", "The same, without any: no buffer, and a read call for each frame's head and another for what follows."},
	{"stream-workers", "`NumStreamWorkers`, none by default; here one for each processor. Their goroutines handle call after call, on stacks that have grown already. A chat stream keeps " +
		"one for as long as it lasts, and calls that find none get a goroutine of their own, as without."},
	{"static-window-64KiB", "`StaticConnWindowSize`: clients may have 64 KiB on their way, and the bandwidth to them is not measured. Without that, a PING goes out with the data " +
		"that comes in."},
}

// settingMeasures are what is measured of each: as in measure=NAME.
var settingMeasures = []struct{ name, heading, metric string }{
	{"backlog", "CPU per delivery, backlog", "ratio"},
	{"one-at-a-time", "CPU per delivery, one at a time", "ratio"},
	{"latency", "latency, p99", "p99-ratio"},
	{"idle-each", "memory per idle stream, a connection each", "ratio"},
	{"idle-shared", "memory, 100 per connection", "ratio"},
	{"idle-tls", "memory, a connection each, TLS", "ratio"},
}

const transport = "BenchmarkTransport"

// Settings is what each setting of grpc-go changes, of what was measured.
func (r *report) Settings() string {
	head := []string{"setting", "what it does"}
	for _, m := range settingMeasures {
		head = append(head, m.heading)
	}
	rows := [][]string{append(head, "runs")}
	for _, s := range settings {
		row, runs := []string{"`" + s.name + "`", s.does}, []string(nil)
		for _, m := range settingMeasures {
			v := r.samples.values(transport+"/setting="+s.name+"/measure="+m.name, m.metric)
			if len(v) == 0 {
				row = append(row, "")
				continue
			}
			row = append(row, v.text("x"))
			if n := figure(float64(len(v))); !slices.Contains(runs, n) {
				runs = append(runs, n)
			}
		}
		if len(runs) > 0 {
			rows = append(rows, append(row, strings.Join(runs, ", ")))
		}
	}
	if len(rows) == 1 {
		return missing(makeTransport)
	}
	return table(rows)
}

func (r *report) MakeTransport() string { return makeTransport }
