package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/chatstream/chatstream/proto/streampb"
)

// ChurnSample is what a measurement of opening streams has seen.
type ChurnSample struct {
	Elapsed time.Duration
	// Opened streams came to the end of their initialization; Replaced are the
	// older streams of the same users that were told so, and ended.
	Opened, Replaced int64
	// Latency is from due to initialized, in nanoseconds.
	Latency *hdrhistogram.Histogram
}

// Churn opens rate streams a second for d, at fixed times, for one user after the
// other. Each takes the place of the user's open one, which the server must end.
func (r *Rooms) Churn(ctx context.Context, rate float64, d time.Duration) (ChurnSample, error) {
	began := Clock()
	opened := newMeter()
	s := ChurnSample{Latency: NewHistogram()}
	r.meter.take()
	stop := r.watchMeter(opened, s.Latency)
	defer stop()
	var replaced atomic.Int64
	group, opening := errgroup.WithContext(ctx)
	group.SetLimit(maxUnderWay)
	err := Pace(opening, rate, d, func(due int64, k int) {
		group.Go(func() error {
			i := k % len(r.users)
			if err := r.replace(opening, i, func() {
				lane := opened.lane(k)
				lane.latency(Clock() - due)
				lane.delivered(1)
			}); err != nil {
				return err
			}
			replaced.Add(1)
			return nil
		})
	})
	if failed := group.Wait(); failed != nil {
		return s, failed
	}
	stop()
	s.Elapsed = time.Duration(Clock() - began)
	s.Opened, s.Replaced = opened.total.Load(), replaced.Load()
	return s, err
}

// errNotReplaced is when an older stream is not ended by a newer one.
var errNotReplaced = errors.New("the older stream was not told that a newer one took over")

// replace opens a new stream of the i-th user beside the old one, and waits
// until that has ended, as it must. initialized is called between.
func (r *Rooms) replace(ctx context.Context, i int, initialized func()) error {
	seat := &r.seats[i]
	seat.Lock()
	defer seat.Unlock()
	old := r.streams[i]
	s, err := r.openFor(ctx, i, r.places)
	if err != nil {
		return err
	}
	r.streams[i] = s
	initialized()
	waiting, stop := context.WithTimeout(ctx, settle)
	defer stop()
	select {
	case <-old.ended:
		old.cancel()
	case <-waiting.Done():
		return errNotReplaced
	}
	want := strconv.Itoa(int(streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM))
	if got := old.rpc.Trailer().Get("stream_down_reason"); len(got) != 1 || got[0] != want {
		return fmt.Errorf("%w: %v, trailer %v", errNotReplaced, old.err, old.rpc.Trailer())
	}
	return nil
}

// reconnect cuts the i-th user's stream off and opens another, which goes on
// where that was.
func (r *Rooms) reconnect(ctx context.Context, i int) error {
	seat := &r.seats[i]
	seat.Lock()
	defer seat.Unlock()
	old := r.streams[i]
	old.Close()
	s, err := r.openFor(ctx, i, old.places())
	if err != nil {
		return err
	}
	r.streams[i] = s
	return nil
}

// openFor opens a stream of the i-th user and waits for its initialization.
func (r *Rooms) openFor(ctx context.Context, i int, places map[string]uint64) (*Stream, error) {
	room := r.rooms[i/r.size].ID
	s, err := r.users[i].open(r.life, map[string]uint64{room: places[room]}, r.meter.lane(i))
	if err != nil {
		return nil, err
	}
	select {
	case <-s.ready:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("a stream ended in its initialization: %w, trailer %v", s.err, s.rpc.Trailer())
	case <-ctx.Done():
		s.Close()
		return nil, ctx.Err()
	}
}

// Soak sends rate texts a second for d to one room after the other, while streams
// are cut off and opened again, reconnects a second: everything must still come
// once to everybody. What came while a stream was cut off is counted, and not
// timed. All rooms must be full.
func (r *Rooms) Soak(ctx context.Context, rate, reconnects float64, size int, d time.Duration) (s Sample, opened int64, err error) {
	group, ctx := errgroup.WithContext(ctx)
	var reopened atomic.Int64
	group.Go(func() error {
		again, opening := errgroup.WithContext(ctx)
		again.SetLimit(setupAtOnce)
		err := Pace(opening, reconnects, d, func(_ int64, k int) {
			// Those who talk are not given their own texts: they stay.
			listeners := r.size - 1
			i := k/listeners%len(r.rooms)*r.size + 1 + k%listeners
			again.Go(func() error {
				if err := r.reconnect(opening, i); err != nil {
					return err
				}
				reopened.Add(1)
				return nil
			})
		})
		return errors.Join(again.Wait(), err)
	})
	group.Go(func() (err error) {
		s, err = r.Paced(ctx, rate, size, d)
		return err
	})
	err = group.Wait()
	return s, reopened.Load(), err
}
