package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// Client talks to one server. It is safe for concurrent use, and several
// sessions may share it.
type Client struct {
	accounts chatstreampb.AccountServiceClient
	commands commandspb.ChatRoomMessagesServiceClient
	streams  streampb.StreamChatServiceClient
	delivery chatstreampb.DeliveryServiceClient
	conn     *grpc.ClientConn // nil unless it is our own
}

// Option changes how Dial connects.
type Option func(*dialing) error

type dialing struct {
	tls       *tls.Config
	plaintext bool
	grpc      []grpc.DialOption
}

// TLSCA trusts the certificate authority in the PEM file, and no other.
func TLSCA(file string) Option {
	return func(d *dialing) error {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read the certificate authority: %s holds no PEM certificate: %w", file, ErrInvalid)
		}
		d.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		return nil
	}
}

// Insecure speaks plaintext, which shows passwords to everybody on the way.
func Insecure() Option {
	return func(d *dialing) error {
		d.plaintext = true
		return nil
	}
}

// DialOptions passes options on to grpc.NewClient, after our own.
func DialOptions(opts ...grpc.DialOption) Option {
	return func(d *dialing) error {
		d.grpc = append(d.grpc, opts...)
		return nil
	}
}

// Dial makes a client of the server at target, host:port or any target of gRPC.
// It does not connect yet. It speaks TLS with the system's certificate
// authorities, or plaintext if target is an address of this machine and no
// authority is given. Close the client when done.
func Dial(target string, opts ...Option) (*Client, error) {
	var d dialing
	for _, o := range opts {
		if err := o(&d); err != nil {
			return nil, err
		}
	}
	if d.plaintext && d.tls != nil {
		return nil, fmt.Errorf("dial %s: a certificate authority and plaintext exclude each other: %w", target, ErrInvalid)
	}
	transport := credentials.NewTLS(d.tls)
	if d.tls == nil && (d.plaintext || local(target)) {
		transport = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		// Below the backoff of streams and calls, which is what counts: gRPC's
		// own must not make them find a server late that is back.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second,
			},
			MinConnectTimeout: 10 * time.Second,
		}),
		// A stream may be silent for long; this notices that the server is gone.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
	}, d.grpc...)...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	c := New(conn)
	c.conn = conn
	return c, nil
}

// maxReceive is the largest response the contract allows a server.
const maxReceive = (3<<20+512<<10)*3 + 2<<20

// New makes a client of a connection that stays the caller's.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{
		accounts: chatstreampb.NewAccountServiceClient(conn),
		commands: commandspb.NewChatRoomMessagesServiceClient(conn),
		streams:  streampb.NewStreamChatServiceClient(conn),
		delivery: chatstreampb.NewDeliveryServiceClient(conn),
	}
}

// Close closes the connection that Dial made. Close the sessions first.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	if err := c.conn.Close(); err != nil && status.Code(err) != codes.Canceled { // closed already
		return fmt.Errorf("close the connection: %w", err)
	}
	return nil
}

// local reports whether target is on this machine.
func local(target string) bool {
	if strings.HasPrefix(target, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = target
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
