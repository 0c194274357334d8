package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/server/accounts"
)

// Config is what a server is made with. Zero values mean the defaults.
type Config struct {
	// Engine, Pool and Accounts are the limits of the parts. Engine.Box,
	// Pool.OnPanic and Accounts.Ended are the server's own, as are all loggers, and
	// Engine.Claims, Engine.Others and Accounts.Recent where the store is a
	// store.Shared.
	Engine   engine.Config
	Pool     pool.Config
	Accounts accounts.Config

	// TLS, if not nil, is what connections are secured with.
	TLS *tls.Config

	// MaxMetadata bounds a request's metadata, in bytes: 1 MiB.
	MaxMetadata uint32
	// MaxMessage bounds a request, in bytes: 4 MiB.
	MaxMessage int
	// MaxStreams bounds the RPCs at once on one connection: 100.
	MaxStreams uint32
	// MaxIdle is how long a connection without RPCs stays: 15 minutes.
	MaxIdle time.Duration
	// Keepalive is about how often a silent connection is asked whether it is
	// still there: 30 s. Clients may do so every 10 s.
	Keepalive time.Duration
	// CommandTimeout bounds every RPC but the chat stream: 30 s.
	CommandTimeout time.Duration
	// CutOff is for how long a server that shares its store may hear nothing of
	// what others store before it is not ready, and sends its clients to those: 15 s,
	// at least 5 s. The store says once a second that all is well; it is looked for
	// every 2 s, and twice.
	CutOff time.Duration

	// Logger is where the server and its parts log; slog.Default() if nil.
	Logger *slog.Logger

	// options are a test's own.
	options []grpc.ServerOption
}

// Validate reports every value that makes no sense.
func (c Config) Validate() error {
	errs := []error{c.Engine.Validate(), c.Pool.Validate(), c.Accounts.Validate()}
	for name, v := range map[string]int64{
		"message size": int64(c.MaxMessage), "idle time": int64(c.MaxIdle),
		"keepalive": int64(c.Keepalive), "command timeout": int64(c.CommandTimeout),
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("server: %s must not be negative", name))
		}
	}
	if c.CutOff != 0 && c.CutOff < 5*time.Second {
		errs = append(errs, fmt.Errorf("server: to be cut off takes 5s at least, not %v", c.CutOff))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.MaxMetadata == 0 {
		c.MaxMetadata = 1 << 20
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 4 << 20
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 100
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = 15 * time.Minute
	}
	if c.Keepalive == 0 {
		c.Keepalive = 30 * time.Second
	}
	if c.CommandTimeout == 0 {
		c.CommandTimeout = 30 * time.Second
	}
	if c.CutOff == 0 {
		c.CutOff = 15 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
