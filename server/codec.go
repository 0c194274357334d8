package server

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that codec falls back to
	"google.golang.org/grpc/mem"

	"github.com/chatstream/chatstream/proto/streampb"
)

// codec passes responses on that the engine has encoded, and leaves everything
// else to grpc-go's own codec.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// maxStreamRequest bounds what a client may say on its chat stream, in bytes: a
// request for ten messages takes less than 11 KiB. Without it, a few bytes could
// ask for an answer that is a hundred times as long.
const maxStreamRequest = 64 << 10

var errRequestTooLarge = fmt.Errorf("a request on the chat stream has more than %d bytes", maxStreamRequest)

// Unmarshal refuses an oversized request before anything is made of it.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(*streampb.ChatToServerRequest); ok && data.Len() > maxStreamRequest {
		return errRequestTooLarge
	}
	return c.CodecV2.Unmarshal(data, v)
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if encoded, ok := v.(*mem.BufferSlice); ok {
		return *encoded, nil
	}
	return c.CodecV2.Marshal(v)
}
