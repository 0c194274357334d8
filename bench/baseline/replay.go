package main

import (
	"iter"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// replay reads what a stream has missed from a store and writes it: nothing
// else goes on.
type replay struct {
	streampb.UnimplementedStreamChatServiceServer
	store store.Log
}

// page is how much is read, and sent, at once.
var page = store.Page{Events: 256, Bytes: 128 << 10}

func (r replay) StreamChatRPC(stream grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	for room, after := range places(md) {
		if err := r.replay(stream, room, after); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// replay writes what comes after a place.
func (r replay) replay(stream grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse], room string, after uint64) error {
	for {
		events, err := r.store.Events(stream.Context(), room, after, page)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return nil
		}
		list := make([]*chatpb.ChatMessageToClient, len(events))
		for i := range events {
			list[i] = engine.Show(&events[i], engine.Form{Amount: chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE})
		}
		after = events[len(events)-1].Seq
		if err := stream.Send(&streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_ReturnNewChatMessage{
			ReturnNewChatMessage: &streampb.ReturnNewChatMessage{MessagesList: list},
		}}); err != nil {
			return err
		}
	}
}

// places are the rooms that chat_room_positions names, and up to where each is
// known.
func places(md metadata.MD) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		parts := strings.Split(strings.Join(md.Get("chat_room_positions"), ""), "::")
		for ; len(parts) > 1; parts = parts[2:] {
			seq, err := strconv.ParseUint(parts[1], 10, 64)
			if err != nil || !yield(parts[0], seq) {
				return
			}
		}
	}
}
