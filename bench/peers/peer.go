package peers

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chatstream/chatstream/bench/load"
)

// peer is a server other than ours that runs, with its subscribers and one
// publisher.
type peer interface {
	// subscribe connects the audience, each on a connection of its own, and the
	// publisher. It is called once, and first.
	subscribe(ctx context.Context, a *audience) error
	// publish gives a message to the server and does not wait for it; the text is
	// not kept. One goroutine at a time. An answer that refuses it fails the
	// audience.
	publish(text []byte) error
	server() *process
	// close ends the connections, what reads them, and the server.
	close()
}

// fanout has a peer publish to its audience: what load.Fanout is for ours, with
// the same meaning of every number.
type fanout struct {
	peer     peer
	audience *audience
	text     []byte
}

// Backlog publishes texts of size bytes for d, so that up to window of them are
// on their way at any time.
func (f *fanout) Backlog(ctx context.Context, window, size int, d time.Duration) (load.Sample, error) {
	first, n := f.audience.total.Load(), int64(len(f.audience.seats))
	return f.measure(ctx, func(send func(due time.Duration) error) error {
		end := clock() + d
		for k := int64(0); clock() < end; k++ {
			if err := f.audience.wait(ctx, first+(k-int64(window)+1)*n); err != nil {
				return fmt.Errorf("wait for %d deliveries, of which %d have come: %w", (k-int64(window)+1)*n, f.audience.total.Load()-first, err)
			}
			if err := send(clock()); err != nil {
				return err
			}
		}
		return nil
	}, size)
}

// Paced publishes rate texts a second for d, at fixed times whatever the server
// does.
func (f *fanout) Paced(ctx context.Context, rate float64, size int, d time.Duration) (load.Sample, error) {
	return f.measure(ctx, func(send func(due time.Duration) error) error {
		start := clock()
		for k := 0; ; k++ {
			after := time.Duration(float64(k) * float64(time.Second) / rate)
			if after >= d {
				return nil
			}
			time.Sleep(start + after - clock())
			if err := send(start + after); err != nil {
				return err
			}
		}
	}, size)
}

// settle is how long a measurement waits for what it has sent.
const settle = 30 * time.Second

// measure runs drive, which sends, and waits until everything has arrived.
func (f *fanout) measure(ctx context.Context, drive func(send func(due time.Duration) error) error, size int) (load.Sample, error) {
	a, start := f.audience, clock()
	before, sent := a.total.Load(), a.published.Load()
	a.latencies()
	if err := drive(func(due time.Duration) error {
		f.text = appendText(f.text[:0], a.published.Add(1)-1, due, size)
		return f.peer.publish(f.text)
	}); err != nil {
		return load.Sample{}, err
	}
	s := load.Sample{Sent: a.published.Load() - sent}
	s.Expected = s.Sent * int64(len(a.seats))
	waiting, stop := context.WithTimeout(ctx, settle)
	defer stop()
	if err := a.wait(waiting, before+s.Expected); err != nil && waiting.Err() == nil {
		return s, err
	}
	s.Elapsed = clock() - start
	s.Deliveries = a.total.Load() - before
	s.Latency = a.latencies()
	return s, ctx.Err()
}

// Close ends the peer.
func (f *fanout) Close() { f.peer.close() }

// setupAtOnce is how many connections are being opened.
const setupAtOnce = 64

// eachSeat calls f for every place in the audience, several at a time.
func eachSeat(ctx context.Context, a *audience, f func(i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(setupAtOnce)
	for i := range a.seats {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := f(i); err != nil {
				return fmt.Errorf("subscriber %d of %d: %w", i+1, len(a.seats), err)
			}
			return nil
		})
	}
	return group.Wait()
}
