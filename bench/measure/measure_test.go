package measure

import (
	"testing"
	"time"
)

func TestRatioIsTheMedianOfThePairs(t *testing.T) {
	var p Pairs
	p.add(3*time.Second, 2*time.Second)   // 1.5
	p.add(9*time.Second, 1*time.Second)   // 9: somebody else had the machine
	p.add(10*time.Second, 10*time.Second) // 1
	if r := p.Ratio(); r != 1.5 {
		t.Errorf("ratio is %v", r)
	}
	p.add(4*time.Second, 2*time.Second) // 2
	if r := p.Ratio(); r != 1.75 {
		t.Errorf("ratio of four is %v", r)
	}
}

func TestBothSidesRunInEachRoundAndTakeTurns(t *testing.T) {
	var (
		p     Pairs
		order string
	)
	for range 4 {
		p.round(
			func() time.Duration { order += "o"; return 3 * time.Second },
			func() time.Duration { order += "r"; return time.Second },
		)
	}
	if order != "orroorro" || p.Ratio() != 3 {
		t.Errorf("they ran in the order %s, ratio %v", order, p.Ratio())
	}
}

func TestTail(t *testing.T) {
	var tail Tail
	if tail.At(0.5) != 0 {
		t.Error("an empty tail has a median")
	}
	for i := range 1000 {
		tail = append(tail, time.Duration(1000-i))
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {0.5, 501}, {0.99, 991}, {0.999, 1000}, {1, 1000}} {
		if got := tail.At(c.q); got != c.want {
			t.Errorf("at %v: %d, want %d", c.q, got, c.want)
		}
	}
}
