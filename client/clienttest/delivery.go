package clienttest

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

type deliveries struct {
	chatstreampb.UnimplementedDeliveryServiceServer
	*Server
}

// GetDelivery says of every member that everything has reached it.
func (d deliveries) GetDelivery(_ context.Context, r *chatstreampb.GetDeliveryRequest) (*chatstreampb.GetDeliveryResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	acc, outcome := d.check(r.GetLoginInfo())
	if outcome != chatpb.ReturnStatus_SUCCESS {
		return nil, status.Error(codes.Unauthenticated, outcome.String())
	}
	rm := d.rooms[r.GetChatRoomId()]
	if rm == nil || !rm.present(acc) {
		return nil, status.Error(codes.PermissionDenied, "not in the room")
	}
	last := uint64(len(rm.events))
	answer := &chatstreampb.GetDeliveryResponse{LastSeq: last}
	for _, m := range rm.members {
		if m.state >= in {
			answer.Devices = append(answer.Devices, &chatstreampb.DeviceDelivery{AccountId: m.account.id, ReachedSeq: last})
		}
	}
	return answer, nil
}
