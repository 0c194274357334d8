package main

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec of requests
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// hub brings messages to streams. Each stream has a queue; a stream with
// something in it waits in runq, once, for one of the workers.
type hub struct {
	mu      sync.RWMutex
	members map[*member]struct{}

	publishing sync.Mutex
	seq        atomic.Uint64

	runq    chan *member
	workers sync.WaitGroup
}

type member struct {
	stream grpc.ServerStream

	mu      sync.Mutex
	waiting []mem.Buffer
	queued  bool
}

const (
	maxMembers = 1 << 17
	// maxJoined is how many messages go out as one response.
	maxJoined = 32
)

func newHub(workers int) *hub {
	h := &hub{members: make(map[*member]struct{}), runq: make(chan *member, maxMembers)}
	for range workers {
		h.workers.Go(h.work)
	}
	return h
}

// close is called when no stream is left.
func (h *hub) close() {
	close(h.runq)
	h.workers.Wait()
}

// add makes m a member, which is said by welcome before anybody else sends to it.
func (h *hub) add(m *member, welcome func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members[m] = struct{}{}
	return welcome()
}

func (h *hub) remove(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.members, m)
}

// publish gives every member the element that encode makes for the next number.
func (h *hub) publish(encode func(seq uint64) []byte) {
	h.publishing.Lock() // everybody gets messages in one order
	defer h.publishing.Unlock()
	element := encode(h.seq.Add(1))
	boxed := mem.Buffer(mem.SliceBuffer(element))
	h.mu.RLock()
	defer h.mu.RUnlock()
	for m := range h.members {
		m.mu.Lock()
		m.waiting = append(m.waiting, boxed)
		idle := !m.queued
		m.queued = true
		m.mu.Unlock()
		if idle {
			h.runq <- m
		}
	}
}

// work sends what waits, one stream at a time, up to maxJoined messages in each
// turn.
func (h *hub) work() {
	for m := range h.runq {
		m.mu.Lock()
		n := min(len(m.waiting), maxJoined)
		response := make(mem.BufferSlice, 1, n+1)
		response = append(response, m.waiting[:n]...)
		rest := copy(m.waiting, m.waiting[n:])
		clear(m.waiting[rest:])
		m.waiting = m.waiting[:rest]
		m.mu.Unlock()

		size := 0
		for _, b := range response[1:] {
			size += b.Len()
		}
		head := protowire.AppendTag(make([]byte, 0, 8), fieldNewMessages, protowire.BytesType)
		response[0] = mem.SliceBuffer(protowire.AppendVarint(head, uint64(size)))
		_ = m.stream.SendMsg(&response) // its handler notices

		m.mu.Lock()
		m.queued = len(m.waiting) > 0
		again := m.queued
		m.mu.Unlock()
		if again {
			h.runq <- m
		}
	}
}

// codec passes on what is encoded.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if encoded, ok := v.(*mem.BufferSlice); ok {
		return *encoded, nil
	}
	return c.CodecV2.Marshal(v)
}
