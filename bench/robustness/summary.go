package robustness

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Summary is what some runs came to. Safe for concurrent use.
type Summary struct {
	mu sync.Mutex

	runs, devices, accounts, rooms   int
	starts, calls, unknown, refused  int
	acknowledged, deliveries         int
	duplicates, downloads            int
	streams, tries, lookups, entries int
	events                           int
	faults                           map[string]int
	ends                             map[string]int
	doubts                           map[string]int // why an outcome is unknown
	violations                       map[string]int
	// single are the runs with one kind of fault, or with none.
	single map[Fault]*costs
}

// costs are what runs with one kind of fault came to.
type costs struct {
	Recovery
	runs, acknowledged, deliveries, duplicates, lost, others int
}

// Add counts a run.
func (s *Summary) Add(h *History, violations []Violation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == nil {
		s.faults, s.ends, s.violations = make(map[string]int), make(map[string]int), make(map[string]int)
		s.single, s.doubts = make(map[Fault]*costs), make(map[string]int)
	}
	s.runs++
	s.rooms += len(h.Logs)
	for _, l := range h.Logs {
		s.events += len(l.Events)
	}
	devices, accounts := make(map[string]bool), make(map[string]bool)
	for i := range h.Records {
		r := &h.Records[i]
		switch r.Kind {
		case KindFault:
			if !strings.HasPrefix(r.Note, noteOver) {
				s.faults[r.Op]++
			}
		case KindServer:
			if r.Note == noteReady {
				s.starts++
			}
		case KindReply:
			if r.Op == OpLookup && r.Last {
				s.lookups++
			}
			s.entries += len(r.Entries)
		}
	}
	acknowledged, deliveries, duplicates := s.acknowledged, s.deliveries, s.duplicates
	s.count(h)
	for _, c := range h.Calls {
		s.calls++
		switch {
		case c.Answer == nil || c.Answer.Outcome == Unknown:
			s.unknown++
			s.doubts[doubt(c.Answer)]++
		case c.Answer.Outcome == Refused:
			s.refused++
		case c.Sent.Op == OpSend || c.Sent.Op == OpKick || c.Sent.Op == OpBan || c.Sent.Op == OpJoin || c.Sent.Op == OpLeave:
			s.acknowledged++
		}
	}
	for _, stream := range h.Streams {
		devices[stream.Open.Device], accounts[stream.Open.Account] = true, true
		s.tries++
		if stream.Primer == nil {
			continue
		}
		s.streams++
		if stream.End != nil {
			how := stream.End.Code
			if how == "OK" {
				how = "reason " + stream.End.Reason
			}
			s.ends[how]++
		}
	}
	s.devices, s.accounts = s.devices+len(devices), s.accounts+len(accounts)
	for _, v := range violations {
		s.violations[v.Validator]++
	}
	if recoveries := Recoveries(h); len(recoveries) == 1 {
		s.addSingle(recoveries[0], violations, costs{
			acknowledged: s.acknowledged - acknowledged, deliveries: s.deliveries - deliveries, duplicates: s.duplicates - duplicates,
		})
	}
}

var statusCode = regexp.MustCompile(`code = (\w+)`)

// doubt is why it is not known what became of a command.
func doubt(answer *Record) string {
	switch {
	case answer == nil:
		return "no answer"
	case answer.Error == "":
		return answer.Status
	}
	if m := statusCode.FindStringSubmatch(answer.Error); m != nil {
		return m[1]
	}
	return answer.Error
}

// addSingle adds a run with one kind of fault, or none.
func (s *Summary) addSingle(r Recovery, violations []Violation, run costs) {
	c := s.single[r.Fault]
	if c == nil {
		c = &costs{}
		s.single[r.Fault] = c
	}
	c.runs++
	c.Times += r.Times
	c.Anywhere.atLeast(r.Anywhere)
	c.There.atLeast(r.There)
	c.acknowledged += run.acknowledged
	c.deliveries += run.deliveries
	c.duplicates += run.duplicates
	for _, v := range violations {
		if v.Validator == "durable" || v.Validator == "complete" {
			c.lost++
		} else {
			c.others++
		}
	}
}

// writeSingle writes a table of the runs with one kind of fault: a pause is the
// longest time without an acknowledged message, and without one on a stream, that
// falls together with the fault; the second pair is that of the server that the
// fault was done to.
func (s *Summary) writeSingle(b *strings.Builder) {
	if len(s.single) == 0 {
		return
	}
	fmt.Fprintf(b, "%-16s %5s %6s %9s %11s %10s %5s %7s  %s\n", "fault", "runs", "times", "acknowl.", "deliveries", "duplicates", "lost", "others", "longest pause: acks, deliveries (there)")
	for _, f := range slices.Sorted(maps.Keys(s.single)) {
		c := s.single[f]
		there := ""
		if c.There != (Pause{}) {
			there = fmt.Sprintf(" (%v)", c.There)
		}
		fmt.Fprintf(b, "%-16s %5d %6d %9d %11d %10d %5d %7d  %v%s\n", cmp.Or(f, "none"), c.runs, c.Times, c.acknowledged, c.deliveries, c.duplicates, c.lost, c.others, c.Anywhere, there)
	}
}

// count counts deliveries, without the auditor's.
func (s *Summary) count(h *History) {
	streams := make(map[int64]*Stream, len(h.Streams))
	for _, stream := range h.Streams {
		streams[stream.Open.Stream] = stream
	}
	told := make(map[shelfOf]map[string]bool)
	for i := range h.Records {
		r := &h.Records[i]
		stream := streams[r.Stream]
		if r.Kind != KindMessage || !r.Message.Stored() || stream == nil && r.Call == 0 {
			continue
		}
		s.deliveries++
		key := shelfOf{r.Device, r.Account, r.Message.Room}
		if told[key] == nil {
			told[key] = make(map[string]bool)
		}
		switch again := told[key][r.Message.UUID]; {
		case !again:
			told[key][r.Message.UUID] = true
		case stream != nil && (stream.Live(r) || stream.claim(r.Message.Room) != nil):
			s.duplicates++
		default:
			s.downloads++
		}
	}
}

// String is a table.
func (s *Summary) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(&b, "%-24s %s\n", name, fmt.Sprintf(format, args...))
	}
	counts := func(m map[string]int) string {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(m)) {
			list = append(list, fmt.Sprintf("%s %d", name, m[name]))
		}
		return strings.Join(list, ", ")
	}
	row("runs", "%d", s.runs)
	row("faults", "%s", counts(s.faults))
	row("server starts", "%d", s.starts)
	row("devices, accounts, rooms", "%d, %d, %d", s.devices, s.accounts, s.rooms)
	row("commands", "%d; %d without a known outcome, %d refused", s.calls, s.unknown, s.refused)
	row("unknown outcomes", "%s", counts(s.doubts))
	row("acknowledged", "%d changes; %d events in the rooms' logs", s.acknowledged, s.events)
	row("deliveries", "%d; %d of them duplicates, %d more in rooms that were downloaded again", s.deliveries, s.duplicates, s.downloads)
	row("streams", "%d of %d tries; they ended with %s", s.streams, s.tries, counts(s.ends))
	row("lookups", "%d answered, with %d entries", s.lookups, s.entries)
	total := 0
	for _, v := range Validators {
		row("violations: "+v.Name, "%d", s.violations[v.Name])
		total += s.violations[v.Name]
	}
	row("violations", "%d", total)
	s.writeSingle(&b)
	return b.String()
}
