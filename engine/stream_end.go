package engine

import (
	"errors"
	"sync"
	"time"

	"github.com/chatstream/chatstream/proto/streampb"
)

var (
	errEnding = errors.New("engine: the stream is ending")
	errGap    = errors.New("engine: the store's events do not follow the stream's")
)

// finish takes the stream apart, in this order, after a reason has been set:
//
//  1. close refs: nobody enters any more, so no Write and no Read starts, no
//     timer acts, no room subscribes the stream;
//  2. wait until nobody is inside, which takes no longer than a turn, since
//     nothing in there waits;
//  3. stop the timer;
//  4. leave the registry, if this stream is still the account's;
//  5. leave the rooms. Subscriptions that were made but never served are in the
//     inbox: those rooms must be left too.
//
// The handler then sets the trailing metadata and returns, which is what wakes
// the reader.
func (s *Stream) finish() Ending {
	if _, drained := s.refs.Close(); drained {
		close(s.drained)
	}
	<-s.drained
	if s.timer != nil {
		s.timer.Stop() // a callback that runs already cannot enter
	}
	s.engine.registry.leave(s)
	s.leaveRooms()
	return *s.ending.Load()
}

// leaveRooms takes the stream's subscriptions out of their rooms and waits
// until they are out. The turn's state is the handler's by now.
func (s *Stream) leaveRooms() {
	s.adopt()
	var left sync.WaitGroup
	for _, sub := range s.turn.rooms {
		for ; sub != nil; sub = sub.next {
			left.Add(1)
			n := &leaveNote{sub: sub, left: left.Done}
			n.Init(n)
			if !s.engine.rooms.tell(sub.room, &n.Link) {
				left.Done() // the room is gone, and all that was in it
			}
		}
	}
	left.Wait()
}

// startTimer starts the stream's life time. Only the handler calls it, before
// the stream is initialized.
func (s *Stream) startTimer(life time.Duration) {
	s.expires.Store(s.engine.elapsed() + int64(life))
	s.timer = time.AfterFunc(life, s.timeUp)
}

// timeUp ends the stream, unless a refresh came between.
func (s *Stream) timeUp() {
	if !s.acquire() {
		return
	}
	defer s.release()
	if s.engine.elapsed() >= s.expires.Load() {
		s.End(Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
	}
}
