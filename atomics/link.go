package atomics

// noCopy makes vet's copylocks complain about copies of what embeds it. See https://golang.org/issues/8005.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Link is embedded by value in an element that waits in an intrusive queue ([Inbox], [Queue], [List]). An element is in
// at most one queue through one Link at a time; one that must wait in two places has two Links. It must not be copied.
//
// A Link has no synchronisation of its own. It belongs to whoever holds the element until it is pushed, to the queue
// while it is in there, and to whoever took it out afterwards. Pushing a Link that is in a queue is a bug of the caller:
// the push panics, and if two goroutines do it at once the race detector speaks up.
//
// Cost: two words (with a pointer as T) within the element, nothing else; that is the point.
type Link[T any] struct {
	_ noCopy
	// next is nil while the link is in no queue, the link itself if it is the last in its queue, otherwise the next one.
	// The last one pointing to itself is what tells "in a queue" from "in none" without another word.
	next  *Link[T]
	owner T
}

// Init sets the owner: what is found when the link comes out of a queue, most often the pointer of the element it is
// embedded in. To be called once, before first use.
func (l *Link[T]) Init(owner T) {
	if l.next != nil {
		panic("atomics: Init of a Link that is in a queue")
	}
	l.owner = owner
}

// Owner returns what Init was given.
func (l *Link[T]) Owner() T {
	return l.owner
}

// TakeNext takes l off the chain it heads and returns the rest, nil when l was the last. The chain is what [Inbox.Take]
// returned. Afterwards l is in no queue and may be pushed anywhere; so walk like this:
//
//	for l := inbox.Take(); l != nil; {
//		rest := l.TakeNext() // first: from here on l may be pushed again by anyone
//		use(l.Owner())
//		l = rest
//	}
func (l *Link[T]) TakeNext() *Link[T] {
	next := l.follower()
	l.next = nil
	return next
}

// follower is the next link in the same queue, nil at the end.
func (l *Link[T]) follower() *Link[T] {
	if l.next == l {
		return nil
	}
	return l.next
}

// precede puts l before next; nil makes it the last.
func (l *Link[T]) precede(next *Link[T]) {
	if next == nil {
		next = l
	}
	l.next = next
}

// mustBeFree panics if l is in a queue: linking it again would make a ring, which would be noticed much later and
// somewhere else.
func (l *Link[T]) mustBeFree() {
	if l.next != nil {
		panic("atomics: Link pushed while it is in a queue")
	}
}
