package robustness

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Summary is what some runs came to. Safe for concurrent use.
type Summary struct {
	mu sync.Mutex

	runs, devices, accounts, rooms      int
	starts, calls, unknown, refused     int
	acknowledged, deliveries, duplicate int
	streams, lookups, entries           int
	events                              int
	faults                              map[string]int
	ends                                map[string]int
	violations                          map[string]int
}

// Add counts a run.
func (s *Summary) Add(h *History, violations []Violation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == nil {
		s.faults, s.ends, s.violations = make(map[string]int), make(map[string]int), make(map[string]int)
	}
	s.runs++
	s.rooms += len(h.Logs)
	for _, l := range h.Logs {
		s.events += len(l.Events)
	}
	devices, accounts := make(map[string]bool), make(map[string]bool)
	told := make(map[shelfOf]map[string]bool)
	for i := range h.Records {
		r := &h.Records[i]
		switch r.Kind {
		case KindFault:
			if r.Note != "over" {
				s.faults[r.Op]++
			}
		case KindServer:
			if r.Note == noteReady {
				s.starts++
			}
		case KindRun:
			for _, f := range []Fault{FaultTinyTail, FaultTinyLimits} {
				if strings.Contains(r.Note, string(f)) {
					s.faults[string(f)]++
				}
			}
		case KindMessage:
			if !r.Message.Stored() {
				continue
			}
			s.deliveries++
			key := shelfOf{r.Device, r.Account, r.Message.Room}
			if told[key] == nil {
				told[key] = make(map[string]bool)
			}
			if told[key][r.Message.UUID] {
				s.duplicate++
			}
			told[key][r.Message.UUID] = true
		case KindReply:
			if r.Op == OpLookup && r.Last {
				s.lookups++
			}
			s.entries += len(r.Entries)
		}
	}
	for _, c := range h.Calls {
		s.calls++
		switch {
		case c.Answer == nil || c.Answer.Outcome == Unknown:
			s.unknown++
		case c.Answer.Outcome == Refused:
			s.refused++
		case c.Sent.Op == OpSend || c.Sent.Op == OpKick || c.Sent.Op == OpBan || c.Sent.Op == OpJoin || c.Sent.Op == OpLeave:
			s.acknowledged++
		}
	}
	for _, stream := range h.Streams {
		devices[stream.Open.Device], accounts[stream.Open.Account] = true, true
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
	row("acknowledged", "%d changes; %d events in the rooms' logs", s.acknowledged, s.events)
	row("deliveries", "%d; %d of them duplicates", s.deliveries, s.duplicate)
	row("streams", "%d; they ended with %s", s.streams, counts(s.ends))
	row("lookups", "%d answered, with %d entries", s.lookups, s.entries)
	total := 0
	for _, v := range Validators {
		row("violations: "+v.Name, "%d", s.violations[v.Name])
		total += s.violations[v.Name]
	}
	row("violations", "%d", total)
	return b.String()
}
