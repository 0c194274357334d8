package measure

import (
	"slices"
	"testing"
	"time"
)

// Pairs are the times that two ways of doing the same work have taken, pair by pair. Not safe for concurrent use.
type Pairs struct {
	ours, reference []time.Duration
}

// Loop runs b's loop. In each round ours and reference run one after the other, in turns as to who is first. Each returns
// the time it took: what it does to prepare need not be in it.
func (p *Pairs) Loop(b *testing.B, ours, reference func() time.Duration) {
	b.Helper()
	for b.Loop() {
		p.round(ours, reference)
	}
}

func (p *Pairs) round(ours, reference func() time.Duration) {
	if len(p.ours)%2 == 0 {
		p.add(ours(), reference())
		return
	}
	r := reference()
	p.add(ours(), r)
}

func (p *Pairs) add(ours, reference time.Duration) {
	p.ours = append(p.ours, ours)
	p.reference = append(p.reference, reference)
}

// Ratio is the median of the pairs' ratios: how many times as long ours took.
func (p *Pairs) Ratio() float64 {
	ratios := make([]float64, len(p.ours))
	for i := range ratios {
		ratios[i] = float64(p.ours[i]) / float64(p.reference[i])
	}
	return median(ratios)
}

// Report reports the medians of a pair that did n units of work: ours-ns/unit, ref-ns/unit, and the ratio. ns/op is left
// out, as it would be the sum of both.
func (p *Pairs) Report(b *testing.B, n int, unit string) {
	b.Helper()
	b.ReportMetric(p.per(p.ours, n), "ours-ns/"+unit)
	b.ReportMetric(p.per(p.reference, n), "ref-ns/"+unit)
	b.ReportMetric(p.Ratio(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// ReportRates reports the same the other way round: ours-units/s, ref-units/s, and how many times as many ours did.
func (p *Pairs) ReportRates(b *testing.B, n int, units string) {
	b.Helper()
	b.ReportMetric(1e9/p.per(p.ours, n), "ours-"+units+"/s")
	b.ReportMetric(1e9/p.per(p.reference, n), "ref-"+units+"/s")
	b.ReportMetric(1/p.Ratio(), "rate-ratio")
	b.ReportMetric(0, "ns/op")
}

// per is the median of times in nanoseconds, by n.
func (p *Pairs) per(times []time.Duration, n int) float64 {
	all := make([]float64, len(times))
	for i, t := range times {
		all[i] = float64(t.Nanoseconds()) / float64(n)
	}
	return median(all)
}

// median is the middle of all, of an even number the mean of the two in the middle; 0 of none.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// Time is how long f takes.
func Time(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}
