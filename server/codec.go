package server

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that codec falls back to
	"google.golang.org/grpc/mem"
)

// codec passes responses on that the engine has encoded, and leaves everything
// else to grpc-go's own codec.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if encoded, ok := v.(*mem.BufferSlice); ok {
		return *encoded, nil
	}
	return c.CodecV2.Marshal(v)
}
