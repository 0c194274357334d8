// Package streampb holds the chat stream: its service, and what travels on it in
// both directions.
//
// The code is generated from proto/grpc_stream_chat.
package streampb
