package server

import (
	"context"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/chatstream/chatstream/proto/streampb"
)

var (
	errShuttingDown = status.Error(codes.Unavailable, "the server is shutting down: try another one, or this one later")
	errInternal     = status.Error(codes.Internal, "internal error: the server's log has the details")
)

// deadline bounds every command in time. It is grpc-go's tap, since only a
// context that is set there also ends a Send to a client that does not read.
func (s *Server) deadline(ctx context.Context, info *tap.Info) (context.Context, error) {
	switch {
	case info.FullMethodName == streampb.StreamChatService_StreamChatRPC_FullMethodName:
		return ctx, nil
	case !counted(info.FullMethodName):
		// Somebody may watch the health for as long as there is any.
		watching, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(s.serving, cancel)
		context.AfterFunc(ctx, func() { stop(); cancel() })
		return watching, nil
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.CommandTimeout)
	context.AfterFunc(ctx, cancel) // the RPC's own context ends with the RPC
	return bounded, nil
}

// unary counts a command, and turns a panic that nothing
// else has caught into INTERNAL.
func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	if counted(info.FullMethod) {
		if !s.commands.enter() {
			return nil, errShuttingDown
		}
		defer s.commands.leave()
	}
	defer s.caught(&err, func() { err = errInternal })
	return handler(ctx, request)
}

// streaming turns a panic into INTERNAL. What a stream stores is counted where
// it does so: its client may take long to read the rest, and must not hold up a
// shutdown meanwhile.
func (s *Server) streaming(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	if !counted(info.FullMethod) {
		return handler(service, stream)
	}
	defer s.caught(&err, func() { err = errInternal })
	return handler(service, stream)
}

// counted reports whether method is a command: something that may change what
// is stored. The others are answered during a shutdown too.
func counted(method string) bool {
	return method != streampb.StreamChatService_StreamChatRPC_FullMethodName &&
		!strings.HasPrefix(method, "/grpc.health.") &&
		!strings.HasPrefix(method, "/grpc.reflection.") &&
		!strings.HasPrefix(method, "/retrieve_server_load.")
}

// caught, deferred, logs a panic and has then put the answer in place of it.
func (s *Server) caught(err *error, then func()) {
	v := recover()
	if v == nil {
		return
	}
	s.log.Error("panic in a command", "panic", v, "stack", string(debug.Stack()))
	*err = nil
	then()
}
