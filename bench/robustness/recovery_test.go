package robustness

import (
	"slices"
	"testing"
	"time"
)

// TestRecoveriesArePausesAroundFaults has a message acknowledged and delivered
// every 100 ms on each of two servers, but for some that are left out.
func TestRecoveriesArePausesAroundFaults(t *testing.T) {
	const step, end = 100 * time.Millisecond, 20 * time.Second
	// tell writes a history; at[i] happens at its time, and quiet says what is not
	// seen.
	tell := func(at map[time.Duration]Record, quiet func(t time.Duration, server int, acknowledged bool) bool) *History {
		var records []Record
		add := func(t time.Duration, r Record) {
			r.At, r.N = t, int64(len(records)+1)
			records = append(records, r)
		}
		for server := 1; server <= 2; server++ {
			add(0, Record{Kind: KindOpen, Stream: int64(server), Server: server})
			add(0, Record{Kind: KindComplete, Stream: int64(server)})
		}
		for now := step; now < end; now += step {
			if r, ok := at[now]; ok {
				add(now, r)
			}
			for server := 1; server <= 2; server++ {
				if !quiet(now, server, true) {
					add(now, Record{Kind: KindAnswer, Op: OpSend, Outcome: Done, Server: server, Call: 1})
				}
				if !quiet(now, server, false) {
					add(now, Record{Kind: KindMessage, Stream: int64(server), Message: &Message{Body: bodyText}})
				}
			}
		}
		add(end, Record{Kind: KindHealed})
		return NewHistory(records)
	}
	const s = time.Second
	fault := func(server int, note string) Record {
		return Record{Kind: KindFault, Op: string(FaultKill), Server: server, Note: note}
	}
	for _, c := range []struct {
		name  string
		at    map[time.Duration]Record
		quiet func(t time.Duration, server int, acknowledged bool) bool
		want  Recovery
	}{
		{
			"of all servers", map[time.Duration]Record{5 * s: fault(0, "")},
			func(t time.Duration, server int, acknowledged bool) bool {
				return t > 6*s && t < 8*s && (acknowledged || t < 7*s)
			},
			Recovery{Fault: FaultKill, Times: 1, Anywhere: Pause{2 * s, s}},
		},
		{
			"of one server", map[time.Duration]Record{5 * s: fault(2, "")},
			func(t time.Duration, server int, _ bool) bool { return server == 2 && t > 4*s && t < 7*s },
			Recovery{Fault: FaultKill, Times: 1, Anywhere: Pause{step, step}, There: Pause{3 * s, 3 * s}},
		},
		{
			"one that lasts", map[time.Duration]Record{5 * s: fault(0, ""), 12 * s: fault(0, noteOver)},
			func(t time.Duration, _ int, _ bool) bool { return t > 11*s && t < 13*s },
			Recovery{Fault: FaultKill, Times: 1, Anywhere: Pause{2 * s, 2 * s}},
		},
		{
			"long after it", map[time.Duration]Record{5 * s: fault(0, "")},
			func(t time.Duration, _ int, _ bool) bool { return t > 11*s && t < 13*s },
			Recovery{Fault: FaultKill, Times: 1, Anywhere: Pause{step, step}},
		},
		{
			"one that is never recovered from", map[time.Duration]Record{5 * s: fault(0, "")},
			func(t time.Duration, _ int, _ bool) bool { return t > 5*s },
			Recovery{Fault: FaultKill, Times: 1, Anywhere: Pause{15 * s, 15 * s}},
		},
		{
			"of one that lasts for ever", map[time.Duration]Record{5 * s: fault(0, noteLasting)},
			func(t time.Duration, _ int, _ bool) bool { return t > 11*s && t < 13*s },
			Recovery{Fault: FaultKill, Times: 1, Anywhere: Pause{2 * s, 2 * s}},
		},
		{
			"twice", map[time.Duration]Record{5 * s: fault(0, ""), 12 * s: fault(0, "")},
			func(t time.Duration, _ int, acknowledged bool) bool {
				return acknowledged && t > 5*s && t < 6*s || !acknowledged && t > 12*s && t < 14*s
			},
			Recovery{Fault: FaultKill, Times: 2, Anywhere: Pause{s, 2 * s}},
		},
		{
			"no fault", nil,
			func(t time.Duration, _ int, _ bool) bool { return t > 11*s && t < 12*s },
			Recovery{Times: 1, Anywhere: Pause{s, s}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Recoveries(tell(c.at, c.quiet)); !slices.Equal(got, []Recovery{c.want}) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
