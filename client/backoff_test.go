package client

import (
	"testing"
	"time"
)

func TestBackoffStaysInItsBounds(t *testing.T) {
	b := Backoff{}.withDefaults()
	bounds := []time.Duration{200, 400, 800, 1600, 3200, 6400, 10_000, 10_000}
	for failures, bound := range bounds {
		bound *= time.Millisecond
		var least, most time.Duration = time.Hour, 0
		for range 2000 {
			d := b.delay(failures)
			least, most = min(least, d), max(most, d)
		}
		if least < 100*time.Millisecond || most > bound {
			t.Errorf("after %d failures: %v to %v, outside 100ms to %v", failures, least, most, bound)
		}
		// Full jitter: the whole range is used.
		if spread := bound - 100*time.Millisecond; most-least < spread*9/10 {
			t.Errorf("after %d failures: only %v to %v of %v", failures, least, most, bound)
		}
	}
	if d := b.delay(1 << 20); d > 10*time.Second {
		t.Errorf("after very many failures: %v", d)
	}
}
