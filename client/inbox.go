package client

import (
	"context"
	"sync"
)

// inboxLimit is how many responses of the server may wait for the program.
const inboxLimit = 16

// inbox is where the goroutine that reads the stream leaves what the program's
// takes. Only responses are bounded: everything else is small and rare.
//
// There is one reader that puts and, at a time, one taker; anybody may push.
type inbox struct {
	mu    sync.Mutex
	items []item
	// responses counts those among the items.
	responses int
	// urgent counts callers that wait for an answer on the stream. For their
	// sake reading goes on: it may be the taker itself that waits.
	urgent int
	closed bool
	err    error

	filled chan struct{} // something was put, or the inbox was closed
	drawn  chan struct{} // something was taken, or became urgent
}

// item is one thing the book learns of.
type item struct {
	// response is a list of messages of the stream.
	response []*message
	// mark is a change of the connection.
	mark Event
	// entered is a room the program joined or made, began the stream that was
	// live when it began to: see book.live.
	entered *room
	began   int
	// over is the id of a room whose join ended without one, made says that the
	// making of a room has ended.
	over string
	made bool
	// left is a room the program left.
	left *departure
	// full are the answers to requests for messages in full.
	full *answers
}

func newInbox() *inbox {
	return &inbox{filled: make(chan struct{}, 1), drawn: make(chan struct{}, 1)}
}

// put adds a response when there is room for it.
func (in *inbox) put(ctx context.Context, response []*message) error {
	if len(response) == 0 {
		return nil
	}
	for {
		in.mu.Lock()
		if in.responses < inboxLimit || in.urgent > 0 {
			in.responses++
			in.add(item{response: response})
			in.mu.Unlock()
			return nil
		}
		in.mu.Unlock()
		select {
		case <-in.drawn:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// push adds something else.
func (in *inbox) push(i item) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.add(i)
}

func (in *inbox) add(i item) {
	in.items = append(in.items, i)
	signal(in.filled)
}

// take waits for the oldest item. When the inbox is closed and empty it returns
// false and why.
func (in *inbox) take(ctx context.Context) (item, bool, error) {
	for {
		in.mu.Lock()
		if len(in.items) > 0 {
			i := in.items[0]
			in.items[0] = item{}
			in.items = in.items[1:]
			if i.response != nil {
				in.responses--
			}
			in.mu.Unlock()
			signal(in.drawn)
			return i, true, nil
		}
		closed, err := in.closed, in.err
		in.mu.Unlock()
		if closed {
			return item{}, false, err
		}
		select {
		case <-in.filled:
		case <-ctx.Done():
			return item{}, false, context.Cause(ctx)
		}
	}
}

// reset forgets what an earlier stream brought.
func (in *inbox) reset() {
	in.mu.Lock()
	defer in.mu.Unlock()
	kept := in.items[:0:0]
	for _, i := range in.items {
		if i.entered != nil || i.left != nil || i.over != "" || i.made {
			kept = append(kept, i)
		}
	}
	in.items, in.responses = kept, 0
}

// hurry makes reading go on until the returned function is called.
func (in *inbox) hurry() (done func()) {
	in.mu.Lock()
	in.urgent++
	in.mu.Unlock()
	signal(in.drawn)
	return func() {
		in.mu.Lock()
		in.urgent--
		in.mu.Unlock()
	}
}

// close ends the inbox: what is in it can still be taken.
func (in *inbox) close(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.err = true, err
	signal(in.filled)
}

// signal wakes the one that waits on c, now or when it comes to wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
