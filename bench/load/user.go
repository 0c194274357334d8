package load

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

// User is an account that is logged in.
type User struct {
	ID, Token, Installation string

	conn     *grpc.ClientConn
	commands commandspb.ChatRoomMessagesServiceClient
}

// Room is a room as one who wants to join has to know it.
type Room struct{ ID, Password string }

// errRefused is what the server answers where it should have agreed.
var errRefused = errors.New("the server refused")

// setupAtOnce is how many calls a set-up has under way.
const setupAtOnce = 64

// signUp makes n new accounts and logs them in; the i-th uses the i-th
// connection. Hashing passwords is slow by design: some 30 ms of the server's
// time for each account, twice.
func signUp(ctx context.Context, n int, on *connections, did func()) ([]*User, error) {
	users := make([]*User, n)
	run := uuid.NewString()[:8]
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(setupAtOnce)
	for i := range users {
		group.Go(func() error {
			u, err := signUpOne(ctx, fmt.Sprintf("load %s %d", run, i), on.of(i))
			if err != nil {
				return fmt.Errorf("make account %d of %d: %w", i+1, n, err)
			}
			users[i] = u
			did()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return users, nil
}

func signUpOne(ctx context.Context, name string, conn *grpc.ClientConn) (*User, error) {
	const password = "correct horse battery staple"
	accounts := chatstreampb.NewAccountServiceClient(conn)
	if _, err := accounts.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: name, Password: password}); err != nil {
		return nil, err
	}
	u := &User{Installation: uuid.NewString()}
	u.use(conn)
	r, err := accounts.Login(ctx, &chatstreampb.LoginRequest{Name: name, Password: password, InstallationId: u.Installation})
	if err != nil {
		return nil, err
	}
	u.ID, u.Token = r.GetAccountId(), r.GetLoggedInToken()
	return u, nil
}

// use makes the user call on conn from now on.
func (u *User) use(conn *grpc.ClientConn) {
	u.conn, u.commands = conn, commandspb.NewChatRoomMessagesServiceClient(conn)
}

// version is what clients say they are.
const version = 3

func (u *User) login() *chatpb.LoginToServerBasicInfo {
	return &chatpb.LoginToServerBasicInfo{
		LetsGoVersion: version, CurrentAccountId: u.ID, LoggedInToken: u.Token, InstallationId: u.Installation,
	}
}

// Create makes a room.
func (u *User) Create(ctx context.Context) (Room, error) {
	r, err := u.commands.CreateChatRoomRPC(ctx, &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: "load"})
	if err != nil {
		return Room{}, fmt.Errorf("create a room: %w", err)
	}
	if s := r.GetReturnStatus(); s != chatpb.ReturnStatus_SUCCESS {
		return Room{}, fmt.Errorf("create a room: %w: %s", errRefused, s)
	}
	return Room{r.GetChatRoomId(), r.GetChatRoomPassword()}, nil
}

// Join joins a room, and returns the place of its last message.
func (u *User) Join(ctx context.Context, r Room) (seq uint64, err error) {
	answer, err := u.commands.JoinChatRoomRPC(ctx, &commandspb.JoinChatRoomRequest{
		LoginInfo: u.login(), ChatRoomId: r.ID, ChatRoomPassword: r.Password,
	})
	if err != nil {
		return 0, fmt.Errorf("join a room: %w", err)
	}
	for {
		part, err := answer.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return seq, nil
		case err != nil:
			return 0, fmt.Errorf("join a room: %w", err)
		case part.GetChatRoomStatus() != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED:
			return 0, fmt.Errorf("join a room: %w: %s", errRefused, part.GetChatRoomStatus())
		}
		for _, m := range part.GetMessagesList() {
			if s := m.GetReturnStatus(); m.GetPrimer() && s != chatpb.ReturnStatus_SUCCESS {
				return 0, fmt.Errorf("join a room: %w: %s", errRefused, s)
			}
			seq = max(seq, m.GetSeq())
		}
	}
}

// Leave leaves a room.
func (u *User) Leave(ctx context.Context, r Room) error {
	answer, err := u.commands.LeaveChatRoomRPC(ctx, &commandspb.LeaveChatRoomRequest{LoginInfo: u.login(), ChatRoomId: r.ID})
	if err != nil {
		return fmt.Errorf("leave a room: %w", err)
	}
	if s := answer.GetReturnStatus(); s != chatpb.ReturnStatus_SUCCESS {
		return fmt.Errorf("leave a room: %w: %s", errRefused, s)
	}
	return nil
}

// Send stores a text in a room and returns when that is acknowledged.
func (u *User) Send(ctx context.Context, room, text string) error {
	ctx, cancel := context.WithTimeout(ctx, settle) // the connection may have no room for a call
	defer cancel()
	r, err := u.commands.ClientMessageToServerRPC(ctx, &commandspb.ClientMessageToServerRequest{
		LoginInfo:   u.login(),
		MessageUuid: uuid.NewString(),
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
				TextMessage: &chatpb.TextChatMessage{MessageText: text},
			}},
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room},
		},
	})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if s := r.GetReturnStatus(); s != chatpb.ReturnStatus_SUCCESS || r.GetUserNotInChatRoom() {
		return fmt.Errorf("send: %w: %s, not in the room: %t", errRefused, s, r.GetUserNotInChatRoom())
	}
	return nil
}
