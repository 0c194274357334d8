package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chatstream/chatstream/bench/result"
)

// The methods here are the sections of the report, as the template calls them. Each is
// Markdown, or, where there are no results, says which command makes them.

// Sources says where the results are from: the machine, and each file with its commit
// and its command.
func (r *report) Sources() string {
	machines := make(map[string]bool)
	rows := [][]string{{"file", "measured", "commit", "command"}}
	for _, f := range r.set.Benchmarks {
		seen := make(map[string]bool)
		for _, b := range f.Result.Results {
			machine := b.GetConfig("machine")
			if machine == "" {
				machine = strings.TrimPrefix(strings.Join([]string{b.GetConfig("cpu"), b.GetConfig("goos") + "/" + b.GetConfig("goarch")}, ", "), ", ")
			}
			machines[machine] = true
			row := []string{filepath.Base(f.Path), unknown(b.GetConfig("started")), commit(b.GetConfig("commit")), code(b.GetConfig("command"))}
			if key := strings.Join(row, "\n"); !seen[key] {
				seen[key] = true
				rows = append(rows, row)
			}
		}
	}
	for _, f := range r.set.Runs {
		run := f.Result
		machines[run.Machine.String()] = true
		rows = append(rows, []string{filepath.Base(f.Path), run.Started.UTC().Format("2006-01-02T15:04:05Z"), commit(run.Commit), code(run.Command)})
	}
	var b strings.Builder
	for _, m := range slices.Sorted(keys(machines)) {
		fmt.Fprintf(&b, "* %s\n", m)
	}
	if len(machines) > 1 {
		b.WriteString("\nThese are different machines, or builds: only figures of one file can be compared with each other.\n")
	}
	return b.String() + "\n" + table(rows)
}

// GoalTable is the goals, and what was measured.
func (r *report) GoalTable() string {
	rows := [][]string{{"goal", "what", "reference, in the same run", "goal", "measured: median (min .. max)", "runs", ""}}
	missing := false
	for _, g := range r.Goals {
		row := []string{"`" + g.ID + "`", g.What, g.Reference, g.limit()}
		if len(g.spread) == 0 {
			missing = true
			rows = append(rows, append(row, "not measured", "", ""))
			continue
		}
		verdict := "**MISSED**"
		if g.Met(g.median()) {
			verdict = "met"
		}
		if len(g.spread) < 5 {
			verdict += ", of fewer than 5 runs"
		}
		rows = append(rows, append(row, g.text(g.Unit),
			figure(float64(len(g.spread))), verdict))
	}
	s := table(rows)
	if missing {
		s += "\nWhat is not measured yet is made by\n\n```\n" + makeGoals + "\n" + makePeers + "\n```\n"
	}
	return s
}

// GoalChart is all goals on one axis.
func (r *report) GoalChart() (string, error) {
	if !slices.ContainsFunc(r.Goals, func(g goalRow) bool { return len(g.spread) > 0 }) {
		return "", nil
	}
	svg, err := drawGoals(r.Goals)
	return r.chart("goals.svg", "What was reached of each goal", svg, err)
}

// Remarks are those on goals that were measured.
func (r *report) Remarks() string {
	var b strings.Builder
	for _, g := range r.Goals {
		switch remark := r.remarks[g.ID]; {
		case remark != "":
			fmt.Fprintf(&b, "* `%s`: %s\n", g.ID, remark)
		case len(g.spread) > 0 && !g.Met(g.median()):
			fmt.Fprintf(&b, "* `%s` is missed; the reason is not known yet.\n", g.ID)
		}
	}
	return b.String()
}

// Delivery is what a delivery costs, beside a bare program.
func (r *report) Delivery() (string, error) {
	return r.sides("delivery.svg", "What a delivery costs the server, beside a bare grpc-go program", "CPU time per delivery", "/delivery", makeGoals, []named{
		{"with a backlog", "BenchmarkBacklog"},
		{"one message at a time", "BenchmarkOneAtATime"},
	})
}

// Memory is what an idle stream holds.
func (r *report) Memory() (string, error) {
	return r.sides("memory.svg", "Memory of an idle stream, beside a bare grpc-go stream", "resident memory per stream", "/stream", makeGoals, []named{
		{"one connection each", "BenchmarkIdle/connections=each"},
		{"100 streams per connection", "BenchmarkIdle/connections=shared"},
	})
}

// PeerCharts are CPU and memory beside other servers.
func (r *report) PeerCharts() (string, error) {
	if !slices.ContainsFunc(r.samples.names, isPeer) {
		return missing(makePeers), nil
	}
	text := ""
	for _, chart := range []struct {
		file, title, axis, unit string
		from                    []named
	}{
		{"peers-cpu.svg", "What a delivery costs the server, beside other servers", "CPU time per delivery", "/delivery",
			append(r.peers("with a backlog", "BenchmarkPeerBacklog"), r.peers("one message at a time", "BenchmarkPeerOneAtATime")...)},
		{"peers-latency.svg", "Latency at half of what each can do, beside other servers", "due to received", "p99-ms",
			r.peers("at its own rate", "BenchmarkPeerLatency")},
		{"peers-memory.svg", "Memory of an idle stream, beside other servers", "resident memory per connection", "/connection",
			r.peers("one connection each", "BenchmarkPeerIdle")},
	} {
		link, err := r.sides(chart.file, chart.title, chart.axis, chart.unit, "", chart.from)
		if err != nil {
			return "", err
		}
		text += link
	}
	return text, nil
}

// peerPart is what stands before a peer's name in that of a benchmark.
const peerPart = "/peer="

// peers are the parts of a benchmark, one for each peer that it was run with.
func (r *report) peers(heading, benchmark string) []named {
	var all []named
	for _, name := range r.samples.names {
		if peer, ok := strings.CutPrefix(name, benchmark+peerPart); ok {
			all = append(all, named{heading + ", beside " + sideName(peer), name})
		}
	}
	return all
}

func isPeer(name string) bool { return strings.HasPrefix(name, "BenchmarkPeer") }

// PeerTable is every quantity that was measured of both sides, or of all.
func (r *report) PeerTable() string { return r.pairTable(ours, isPeer) }

// PairTable is the same of all other benchmarks of pairs.
func (r *report) PairTable() string {
	return r.pairTable(ours, func(name string) bool { return !isPeer(name) })
}

// FramesTable is the same of the experiment, beside the server as it is.
func (r *report) FramesTable() string {
	return r.pairTable(frames, func(name string) bool { return strings.HasPrefix(name, "BenchmarkFrames") })
}

// pairTable is every quantity of some benchmarks whose pairs are about this side.
func (r *report) pairTable(first string, of func(string) bool) string {
	about := sideName(first)
	rows := [][]string{{"benchmark", "unit", about, "beside it", "", about + " / other (min .. max)", "runs"}}
	for _, name := range r.samples.names {
		if !of(name) {
			continue
		}
		for _, q := range r.samples.pairs(name, first) {
			for _, side := range q.names[1:] {
				ratio := ""
				if v := q.ratios[side]; len(v) > 0 {
					ratio = v.text("x")
				}
				rows = append(rows, []string{strings.TrimPrefix(name, "Benchmark"), q.unit, figure(round3(q.values[first].median())),
					sideName(side), figure(round3(q.values[side].median())), ratio, figure(float64(len(q.values[first])))})
			}
		}
	}
	return table(rows)
}

// named is a benchmark and what a chart calls it.
type named struct{ heading, benchmark string }

// sides is the chart of a quantity of some benchmarks, or the command that makes it.
func (r *report) sides(file, title, axis, unit, command string, from []named) (string, error) {
	var all []shown
	for _, n := range from {
		if q, ok := find(r.samples, n.heading, n.benchmark, unit); ok {
			all = append(all, q)
		}
	}
	if len(all) == 0 {
		return missing(command), nil
	}
	svg, err := drawSides(title, axis, all)
	return r.chart(file, title, svg, err)
}

// Latency is the percentiles: of pairs with the bare program, and of runs of the load
// generator.
func (r *report) Latency() (string, error) {
	text := ""
	if all := percentilesOf(r.samples, "BenchmarkLatency"); len(all) > 0 {
		title := "Latency at half of saturation, beside a bare grpc-go program"
		svg, err := drawPercentiles(title, all)
		link, err := r.chart("latency.svg", title, svg, err)
		if err != nil {
			return "", err
		}
		text += link
	} else {
		text += missing(makeGoals)
	}
	all, err := distributions(r.set.Runs, "latency")
	if err != nil || len(all) == 0 {
		return text, err
	}
	title := "Latency of a delivery, as the load generator saw it"
	svg, err := drawDistributions(title, all)
	link, err := r.chart("latency-runs.svg", title, svg, err)
	return text + "\n" + link, err
}

// Locks is what locks cost under contention.
func (r *report) Locks() (string, error) {
	points := locks(r.samples)
	if len(points) == 0 {
		return missing(makeLocks), nil
	}
	var b strings.Builder
	for _, section := range sections(points) {
		held := duration(float64(section))
		svg, err := drawLocks(held, of(points, section))
		link, err := r.chart(fmt.Sprintf("locks-%s.svg", strings.ReplaceAll(held, " ", "")), "What a lock costs that is held for "+held, svg, err)
		if err != nil {
			return "", err
		}
		b.WriteString(link)
	}
	return b.String(), nil
}

// Scenarios are the runs of the load generator.
func (r *report) Scenarios() (string, error) {
	var b strings.Builder
	for _, scenario := range scenarios {
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", scenario.name, scenario.shows)
		var runs []*result.Run
		for _, f := range r.set.Runs {
			if f.Result.Scenario == scenario.name {
				runs = append(runs, f.Result)
			}
		}
		if len(runs) == 0 {
			b.WriteString(missing(startServer+"\n"+makeScenario(scenario.name)+"\n"+stopServer) + "\n")
			continue
		}
		b.WriteString(scenarioTable(runs) + "\n")
		if scenario.name == "soak" {
			link, err := r.soak(runs)
			if err != nil {
				return "", err
			}
			b.WriteString(link + "\n")
		}
	}
	return b.String(), nil
}

// soak is the chart of our longest run with a series.
func (r *report) soak(runs []*result.Run) (string, error) {
	var longest *result.Run
	for _, run := range runs {
		if run.Server == result.ServerChatstream && len(run.Series) > 1 && (longest == nil || run.Seconds > longest.Seconds) {
			longest = run
		}
	}
	if longest == nil {
		return "", nil
	}
	svg, err := drawSoak(longest)
	return r.chart("soak.svg", "Deliveries, latency and memory over time", svg, err)
}

// ResultsFolder is the folder of results as a reader would type it, in the checkout.
func (r *report) ResultsFolder() string { return filepath.ToSlash(r.cfg.Results) }

// MakeGoals, MakePeers, MakeLocks, MakeFrames and MakeScenarios are the commands that make results.
func (r *report) MakeGoals() string  { return makeGoals }
func (r *report) MakePeers() string  { return makePeers }
func (r *report) MakeLocks() string  { return makeLocks }
func (r *report) MakeFrames() string { return makeFrames }
func (r *report) MakeScenarios() []string {
	all := []string{startServer}
	for _, s := range scenarios {
		all = append(all, makeScenario(s.name))
	}
	return append(all, stopServer)
}
