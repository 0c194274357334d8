package load

import (
	"crypto/tls"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Target is the server under load.
type Target struct {
	// Address is host:port.
	Address string
	// TLS, if not nil, secures connections; nil is plaintext.
	TLS *tls.Config
	// Window is how many bytes may be on their way to a stream, and to a
	// connection: 256 KiB if 0.
	Window int32
}

// connect makes a connection that is established with the first call on it.
func (t Target) connect() (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if t.TLS != nil {
		creds = credentials.NewTLS(t.TLS)
	}
	window := t.Window
	if window == 0 {
		window = defaultWindow
	}
	conn, err := grpc.NewClient("passthrough:///"+t.Address,
		grpc.WithTransportCredentials(creds),
		// Static windows: without them grpc-go measures the bandwidth by pings,
		// which the server would have to answer.
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Address, err)
	}
	return conn, nil
}

const defaultWindow = 256 << 10

// connections are shared by streams, a bounded number on each.
type connections struct {
	all []*grpc.ClientConn
}

func (t Target) connections(n int) (*connections, error) {
	c := &connections{}
	for range n {
		conn, err := t.connect()
		if err != nil {
			c.Close()
			return nil, err
		}
		c.all = append(c.all, conn)
	}
	return c, nil
}

// of is the connection of the i-th stream.
func (c *connections) of(i int) *grpc.ClientConn { return c.all[i%len(c.all)] }

// Close closes all of them.
func (c *connections) Close() {
	for _, conn := range c.all {
		conn.Close()
	}
}
