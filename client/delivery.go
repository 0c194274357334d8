package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

// Delivery is how far the messages of a room have reached its members' devices.
type Delivery struct {
	// Last is the place in the room's log of its last message; compare with
	// Message.Seq.
	Last    uint64
	Devices []DeviceDelivery
}

// DeviceDelivery is how far one device of a member has been reached.
type DeviceDelivery struct {
	Account string
	// Device tells it from others of the account.
	Device string
	// Online: it has a stream open.
	Online bool
	// Everything up to Reached has left the server for the device, everything up
	// to Confirmed has been handed out there.
	Reached, Confirmed uint64
}

// Delivery asks how far the messages of a room have reached. The server answers
// for the devices it has served lately; others are not known to have anything.
//
// Errors: ErrNotInRoom, what ended the session, or the context's.
func (s *Session) Delivery(ctx context.Context, room string) (Delivery, error) {
	if err := s.valid("ask for the delivery in", room); err != nil {
		return Delivery{}, err
	}
	var answer *chatstreampb.GetDeliveryResponse
	err := s.call(ctx, unary(func(ctx context.Context, login *chatpb.LoginToServerBasicInfo) (_ chatpb.ReturnStatus, err error) {
		answer, err = s.client.delivery.GetDelivery(ctx, &chatstreampb.GetDeliveryRequest{LoginInfo: login, ChatRoomId: room}, patiently)
		switch status.Code(err) {
		case codes.Unauthenticated: // if a new login does not help, the stream tells why
			return chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED, nil
		case codes.PermissionDenied:
			return 0, ErrNotInRoom
		}
		return chatpb.ReturnStatus_SUCCESS, err
	}))
	if err != nil {
		return Delivery{}, fmt.Errorf("delivery in room %s: %w", room, err)
	}
	out := Delivery{Last: answer.GetLastSeq()}
	for _, d := range answer.GetDevices() {
		out.Devices = append(out.Devices, DeviceDelivery{
			Account: d.GetAccountId(), Device: d.GetDevice(), Online: d.GetOnline(),
			Reached: d.GetReachedSeq(), Confirmed: d.GetConfirmedSeq(),
		})
	}
	return out, nil
}
