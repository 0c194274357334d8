package robustness

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Recovery is what faults of one kind have cost: for how long nothing was
// acknowledged, and nothing was delivered, that had begun before the fault or
// began during it. Anywhere is of all servers together; there of the one that
// the fault was done to, where it was one.
type Recovery struct {
	Fault Fault
	// Times is how often it was done.
	Times           int
	Anywhere, There Pause
}

// Pause is the longest time without an acknowledged message, and the longest
// without one on a live stream. 0 if there was none to be seen.
type Pause struct{ Acknowledged, Delivered time.Duration }

func (p Pause) String() string {
	return fmt.Sprintf("%v, %v", p.Acknowledged.Round(time.Millisecond), p.Delivered.Round(time.Millisecond))
}

func (p *Pause) atLeast(q Pause) {
	p.Acknowledged, p.Delivered = max(p.Acknowledged, q.Acknowledged), max(p.Delivered, q.Delivered)
}

// settles is how long after the end of a fault a pause may begin that is put down
// to it.
const settles = 3 * time.Second

// Recoveries finds out what each fault of a history cost. A run without faults is
// one of the fault "": what the workload pauses by itself, on this machine.
func Recoveries(h *History) []Recovery {
	var begun, healed time.Duration
	var spans []span
	open := make(map[string]int) // fault and server -> its span that is not over
	streams := make(map[int64]*Stream, len(h.Streams))
	for _, s := range h.Streams {
		streams[s.Open.Stream] = s
	}
	var acknowledged, delivered []moment
	for i := range h.Records {
		r := &h.Records[i]
		switch {
		case r.Kind == KindHealed:
			healed = r.At
		case r.Kind == KindFault:
			key := fmt.Sprint(r.Op, r.Server)
			if n, known := open[key]; known && strings.HasPrefix(r.Note, noteOver) {
				spans[n].to = r.At + settles
				delete(open, key)
				continue
			}
			open[key] = len(spans)
			spans = append(spans, span{Fault(r.Op), r.Server, r.At, r.At + settles})
			if r.Note == noteLasting {
				spans[len(spans)-1].to = math.MaxInt64
			}
		case healed != 0: // it is being looked at, not worked
		case r.Kind == KindAnswer && r.Outcome == Done && r.Op == OpSend:
			acknowledged = append(acknowledged, moment{r.At, r.Server})
			if begun == 0 {
				begun = r.At
			}
		case r.Kind == KindMessage && streams[r.Stream] != nil && streams[r.Stream].Live(r) && r.Message.Stored():
			delivered = append(delivered, moment{r.At, streams[r.Stream].Open.Server})
		}
	}
	if len(spans) == 0 {
		spans = []span{{from: begun, to: healed}}
	}
	byFault := make(map[Fault]*Recovery)
	for _, w := range spans {
		r := byFault[w.fault]
		if r == nil {
			r = &Recovery{Fault: w.fault}
			byFault[w.fault] = r
		}
		r.Times++
		r.Anywhere.atLeast(Pause{w.longest(acknowledged, 0, healed), w.longest(delivered, 0, healed)})
		if w.server != 0 {
			r.There.atLeast(Pause{w.longest(acknowledged, w.server, healed), w.longest(delivered, w.server, healed)})
		}
	}
	var all []Recovery
	for _, f := range slices.Sorted(maps.Keys(byFault)) {
		all = append(all, *byFault[f])
	}
	return all
}

// moment is when something was seen that came from a server.
type moment struct {
	at     time.Duration
	server int
}

// span is the time in which a pause is put down to a fault.
type span struct {
	fault    Fault
	server   int
	from, to time.Duration
}

// longest is the longest time between two moments, of one server or of all (0),
// that lies in the span at least in part. The last one ends when the faults are
// over.
func (w span) longest(moments []moment, server int, healed time.Duration) time.Duration {
	var longest, last time.Duration
	seen := false
	pause := func(until time.Duration) {
		if seen && until > w.from && last < w.to {
			longest = max(longest, until-last)
		}
	}
	for _, m := range moments {
		if server == 0 || m.server == server {
			pause(m.at)
			last, seen = m.at, true
		}
	}
	if healed > last {
		pause(healed)
	}
	return longest
}
