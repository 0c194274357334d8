package atomics

// List is an intrusive first-in-first-out list that belongs to one owner: typically the consumer of an [Inbox], for what
// it has taken and not yet dealt with. The zero value is empty. It must not be copied.
//
// There is no synchronisation at all: not safe for concurrent use, and a link that is in here must not be touched by
// anybody else.
//
// Cost: a few plain instructions, no allocation; Append passes once over the chain.
type List[T any] struct {
	_           noCopy
	first, last *Link[T]
	length      int
}

// PushBack adds l as the last one.
func (q *List[T]) PushBack(l *Link[T]) {
	l.mustBeFree()
	l.precede(nil)
	if q.last == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
	q.length++
}

// PushFront adds l as the first one: for an element whose turn is not over.
func (q *List[T]) PushFront(l *Link[T]) {
	l.mustBeFree()
	l.precede(q.first)
	q.first = l
	if q.last == nil {
		q.last = l
	}
	q.length++
}

// PopFront takes the first link out, nil if there is none. It may be pushed anywhere afterwards.
func (q *List[T]) PopFront() *Link[T] {
	l := q.first
	if l == nil {
		return nil
	}
	q.first = l.TakeNext()
	if q.first == nil {
		q.last = nil
	}
	q.length--
	return l
}

// Append adds all of a chain that [Inbox.Take] returned, in its order; nil adds nothing. The chain is q's from then on.
func (q *List[T]) Append(chain *Link[T]) {
	if chain == nil {
		return
	}
	if q.last == nil {
		q.first = chain
	} else {
		q.last.next = chain
	}
	for l := chain; l != nil; l = l.follower() {
		q.last = l
		q.length++
	}
}

// Empty reports whether there is nothing in q.
func (q *List[T]) Empty() bool {
	return q.first == nil
}

// Len is the number of links in q.
func (q *List[T]) Len() int {
	return q.length
}

// Front returns the first link without taking it out, nil if there is none.
func (q *List[T]) Front() *Link[T] {
	return q.first
}
