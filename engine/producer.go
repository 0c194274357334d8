package engine

// producer is something that has responses for a stream. A stream's queue holds
// producers, not messages: what is waiting costs the same however much it is.
type producer interface {
	// fill adds what the producer has to out, as much as fits. Only the
	// stream's turn calls it, with the producer off the queue.
	fill(s *Stream, out *builder) outcome
}

// outcome is where a producer goes after fill.
type outcome uint8

const (
	// done: nowhere. It has nothing left, or somebody else puts it back.
	done outcome = iota
	// front: the response is full and must go out first.
	front
	// back: it goes behind the others.
	back
)
