//go:build !frames

package server

// newTransport lets grpc-go serve the connections, as it serves the RPCs.
func (s *Server) newTransport() transport { return s.grpc }
