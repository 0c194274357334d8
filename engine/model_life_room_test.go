package engine

// The steps of the room in the model of a stream's life.

func (m lifeModel) roomSteps(s lifeState, x *steps[lifeState]) {
	switch s.room {
	case lifeRoomRest:
		m.passSteps(s, x)
		for i := range s.streams {
			who := int8(i)
			if s.streams[i].asked {
				x.can(func(t *lifeState) { // subscribeNote.apply
					t.streams[who].asked = false
					if !lifeMember(t.passed) {
						t.streams[who].answer = 2
						return
					}
					t.who, t.joining, t.room = who, false, lifeRoomAcquire
				})
			}
			for which := range s.streams[i].subs {
				if s.streams[i].leaving&(1<<which) != 0 {
					x.can(func(t *lifeState) { // leaveNote.apply
						t.streams[who].leaving &^= 1 << which
						if sub := 1 + who*2 + int8(which); t.byAccount == sub || m.is(leaveByAccount) {
							t.byAccount = 0
						}
						t.streams[who].subs[which].inSubs = false
					})
				}
			}
		}
	case lifeRoomPassed:
		m.passSteps(s, x)
		x.can(func(t *lifeState) { // publish
			t.head = t.passed
			t.who, t.which, t.room = 0, 0, lifeRoomTell
			if m.is(dismissFirst) {
				t.dismiss()
			}
			if t.tellNext(); t.late {
				t.room = lifeRoomUntil
			}
		})
	case lifeRoomRegistry:
		x.can(func(t *lifeState) {
			if t.registry == 0 || m.is(noJoinSubscribe) {
				t.passed, t.room = lifeJoin, lifeRoomPassed
				return
			}
			t.who, t.room = t.registry-1, lifeRoomAcquire
		})
	case lifeRoomAcquire:
		x.can(func(t *lifeState) {
			switch at := &t.streams[t.who]; {
			case m.is(noRoomAcquire):
			case at.closed && t.joining && t.registry > 0 && t.registry-1 != t.who:
				t.room = lifeRoomRegistry // another has taken its place
				return
			case at.closed:
				t.refused()
				return
			default:
				at.refs++
			}
			t.which = 0
			if t.streams[t.who].subs[0].made {
				t.which = 1
			}
			old := t.byAccount - 1
			switch {
			case old < 0:
				t.room = lifeRoomSubscribe
			case old/2 == t.who && !m.is(againForSame):
				t.which, t.room = old%2, lifeRoomRelease
			case old/2 > t.who && !m.is(olderTakesOver):
				t.which, t.room = 2, lifeRoomRelease
			case m.is(noReplacedEnd):
				t.room = lifeRoomSubscribe
			default:
				t.room = lifeRoomReplaced
			}
		})
	case lifeRoomReplaced:
		x.can(func(t *lifeState) {
			t.endStay(t.byAccount-1, t.passed)
			t.byAccount = 0
			t.room = lifeRoomSubscribe
		})
	case lifeRoomSubscribe: // seen by nobody else until it is pushed
		x.can(func(t *lifeState) {
			start := t.passed
			if t.joining && m.is(joinAfterItself) {
				start = lifeJoin
			}
			if t.streams[t.who].handler == handlerGone {
				t.fail(subscribedAfterEnd)
			}
			if t.streams[t.who].subs[1].made {
				t.fail(linkTwice)
			}
			t.streams[t.who].subs[t.which] = lifeSub{
				made: true, dirty: !m.is(clearDirtyAtPush), start: start, cursor: start, until: lifeForever, inSubs: true,
			}
			t.byAccount = 1 + t.who*2 + t.which
			t.room = lifeRoomPush
		})
	case lifeRoomPush:
		x.can(func(t *lifeState) { t.push(t.who, t.which); t.room = lifeRoomSchedule })
	case lifeRoomSchedule:
		x.can(func(t *lifeState) {
			if t.wasEmpty && !m.is(scheduleNever) {
				t.streams[t.who].schedule()
			}
			t.room = lifeRoomRelease
		})
	case lifeRoomRelease:
		x.can(func(t *lifeState) {
			if !m.is(noRoomAcquire) && !m.is(noRoomRelease) {
				t.release(t.who, m)
			}
			if t.joining {
				t.passed, t.room = lifeJoin, lifeRoomPassed
			} else {
				t.room = lifeRoomAnswer
			}
		})
	case lifeRoomAnswer:
		x.can(func(t *lifeState) {
			at := &t.streams[t.who]
			if t.which == 2 {
				at.answer = 3
			} else {
				at.answer, at.from = 1, at.subs[t.which].start
			}
			t.room = lifeRoomRest
		})
	case lifeRoomUntil:
		x.can(func(t *lifeState) {
			t.endStay(t.byAccount-1, lifeKick)
			t.byAccount = 0
			t.room = lifeRoomPassed
			if t.late {
				t.late, t.room, t.who, t.which = false, lifeRoomTell, 0, 0
				t.tellNext()
			}
		})
	case lifeRoomTell:
		x.can(func(t *lifeState) {
			sub := &t.streams[t.who].subs[t.which]
			if sub.dirty {
				t.which++
				t.tellNext()
				return
			}
			sub.dirty = true
			t.room = lifeRoomTellPush
		})
	case lifeRoomTellPush:
		x.can(func(t *lifeState) { t.push(t.who, t.which); t.room = lifeRoomTellSched })
	case lifeRoomTellSched:
		x.can(func(t *lifeState) {
			if t.wasEmpty && !m.is(scheduleNever) {
				t.streams[t.who].schedule()
			}
			t.which++
			t.room = lifeRoomTell
			t.tellNext()
		})
	}
}

// passSteps: the next event passes.
func (m lifeModel) passSteps(s lifeState, x *steps[lifeState]) {
	if s.passed == m.last {
		return
	}
	switch s.passed + 1 {
	case lifeText, lifeBetween:
		x.can(func(t *lifeState) { t.passed++; t.room = lifeRoomPassed })
	case lifeKick:
		x.can(func(t *lifeState) {
			t.passed, t.room = lifeKick, lifeRoomPassed
			if t.byAccount == 0 {
				return
			}
			t.room = lifeRoomUntil
			if m.is(publishFirst) {
				t.late, t.room = true, lifeRoomPassed
			}
		})
	case lifeJoin:
		x.can(func(t *lifeState) { t.joining, t.room = true, lifeRoomRegistry })
	}
}

// refused: subscribe found the stream closed.
func (s *lifeState) refused() {
	if s.joining {
		s.passed, s.room = lifeJoin, lifeRoomPassed
		return
	}
	s.streams[s.who].answer = 3
	s.room = lifeRoomRest
}

// endStay is end.
func (s *lifeState) endStay(sub, seq int8) {
	at := &s.streams[sub/2].subs[sub%2]
	at.until, at.removed = seq, true
}

// tellNext goes on to the next subscription to tell, and dismisses behind the last.
func (s *lifeState) tellNext() {
	for ; s.who < 2; s.who, s.which = s.who+1, 0 {
		for ; s.which < 2; s.which++ {
			if s.streams[s.who].subs[s.which].inSubs {
				return
			}
		}
	}
	s.dismiss()
	s.who, s.which, s.joining, s.wasEmpty = 0, 0, false, false
	s.room = lifeRoomRest
}

func (s *lifeState) dismiss() {
	for i := range s.streams {
		for j := range s.streams[i].subs {
			if sub := &s.streams[i].subs[j]; sub.removed {
				sub.removed, sub.inSubs = false, false
			}
		}
	}
}
