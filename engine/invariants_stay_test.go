package engine

import "testing"

// Invariant 4. A stream that ends with two stays in one room, of which the later one has
// not been served yet, takes both away.
func TestEndTakesBackALaterStay(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		r.create(roomA, 0)
		r.join(roomA, 1)
		r.connected(0)
		bob := r.connected(1)
		bob.allow(0)
		r.text(roomA, 0, "hello")
		r.kick(roomA, 0, 1)
		r.join(roomA, 1)
		r.settle()
		if n := r.subscriptionsOf(bob.stream); n == 0 {
			t.Fatal("the join did not subscribe the stream")
		}
		bob.stream.End(failed(0))
		<-bob.ended
		if n := r.subscriptionsOf(bob.stream); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}
