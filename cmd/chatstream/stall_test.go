package main_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

// TestStalledClientsDoNotHurtOthers: most members of a room never read. The
// others get everything, about as fast as without them, the server's memory
// stays bounded, and in the end the stalled ones are ended.
func TestStalledClientsDoNotHurtOthers(t *testing.T) {
	noLeaks(t)
	healthyCount, stalledCount, measured := 50, 400, 300
	patience := "25s" // long enough that the stalled ones stay until everything is measured
	switch {
	case testing.Short():
		healthyCount, stalledCount, measured, patience = 10, 60, 100, "8s"
	case raceBuild():
		healthyCount, stalledCount, measured = 20, 120, 100
	}
	const bound = 1 << 30 // bytes of memory; what is stalled holds 128 KiB each, and the tail 100 MiB
	p := serve(t, "--stall-timeout="+patience)
	a := dial(t, p.addr)
	admin := a.signUp(t)
	r := admin.create(t, "hall")

	// Accounts first, then one after the other joins.
	began := time.Now()
	everybody := make([]*user, healthyCount+stalledCount)
	windows := []grpc.DialOption{grpc.WithInitialWindowSize(65535), grpc.WithInitialConnWindowSize(65535)}
	var group errgroup.Group
	group.SetLimit(4)
	for i := range everybody {
		u := &user{api: dial(t, p.addr, windows...), name: fmt.Sprintf("member%d", i), password: "correct horse battery", installation: uuid.NewString()}
		everybody[i] = u
		group.Go(func() error { return u.register(t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var since int64
	for _, u := range everybody {
		j, err := u.tryJoin(soon(t), r)
		if err != nil || j.outcome != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED || j.status != chatpb.ReturnStatus_SUCCESS {
			t.Fatalf("join: %v, %v", j.outcome, err)
		}
		since = j.time()
	}
	pos := position{room: r.id, updated: since, viewed: since}
	healthyUsers, stalledUsers := everybody[:healthyCount], everybody[healthyCount:]
	healthy := make([]*receiver, healthyCount)
	for i, u := range healthyUsers {
		healthy[i] = receive(t, u, pos)
	}
	a.awaitClients(t, healthyCount)
	t.Logf("%d members after %v", len(everybody), time.Since(began).Round(time.Second))

	before := measure(t, admin, r, healthy, measured)
	t.Logf("without stalled clients: %v; %d MiB", before, p.rss()>>20)

	// Half of them stall within the initialization, as they have nothing of a
	// room whose history is larger than what a stream takes unread; the other
	// half later.
	flood(t, admin, r, 1000)
	stalled := make([]func() error, stalledCount)
	for i, u := range stalledUsers {
		at := position{room: r.id, updated: time.Now().Add(time.Minute).UnixMilli(), viewed: since}
		if i%2 == 0 {
			at.updated = -1
		}
		stalled[i] = u.stall(t, at)
	}
	a.awaitClients(t, healthyCount+stalledCount)
	flood(t, admin, r, 1000)
	for _, h := range healthy { // what is measured has nothing before it
		h.wait(t, measured+2000)
	}
	after := measure(t, admin, r, healthy, measured)
	clients := a.clients(t)
	t.Logf("with %d clients that never read: %v; %d MiB; %d streams are open", stalledCount, after, p.rss()>>20, clients)
	if got := p.rss(); got > bound && !raceBuild() {
		t.Errorf("the server has %d MiB", got>>20)
	}
	if clients != healthyCount+stalledCount {
		t.Log("some were ended already: this machine is slow, the measurement does not count")
	}

	// Everything came, to every healthy one, in order, once.
	total := 2*measured + 2000
	for i, h := range healthy {
		if got := h.wait(t, total); got != total {
			t.Errorf("healthy client %d got %d texts, want %d", i, got, total)
		}
	}

	// The stalled ones are ended in the end; the others are not.
	a.awaitClients(t, healthyCount)
	t.Logf("the stalled streams were ended; %d MiB", p.rss()>>20)
	for i, end := range stalled {
		if err := end(); err == nil {
			t.Errorf("stalled stream %d goes on", i)
		}
	}
	x := measure(t, admin, r, healthy, 20)
	t.Logf("without them again: %v", x)
	for i, h := range healthy {
		if err := h.problem(); err != nil {
			t.Errorf("healthy client %d: %v", i, err)
		}
	}

	// Whoever stalled comes back to where it was and misses nothing.
	for _, u := range []*user{stalledUsers[0], stalledUsers[1]} {
		if got := texts(u.history(t, r)); len(got) != total+20 {
			t.Errorf("%d texts after coming back, want %d", len(got), total+20)
		}
	}
	if code := stop(p); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// receiver is a healthy client: it reads at once.
type receiver struct {
	count  atomic.Int64
	mu     sync.Mutex
	sentAt map[string]time.Time // by uuid, of the messages that are measured
	took   []time.Duration
	last   int64
	err    error
	grew   chan struct{}
}

func receive(t testing.TB, u *user, pos position) *receiver {
	t.Helper()
	h := &receiver{grew: make(chan struct{}, 1)}
	s := u.open(t, pos)
	s.initial()
	go func() {
		for f := range s.frames {
			now := time.Now()
			h.mu.Lock()
			for _, m := range f.GetReturnNewChatMessage().GetMessagesList() {
				h.take(m, now)
			}
			h.mu.Unlock()
			select {
			case h.grew <- struct{}{}:
			default:
			}
		}
	}()
	return h
}

func (h *receiver) take(m *chatpb.ChatMessageToClient, now time.Time) {
	v := viewOf(m)
	if v.time <= h.last {
		h.err = fmt.Errorf("%+v after %d", v, h.last)
	}
	h.last = v.time
	if v.kind != kindText {
		return
	}
	if at, ok := h.sentAt[v.uuid]; ok {
		h.took = append(h.took, now.Sub(at))
	}
	h.count.Add(1)
}

func (h *receiver) problem() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// wait waits until the client has n texts, and returns how many it has.
func (h *receiver) wait(t testing.TB, n int) int {
	t.Helper()
	late := time.After(patience)
	for {
		if got := int(h.count.Load()); got >= n {
			return got
		}
		select {
		case <-h.grew:
		case <-late:
			return int(h.count.Load())
		}
	}
}

// latency is what messages took from being sent to being received.
type latency struct{ p50, p99, max time.Duration }

func (l latency) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, max %v", l.p50.Round(10*time.Microsecond), l.p99.Round(10*time.Microsecond), l.max.Round(10*time.Microsecond))
}

// measure sends n texts, one after the other, and measures how long they take
// to each client.
func measure(t testing.TB, sender *user, r room, clients []*receiver, n int) latency {
	t.Helper()
	for range n {
		id, at := uuid.NewString(), time.Now()
		for _, h := range clients {
			h.mu.Lock()
			if h.sentAt == nil {
				h.sentAt = map[string]time.Time{}
			}
			h.sentAt[id] = at
			h.mu.Unlock()
		}
		sender.sayAs(t, r, textOf(id), id)
	}
	var all []time.Duration
	for _, h := range clients {
		late := time.After(patience)
		for {
			h.mu.Lock()
			got := len(h.took)
			h.mu.Unlock()
			if got >= n {
				break
			}
			select {
			case <-h.grew:
			case <-late:
				t.Fatalf("a healthy client got %d of %d messages", got, n)
			}
		}
		h.mu.Lock()
		all = append(all, h.took...)
		h.took, h.sentAt = nil, nil
		h.mu.Unlock()
	}
	slices.Sort(all)
	return latency{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}
