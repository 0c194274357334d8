package server

import (
	"context"

	"github.com/chatstream/chatstream/proto/loadpb"
)

// loadService is retrieve_server_load.RetrieveServerLoadService.
type loadService struct {
	loadpb.UnimplementedRetrieveServerLoadServiceServer
	*Server
}

// RetrieveServerLoadRPC tells whether the server takes streams, and how many it
// has. No login.
func (s loadService) RetrieveServerLoadRPC(_ context.Context, r *loadpb.RetrieveServerLoadRequest) (*loadpb.RetrieveServerLoadResponse, error) {
	response := &loadpb.RetrieveServerLoadResponse{AcceptingConnections: s.engine.Accepting(), NumClients: -1}
	if response.AcceptingConnections && r.GetRequestNumClients() {
		response.NumClients = int32(s.engine.Streams())
	}
	return response, nil
}
