package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Fields of a response that carries messages.
const (
	fieldNewMessages  protowire.Number = 6
	fieldMessagesList protowire.Number = 1
)

// accounts lets everybody in.
type accounts struct {
	chatstreampb.UnimplementedAccountServiceServer
}

func (accounts) CreateAccount(context.Context, *chatstreampb.CreateAccountRequest) (*chatstreampb.CreateAccountResponse, error) {
	return &chatstreampb.CreateAccountResponse{}, nil
}

func (accounts) Login(_ context.Context, r *chatstreampb.LoginRequest) (*chatstreampb.LoginResponse, error) {
	h := fnv.New64a()
	h.Write([]byte(r.GetName()))
	return &chatstreampb.LoginResponse{AccountId: fmt.Sprintf("%024x", h.Sum64()), LoggedInToken: "token"}, nil
}

// commands lets everybody into every room.
type commands struct {
	commandspb.UnimplementedChatRoomMessagesServiceServer
	hub *hub
}

func (commands) CreateChatRoomRPC(context.Context, *commandspb.CreateChatRoomRequest) (*commandspb.CreateChatRoomResponse, error) {
	return &commandspb.CreateChatRoomResponse{ReturnStatus: chatpb.ReturnStatus_SUCCESS, ChatRoomId: uuid.NewString()[:8], ChatRoomPassword: "p"}, nil
}

func (commands) JoinChatRoomRPC(_ *commandspb.JoinChatRoomRequest, out grpc.ServerStreamingServer[commandspb.JoinChatRoomResponse]) error {
	return out.Send(&commandspb.JoinChatRoomResponse{})
}

func (c commands) ClientMessageToServerRPC(_ context.Context, r *commandspb.ClientMessageToServerRequest) (*commandspb.ClientMessageToServerResponse, error) {
	m := &chatpb.ChatMessageToClient{
		MessageUuid: r.GetMessageUuid(), SentByAccountId: r.GetLoginInfo().GetCurrentAccountId(), Message: r.GetMessage(),
		TimestampStored: 1_800_000_000_000, // as many bytes as a real one
	}
	info := r.GetMessage().GetStandardMessageInfo()
	info.AmountOfMessage, info.MessageHasCompleteInfo = chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE, true
	var failed error
	c.hub.publish(c.hub.room(info.GetChatRoomIdMessageSentFrom()), m.GetSentByAccountId(), func(seq uint64) []byte {
		m.Seq, m.PreviousSeq = seq, seq-1
		size := proto.Size(m)
		b := protowire.AppendTag(make([]byte, 0, size+8), fieldMessagesList, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(size))
		b, failed = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
		return b
	})
	return &commandspb.ClientMessageToServerResponse{ReturnStatus: chatpb.ReturnStatus_SUCCESS}, failed
}

// chat holds the streams: each has a goroutine that reads, beside its handler.
type chat struct {
	streampb.UnimplementedStreamChatServiceServer
	hub *hub
}

func (c chat) StreamChatRPC(stream grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse]) error {
	if err := stream.Send(&streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionPrimerResponse{
		InitialConnectionPrimerResponse: &streampb.InitialConnectionPrimerResponse{},
	}}); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	m := &member{stream: stream, account: strings.Join(md.Get("current_account_id"), ""), queued: true} // no worker sends yet
	for room := range places(md) {
		r := c.hub.room(room)
		r.add(m)
		defer r.remove(m)
	}
	if err := stream.Send(&streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse{
		InitialConnectionMessagesCompleteResponse: &streampb.InitialConnectionMessagesCompleteResponse{},
	}}); err != nil {
		return err
	}
	c.hub.begin(m)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-stream.Context().Done():
	}
	return nil
}
