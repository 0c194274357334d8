package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/pprof"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress what they send
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/loadpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server/accounts"
	"github.com/chatstream/chatstream/store"
)

// Server serves the chat over gRPC.
type Server struct {
	cfg       Config
	log       *slog.Logger
	store     store.Store
	pool      *pool.Pool
	engine    *engine.Engine
	accounts  *accounts.Service
	grpc      *grpc.Server
	transport transport // what accepts connections: grpc, but for an experiment
	health    *health.Server
	commands  *gate
	conns     *connections
	// contact is nil where there can be no other servers on the store.
	contact *contact
	// roles label the goroutines of chat streams for profiles.
	roles struct{ handler, reader context.Context }
	// serving ends when only farewells are left to be said.
	serving    context.Context
	endServing context.CancelFunc
	readers    sync.WaitGroup
	keeper     sync.WaitGroup // of contact
}

// New makes a server over st, which stays the caller's to close, after
// Shutdown.
func New(ctx context.Context, st store.Store, cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	shared, isShared := st.(store.Shared)
	if isShared {
		cfg.Engine.Claims, cfg.Engine.Others = shared, shared.Servers
		cfg.Accounts.Recent = shared.RecentAccount
	}
	s := &Server{cfg: cfg, log: cfg.Logger, store: st, commands: newGate(), conns: newConnections()}

	s.roles.handler, s.roles.reader = role("stream handler"), role("stream reader")
	s.serving, s.endServing = context.WithCancel(context.Background())

	cfg.Pool.Logger = cfg.Logger
	cfg.Pool.OnPanic = func(t pool.Task, v any, stack []byte) { s.engine.TurnPanicked(t, v, stack) }
	var err error
	if s.pool, err = pool.New(cfg.Pool); err != nil {
		return nil, fmt.Errorf("start the worker pool: %w", err)
	}
	cfg.Engine.Logger, cfg.Engine.Box = cfg.Logger, box
	if s.engine, err = engine.New(ctx, st, s.pool, cfg.Engine); err != nil {
		return nil, errors.Join(err, s.pool.Close(ctx))
	}
	cfg.Accounts.Logger = cfg.Logger
	cfg.Accounts.Ended = func(account string, status chatpb.ReturnStatus, installation string) {
		s.engine.EndElsewhere(account, installation, withStatus(status))
	}
	s.accounts = accounts.New(st, cfg.Accounts)
	s.grpc = grpc.NewServer(s.options()...)
	s.health = health.NewServer()
	streampb.RegisterStreamChatServiceServer(s.grpc, chatService{Server: s})
	commandspb.RegisterChatRoomMessagesServiceServer(s.grpc, commandService{Server: s})
	loadpb.RegisterRetrieveServerLoadServiceServer(s.grpc, loadService{Server: s})
	chatstreampb.RegisterAccountServiceServer(s.grpc, s.accounts)
	chatstreampb.RegisterDeliveryServiceServer(s.grpc, deliveryService{Server: s})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.transport = s.newTransport()
	if isShared {
		s.contact = &contact{store: shared, patience: cfg.CutOff, log: cfg.Logger, ready: s.ready, sendAway: s.engine.SendAway}
		s.keeper.Go(func() { pprof.Do(s.serving, pprof.Labels("role", "cut-off watch"), s.contact.keep) })
	}
	return s, nil
}

// transport is what a grpc.Server is to the connections.
type transport interface {
	Serve(net.Listener) error
	GracefulStop()
	Stop()
}

func (s *Server) options() []grpc.ServerOption {
	creds := insecure.NewCredentials()
	if s.cfg.TLS != nil {
		creds = credentials.NewTLS(s.cfg.TLS)
	}
	// Buffers, windows and workers are left as grpc-go has them: no change of one of them gains more than chance, and
	// without a write buffer a delivery costs several times as much ("Settings of grpc-go" in BENCHMARKS.md).
	// bench/baseline has the same, and is to be changed with them.

	// Not all servers and connections at once.
	jittered := time.Duration(float64(s.cfg.Keepalive) * (0.9 + 0.2*rand.Float64()))
	return append([]grpc.ServerOption{
		grpc.Creds(tracked{creds}),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxHeaderListSize(s.cfg.MaxMetadata),
		grpc.MaxRecvMsgSize(s.cfg.MaxMessage),
		grpc.MaxConcurrentStreams(s.cfg.MaxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: s.cfg.MaxIdle,
			Time:              jittered,
			Timeout:           20 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             10 * time.Second,
			PermitWithoutStream: true,
		}),
		grpc.WaitForHandlers(true), // also when Stop cuts them off
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.InTapHandle(s.deadline),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.streaming),
	}, s.cfg.options...)
}

// handshakeTimeout is how long a new connection may take to say that it speaks
// HTTP/2.
const handshakeTimeout = 20 * time.Second

// role labels goroutines for profiles.
func role(name string) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels("role", name))
}

// Serve accepts connections on l until Shutdown. It labels its goroutine while it
// runs.
func (s *Server) Serve(l net.Listener) error {
	// What grpc-go starts from here inherits the label: connections and handlers.
	defer pprof.SetGoroutineLabels(context.Background())
	pprof.SetGoroutineLabels(role("transport"))
	s.ready(!s.contact.isCut())
	if err := s.transport.Serve(s.conns.listen(l)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// ready tells the health checks. After the beginning of a shutdown it does nothing.
func (s *Server) ready(is bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if is {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
}

// Stats are a server's counters: of its engine, and of the pool that gives the
// engine its turns.
type Stats struct {
	Engine engine.Stats
	Pool   pool.Stats
	// CutOff: the server does not hear what is stored by way of others.
	CutOff bool
}

// Stats returns the counters, each by itself: they are not a snapshot.
func (s *Server) Stats() Stats { return Stats{s.engine.Stats(), s.pool.Stats(), s.contact.isCut()} }

// Shutdown ends the server in order: not ready; no new streams (they are told
// SERVER_SHUTTING_DOWN) and no new commands; commands under way end; what is
// acknowledged is delivered; every stream ends with SERVER_SHUTTING_DOWN. When
// ctx ends first, the clients that have not read that are cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.health.Shutdown()
	s.engine.Refuse()
	s.commands.close()
	var errs []error
	if err := s.commands.wait(ctx); err != nil {
		errs = append(errs, errors.New("commands were still under way when the drain time was over"))
	}
	if err := s.engine.Drain(ctx); err != nil {
		errs = append(errs, errors.New("streams were still open when the drain time was over"))
	}
	// Until the last client has taken notice, or the time is over, those who
	// come are told where they are: SERVER_SHUTTING_DOWN, not a closed door.
	s.conns.settled(ctx)
	s.endServing()
	s.keeper.Wait()
	stopped := make(chan struct{})
	go func() {
		s.transport.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		s.log.Info("drain time is over: what is still connected is cut", "connections", s.conns.close())
		s.transport.Stop() // makes GracefulStop return
		<-stopped
	}
	s.readers.Wait()
	s.engine.Close()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.pool.Close(closing); err != nil {
		errs = append(errs, fmt.Errorf("stop the worker pool: %w", err))
	}
	return errors.Join(errs...)
}
