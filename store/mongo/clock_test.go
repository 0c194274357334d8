package mongo

import (
	"testing"
	"time"
)

// The database's clock counts where it differs by more than can be told: it was
// read at some time between two others.
func TestOnlyADifferenceOfClocksIsCorrected(t *testing.T) {
	asked := time.UnixMilli(1_700_000_000_000)
	const took = 40 * time.Millisecond
	for _, tt := range []struct{ primary, ahead time.Duration }{
		{0, 0}, {took / 2, 0}, {took, 0}, {took + time.Millisecond, 0}, {-time.Millisecond, 0},
		{took + 2*time.Millisecond, took/2 + 2*time.Millisecond},
		{-2 * time.Millisecond, -took/2 - 2*time.Millisecond},
		{5 * time.Second, 5*time.Second - took/2},
	} {
		c := &clock{local: func() time.Time { return asked }}
		if got := c.compare(asked, asked.Add(took), asked.Add(tt.primary)); got != tt.ahead {
			t.Errorf("%v behind the question: ahead by %v, want %v", tt.primary, got, tt.ahead)
		}
		if got, want := c.now(), asked.Add(tt.ahead).UnixMilli(); got != want {
			t.Errorf("%v behind the question: now is %d, want %d", tt.primary, got, want)
		}
	}
}
