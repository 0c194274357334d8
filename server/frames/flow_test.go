//go:build frames

package frames

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"

	"github.com/chatstream/chatstream/engine"
)

// TestWindowsAreKept has a client change its windows at random, below zero
// included, and holds what the server sends against what it was allowed.
func TestWindowsAreKept(t *testing.T) {
	const streams = 3
	rnd := rand.New(rand.NewPCG(1, 2))
	var want []byte
	var responses []*engine.Response
	for i := range 60 {
		r := responseOf(byte('a'+i%26), rnd.IntN(3000))
		responses = append(responses, r)
		want = append(want, wire(r)...)
	}
	address := serve(t, newServer(t, sending(responses...)))
	initial := int64(100)
	p := connect(t, address, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(initial)})
	conn := int64(defaultWindow)
	var window [streams]int64
	var got [streams][]byte
	for i := range streams {
		p.open(uint32(2*i + 1))
		window[i] = initial
	}
	ended := 0
	take := func(f http2.Frame) {
		switch f := f.(type) {
		case *http2.DataFrame:
			i, n := f.StreamID/2, int64(len(f.Data()))
			got[i] = append(got[i], f.Data()...)
			if window[i], conn = window[i]-n, conn-n; window[i] < 0 || conn < 0 {
				t.Fatalf("%d bytes more than stream %d, or %d than the connection, is allowed", -window[i], f.StreamID, -conn)
			}
		case *http2.MetaHeadersFrame:
			if f.StreamEnded() {
				ended++
			}
		}
	}
	// settled reads until the server has nothing more to say. Its answer to a PING
	// goes before data, so it takes two.
	settled := func() {
		for range 2 {
			p.ok(p.WritePing(false, [8]byte{1}))
			for f := p.next(); ; f = p.next() {
				if ping, ok := f.(*http2.PingFrame); ok && ping.IsAck() {
					break
				}
				take(f)
			}
		}
	}
	settled() // the first settings have been answered, too
	for step := 0; ended < streams && step < 5000; step++ {
		switch rnd.IntN(4) {
		case 0:
			next := int64(rnd.IntN(500))
			if step > 1000 {
				next = 5000
			}
			p.ok(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(next)}))
			for { // what comes before the answer was sent under the old setting
				f, err := p.ReadFrame()
				p.ok(err)
				if s, ok := f.(*http2.SettingsFrame); ok && s.IsAck() {
					break
				}
				take(f)
			}
			for i := range streams {
				window[i] += next - initial
			}
			initial = next
		case 1:
			by := 1 + rnd.IntN(2000)
			conn += int64(by)
			p.ok(p.WriteWindowUpdate(0, uint32(by)))
		default:
			i, by := rnd.IntN(streams), 1+rnd.IntN(1000)
			window[i] += int64(by)
			p.ok(p.WriteWindowUpdate(uint32(2*i+1), uint32(by)))
		}
		if rnd.IntN(8) == 0 {
			settled()
		}
	}
	settled()
	for i := range streams {
		if !bytes.Equal(got[i], want) {
			t.Errorf("stream %d: got %d bytes, which are not the %d that were sent", 2*i+1, len(got[i]), len(want))
		}
	}
	if ended != streams {
		t.Errorf("%d of %d streams have ended", ended, streams)
	}
}

// TestSendNeverBlocks has a client that reads nothing at all, with windows that
// allow everything: the socket is what is full.
func TestSendNeverBlocks(t *testing.T) {
	const count, size = 400, 100_000
	type report struct {
		sent    int
		longest time.Duration
	}
	parked, done := make(chan report, 1), make(chan report, 1)
	address := serve(t, newServer(t, func(ctx context.Context, c *Chat) metadata.MD {
		woken := make(chan struct{}, 1)
		c.Bind(func() { woken <- struct{}{} })
		var r report
		for first := true; r.sent < count; {
			if !c.Credit() {
				if first {
					parked <- r
					first = false
				}
				select {
				case <-woken:
				case <-ctx.Done():
					return nil
				}
				continue
			}
			before := time.Now()
			if err := c.Send(responseOf(byte(r.sent), size)); err != nil {
				t.Error(err)
			}
			r.longest = max(r.longest, time.Since(before))
			r.sent++
		}
		for !c.Credit() {
			<-woken
		}
		if c.Passed() != c.Sent() {
			t.Errorf("%d bytes have passed of %d", c.Passed(), c.Sent())
		}
		done <- r
		return nil
	}))
	p := connect(t, address, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	p.ok(p.WriteWindowUpdate(0, maxWindow-defaultWindow))
	p.open(1)
	r := <-parked
	t.Logf("nobody reads: %d sent of %d bytes each, then no credit", r.sent, size)
	for i := 0; ; {
		switch f := p.next().(type) {
		case *http2.DataFrame:
			i += len(f.Data())
		case *http2.MetaHeadersFrame:
			if !f.StreamEnded() {
				continue
			}
			want := 0
			for n := range count {
				want += len(wire(responseOf(byte(n), size)))
			}
			if i != want {
				t.Errorf("got %d bytes, want %d", i, want)
			}
			// Far above what a Send takes on a busy machine, far below for ever.
			if r = <-done; r.longest > 10*time.Second {
				t.Errorf("a Send took %v", r.longest)
			}
			return
		}
	}
}

// TestStreamsShareAConnection: a stream whose window is used up does not hold up
// another one.
func TestStreamsShareAConnection(t *testing.T) {
	first, second := responseOf('a', 50_000), responseOf('b', 50)
	n := 0
	address := serve(t, newServer(t, func(ctx context.Context, c *Chat) metadata.MD {
		n++ // one after the other, see below
		if n == 1 {
			sending(first)(ctx, c)
			<-ctx.Done()
			return nil
		}
		return sending(second)(ctx, c)
	}))
	p := connect(t, address, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 60})
	p.open(1)
	expect[*http2.MetaHeadersFrame](p)
	if f := expect[*http2.DataFrame](p); len(f.Data()) != 60 {
		t.Errorf("got %d bytes", len(f.Data()))
	}
	p.open(3)
	expect[*http2.MetaHeadersFrame](p)
	if f := expect[*http2.DataFrame](p); f.StreamID != 3 || !bytes.Equal(f.Data(), wire(second)) {
		t.Errorf("got %v", f)
	}
}
