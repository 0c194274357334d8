package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server/accounts"
	"github.com/chatstream/chatstream/store/embedded"
)

// IgnoreCurrent is for the goroutines of ants' default pool, which exist from its
// import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// served is a server on a loopback port, over a store in memory.
type served struct {
	*Server
	t       *testing.T
	address string
	stopped bool
	done    sync.WaitGroup
	store   *embedded.Store
}

func serve(t *testing.T, cfg Config) *served {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg.Accounts.Argon2 = accounts.Argon2{Time: 1, MemoryKiB: 64, Threads: 1}
	st, err := embedded.Open(embedded.Config{Dir: "data", FS: vfs.NewMem(), Logger: cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &served{Server: s, t: t, address: listener.Addr().String(), store: st}
	v.done.Go(func() {
		if err := s.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(v.shutdown)
	return v
}

func (v *served) shutdown() {
	if v.stopped {
		return
	}
	v.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := v.Shutdown(ctx); err != nil {
		v.t.Error(err)
	}
	v.done.Wait()
	if err := v.store.Close(); err != nil {
		v.t.Error(err)
	}
}

// user is an account with a connection of its own.
type user struct {
	t        *testing.T
	cc       *grpc.ClientConn
	login    *chatpb.LoginToServerBasicInfo
	commands commandspb.ChatRoomMessagesServiceClient
	accounts chatstreampb.AccountServiceClient
}

func (v *served) user(name string) *user {
	v.t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+v.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { cc.Close() })
	u := &user{t: v.t, cc: cc, commands: commandspb.NewChatRoomMessagesServiceClient(cc), accounts: chatstreampb.NewAccountServiceClient(cc)}
	if _, err := u.accounts.CreateAccount(v.t.Context(), &chatstreampb.CreateAccountRequest{Name: name, Password: "password of " + name}); err != nil {
		v.t.Fatal(err)
	}
	installation := uuid.NewString()
	in, err := u.accounts.Login(v.t.Context(), &chatstreampb.LoginRequest{Name: name, Password: "password of " + name, InstallationId: installation})
	if err != nil {
		v.t.Fatal(err)
	}
	u.login = &chatpb.LoginToServerBasicInfo{
		LetsGoVersion: 3, CurrentAccountId: in.GetAccountId(), LoggedInToken: in.GetLoggedInToken(), InstallationId: installation,
	}
	return u
}

// open opens the user's chat stream.
func (u *user) open(rooms string) *chat {
	u.t.Helper()
	return u.openWith(keyRooms, rooms)
}

// openWith opens it with more metadata.
func (u *user) openWith(more ...string) *chat {
	u.t.Helper()
	ctx := metadata.AppendToOutgoingContext(u.t.Context(), append([]string{
		keyAccount, u.login.GetCurrentAccountId(), keyToken, u.login.GetLoggedInToken(),
		keyVersion, "3", keyInstallation, u.login.GetInstallationId()}, more...)...)
	stream, err := streampb.NewStreamChatServiceClient(u.cc).StreamChatRPC(ctx)
	if err != nil {
		u.t.Fatal(err)
	}
	return &chat{t: u.t, stream: stream}
}

func (u *user) create(name string) *commandspb.CreateChatRoomResponse {
	u.t.Helper()
	r, err := u.commands.CreateChatRoomRPC(u.t.Context(), &commandspb.CreateChatRoomRequest{LoginInfo: u.login, ChatRoomName: name})
	if err != nil || r.GetReturnStatus() != success {
		u.t.Fatalf("create: %v, %v", r, err)
	}
	return r
}

func (u *user) join(id, password string) []*chatpb.ChatMessageToClient {
	u.t.Helper()
	stream, err := u.commands.JoinChatRoomRPC(u.t.Context(), &commandspb.JoinChatRoomRequest{LoginInfo: u.login, ChatRoomId: id, ChatRoomPassword: password})
	if err != nil {
		u.t.Fatal(err)
	}
	var all []*chatpb.ChatMessageToClient
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			u.t.Fatal(err)
		}
		if r.GetChatRoomStatus() != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED {
			u.t.Fatalf("join: %v", r)
		}
		all = append(all, r.GetMessagesList()...)
	}
}

func (u *user) text(id, text string) *commandspb.ClientMessageToServerResponse {
	u.t.Helper()
	r, err := u.commands.ClientMessageToServerRPC(u.t.Context(), &commandspb.ClientMessageToServerRequest{
		LoginInfo: u.login, MessageUuid: uuid.NewString(),
		Message: &chatpb.TypeOfChatMessage{
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: id},
			MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
				TextMessage: &chatpb.TextChatMessage{MessageText: text},
			}},
		},
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return r
}

// chat is an open chat stream.
type chat struct {
	t      *testing.T
	stream grpc.BidiStreamingClient[streampb.ChatToServerRequest, streampb.ChatToClientResponse]
	queued []*chatpb.ChatMessageToClient
}

// initialized reads the initialization and returns its messages.
func (c *chat) initialized() []*chatpb.ChatMessageToClient {
	c.t.Helper()
	var all []*chatpb.ChatMessageToClient
	for {
		r, err := c.stream.Recv()
		if err != nil {
			c.t.Fatalf("initialization: %v, %v", err, c.stream.Trailer())
		}
		if r.GetInitialConnectionMessagesCompleteResponse() != nil {
			return all
		}
		all = append(all, r.GetInitialConnectionMessagesResponse().GetMessagesList()...)
	}
}

// next is the next live message.
func (c *chat) next() *chatpb.ChatMessageToClient {
	c.t.Helper()
	for len(c.queued) == 0 {
		r, err := c.stream.Recv()
		if err != nil {
			c.t.Fatalf("live: %v, %v", err, c.stream.Trailer())
		}
		c.queued = append(c.queued, r.GetReturnNewChatMessage().GetMessagesList()...)
	}
	m := c.queued[0]
	c.queued = c.queued[1:]
	return m
}

// end reads to the end and returns the trailing metadata.
func (c *chat) end() metadata.MD {
	c.t.Helper()
	for {
		if _, err := c.stream.Recv(); err != nil {
			if !errors.Is(err, io.EOF) {
				c.t.Errorf("the stream ended with %v", err)
			}
			return c.stream.Trailer()
		}
	}
}

func textOf(m *chatpb.ChatMessageToClient) string {
	return m.GetMessage().GetMessageSpecifics().GetTextMessage().GetMessageText()
}

func TestTwoPeopleChat(t *testing.T) {
	v := serve(t, Config{})
	ada, bob := v.user("ada"), v.user("bob")
	adas, bobs := ada.open(""), bob.open("")
	adas.initialized()
	bobs.initialized()
	r := ada.create("kitchen")
	if m := adas.next(); m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage().GetRepresentedMessageUuid() != r.GetCurrentUserJoinedChatMessage().GetMessageUuid() {
		t.Fatalf("ada's own join came as %v", m)
	}
	ada.text(r.GetChatRoomId(), "before bob")
	adas.next()
	history := bob.join(r.GetChatRoomId(), r.GetChatRoomPassword())
	var shown []string
	for _, m := range history {
		shown = append(shown, textOf(m))
	}
	if !slices.Contains(shown, "before bob") {
		t.Errorf("bob was shown %v", shown)
	}
	if m := bobs.next(); m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage() == nil {
		t.Errorf("bob's own join came as %v", m)
	}
	if m := adas.next(); m.GetMessage().GetMessageSpecifics().GetDifferentUserJoinedMessage().GetMemberInfo().GetUserInfo().GetAccountName() != "bob" {
		t.Errorf("bob's join came to ada as %v", m)
	}
	bob.text(r.GetChatRoomId(), "hello ada")
	if m := adas.next(); textOf(m) != "hello ada" || m.GetSentByAccountId() != bob.login.GetCurrentAccountId() {
		t.Errorf("ada got %v", m)
	}
	if m := bobs.next(); m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage() == nil {
		t.Errorf("bob got %v", m)
	}
}

func TestShutdownTellsStreams(t *testing.T) {
	v := serve(t, Config{})
	ada := v.user("ada")
	adas := ada.open("")
	adas.initialized()
	v.shutdown()
	if got := adas.end().Get(keyReason); !slices.Equal(got, []string{"4"}) {
		t.Errorf("the stream ended with reason %v", got)
	}
}

func TestRefusedWhileShuttingDown(t *testing.T) {
	v := serve(t, Config{})
	ada := v.user("ada")
	v.engine.Refuse()
	v.commands.close()
	if got := ada.open("").end().Get(keyReason); !slices.Equal(got, []string{"4"}) {
		t.Errorf("a new stream ended with reason %v", got)
	}
	_, err := ada.commands.CreateChatRoomRPC(t.Context(), &commandspb.CreateChatRoomRequest{LoginInfo: ada.login})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a command gave %v", err)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	v := serve(t, Config{})
	ada := v.user("ada")
	v.Server.store = nil // every command that uses it panics
	defer func() { v.Server.store = v.store }()
	r, err := ada.commands.CreateChatRoomRPC(t.Context(), &commandspb.CreateChatRoomRequest{LoginInfo: ada.login})
	if err != nil || r.GetReturnStatus() != internal {
		t.Errorf("%v, %v; want LG_ERROR", r, err)
	}
	j, err := ada.commands.JoinChatRoomRPC(t.Context(), &commandspb.JoinChatRoomRequest{LoginInfo: ada.login, ChatRoomId: "aaaaaaaa"})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := j.Recv(); err != nil || first.GetMessagesList()[0].GetReturnStatus() != internal {
		t.Errorf("%v, %v; want LG_ERROR", first, err)
	}
}

func TestNotServedYetIsSaid(t *testing.T) {
	v := serve(t, Config{})
	ada := v.user("ada")
	r := ada.create("kitchen")
	_, err := ada.commands.ClientMessageToServerRPC(t.Context(), &commandspb.ClientMessageToServerRequest{
		LoginInfo: ada.login, MessageUuid: uuid.NewString(),
		Message: &chatpb.TypeOfChatMessage{
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: r.GetChatRoomId()},
			MessageSpecifics:    &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_LocationMessage{LocationMessage: &chatpb.LocationChatMessage{}}},
		},
	})
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "location_message") {
		t.Errorf("%v", err)
	}
	if _, err := ada.commands.UnMatchRPC(t.Context(), &commandspb.UnMatchRequest{LoginInfo: ada.login}); status.Code(err) != codes.Unimplemented {
		t.Errorf("%v", err)
	}
}

// TestOversizedStreamRequestEndsTheStream: what a client may ask for at once is
// bounded before anything is made of it.
func TestOversizedStreamRequestEndsTheStream(t *testing.T) {
	v := serve(t, Config{})
	ada := v.user("ada")
	adas := ada.open("")
	adas.initialized()
	request := &streampb.RequestFullMessageInfoRequest{ChatRoomId: "aaaaaaaa"}
	for range maxStreamRequest / 2 {
		request.MessageUuidList = append(request.MessageUuidList, &streampb.MessageUUIDWithAmountOfMessage{})
	}
	err := adas.stream.Send(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RequestFullMessageInfo{
		RequestFullMessageInfo: request,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := adas.stream.Recv()
		if err != nil {
			break
		}
		t.Errorf("answered with %d entries", len(r.GetRequestFullMessageInfoResponse().GetFullMessages().GetFullMessageList()))
	}
}

// TestJoinerThatDoesNotReadHoldsNobodyUp: its history waits to be read, and the
// streams of the others are told of the shutdown all the same.
func TestJoinerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	v := serve(t, Config{})
	ada, bob := v.user("ada"), v.user("bob")
	r := ada.create("kitchen")
	text := strings.Repeat("x", 9000)
	for range 60 { // ten of them in full, and 50 skeletons, are more than the quota
		ada.text(r.GetChatRoomId(), text)
	}
	adas := ada.open(r.GetChatRoomId() + "::99999999999999::-1::0::")
	adas.initialized()
	_, err := bob.commands.JoinChatRoomRPC(t.Context(), &commandspb.JoinChatRoomRequest{
		LoginInfo: bob.login, ChatRoomId: r.GetChatRoomId(), ChatRoomPassword: r.GetChatRoomPassword(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for adas.next().GetMessage().GetMessageSpecifics().GetDifferentUserJoinedMessage() == nil {
	} // bob is in the room
	ended := make(chan metadata.MD, 1)
	go func() { ended <- adas.end() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	v.stopped = true
	_ = v.Shutdown(ctx) // bob's connection has to be cut
	v.done.Wait()
	if err := v.store.Close(); err != nil {
		t.Error(err)
	}
	if got := (<-ended).Get(keyReason); !slices.Equal(got, []string{"4"}) {
		t.Errorf("ada's stream ended with reason %v", got)
	}
}

// TestWatcherOfTheHealthHoldsNobodyUp: a client may watch for as long as there
// is anything to watch.
func TestWatcherOfTheHealthHoldsNobodyUp(t *testing.T) {
	v := serve(t, Config{})
	watch, err := grpc_health_v1.NewHealthClient(v.user("ada").cc).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := watch.Recv(); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	v.stopped = true
	if err := v.Shutdown(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
	v.done.Wait()
	if err := v.store.Close(); err != nil {
		t.Error(err)
	}
}
