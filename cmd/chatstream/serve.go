package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/server"
	"github.com/chatstream/chatstream/server/accounts"
	"github.com/chatstream/chatstream/server/diagnostics"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/embedded"
	"github.com/chatstream/chatstream/store/mongo"
)

// serveCmd is `chatstream serve`.
type serveCmd struct {
	Listen    string `default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"Address to serve gRPC on; port 0 takes a free one (${default})."`
	Data      string `default:"chatstream-data" placeholder:"DIR" help:"Data directory of the embedded store (./chatstream-data); unused with --mongodb."`
	MongoDB   string `name:"mongodb" placeholder:"URI" help:"Keep everything in a MongoDB replica set or sharded cluster, which any number of servers share: mongodb://USER:PASSWORD@HOST,HOST/?replicaSet=NAME. Better given as an environment variable: other users of this machine see arguments."`
	Database  string `default:"chatstream" placeholder:"NAME" help:"Database of --mongodb (${default})."`
	Advertise string `placeholder:"HOST:PORT" help:"Address under which clients reach this server, and which the other servers on --mongodb name to theirs."`
	TLSCert   string `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate (chain), PEM."`
	TLSKey    string `name:"tls-key" type:"path" placeholder:"FILE" help:"Key of the certificate, PEM."`
	Insecure  bool   `help:"Allow plaintext on an address beyond loopback."`

	StreamLifetime time.Duration `default:"30m" help:"How long a chat stream lives unless it is refreshed (${default})."`
	TokenLifetime  time.Duration `default:"30m" help:"How long a login is valid (${default})."`
	DrainTimeout   time.Duration `default:"10s" help:"How long a shutdown waits for clients (${default})."`

	Diagnostics string `placeholder:"HOST:PORT" help:"Address to serve profiles (/debug/pprof/) and counters (/debug/stats) on, over plain HTTP; loopback unless --insecure."`

	LogLevel  slog.Level `default:"info" help:"debug, info, warn or error (${default})."`
	LogFormat string     `default:"text" enum:"text,json" help:"text or json (${default})."`

	Limits limits `embed:"" group:"Limits"`
}

// limits are the limits of the engine and of gRPC.
type limits struct {
	TailAge        time.Duration `default:"60s" help:"How long events are kept encoded in memory (${default})."`
	TailBytes      int64         `default:"104857600" help:"How many bytes of them, in all rooms (${default})."`
	StallTimeout   time.Duration `default:"2m" help:"How long a client may leave a stream unread (${default})."`
	GapPatience    time.Duration `default:"200ms" help:"How long a room waits for a late event before it reads the store (${default})."`
	BookmarkEvery  time.Duration `default:"30s" help:"About how often an idle stream says that it is up to date, to clients that ask (${default})."`
	Replies        int           `default:"16" help:"Answers of one stream that may wait (${default})."`
	StoreTimeout   time.Duration `default:"10s" help:"Bound of one read of the store (${default})."`
	Runners        int           `default:"0" help:"Goroutines that give turns to streams and rooms; 0 for one a core."`
	Workers        int           `default:"64" help:"Store reads at once (${default})."`
	MaxMetadata    uint32        `default:"1048576" help:"Bytes of metadata in a request (${default})."`
	MaxMessage     int           `default:"4194304" help:"Bytes of a request (${default})."`
	MaxStreams     uint32        `default:"100" help:"RPCs at once on one connection (${default})."`
	MaxIdle        time.Duration `default:"15m" help:"How long a connection without RPCs stays (${default})."`
	CommandTimeout time.Duration `default:"30s" help:"Bound of every RPC but the chat stream (${default})."`
	CutOff         time.Duration `default:"15s" help:"How long a server on --mongodb that hears nothing of what others store goes on before it sends its clients to them, at least 5s (${default})."`
	Argon2Time     uint32        `name:"argon2-time" default:"2" help:"Passes of argon2id over the passwords of new accounts (${default})."`
	Argon2Memory   uint32        `name:"argon2-memory" default:"19456" placeholder:"KIB" help:"Memory of argon2id for the passwords of new accounts, in KiB (${default})."`
	CacheBytes     int64         `default:"134217728" help:"Bytes of the store's block cache (${default})."`
}

// Run serves until a signal ends it.
func (c *serveCmd) Run(ctx context.Context, std stdio) error {
	log := c.logger(std)
	secure, err := c.tls()
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	st, where, err := c.open(ctx, log)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(&exitError{code: exitUsage, err: fmt.Errorf("cannot listen on %s: %w", c.Listen, err)}, st.Close())
	}
	s, err := server.New(ctx, st, c.config(log, secure))
	if err != nil {
		return errors.Join(&exitError{code: exitUsage, err: err}, listener.Close(), st.Close())
	}
	ready := fmt.Sprintf("ready grpc=%s store=%s", listener.Addr(), where)
	shown, closeDiagnostics, err := c.diagnose(s, log)
	if err != nil {
		return errors.Join(&exitError{code: exitUsage, err: err}, s.Shutdown(ctx), listener.Close(), st.Close())
	}
	defer closeDiagnostics()
	if shown != "" {
		ready += " diagnostics=" + shown
	}
	withdraw, err := c.announce(ctx, st)
	if err != nil {
		return errors.Join(&exitError{code: exitUsage, err: err}, s.Shutdown(ctx), listener.Close(), st.Close())
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	fmt.Fprintln(std.Out, ready)

	select {
	case sig := <-signals:
		log.Info("shutting down; a second signal ends at once", "signal", sig.String())
	case <-ctx.Done():
		log.Info("shutting down")
	case <-st.Failed():
		// Whatever is not acknowledged yet never will be. Serving on would only
		// hide that.
		return &exitError{code: exitFailed, err: fmt.Errorf("the store failed, nothing is acknowledged any more: %w", st.Err())}
	case err := <-served:
		return errors.Join(err, st.Close())
	}
	go func() {
		<-signals
		os.Exit(exitFailed)
	}()
	drain, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	if err := withdraw(drain); err != nil { // first, so that nobody is sent here any more
		log.Warn("other servers may name this one for a few seconds more", "error", err)
	}
	err = s.Shutdown(drain)
	if err != nil {
		log.Warn("the shutdown was not complete", "error", err)
	}
	if err := st.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	<-served
	log.Info("shut down")
	return nil
}

// open opens the store, and says where it is.
func (c *serveCmd) open(ctx context.Context, log *slog.Logger) (st store.Store, where string, err error) {
	if c.MongoDB == "" {
		if c.Advertise != "" {
			return nil, "", errors.New("--advertise is for servers that share a store: give --mongodb too")
		}
		st, err := embedded.Open(embedded.Config{Dir: c.Data, Logger: log, CacheBytes: c.Limits.CacheBytes})
		return st, "embedded:" + c.Data, err
	}
	m, err := mongo.Open(ctx, mongo.Config{URI: c.MongoDB, Database: c.Database, Logger: log})
	if err != nil {
		return nil, "", err
	}
	return m, "mongodb:" + m.Address(), nil
}

// announce makes the server known to the others on the store, if it is to be.
func (c *serveCmd) announce(ctx context.Context, st store.Store) (withdraw func(context.Context) error, err error) {
	shared, ok := st.(store.Shared)
	if !ok || c.Advertise == "" {
		return func(context.Context) error { return nil }, nil
	}
	if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
		return nil, fmt.Errorf("--advertise: %w; give HOST:PORT", err)
	}
	return shared.Withdraw, shared.Announce(ctx, c.Advertise)
}

// diagnose serves diagnostics if they are asked for, and returns where. stop ends
// that.
func (c *serveCmd) diagnose(s *server.Server, log *slog.Logger) (address string, stop func(), err error) {
	if c.Diagnostics == "" {
		return "", func() {}, nil
	}
	if !loopback(c.Diagnostics) && !c.Insecure {
		return "", nil, fmt.Errorf("--diagnostics %s is beyond loopback, and shows the server's inside to everybody there: give a loopback address, or --insecure", c.Diagnostics)
	}
	l, err := net.Listen("tcp", c.Diagnostics)
	if err != nil {
		return "", nil, fmt.Errorf("cannot serve diagnostics on %s: %w", c.Diagnostics, err)
	}
	// One of a hundred waits for a mutex: what a profile of them is made of.
	runtime.SetMutexProfileFraction(100)
	d := diagnostics.Start(l, func() any { return s.Stats() }, log)
	return l.Addr().String(), func() {
		if err := d.Close(); err != nil {
			log.Warn("diagnostics did not end in order", "error", err)
		}
	}, nil
}

func (c *serveCmd) logger(std stdio) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(std.Err, options))
	}
	return slog.New(slog.NewTextHandler(std.Err, options))
}

// tls is what connections are secured with, nil for plaintext.
func (c *serveCmd) tls() (*tls.Config, error) {
	switch {
	case c.TLSCert != "" && c.TLSKey != "":
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("cannot use the certificate: %w", err)
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
	case c.TLSCert != "" || c.TLSKey != "":
		return nil, errors.New("--tls-cert and --tls-key go together")
	case !c.Insecure && !loopback(c.Listen):
		return nil, fmt.Errorf("--listen %s is beyond loopback: give --tls-cert and --tls-key, or --insecure to serve plaintext", c.Listen)
	}
	return nil, nil
}

// loopback reports whether nobody beyond this machine reaches address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // net.Listen will say what is wrong
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *serveCmd) config(log *slog.Logger, secure *tls.Config) server.Config {
	l := c.Limits
	return server.Config{
		Engine: engine.Config{
			StreamLifetime: c.StreamLifetime, TailAge: l.TailAge, TailBytes: l.TailBytes,
			StallPatience: l.StallTimeout, GapPatience: l.GapPatience, BookmarkEvery: l.BookmarkEvery, Replies: l.Replies, StoreTimeout: l.StoreTimeout,
		},
		Pool:     pool.Config{Runners: l.Runners, Workers: l.Workers},
		Accounts: accounts.Config{TokenLifetime: c.TokenLifetime, Argon2: accounts.Argon2{Time: l.Argon2Time, MemoryKiB: l.Argon2Memory}},
		TLS:      secure, MaxMetadata: l.MaxMetadata, MaxMessage: l.MaxMessage, MaxStreams: l.MaxStreams,
		MaxIdle: l.MaxIdle, CommandTimeout: l.CommandTimeout, CutOff: l.CutOff, Logger: log,
	}
}
