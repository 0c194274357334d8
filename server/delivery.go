package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

// deliveryService is chatstream.v1.DeliveryService.
type deliveryService struct {
	chatstreampb.UnimplementedDeliveryServiceServer
	*Server
}

// GetDelivery tells a member of a room how far its messages have reached.
func (s deliveryService) GetDelivery(ctx context.Context, r *chatstreampb.GetDeliveryRequest) (*chatstreampb.GetDeliveryResponse, error) {
	if !room.ValidID(r.GetChatRoomId()) {
		return nil, status.Error(codes.InvalidArgument, "chat_room_id is not the id of a room")
	}
	account, code := s.accounts.Check(ctx, r.GetLoginInfo())
	switch code {
	case success:
	case chatpb.ReturnStatus_DATABASE_DOWN:
		return nil, status.Error(codes.Unavailable, "the store does not answer; try again")
	default:
		return nil, status.Errorf(codes.Unauthenticated, "the login is not valid (%v): log in again", code)
	}
	reach, err := s.engine.Reach(ctx, r.GetChatRoomId(), account.ID, r.GetAccountIds())
	switch {
	case errors.Is(err, engine.ErrNotMember):
		return nil, status.Error(codes.PermissionDenied, "the account is not in this room")
	case errors.Is(err, engine.ErrTooManyDevices):
		return nil, status.Errorf(codes.FailedPrecondition, "that is more than %d devices: name some of the members in account_ids", engine.MaxDevices)
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case err != nil:
		s.log.Error("cannot tell how far a room's messages have reached", "room", r.GetChatRoomId(), "error", err)
		return nil, status.Error(codes.Unavailable, "the store does not answer; try again")
	}
	response := &chatstreampb.GetDeliveryResponse{LastSeq: reach.Last}
	for _, d := range reach.Devices {
		response.Devices = append(response.Devices, &chatstreampb.DeviceDelivery{
			AccountId:    d.Account,
			Device:       deviceName(d.Account, d.Installation),
			Online:       d.Online,
			ReachedSeq:   d.Reached,
			ConfirmedSeq: d.Confirmed,
		})
	}
	return response, nil
}

// deviceName tells devices apart without giving away the installation id, which
// is part of a login.
func deviceName(account, installation string) string {
	sum := sha256.Sum256([]byte("device\x00" + account + "\x00" + installation))
	return hex.EncodeToString(sum[:8])
}
