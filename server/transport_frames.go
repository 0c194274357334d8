//go:build frames

package server

import (
	"context"
	"net"
	"runtime/pprof"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server/frames"
)

// frameServer serves connections by package frames, which hands every RPC but
// the chat stream to grpc-go.
type frameServer struct {
	*frames.Server
	s *Server
}

func (s *Server) newTransport() transport {
	chat := chatService{Server: s}
	return frameServer{s: s, Server: frames.New(frames.Config{
		Chat:  streampb.StreamChatService_StreamChatRPC_FullMethodName,
		Serve: chat.serveFrames,
		Ended: func(raw net.Conn, c *frames.Chat) { s.conns.ended(raw, c) },
		RPC:   s.grpc,
		Bound: func(ctx context.Context, method string) context.Context {
			// grpc-go calls its tap for connections of its own only. This one gives no
			// error.
			bounded, _ := s.deadline(ctx, &tap.Info{FullMethodName: method})
			return bounded
		},
		TLS:         s.cfg.TLS,
		MaxMetadata: s.cfg.MaxMetadata, MaxMessage: s.cfg.MaxMessage, MaxStreams: s.cfg.MaxStreams,
		Handshake: handshakeTimeout, MaxIdle: s.cfg.MaxIdle,
		Keepalive: s.cfg.Keepalive, KeepaliveTimeout: 20 * time.Second, MinPing: 10 * time.Second,
		Logger: s.log,
	})}
}

// serveFrames is chat for a stream that keeps no goroutine.
func (s chatService) serveFrames(ctx context.Context, md metadata.MD, c *frames.Chat, ended func(metadata.MD)) {
	pprof.SetGoroutineLabels(s.roles.handler)
	request, recheck, why, ok := s.admit(ctx, md.Get)
	if !ok {
		ended(trailer(why))
		return
	}
	request.Conn = c
	s.engine.Open(ctx, request, func(open *engine.Stream) {
		recheck(open)
		c.Receive(open)
	}, func(why engine.Ending) { ended(trailer(why)) })
}

// GracefulStop implements transport.
func (f frameServer) GracefulStop() {
	f.Server.GracefulStop()
	f.s.grpc.GracefulStop() // has nothing left to wait for
}

// Stop implements transport.
func (f frameServer) Stop() {
	f.Server.Stop()
	f.s.grpc.Stop()
}
