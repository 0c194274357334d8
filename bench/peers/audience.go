package peers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// audience is the subscribers of one server, and what has come to them. Messages
// are numbered from 0 in the order in which they are published. Where that is on
// one connection each subscriber has to get them in that order: so one that is
// missing, or comes twice, is seen at once.
type audience struct {
	seats []*seat
	// published is how many messages have been given to the server.
	published atomic.Int64
	total     atomic.Int64 // deliveries
	// want is the total that somebody waits for, reached says that it is there.
	want    atomic.Int64
	reached chan struct{}

	once   sync.Once
	failed chan struct{}
	err    error // before failed is closed
}

// seat is one subscriber. One goroutine, the one that reads the subscriber's
// connection, calls came and counted.
type seat struct {
	audience *audience
	next     int64
	fresh    int64 // came, and not counted yet

	mu   sync.Mutex
	took []time.Duration // since it was last asked for
}

func newAudience(seats int) *audience {
	a := &audience{reached: make(chan struct{}, 1), failed: make(chan struct{})}
	a.want.Store(-1)
	for range seats {
		a.seats = append(a.seats, &seat{audience: a})
	}
	return a
}

// wait returns when total deliveries have been counted. One caller at a time.
func (a *audience) wait(ctx context.Context, total int64) error {
	a.want.Store(total)
	defer a.want.Store(-1)
	for a.total.Load() < total {
		select {
		case <-a.reached: // or what was left of an earlier wait
		case <-a.failed:
			return a.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fail makes everything that waits fail. The first error stays.
func (a *audience) fail(err error) {
	a.once.Do(func() {
		a.err = err
		close(a.failed)
	})
}

// latencies are those of all deliveries since it was last called.
func (a *audience) latencies() *hdrhistogram.Histogram {
	const digits = 3
	h := hdrhistogram.New(1, time.Hour.Nanoseconds(), digits)
	for _, s := range a.seats {
		s.mu.Lock()
		for _, d := range s.took {
			// Out of range cannot be: it is bounded here.
			_ = h.RecordValue(min(max(d.Nanoseconds(), 1), time.Hour.Nanoseconds()))
		}
		s.took = s.took[:0]
		s.mu.Unlock()
	}
	return h
}

var errUnsent = errors.New("a message came that was not sent")

// came takes the text of a message, which must be the next one's if they are
// published in order; otherwise the caller knows that it is. It is not counted
// yet.
func (s *seat) came(text []byte, inOrder bool) error {
	now := clock()
	number, due, err := readText(text)
	switch {
	case err != nil:
		return err
	case inOrder && number != s.next:
		return fmt.Errorf("message %d came where %d should have", number, s.next)
	case max(number, s.next) >= s.audience.published.Load():
		return errUnsent
	}
	s.next++
	s.fresh++
	s.mu.Lock()
	s.took = append(s.took, now-due)
	s.mu.Unlock()
	return nil
}

// counted counts what came, all at once, since all subscribers count into one
// number.
func (s *seat) counted() {
	a, n := s.audience, s.fresh
	s.fresh = 0
	if n == 0 {
		return
	}
	total := a.total.Add(n)
	if want := a.want.Load(); want >= 0 && total >= want && total-n < want {
		select {
		case a.reached <- struct{}{}:
		default:
		}
	}
}

var began = time.Now()

// clock is the time since the process began.
func clock() time.Duration { return time.Since(began) }

// A text begins with its message's number and the time at which it was due, as
// so many decimal digits each and a space behind them.
const (
	textDigits = 19
	minText    = 2 * (textDigits + 1)
)

// appendText appends a text of size bytes, at least minText, to b.
func appendText(b []byte, number int64, due time.Duration, size int) []byte {
	end := len(b) + max(size, minText)
	b = fmt.Appendf(b, "%0*d %0*d ", textDigits, number, textDigits, due.Nanoseconds())
	for i := 0; len(b) < end; i++ {
		b = append(b, "the quick brown fox jumps over the lazy dog "[i%44])
	}
	return b
}

var errText = errors.New("a text came that was not sent")

// readText is the reverse of appendText.
func readText(text []byte) (number int64, due time.Duration, err error) {
	if len(text) < minText || text[textDigits] != ' ' || text[minText-1] != ' ' {
		return 0, 0, fmt.Errorf("%w: %q", errText, text)
	}
	number, ok := decimal(text[:textDigits])
	nanoseconds, okToo := decimal(text[textDigits+1 : minText-1])
	if !ok || !okToo {
		return 0, 0, fmt.Errorf("%w: %q", errText, text)
	}
	return number, time.Duration(nanoseconds), nil
}

func decimal(digits []byte) (n int64, ok bool) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, n >= 0
}
