package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lockPoint is what taking a lock cost: a result of a benchmark whose name has
// goroutines=N and section=TIME, and the lock's name in a part of its own (a bare one,
// or lock=NAME).
type lockPoint struct {
	lock       string
	section    time.Duration // how long it is held
	goroutines int
	mean, p99  spread // nanoseconds; p99 may be empty
}

// locks are the results of such benchmarks, by section, lock and goroutines.
func locks(s samples) []lockPoint {
	var points []lockPoint
	for _, name := range s.names {
		p := lockPoint{}
		for _, part := range strings.Split(name, "/")[1:] {
			key, value, ok := strings.Cut(part, "=")
			switch {
			case !ok:
				p.lock = part
			case key == "lock":
				p.lock = value
			case key == "section":
				p.section, _ = time.ParseDuration(value)
			case key == "goroutines":
				p.goroutines, _ = strconv.Atoi(value)
			}
		}
		if p.lock == "" || p.section == 0 || p.goroutines == 0 {
			continue
		}
		mean := "ns/op"
		for _, m := range s.metrics(name) {
			if m == "ns/lock" || m == "mean-ns" || strings.HasPrefix(m, "mean-") && strings.HasSuffix(m, "-ns") {
				mean = m
			}
			if strings.HasPrefix(m, "p99-") && strings.HasSuffix(m, "ns") {
				p.p99 = s.values(name, m)
			}
		}
		p.mean = s.values(name, mean)
		if len(p.mean) > 0 {
			points = append(points, p)
		}
	}
	slices.SortStableFunc(points, func(a, b lockPoint) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(lockOrder(a.lock), lockOrder(b.lock)), cmp.Compare(a.lock, b.lock),
			cmp.Compare(a.goroutines, b.goroutines))
	})
	return points
}

// lockOrder has our own lock first.
func lockOrder(name string) int {
	if strings.HasPrefix(strings.ToLower(name), "spinlock") {
		return 0
	}
	return 1
}

// sections are the lengths of critical sections that were measured.
func sections(points []lockPoint) []time.Duration {
	var all []time.Duration
	for _, p := range points {
		if !slices.Contains(all, p.section) {
			all = append(all, p.section)
		}
	}
	return all
}

// of keeps the points of one section.
func of(points []lockPoint, section time.Duration) []lockPoint {
	var kept []lockPoint
	for _, p := range points {
		if p.section == section {
			kept = append(kept, p)
		}
	}
	return kept
}
