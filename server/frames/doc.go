//go:build frames

// Package frames is an experiment: an HTTP/2 server that writes the chat
// stream's frames itself, for builds with the tag "frames" on Unix. A response
// goes from the stream's turn to the socket in one write call, without a
// goroutine of the transport between; an idle stream has no buffers.
//
// A connection has one goroutine that reads. The chat stream is served here;
// every other RPC goes to an http.Handler, which is grpc-go's. Whoever has
// something to write frames it under the connection's lock and writes it without
// the lock, unless somebody is writing already, who then writes that too. A
// write never blocks: what the socket does not take is left to a goroutine that
// lives until the socket has taken it (output.go).
//
// What it lacks beside grpc-go: with TLS, which has not been tried, each write
// takes that goroutine, since one cannot try to write to a tls.Conn, and other
// RPCs are not told of it; there is no TCP_USER_TIMEOUT; and the RPCs served by
// way of an http.Handler cost more each.
//
// bench/goals measures it beside the server as it is.
package frames
