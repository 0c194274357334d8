package engine

import (
	"github.com/puzpuzpuz/xsync/v3"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Registry holds each account's one open stream: the newest. Safe for
// concurrent use.
//
// Its map's bucket lock is taken after a room's turn, never around anything of
// a room (lock order: room before registry), and what runs under it is a few
// instructions: no allocation of unbounded size, no waiting.
type Registry struct {
	streams     *xsync.MapOf[string, *Stream]
	generations atomics.Generation
}

func newRegistry() *Registry {
	return &Registry{streams: xsync.NewMapOf[string, *Stream]()}
}

// Replace makes s the stream of its account, gives it its generation, which is
// what next returns, and tells the stream it replaces to end. All of that in one
// step of the map: nobody can find s before it has a generation, and the stream
// found always has the account's highest. It returns false, and changes nothing,
// if the account's stream already has that generation or a higher one.
func (r *Registry) Replace(s *Stream, next func() uint64) bool {
	replaced := false
	r.streams.Compute(s.account, func(old *Stream, loaded bool) (*Stream, bool) {
		generation := next()
		if loaded && old.generation >= generation {
			return old, false
		}
		s.generation, replaced = generation, true
		if loaded {
			old.End(Ending{Reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM, Info: s.installation})
		}
		return s, false
	})
	return replaced
}

// replacedBy is the end of a stream of an account that a newer one has replaced.
func (r *Registry) replacedBy(account string) Ending {
	why := Ending{Reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM}
	if newer, ok := r.streams.Load(account); ok {
		why.Info = newer.installation
	}
	return why
}

// Ref is a stream that cannot come to its end before Release.
type Ref struct{ stream *Stream }

// Stream is the stream held.
func (r Ref) Stream() *Stream { return r.stream }

// Release gives the reference back. It must be called exactly once.
func (r Ref) Release() { r.stream.release() }

// Acquire returns a reference to the account's stream, unless it has none or
// that has come to its end. One that came to its end after it had been found has
// most likely been replaced: so the account is without a stream only if the same
// one is still there.
func (r *Registry) Acquire(account string) (Ref, bool) {
	var over *Stream
	for {
		s, ok := r.streams.Load(account)
		if !ok || s == over {
			return Ref{}, false
		}
		if s.acquire() {
			return Ref{s}, true
		}
		over = s
	}
}

// leave takes s out, unless a newer stream has taken its place.
func (r *Registry) leave(s *Stream) {
	r.streams.Compute(s.account, func(held *Stream, loaded bool) (*Stream, bool) {
		return held, !loaded || held == s
	})
}

// Len is the number of open streams.
func (r *Registry) Len() int { return r.streams.Size() }

// Range calls f with each stream, which may end meanwhile.
func (r *Registry) Range(f func(*Stream)) {
	r.streams.Range(func(_ string, s *Stream) bool { f(s); return true })
}
