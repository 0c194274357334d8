package report

import "strings"

// The commands that make results.
var (
	makeGoals     = "go test ./... -run '^$' -bench '^" + goalBenchmarks() + "$' -count 6 -timeout 3h > bench/results/goals.txt"
	makeLocks     = "go test ./bench/contention -run '^$' -bench . -count 6 -timeout 1h > bench/results/contention.txt"
	makeTransport = "go test ./bench/goals -run '^$' -bench Transport -benchtime 1x -count 5 -timeout 3h > bench/results/transport.txt"
	makeFrames    = "go test -tags frames ./bench/goals -run '^$' -bench Frames -benchtime 1x -count 5 -timeout 1h > bench/results/frames.txt"
	makePeers     = "go test -C bench/peers -run '^$' -bench . -benchtime 1x -count 5 -timeout 3h -peers.dir=/dev/shm > bench/results/peers.txt"
)

// makeScenario needs a server that has been started for it: startServer.
func makeScenario(name string) string {
	return "bin/chatstream bench " + name + " --diagnostics 127.0.0.1:6060 --out bench/results"
}

// startServer starts a server to be measured, and waits for it: hashing passwords costs
// little there. stopServer ends it, and leaves nothing.
const (
	startServer = "go build -o bin/chatstream ./cmd/chatstream\n" +
		"bin/chatstream serve --data /dev/shm/load --diagnostics 127.0.0.1:6060 --argon2-time 1 --argon2-memory 64 --log-level warn &\n" +
		"until curl -sf 127.0.0.1:6060/debug/stats > /dev/null; do sleep 0.1; done"
	stopServer = "kill $! && wait $!; rm -r /dev/shm/load"
)

// goalBenchmarks are the benchmarks that the goals are judged by and that are in this
// module.
func goalBenchmarks() string {
	var names []string
	seen := make(map[string]bool)
	for _, g := range Goals {
		name, _, _ := strings.Cut(g.Benchmark, "/")
		if !seen[name] && !isPeer(name) {
			seen[name] = true
			names = append(names, strings.TrimPrefix(name, "Benchmark"))
		}
	}
	return "Benchmark(" + strings.Join(names, "|") + ")"
}

// missing says how results are made that are not there.
func missing(command string) string {
	if command == "" {
		return ""
	}
	return "Not measured yet:\n\n```\n" + command + "\n```\n"
}
