package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/loadpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// api is one connection to a server, with the generated stubs and nothing else
// of ours.
type api struct {
	server   *served
	conn     *grpc.ClientConn
	accounts chatstreampb.AccountServiceClient
	commands commandspb.ChatRoomMessagesServiceClient
	chat     streampb.StreamChatServiceClient
	load     loadpb.RetrieveServerLoadServiceClient
}

// dial connects to the server; options may replace plaintext.
func (v *served) dial(t testing.TB, opts ...grpc.DialOption) *api {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	conn, err := grpc.NewClient("passthrough:///"+v.addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &api{
		server:   v,
		conn:     conn,
		accounts: chatstreampb.NewAccountServiceClient(conn),
		commands: commandspb.NewChatRoomMessagesServiceClient(conn),
		chat:     streampb.NewStreamChatServiceClient(conn),
		load:     loadpb.NewRetrieveServerLoadServiceClient(conn),
	}
}

// user is an account that is logged in.
type user struct {
	*api
	name, password, installation string
	id, token                    string
}

// signUp makes a new account and logs in.
func (a *api) signUp(t testing.TB) *user {
	t.Helper()
	u := &user{api: a, name: "ada " + uuid.NewString()[:13], password: "correct horse battery", installation: uuid.NewString()}
	if _, err := u.accounts.CreateAccount(soon(t), &chatstreampb.CreateAccountRequest{Name: u.name, Password: u.password}); err != nil {
		t.Fatal(err)
	}
	u.logIn(t)
	return u
}

// logIn logs in and returns when the token expires.
func (u *user) logIn(t testing.TB) time.Time {
	t.Helper()
	r, err := u.accounts.Login(soon(t), &chatstreampb.LoginRequest{Name: u.name, Password: u.password, InstallationId: u.installation})
	if err != nil {
		t.Fatal(err)
	}
	u.id, u.token = r.GetAccountId(), r.GetLoggedInToken()
	return time.UnixMilli(r.GetTokenExpiresAtMs())
}

// elsewhere is the same account with another installation, not logged in yet.
func (u *user) elsewhere() *user {
	other := *u
	other.installation, other.token = uuid.NewString(), ""
	return &other
}

// at is the same user on another connection.
func (u *user) at(a *api) *user {
	other := *u
	other.api = a
	return &other
}

// login is what authenticates a command.
func (u *user) login() *chatpb.LoginToServerBasicInfo {
	return &chatpb.LoginToServerBasicInfo{
		LetsGoVersion: 3, CurrentAccountId: u.id, LoggedInToken: u.token, InstallationId: u.installation,
	}
}

// chatRoom is a room as one who wants to join has to know it.
type chatRoom struct{ id, name, password string }

func (u *user) create(t testing.TB, name string) chatRoom {
	t.Helper()
	r, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: name})
	if err != nil || r.GetReturnStatus() != success {
		t.Fatalf("create: %v, %v", r, err)
	}
	return chatRoom{r.GetChatRoomId(), r.GetChatRoomName(), r.GetChatRoomPassword()}
}

// joined is what JoinChatRoomRPC answered.
type joined struct {
	status   chatpb.ReturnStatus
	outcome  commandspb.ChatRoomStatus
	messages []*chatpb.ChatMessageToClient // without the primer
	primers  int
}

// time is that of the own join, the position to connect with.
func (j joined) time() int64 {
	for _, m := range slices.Backward(j.messages) {
		if m.GetTimestampStored() > 0 {
			return m.GetTimestampStored()
		}
	}
	return -1
}

func (u *user) tryJoin(ctx context.Context, r chatRoom) (joined, error) {
	rpc, err := u.commands.JoinChatRoomRPC(ctx, &commandspb.JoinChatRoomRequest{LoginInfo: u.login(), ChatRoomId: r.id, ChatRoomPassword: r.password})
	if err != nil {
		return joined{}, err
	}
	var j joined
	for first := true; ; first = false {
		part, err := rpc.Recv()
		if errors.Is(err, io.EOF) {
			return j, nil
		}
		if err != nil {
			return j, err
		}
		for _, m := range part.GetMessagesList() {
			if !m.GetPrimer() {
				j.messages = append(j.messages, m)
				continue
			}
			j.primers++
			if first {
				j.status, j.outcome = m.GetReturnStatus(), part.GetChatRoomStatus()
			}
		}
	}
}

func (u *user) join(t testing.TB, r chatRoom) joined {
	t.Helper()
	j, err := u.tryJoin(soon(t), r)
	if err != nil || j.status != success || j.outcome != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED {
		t.Fatalf("join: %v, %v, %v", j.status, j.outcome, err)
	}
	return j
}

func (u *user) leave(t testing.TB, r chatRoom) int64 {
	t.Helper()
	resp, err := u.commands.LeaveChatRoomRPC(soon(t), &commandspb.LeaveChatRoomRequest{LoginInfo: u.login(), ChatRoomId: r.id})
	if err != nil || resp.GetReturnStatus() != success {
		t.Fatalf("leave: %v, %v", resp, err)
	}
	return resp.GetTimestampStored()
}

func (u *user) remove(t testing.TB, r chatRoom, kind commandspb.RemoveFromChatRoomRequest_KickOrBan, who, id string) *commandspb.RemoveFromChatRoomResponse {
	t.Helper()
	resp, err := u.commands.RemoveFromChatRoomRPC(soon(t), &commandspb.RemoveFromChatRoomRequest{
		LoginInfo: u.login(), MessageUuid: id, KickOrBan: kind, ChatRoomId: r.id, AccountIdToRemove: who,
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// expel removes who, which must succeed, and returns when.
func (u *user) expel(t testing.TB, r chatRoom, kind commandspb.RemoveFromChatRoomRequest_KickOrBan, who *user) int64 {
	t.Helper()
	resp := u.remove(t, r, kind, who.id, uuid.NewString())
	if resp.GetReturnStatus() != success || resp.GetOperationFailed() || resp.GetTimestampStored() <= 0 {
		t.Fatalf("%v: %v", kind, resp)
	}
	return resp.GetTimestampStored()
}

// sent is a message that the server has acknowledged.
type sent struct {
	uuid, text string
	time       int64
}

// say sends a text that must be accepted.
func (u *user) say(t testing.TB, r chatRoom, text string) sent {
	t.Helper()
	return u.sayAs(t, r, text, uuid.NewString())
}

func (u *user) sayAs(t testing.TB, r chatRoom, text, id string) sent {
	t.Helper()
	s, err := u.trySay(soon(t), r, text, id)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	return s
}

// trySay is for goroutines other than the test's.
func (u *user) trySay(ctx context.Context, r chatRoom, text, id string) (sent, error) {
	resp, err := u.commands.ClientMessageToServerRPC(ctx, u.textRequest(r, text, id))
	if err != nil {
		return sent{}, err
	}
	if resp.GetReturnStatus() != success || resp.GetUserNotInChatRoom() || resp.GetTimestampStored() <= 0 {
		return sent{}, fmt.Errorf("send: %v", resp)
	}
	return sent{uuid: id, text: text, time: resp.GetTimestampStored()}, nil
}

func (u *user) textRequest(r chatRoom, text, id string) *commandspb.ClientMessageToServerRequest {
	return &commandspb.ClientMessageToServerRequest{LoginInfo: u.login(), MessageUuid: id, Message: message(r.id, textBody(text))}
}

// post sends any kind of message.
func (u *user) post(t testing.TB, roomID, id string, body *chatpb.MessageSpecifics) (*commandspb.ClientMessageToServerResponse, error) {
	t.Helper()
	return u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
		LoginInfo: u.login(), MessageUuid: id, Message: message(roomID, body),
	})
}

// observe tells the server that the user looked at the room at that time.
func (u *user) observe(t testing.TB, r chatRoom, at int64) *commandspb.ClientMessageToServerResponse {
	t.Helper()
	resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
		LoginInfo: u.login(), TimestampObserved: at, Message: message(r.id, observedBody()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func message(roomID string, body *chatpb.MessageSpecifics) *chatpb.TypeOfChatMessage {
	return &chatpb.TypeOfChatMessage{
		MessageSpecifics:    body,
		StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: roomID},
	}
}

func textBody(text string) *chatpb.MessageSpecifics {
	return &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{TextMessage: &chatpb.TextChatMessage{MessageText: text}}}
}

func observedBody() *chatpb.MessageSpecifics {
	return &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{
		UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{},
	}}
}

// history is what a room holds, as a member without anything gets it. It
// replaces the user's stream.
func (u *user) history(t testing.TB, r chatRoom) []*chatpb.ChatMessageToClient {
	t.Helper()
	s := u.open(t, position{room: r.id, updated: -1, viewed: never})
	defer s.cancel()
	return slices.DeleteFunc(s.initial(), func(m *chatpb.ChatMessageToClient) bool { return viewOf(m).room != r.id })
}

// never is a time that is not reached.
const never = 99999999999999

// someOID and badOID are ids that nobody has.
func someOID() string { return strings.Repeat("ab", 12) }
