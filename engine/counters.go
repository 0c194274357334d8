package engine

import "sync/atomic"

// counters count what the engine does. They say nothing about order.
type counters struct {
	opened, finished    atomic.Uint64 // streams
	sequenced, healed   atomic.Uint64 // events
	responses, messages atomic.Uint64
	bytes               atomic.Uint64
}

func (c *counters) sent(r *Response) {
	c.responses.Add(1)
	c.messages.Add(uint64(r.Messages))
	c.bytes.Add(uint64(r.Size))
}

// Stats is what an engine has done and holds.
type Stats struct {
	StreamsOpened, StreamsFinished uint64
	// EventsSequenced passed a room's sequencer; EventsHealed of them came late
	// and were read from the store.
	EventsSequenced, EventsHealed uint64
	// ResponsesSent carried MessagesSent messages in lists.
	ResponsesSent, MessagesSent, BytesSent uint64
	// StreamsParked of the Streams have something to say to a client that does not
	// read.
	Streams, StreamsParked, Rooms int
	TailBytes                     int64
}

// Stats returns the counters, each by itself: they are not a snapshot. It looks at
// every stream.
func (e *Engine) Stats() Stats {
	c := &e.counters
	parked := 0
	e.registry.Range(func(s *Stream) {
		if s.stalledSince.Load() != 0 {
			parked++
		}
	})
	return Stats{
		StreamsOpened: c.opened.Load(), StreamsFinished: c.finished.Load(),
		EventsSequenced: c.sequenced.Load(), EventsHealed: c.healed.Load(),
		ResponsesSent: c.responses.Load(), MessagesSent: c.messages.Load(), BytesSent: c.bytes.Load(),
		Streams: e.registry.Len(), StreamsParked: parked, Rooms: e.rooms.Len(), TailBytes: e.tailBytes.Load(),
	}
}
