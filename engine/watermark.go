package engine

import "sync/atomic"

// watermark is how far one stream's client has been reached in one room. The
// stream's turn alone changes it, and anybody may read it.
//
// What has been handed to the transport has reached the client, as far as the
// server knows, when the transport has passed it on, which it tells by write
// credit: so a place in the room's log belongs to a place in the bytes sent. Two
// of these pairs are kept: the newest, and one that is waited for, so that the
// watermark moves on also while there is always something newer on its way.
type watermark struct {
	reached, confirmed atomic.Uint64
	newest, awaited    place
}

// place is a place in a room's log, and the number of bytes that the client has
// been sent when it has been told up to there.
//
// Memory order: bytes is stored before seq, and seq loaded before bytes. A
// reader may so take an older seq with newer bytes, and find it reached later
// than it was, never earlier.
type place struct {
	seq   atomic.Uint64
	bytes atomic.Int64
}

func (p *place) set(seq uint64, bytes int64) {
	p.bytes.Store(bytes)
	p.seq.Store(seq)
}

// within returns the place's seq if the first passed bytes hold it, else 0.
func (p *place) within(passed int64) uint64 {
	if seq := p.seq.Load(); p.bytes.Load() <= passed {
		return seq
	}
	return 0
}

// sent notes that everything up to seq is in the first bytes of what the stream
// was sent, of which the transport has passed on passed.
func (w *watermark) sent(seq uint64, bytes, passed int64) {
	if w.awaited.bytes.Load() <= passed {
		w.raise(&w.reached, w.awaited.seq.Load())
		w.awaited.set(seq, bytes)
	}
	w.newest.set(seq, bytes)
}

// confirm notes that the client says it has everything up to seq.
func (w *watermark) confirm(seq uint64) {
	w.raise(&w.confirmed, seq)
	w.raise(&w.reached, seq)
}

func (w *watermark) raise(word *atomic.Uint64, seq uint64) {
	if seq > word.Load() {
		word.Store(seq)
	}
}

// read returns the places reached and confirmed, of a stream whose transport has
// passed on passed bytes. Safe for concurrent use.
func (w *watermark) read(passed int64) (reached, confirmed uint64) {
	reached = max(w.reached.Load(), w.awaited.within(passed), w.newest.within(passed))
	return reached, w.confirmed.Load()
}
