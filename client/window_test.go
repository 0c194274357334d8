package client

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestWindowTellsDuplicatesFromLateMessages(t *testing.T) {
	w := newWindow()
	w.add(100_000, "a", 0)
	w.add(110_000, "b", 0)
	for _, c := range []struct {
		at   int64
		uuid string
		want bool
	}{
		{100_000, "a", true},
		{110_000, "b", true},
		{105_000, "late", false}, // a server that stores in another order
		{105_000, "", true},
		{90_000, "old", true}, // nobody sends that but a duplicate
		{110_001, "c", false},
		{110_001, "", false},
	} {
		if got := w.has(c.at, c.uuid); got != c.want {
			t.Errorf("has(%d, %q) = %v", c.at, c.uuid, got)
		}
	}
}

func TestWindowKeepsTheLastTwentySeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWindow()
		at := int64(1_000_000)
		added := map[string]int64{}
		for i := range rapid.IntRange(1, 300).Draw(t, "messages") {
			at += rapid.Int64Range(1, 3000).Draw(t, "gap")
			u := fmt.Sprint(i)
			added[u] = at
			w.add(at, u, 0)
		}
		for u, at := range added {
			if !w.has(at, u) {
				t.Fatalf("%s at %d is forgotten: floor %d", u, at, w.floor)
			}
		}
		for _, s := range w.recent {
			if s.Time <= w.position-20_000 {
				t.Fatalf("%+v is kept at position %d", s, w.position)
			}
		}
		if len(w.recent) != len(w.set) {
			t.Fatalf("%d in the list, %d in the set", len(w.recent), len(w.set))
		}
	})
}

func TestWindowIsBounded(t *testing.T) {
	w := newWindow()
	for i := range maxRecent + 1000 {
		w.add(int64(1_000_000+i), fmt.Sprint(i), 0)
	}
	if len(w.recent) != maxRecent || len(w.set) != maxRecent {
		t.Errorf("%d and %d are kept", len(w.recent), len(w.set))
	}
	if !w.has(1_000_000, "0") || w.has(1_000_000+maxRecent+1000, "new") {
		t.Error("what left the list is not known any more")
	}
}
