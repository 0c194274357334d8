package main

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec of requests
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// hub brings messages to streams. Each stream has a queue; a stream with
// something in it waits in runq, once, for one of the workers.
type hub struct {
	mu    sync.Mutex
	rooms map[string]*room

	runq    chan *member
	workers sync.WaitGroup
}

// room is who gets its messages.
type room struct {
	mu      sync.Mutex // held while a message is given to everybody: one order for all
	members map[*member]struct{}
	seq     uint64
}

type member struct {
	stream  grpc.ServerStream
	account string

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
	h := &hub{rooms: make(map[string]*room), runq: make(chan *member, maxMembers)}
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

// room returns the room, which there is from the first mention on.
func (h *hub) room(id string) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r == nil {
		r = &room{members: make(map[*member]struct{})}
		h.rooms[id] = r
	}
	return r
}

func (r *room) add(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m] = struct{}{}
}

func (r *room) remove(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, m)
}

// publish gives every member but the sender the element that encode makes for the
// next number.
func (h *hub) publish(r *room, sender string, encode func(seq uint64) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	boxed := mem.Buffer(mem.SliceBuffer(encode(r.seq)))
	for m := range r.members {
		if m.account == sender {
			continue
		}
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

// begin lets the workers have m.
func (h *hub) begin(m *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queued = len(m.waiting) > 0; m.queued {
		h.runq <- m
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
