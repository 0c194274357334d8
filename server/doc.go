// Package server is the gRPC face of the engine: the chat stream, the commands
// on rooms, the accounts (package server/accounts), and what a server owes its
// operators: health, reflection, keepalive, limits, an orderly shutdown.
//
// A stream's way through this package: StreamChatRPC (stream.go) reads the
// metadata (metadata.go), has the login checked, and gives the engine a conn
// (conn.go), which turns the engine's responses into grpc-go messages without
// copying them (codec.go) and says when there is write credit. What ends the
// stream becomes its trailing metadata.
//
// A command's way: commands.go checks what the client sent, has the login
// checked, and appends to the room's log; the engine hears of it from the
// store, like every other server does.
package server
