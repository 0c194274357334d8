package engine

import (
	"errors"
	"math"
	"sync"
	"time"

	"github.com/chatstream/chatstream/proto/chatstreampb"
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
	if s.drained == nil { // finish may have panicked before
		s.drained = make(chan struct{}) // before Close: whoever finds refs closed finds it
	}
	if _, drained := s.refs.Close(); drained {
		close(s.drained)
	}
	<-s.drained
	s.timer.Stop() // a callback that runs already cannot enter
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

// never is a time that no stream lives.
const never = math.MaxInt64

// startTimer gives the stream its time, from now on. Called by the handler, when
// the stream is initialized, and by a refresh.
func (s *Stream) startTimer(life time.Duration) {
	s.expires.Store(s.engine.elapsed() + int64(life)) // first: a callback that is about to run finds it in the future
	s.timer.Reset(s.untilWarning(life))
}

// untilWarning is how long to wait, of a time that is left to a stream: who
// wants to be told is told when it is too late for a refresh.
func (s *Stream) untilWarning(left time.Duration) time.Duration {
	if late := s.engine.lateRefresh(); s.features.GoAway && left > late {
		return left - late
	}
	return left
}

// timeUp ends the stream when its time is over. A refresh may have come between,
// and its Reset before or after this one's.
func (s *Stream) timeUp() {
	if !s.acquire() {
		return
	}
	defer s.release()
	left := time.Duration(s.expires.Load() - s.engine.elapsed())
	switch {
	case left <= 0:
		s.End(Ending{Reason: streampb.StreamDownReasons_STREAM_TIMED_OUT})
		return
	case left <= s.engine.lateRefresh():
		s.warn(chatstreampb.GoAway_REASON_TIME_UP, 0)
	}
	s.timer.Reset(s.untilWarning(left))
}
