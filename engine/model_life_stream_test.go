package engine

// The steps of a stream in the model of its life: of its handler, its turn, its timer
// and its transport.

func (s *lifeState) fail(f lifeFault) {
	if s.fault == noFault {
		s.fault = f
	}
}

func (s *lifeStream) schedule() { s.wanted = true }

// inboxEmpty: the end of the initialization and the subscriptions go through one
// inbox.
func (s *lifeStream) inboxEmpty() bool {
	return s.complete != linkInInbox && s.subs[0].link != linkInInbox && s.subs[1].link != linkInInbox
}

func (s *lifeStream) hasWork() bool {
	if !s.live {
		return s.complete == linkReady
	}
	return s.subs[0].link == linkReady || s.subs[1].link == linkReady
}

// adopt is adopt and adoptSubscription. The older stay came first.
func (s *lifeStream) adopt(m lifeModel) {
	if s.complete == linkInInbox {
		s.complete = linkReady
	}
	for i := range s.subs {
		sub := &s.subs[i]
		if sub.link != linkInInbox {
			continue
		}
		sub.link = linkNowhere
		if sub.finished && !m.is(lifeNotFinished) {
			continue
		}
		sub.held = true
		if i == 1 && s.subs[0].held && !m.is(lifeNotChained) {
			continue // behind the earlier stay
		}
		sub.link = linkReady
	}
}

// finishSubscription is finishSubscription.
func (s *lifeStream) finishSubscription(i int8) {
	s.subs[i].held, s.subs[i].finished = false, true
	if next := &s.subs[1]; i == 0 && next.held && next.link == linkNowhere {
		next.link = linkReady
	}
}

// release is release: of the stream's reference count.
func (s *lifeState) release(i int8, m lifeModel) {
	t := &s.streams[i]
	if t.refs == 0 {
		s.fail(releasedTooOften)
		return
	}
	if t.refs--; t.refs == 0 && t.closed && !m.is(drainedNever) {
		if t.drained {
			s.fail(drainedTwice)
		}
		t.drained = true
	}
}

// push is Inbox.Push of the subscription.
func (s *lifeState) push(who, which int8) {
	t := &s.streams[who]
	s.wasEmpty = t.inboxEmpty()
	if t.subs[which].link != linkNowhere {
		s.fail(linkTwice)
	}
	t.subs[which].link = linkInInbox
}

func (m lifeModel) handlerSteps(s lifeState, i int8, x *steps[lifeState]) {
	at := s.streams[i]
	to := func(pc handlerPC) func(*lifeState) {
		return func(t *lifeState) { t.streams[i].handler = pc }
	}
	closing := handlerClose
	if m.is(roomsFirst) {
		closing = handlerLeaveRooms
	}
	switch at.handler {
	case handlerOpen:
		if i == 0 || s.streams[0].handler > handlerOpen {
			x.can(func(t *lifeState) { // Replace
				t.registry = i + 1
				if i == 1 && t.streams[0].handler <= handlerLeave && !m.is(noReplaceEnd) {
					t.streams[0].ending = true
				}
				t.streams[i].handler = handlerAsk
			})
		}
	case handlerAsk:
		x.can(func(t *lifeState) { t.streams[i].asked, t.streams[i].handler = true, handlerAnswer })
	case handlerAnswer:
		if at.answer == 3 {
			x.can(func(t *lifeState) { t.streams[i].ending, t.streams[i].handler = true, closing })
		} else if at.answer > 0 {
			x.can(to(handlerComplete))
		}
		if at.ending {
			x.can(to(closing))
		}
	case handlerComplete:
		x.can(func(t *lifeState) {
			t.streams[i].wasEmpty = t.streams[i].inboxEmpty()
			t.streams[i].complete = linkInInbox
			t.streams[i].handler = handlerSchedule
		})
		if at.ending {
			x.can(to(closing))
		}
	case handlerSchedule:
		x.can(func(t *lifeState) {
			if t.streams[i].wasEmpty {
				t.streams[i].schedule()
			}
			t.streams[i].handler = handlerTimer
		})
	case handlerTimer:
		x.can(func(t *lifeState) { t.streams[i].armed = m.timer; t.streams[i].handler = handlerWait })
	case handlerWait:
		if at.ending {
			x.can(to(closing))
		}
	case handlerClose:
		x.can(func(t *lifeState) {
			at := &t.streams[i]
			at.handler = handlerDrained
			if m.is(stopFirst) {
				at.armed = false
			}
			if m.is(noClose) {
				at.drained = true
				return
			}
			at.closed = true
			if at.refs == 0 {
				if at.drained {
					t.fail(drainedTwice)
				}
				at.drained = true
			}
		})
	case handlerDrained:
		if at.drained || m.is(noWaitDrained) {
			x.can(to(handlerStop))
		}
	case handlerStop:
		x.can(func(t *lifeState) {
			t.streams[i].armed = t.streams[i].armed && (m.is(noTimerStop) || m.is(stopFirst))
			t.streams[i].handler = handlerLeave
		})
	case handlerLeave:
		x.can(func(t *lifeState) {
			if (t.registry == i+1 || m.is(leaveUnheld)) && !m.is(noRegistryLeave) {
				t.registry = 0
			}
			t.streams[i].handler = handlerLeaveRooms
			if m.is(roomsFirst) {
				t.streams[i].handler = handlerGone
			}
		})
	case handlerLeaveRooms:
		x.can(func(t *lifeState) {
			at := &t.streams[i]
			if !m.is(noAdoptAtEnd) {
				at.adopt(m)
			}
			for j := range at.subs {
				if at.subs[j].held && !(j == 1 && at.subs[0].held && m.is(firstStayLeaves)) {
					at.leaving |= 1 << j
				}
			}
			at.handler = handlerLeft
		})
	case handlerLeft:
		if at.leaving == 0 || m.is(noLeftWait) {
			after := handlerGone
			if m.is(roomsFirst) {
				after = handlerClose
			}
			x.can(to(after))
		}
	}
}

func (m lifeModel) turnSteps(s lifeState, i int8, x *steps[lifeState]) {
	at := s.streams[i]
	can := func(step func(t *lifeState, at *lifeStream)) {
		x.can(func(t *lifeState) { step(t, &t.streams[i]) })
	}
	goTo := func(pc lifeTurnPC) { can(func(_ *lifeState, at *lifeStream) { at.turn = pc }) }
	switch at.turn {
	case lifeTurnNone:
		if at.wanted && !at.running {
			can(func(_ *lifeState, at *lifeStream) {
				at.wanted, at.running, at.endedThen, at.turn = false, true, at.ending, lifeTurnTake
				at.left = m.responses()
				switch {
				case m.is(noTurnAcquire):
				case at.closed:
					at.turn = lifeTurnEnd
				default:
					at.refs++
				}
			})
		}
	case lifeTurnTake:
		can(func(_ *lifeState, at *lifeStream) { at.adopt(m); at.turn = lifeTurnEnding })
	case lifeTurnEnding:
		can(func(_ *lifeState, at *lifeStream) {
			work := at.hasWork() || m.is(serveBeforeLive) && (at.subs[0].link == linkReady || at.subs[1].link == linkReady)
			switch {
			case at.ending && !m.is(noEndingLook), !work:
				at.turn = lifeTurnRelease
			case m.credit && !m.is(noCreditAsked):
				at.turn = lifeTurnCredit
			default:
				at.pop(m)
			}
		})
	case lifeTurnCredit:
		can(func(_ *lifeState, at *lifeStream) {
			if at.turn = lifeTurnPark; at.sent-at.passed < 1 {
				at.pop(m)
			}
		})
	case lifeTurnPark:
		can(func(_ *lifeState, at *lifeStream) {
			at.parked, at.turn = true, lifeTurnLook
			if m.is(noSecondLook) {
				at.turn = lifeTurnRelease
			}
		})
	case lifeTurnLook:
		can(func(_ *lifeState, at *lifeStream) {
			if at.turn = lifeTurnUnpark; at.sent-at.passed >= 1 {
				at.turn = lifeTurnRelease
			}
		})
	case lifeTurnUnpark:
		can(func(_ *lifeState, at *lifeStream) {
			if !at.parked {
				at.turn = lifeTurnRelease // who has taken it will wake
				return
			}
			at.parked = false
			at.pop(m)
		})
	case lifeTurnClear, lifeTurnHead:
		clear := at.turn == lifeTurnClear
		if m.is(lifeHeadFirst) {
			clear = !clear
		}
		can(func(_ *lifeState, at *lifeStream) {
			if clear {
				at.subs[at.serving].dirty = false
			} else if m.is(lifeUntilFirst) {
				at.end = at.subs[at.serving].until
			} else {
				at.head = s.head
			}
			at.turn++
		})
	case lifeTurnUntil:
		can(func(t *lifeState, at *lifeStream) {
			if m.is(lifeUntilFirst) {
				at.end = min(t.head, at.end)
			} else {
				at.end = min(at.head, at.subs[at.serving].until)
			}
			at.head, at.turn = 0, lifeTurnSend
		})
	case lifeTurnSend:
		can(func(t *lifeState, at *lifeStream) {
			m.send(t, at)
			if at.turn = lifeTurnTake; at.left == 0 {
				at.turn = lifeTurnLeft
			}
			at.serving, at.end = 0, 0
		})
	case lifeTurnLeft:
		can(func(_ *lifeState, at *lifeStream) {
			at.turn = lifeTurnRelease
			if at.hasWork() || !at.inboxEmpty() {
				at.turn = lifeTurnSchedule
			}
		})
	case lifeTurnSchedule:
		can(func(_ *lifeState, at *lifeStream) { at.schedule(); at.turn = lifeTurnRelease })
	case lifeTurnRelease:
		can(func(t *lifeState, at *lifeStream) {
			if !m.is(noTurnAcquire) && !m.is(noTurnRelease) {
				t.release(i, m)
			}
			at.turn = lifeTurnEnd
		})
	case lifeTurnEnd:
		can(func(_ *lifeState, at *lifeStream) {
			at.running, at.turn, at.left, at.endedThen = false, lifeTurnNone, 0, false
		})
	default:
		goTo(lifeTurnEnd)
	}
}

// pop takes the producer to serve off its list.
func (s *lifeStream) pop(m lifeModel) {
	switch {
	case !s.live && s.complete == linkReady:
		s.complete, s.serving, s.turn = linkServed, completing, lifeTurnSend
	case s.subs[0].link == linkReady:
		s.subs[0].link, s.serving, s.turn = linkNowhere, 0, lifeTurnClear
	case s.subs[1].link == linkReady:
		s.subs[1].link, s.serving, s.turn = linkNowhere, 1, lifeTurnClear
	}
}

// send is what fill adds, and the Send of it: all that there is, as one response.
func (m lifeModel) send(t *lifeState, at *lifeStream) {
	switch {
	case at.drained || at.handler > handlerStop:
		t.fail(wroteAfterDrained)
	case at.endedThen:
		t.fail(wroteAfterReason)
	}
	wrote := false
	if at.serving == completing {
		at.live, wrote = true, true
	} else {
		sub := &at.subs[at.serving]
		for ; sub.cursor < at.end; sub.cursor++ {
			seq := sub.cursor + 1
			wrote = true
			switch {
			case !at.live:
				t.fail(wroteTooEarly)
			case seq == lifeBetween, sub.start < lifeKick && seq > lifeKick:
				t.fail(wroteLeak)
			case seq <= at.told, seq <= at.from, seq == lifeKick && at.told < lifeText && sub.start < lifeText:
				t.fail(wroteOutOfOrder)
			}
			at.told = seq
		}
		if sub.cursor >= sub.until {
			at.finishSubscription(at.serving)
		}
	}
	if !wrote {
		return // nothing to say: no response
	}
	at.left--
	if m.credit {
		if at.sent-at.passed >= 1 {
			t.fail(wroteWithoutCredit)
		}
		at.sent++
	}
}

// timerSteps are timeUp, and a refresh that the client asks for, once.
func (m lifeModel) timerSteps(s lifeState, i int8, x *steps[lifeState]) {
	at := s.streams[i]
	can := func(step func(t *lifeState, at *lifeStream)) {
		x.can(func(t *lifeState) { step(t, &t.streams[i]) })
	}
	switch at.timer {
	case 0:
		if at.armed {
			can(func(_ *lifeState, at *lifeStream) { at.armed, at.timer = false, 1 })
		}
	case 1:
		can(func(_ *lifeState, at *lifeStream) {
			switch {
			case m.is(noTimerAcquire):
				at.timer = 2
			case at.closed:
				at.timer = 0
			default:
				at.refs++
				at.timer = 2
			}
		})
	case 2: // expires.Load, and what it says
		can(func(_ *lifeState, at *lifeStream) {
			at.timer = 3
			if at.refreshed {
				at.timer = 4
			}
		})
	case 3:
		can(func(_ *lifeState, at *lifeStream) { at.ending, at.timer = true, 5 })
	case 4:
		can(func(_ *lifeState, at *lifeStream) {
			at.refreshed, at.timer = false, 5
			at.armed = !m.is(noResetInCallback)
		})
	case 5:
		can(func(t *lifeState, at *lifeStream) {
			if !m.is(noTimerAcquire) {
				t.release(i, m)
			}
			at.timer = 0
		})
	}
	switch at.refresh {
	case 0:
		if at.live && at.refreshes == 0 {
			can(func(_ *lifeState, at *lifeStream) {
				at.refreshes++
				switch {
				case m.is(noRefreshAcquire):
					at.refresh = 1
				case !at.closed:
					at.refs++
					at.refresh = 1
				}
			})
		}
	case 1:
		can(func(_ *lifeState, at *lifeStream) { at.refreshed, at.refresh = true, 2 })
	case 2:
		can(func(_ *lifeState, at *lifeStream) { at.armed, at.refresh = true, 3 })
	case 3:
		can(func(t *lifeState, at *lifeStream) {
			if !m.is(noRefreshAcquire) {
				t.release(i, m)
			}
			at.refresh = 0
		})
	}
}

// transportSteps are mark.Put: the bytes have left, parked.CompareAndSwap, wake.
func (m lifeModel) transportSteps(s lifeState, i int8, x *steps[lifeState]) {
	at := s.streams[i]
	can := func(step func(at *lifeStream)) {
		x.can(func(t *lifeState) { step(&t.streams[i]) })
	}
	completes, unparks := int8(0), int8(1)
	if m.is(wakeFirst) {
		completes, unparks = 2, 0
	}
	switch {
	case at.put == 0 && at.sent == at.passed: // nothing is on its way
	case at.put == completes:
		can(func(at *lifeStream) {
			at.passed++
			at.put = (at.put + 1) % 3
		})
	case at.put == unparks:
		can(func(at *lifeStream) {
			if at.parked && !m.is(noWake) {
				at.schedule()
			}
			at.parked = false
			if at.put++; !m.is(wakeFirst) {
				at.put = 0
			}
		})
	default:
		can(func(at *lifeStream) { at.put = (at.put + 1) % 3 })
	}
}
