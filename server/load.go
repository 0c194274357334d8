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

// RetrieveServerLoadRPC tells whether the server takes streams, how many it has,
// and which other servers there are. No login.
func (s loadService) RetrieveServerLoadRPC(_ context.Context, r *loadpb.RetrieveServerLoadRequest) (*loadpb.RetrieveServerLoadResponse, error) {
	response := &loadpb.RetrieveServerLoadResponse{AcceptingConnections: s.engine.Accepting() && !s.contact.isCut(), NumClients: -1}
	if response.AcceptingConnections && r.GetRequestNumClients() {
		response.NumClients = int32(s.engine.Streams())
	}
	if others := s.cfg.Engine.Others; others != nil {
		response.Servers = others()
	}
	return response, nil
}
