package clienttest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// RawStream is the server's end of a chat stream.
type RawStream = grpc.BidiStreamingServer[streampb.ChatToServerRequest, streampb.ChatToClientResponse]

// RawJoin is the server's end of a JoinChatRoomRPC.
type RawJoin = grpc.ServerStreamingServer[commandspb.JoinChatRoomResponse]

// Server is the server. The exported fields may be set before Start; the
// functions are called without a lock.
type Server struct {
	// Script, if not nil, answers streams in place of the server. n counts the
	// streams from 1.
	Script func(n int, st RawStream) error
	// Join, if not nil, answers joins in place of the server.
	Join func(r *commandspb.JoinChatRoomRequest, st RawJoin) error
	// BeforeJoinEnds, if not nil, is called when a room was joined and
	// described, but for the end of the description.
	BeforeJoinEnds func(room string) error
	// Unary, if not nil, is called instead of each unary call, and calls it with
	// next.
	Unary func(method string, request any, next func() (any, error)) (any, error)
	// Lookup, if not nil, may answer a request for full messages in place of the
	// server, by returning an answer.
	Lookup func(r *streampb.RequestFullMessageInfoRequest) *streampb.RequestFullMessageInfoResponse
	// Places makes the server say where messages are in their room's log, and
	// take the places that clients name. It is set before rooms are made.
	Places bool
	// Lifetime of streams and of tokens; zero means 30 min.
	StreamLifetime, TokenLifetime time.Duration

	mu       sync.Mutex
	listener *bufconn.Listener
	grpc     *grpc.Server
	served   chan struct{}

	accounts map[string]*account // by name
	rooms    map[string]*room
	streams  map[*stream]struct{}
	opened   []metadata.MD
	requests []*streampb.ChatToServerRequest
	nextRoom int
}

// New makes a server that is not started.
func New() *Server {
	return &Server{
		accounts: make(map[string]*account),
		rooms:    make(map[string]*room),
		streams:  make(map[*stream]struct{}),
	}
}

// Start makes a server that is running until the test ends.
func Start(t testing.TB) *Server {
	s := New()
	s.Start()
	t.Cleanup(s.Crash)
	return s
}

// Start starts it, for the first time or after a crash: what it stored is there.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grpc != nil {
		return
	}
	s.listener = bufconn.Listen(1 << 20)
	s.grpc = grpc.NewServer(grpc.MaxHeaderListSize(1<<20), grpc.UnaryInterceptor(s.unary),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}))
	chatstreampb.RegisterAccountServiceServer(s.grpc, accounts{Server: s})
	streampb.RegisterStreamChatServiceServer(s.grpc, streams{Server: s})
	chatstreampb.RegisterDeliveryServiceServer(s.grpc, deliveries{Server: s})
	commandspb.RegisterChatRoomMessagesServiceServer(s.grpc, commands{Server: s})
	served := make(chan struct{})
	s.served = served
	go func(g *grpc.Server, l net.Listener) {
		defer close(served)
		_ = g.Serve(l)
	}(s.grpc, s.listener)
}

// Crash ends it at once, without a word to anybody. No-op if it is not running.
func (s *Server) Crash() {
	s.mu.Lock()
	g, served := s.grpc, s.served
	s.grpc, s.listener = nil, nil
	s.mu.Unlock()
	if g != nil {
		g.Stop()
		<-served
	}
}

// DialOptions connect a client to the server, whatever the target.
func (s *Server) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			s.mu.Lock()
			l := s.listener
			s.mu.Unlock()
			if l == nil {
				return nil, errors.New("connection refused")
			}
			return l.DialContext(ctx)
		}),
	}
}

// Target is what to dial with DialOptions.
const Target = "passthrough:///clienttest"

// Opened are the metadata of the streams that were opened.
func (s *Server) Opened() []metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]metadata.MD(nil), s.opened...)
}

// Requests are what clients asked for on streams.
func (s *Server) Requests() []*streampb.ChatToServerRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*streampb.ChatToServerRequest(nil), s.requests...)
}

// Break ends all streams without trailing metadata.
func (s *Server) Break() { s.each(func(st *stream) { st.end(ending{broken: true}) }) }

// End ends all streams with a reason.
func (s *Server) End(reason streampb.StreamDownReasons, outcome chatpb.ReturnStatus, installation string) {
	s.each(func(st *stream) { st.end(ending{reason: reason, status: outcome, installation: installation}) })
}

func (s *Server) each(f func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		f(st)
	}
}

func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	next := func() (any, error) { return handler(ctx, request) }
	if s.Unary == nil {
		return next()
	}
	return s.Unary(info.FullMethod, request, next)
}

// account is a login.
type account struct {
	id, name, password  string
	token, installation string
	expires             time.Time
	ban                 bool
	viewed              map[string]int64
}

type accounts struct {
	chatstreampb.UnimplementedAccountServiceServer
	*Server
}

func (a accounts) CreateAccount(_ context.Context, r *chatstreampb.CreateAccountRequest) (*chatstreampb.CreateAccountResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.GetName() == "" || r.GetPassword() == "":
		return nil, status.Error(codes.InvalidArgument, "a name and a password are needed")
	case a.accounts[r.GetName()] != nil:
		return nil, status.Error(codes.AlreadyExists, "an account with that name exists")
	}
	acc := &account{id: oid(), name: r.GetName(), password: r.GetPassword(), viewed: make(map[string]int64)}
	a.accounts[acc.name] = acc
	return &chatstreampb.CreateAccountResponse{AccountId: acc.id}, nil
}

func (a accounts) Login(_ context.Context, r *chatstreampb.LoginRequest) (*chatstreampb.LoginResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.accounts[r.GetName()]
	if acc == nil || acc.password != r.GetPassword() {
		return nil, status.Error(codes.Unauthenticated, "no such name, or a wrong password")
	}
	if len(r.GetInstallationId()) != 36 {
		return nil, status.Error(codes.InvalidArgument, "the installation id is not a uuid")
	}
	life := a.TokenLifetime
	if life == 0 {
		life = 30 * time.Minute
	}
	now := time.Now()
	if acc.installation != r.GetInstallationId() {
		a.endLocked(acc, ending{reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, status: chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE})
	}
	if acc.installation != r.GetInstallationId() || !now.Before(acc.expires) {
		acc.token = oid()
	}
	acc.installation, acc.expires = r.GetInstallationId(), now.Add(life)
	return &chatstreampb.LoginResponse{AccountId: acc.id, LoggedInToken: acc.token, TokenExpiresAtMs: acc.expires.UnixMilli()}, nil
}

func (a accounts) Logout(_ context.Context, r *chatstreampb.LogoutRequest) (*chatstreampb.LogoutResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc, outcome := a.check(r.GetLoginInfo())
	if outcome != chatpb.ReturnStatus_SUCCESS {
		return nil, status.Error(codes.Unauthenticated, outcome.String())
	}
	acc.token = oid()
	a.endLocked(acc, ending{reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, status: chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH})
	return &chatstreampb.LogoutResponse{}, nil
}

func (s *Server) endLocked(acc *account, e ending) {
	for st := range s.streams {
		if st.account == acc {
			st.end(e)
		}
	}
}

// check is the login check of section 3 of the behaviour. mu is held.
func (s *Server) check(l *chatpb.LoginToServerBasicInfo) (*account, chatpb.ReturnStatus) {
	if l.GetLetsGoVersion() < 3 {
		return nil, chatpb.ReturnStatus_OUTDATED_VERSION
	}
	for _, acc := range s.accounts {
		if acc.id != l.GetCurrentAccountId() {
			continue
		}
		switch {
		case acc.ban:
			return nil, chatpb.ReturnStatus_ACCOUNT_BANNED
		case acc.installation != l.GetInstallationId():
			return nil, chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE
		case acc.token == l.GetLoggedInToken() && !time.Now().Before(acc.expires):
			return nil, chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED
		case acc.token != l.GetLoggedInToken():
			return nil, chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH
		}
		return acc, chatpb.ReturnStatus_SUCCESS
	}
	return nil, chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT
}

// BanAccount makes an account useless.
func (s *Server) BanAccount(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.accounts[name]
	acc.ban = true
	s.endLocked(acc, ending{reason: streampb.StreamDownReasons_RETURN_STATUS_ATTACHED, status: chatpb.ReturnStatus_ACCOUNT_BANNED})
}

func oid() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
