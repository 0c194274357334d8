package server

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"runtime/pprof"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

const (
	reasonUnknown  = streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON
	reasonStatus   = streampb.StreamDownReasons_RETURN_STATUS_ATTACHED
	reasonShutdown = streampb.StreamDownReasons_SERVER_SHUTTING_DOWN
)

// chatService is grpc_stream_chat.StreamChatService.
type chatService struct {
	streampb.UnimplementedStreamChatServiceServer
	*Server
}

// StreamChatRPC serves one chat stream. Its status is OK: why it ended stands in
// the trailing metadata. Where the client has cancelled it, or its deadline has
// passed, the status says that, and nothing stands there.
func (s chatService) StreamChatRPC(stream grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse]) error {
	ctx := stream.Context()
	// Elements are shared by all receivers: compressing them would be done for
	// each anew, and would give back their buffers at once instead of when they
	// have been written.
	if err := grpc.SetSendCompressor(ctx, "identity"); err != nil {
		s.log.Debug("cannot turn compression off", "error", err)
	}
	c := newConn(stream)
	why := s.chat(ctx, c, func(open *engine.Stream) {
		s.readers.Go(func() { s.read(ctx, stream, open) })
	})
	s.conns.ended(connOf(ctx), c)
	if err := ctx.Err(); err != nil { // the client may not have noticed its deadline yet
		return status.FromContextError(err).Err()
	}
	stream.SetTrailer(trailer(why))
	return nil
}

// chat runs one chat stream over c, from its opening to its end. read is to see
// to it that the stream is told what its client says.
func (s chatService) chat(ctx context.Context, c engine.Conn, read func(*engine.Stream)) (why engine.Ending) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic in a chat stream", "panic", v, "stack", string(debug.Stack()))
			why = withStatus(chatpb.ReturnStatus_LG_ERROR)
		}
	}()
	pprof.SetGoroutineLabels(s.roles.handler)
	// Key by key: the whole would be a copy that lives as long as the stream.
	request, recheck, why, ok := s.admit(ctx, func(key string) []string { return metadata.ValueFromIncomingContext(ctx, key) })
	if !ok {
		return why
	}
	request.Conn = c
	return s.engine.Serve(ctx, request, func(open *engine.Stream) {
		recheck(open)
		read(open)
	})
}

// admit looks whether a stream may be opened, by its metadata, or says why not.
// recheck is to be called once it is open: a logout or another login since the
// check found no stream to end, so it is looked for once more.
func (s chatService) admit(ctx context.Context, get func(key string) []string) (r engine.Request, recheck func(*engine.Stream), why engine.Ending, ok bool) {
	if !s.engine.Accepting() || s.contact.lost() {
		return r, nil, engine.Ending{Reason: reasonShutdown}, false
	}
	o, err := parseOpening(get)
	if err != nil {
		s.log.Info("chat stream refused", "error", err)
		return r, nil, withStatus(chatpb.ReturnStatus_INVALID_PARAMETER_PASSED), false
	}
	account, status := s.accounts.Check(ctx, o.login)
	if status != chatpb.ReturnStatus_SUCCESS {
		return r, nil, withStatus(status), false
	}
	recheck = func(open *engine.Stream) {
		if _, status := s.accounts.Check(ctx, o.login); status != chatpb.ReturnStatus_SUCCESS {
			open.End(withStatus(status))
		}
	}
	r = engine.Request{Account: account.ID, Installation: o.login.GetInstallationId(), Rooms: o.rooms, Features: o.features}
	if s.contact != nil { // otherwise whatever ends a session does so here, and says so
		held := s.accounts.Held(account)
		r.Holds = func(ctx context.Context) (*engine.Ending, error) {
			status, err := held.Status(ctx)
			if err != nil || status == chatpb.ReturnStatus_SUCCESS {
				return nil, err
			}
			why := withStatus(status)
			return &why, nil
		}
	}
	return r, recheck, engine.Ending{}, true
}

// read is the stream's one reader. It starts a Read when the engine allows it,
// and ends when the handler has returned, at the latest.
func (s chatService) read(ctx context.Context, stream grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse], open *engine.Stream) {
	pprof.SetGoroutineLabels(s.roles.reader)
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic in a chat stream's reader", "panic", v, "stack", string(debug.Stack()))
			open.End(withStatus(chatpb.ReturnStatus_LG_ERROR))
		}
	}()
	for open.MayRead(ctx) {
		request, err := stream.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.log.Debug("chat stream read ended", "account", open.Account(), "error", err)
			}
			open.End(engine.Ending{Reason: reasonUnknown})
			return
		}
		open.Handle(request)
	}
}

func withStatus(status chatpb.ReturnStatus) engine.Ending {
	return engine.Ending{Reason: reasonStatus, Status: status}
}
