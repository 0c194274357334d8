package engine

import (
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Conn is the transport of one stream, as far as the engine knows it. Send and
// Credit are called by one goroutine at a time: the stream's turn.
type Conn interface {
	// Bind is called once, before anything else. wake may be called from
	// anywhere, at any time, and never blocks.
	Bind(wake func())
	// Credit reports whether the transport would take a response without
	// blocking. After it said no it calls wake, once, when that has changed;
	// after the connection broke it may never do so.
	Credit() bool
	// Send hands r to the transport. It is called only after Credit said yes,
	// one response per yes, and does not block then. The bytes r refers to are
	// shared with other streams and must not be changed; r itself belongs to
	// the engine and must not be kept.
	Send(r *Response) error
	// Sent is the number of bytes that Send has been given, in all.
	Sent() int64
	// Passed is how many of them have left for the client, as far as is known:
	// it may lag behind, and never runs ahead. Safe for concurrent use.
	Passed() int64
}

// Element is one encoded entry of a response's message list, tag and length
// included. It is shared by every stream that it goes to, and immutable. In a
// stream's initialization it is several entries, one behind another.
type Element struct {
	Bytes []byte
	// Boxed is whatever Config.Box made of Bytes, made once for all streams.
	Boxed any
}

// Response is one encoded ChatToClientResponse: Head, followed by the elements.
type Response struct {
	Head     []byte
	Elements []*Element
	// Messages is how many there are in the elements.
	Messages int
	// Size is the number of bytes in all.
	Size int
}

// Ending is why a stream ended, as the client is told in the trailing metadata.
type Ending struct {
	Reason streampb.StreamDownReasons
	// Status goes with the reason RETURN_STATUS_ATTACHED.
	Status chatpb.ReturnStatus
	// Info is the installation id of the stream that took over, if one did.
	Info string
	// Stalled says that the client did not read: the trailing metadata will
	// hardly reach it.
	Stalled bool
}

// failed is the ending that carries a status.
func failed(status chatpb.ReturnStatus) Ending {
	return Ending{Reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, Status: status}
}
