package server

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// tracked are transport credentials that remember the connection, so that one
// whose client does not read can be closed: grpc-go offers no way to.
type tracked struct {
	credentials.TransportCredentials
}

type trackedInfo struct {
	credentials.AuthInfo
	conn net.Conn
}

func (t tracked) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return secured, trackedInfo{info, raw}, nil
}

func (t tracked) Clone() credentials.TransportCredentials {
	return tracked{t.TransportCredentials.Clone()}
}

// connOf returns the connection of the RPC whose context ctx is, or nil.
func connOf(ctx context.Context) net.Conn {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(trackedInfo); ok {
			return info.conn
		}
	}
	return nil
}
