package engine

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// Bounds of one response. grpc-go's writer gathers at most 64 buffers at once,
// and clients refuse messages over 4 MiB by default.
const (
	maxElements      = 59 // and one buffer for the head
	maxResponseBytes = 256 << 10
)

// Field numbers of ChatToClientResponse and of the list inside, which the
// splice writes by hand. TestSpliceFieldNumbers holds them against the
// descriptors.
const (
	fieldInitialMessages protowire.Number = 2
	fieldNewMessages     protowire.Number = 6
	fieldMessagesList    protowire.Number = 1
)

// element encodes m as one entry of a message list. box is Config.Box, or nil.
func element(m *chatpb.ChatMessageToClient, box func([]byte) any) (*Element, error) {
	buf, err := appendElement(make([]byte, 0, elementSize(m)), m)
	if err != nil {
		return nil, err
	}
	return newElement(buf, box), nil
}

func newElement(encoded []byte, box func([]byte) any) *Element {
	e := &Element{Bytes: encoded}
	if box != nil {
		e.Boxed = box(encoded)
	}
	return e
}

// elementSize is how many bytes m takes in a message list.
func elementSize(m *chatpb.ChatMessageToClient) int {
	return protowire.SizeTag(fieldMessagesList) + protowire.SizeBytes(proto.Size(m))
}

// appendElement appends m as one entry of a message list. elementSize has been
// asked for its size, and m is as it was then.
func appendElement(buf []byte, m *chatpb.ChatMessageToClient) ([]byte, error) {
	cached := proto.MarshalOptions{UseCachedSize: true}
	buf = protowire.AppendTag(buf, fieldMessagesList, protowire.BytesType)
	buf = protowire.AppendVarint(buf, uint64(cached.Size(m)))
	return cached.MarshalAppend(buf, m)
}

// behind returns e, which shows one message, with previous as the place of the
// message before it: made for the one client that was not given those between.
func (e *Element) behind(previous uint64, box func([]byte) any) (*Element, error) {
	_, _, tag := protowire.ConsumeTag(e.Bytes)
	raw, n := protowire.ConsumeBytes(e.Bytes[max(tag, 0):])
	if tag < 0 || n < 0 {
		return nil, errElement
	}
	m := &chatpb.ChatMessageToClient{}
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, err
	}
	m.PreviousSeq = previous
	return element(m, box)
}

var errElement = errors.New("engine: not an element")

// builder puts one response together. A stream's turn owns it and uses it again
// for the next one.
type builder struct {
	// out is the response. While it is put together, its elements are what was
	// added, or its head is all of it.
	out   Response
	whole bool
	field protowire.Number // the list that the elements belong to
	bytes int              // in the elements
	after func()
	// from are the subscriptions that elements come from.
	from []*subscription
}

func (b *builder) empty() bool { return len(b.out.Elements) == 0 && !b.whole }

// takes reports whether size more bytes could be added as part of field's list: a response
// holds one list, and one element that is too large for a response goes alone.
func (b *builder) takes(field protowire.Number, size int) bool {
	if b.empty() {
		return true
	}
	return !b.whole && b.field == field && len(b.out.Elements) < maxElements && b.bytes+size <= maxResponseBytes
}

// add appends e to field's list, which takes has allowed.
func (b *builder) add(field protowire.Number, e *Element) {
	b.field = field
	b.out.Elements = append(b.out.Elements, e)
	b.bytes += len(e.Bytes)
	b.out.Messages++
}

// list makes the response one of count messages, which e has one behind another.
func (b *builder) list(field protowire.Number, e *Element, count int) {
	b.add(field, e)
	b.out.Messages = count
}

// comes notes that something of sub is in the response.
func (b *builder) comes(sub *subscription) {
	if n := len(b.from); n == 0 || b.from[n-1] != sub {
		b.from = append(b.from, sub)
	}
}

// set makes the response the marshalled raw; after, if not nil, is called once
// it has been handed to the transport.
func (b *builder) set(raw []byte, after func()) {
	b.out.Head, b.out.Size = raw, len(raw)
	b.whole, b.after = true, after
}

// response completes what was added. It is the builder's, and valid until reset.
func (b *builder) response() *Response {
	if !b.whole {
		head := make([]byte, 0, 8)
		head = protowire.AppendTag(head, b.field, protowire.BytesType)
		b.out.Head = protowire.AppendVarint(head, uint64(b.bytes))
		b.out.Size = len(b.out.Head) + b.bytes
	}
	return &b.out
}

// reset forgets everything but the memory.
func (b *builder) reset() {
	clear(b.out.Elements)
	clear(b.from)
	*b = builder{out: Response{Elements: b.out.Elements[:0]}, from: b.from[:0]}
}
