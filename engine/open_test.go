package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// TestOpenReturnsWhileTheStreamLives: what Open is for; the stream's end comes
// later, from whoever ends it.
func TestOpenReturnsWhileTheStreamLives(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		ended := make(chan Ending, 2)
		var s *Stream
		conn := newFakeConn()
		r.Open(r.t.Context(), Request{Account: account(0), Installation: "device", Conn: conn},
			func(open *Stream) { s = open }, func(why Ending) { ended <- why })
		r.settle()
		if !conn.initialized() || len(ended) != 0 {
			r.t.Fatalf("initialized %v, ended %d times", conn.initialized(), len(ended))
		}
		s.End(Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
		s.End(Ending{Reason: streampb.StreamDownReasons_SERVER_SHUTTING_DOWN})
		r.settle()
		if why := <-ended; why.Reason != streampb.StreamDownReasons_STREAM_TIMED_OUT || len(ended) != 0 {
			t.Errorf("ended with %v, and %d times more", why.Reason, len(ended))
		}
	})
}

// TestOpenEndsAStreamWhoseOpeningFails: by a panic, by an end that comes before
// Open returns, by a client that has gone meanwhile, and by a refusal.
func TestOpenEndsAStreamWhoseOpeningFails(t *testing.T) {
	inBubble(t, Config{}, func(r *rig) {
		open := func(ctx context.Context, opened func(*Stream)) Ending {
			ended := make(chan Ending, 1)
			r.Open(ctx, Request{Account: account(0), Installation: "device", Conn: newFakeConn()}, opened, func(why Ending) { ended <- why })
			return <-ended
		}
		if why := open(r.t.Context(), func(*Stream) { panic("in the test") }); why.Status != chatpb.ReturnStatus_LG_ERROR {
			t.Errorf("panic: %+v", why)
		}
		if why := open(r.t.Context(), func(s *Stream) { s.End(failed(chatpb.ReturnStatus_DATABASE_DOWN)) }); why.Status != chatpb.ReturnStatus_DATABASE_DOWN {
			t.Errorf("ended at once: %+v", why)
		}
		gone, cancel := context.WithCancel(r.t.Context())
		if why := open(gone, func(*Stream) { cancel() }); why.Reason != streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON {
			t.Errorf("gone: %+v", why)
		}
		r.Refuse()
		if why := open(r.t.Context(), func(*Stream) { t.Error("opened") }); why.Reason != streampb.StreamDownReasons_SERVER_SHUTTING_DOWN {
			t.Errorf("refused: %+v", why)
		}
	})
}

// TestTheEndIsSeenOnce: a stream's end runs once, whether it comes before, after
// or while somebody says what is to be done then.
func TestTheEndIsSeenOnce(t *testing.T) {
	for range 5_000 {
		s := &Stream{ended: make(chan struct{})}
		var runs atomic.Int32
		done := make(chan struct{}, 2)
		var both sync.WaitGroup
		both.Go(func() { s.End(Ending{}) })
		s.then(func() {
			runs.Add(1)
			done <- struct{}{}
		})
		both.Wait()
		<-done
		if runs.Load() != 1 {
			t.Fatalf("it ran %d times", runs.Load())
		}
	}
}
