package accounts

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

// dial serves f's service and connects to it.
func dial(t *testing.T, f *fixture, l net.Listener, how grpc.DialOption, target string) chatstreampb.AccountServiceClient {
	t.Helper()
	server := grpc.NewServer()
	chatstreampb.RegisterAccountServiceServer(server, f.Service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return chatstreampb.NewAccountServiceClient(conn)
}

// TestOverGRPC is a life: created, logged in, taken over, logged out.
func TestOverGRPC(t *testing.T) {
	f := start(t)
	l := bufconn.Listen(1 << 16)
	client := dial(t, f, l, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }), "passthrough:bufconn")
	ctx := t.Context()

	created, err := client.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: "Ann", Password: right})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: "ann", Password: right})
	wantError(t, err, codes.AlreadyExists)

	var logins []*chatpb.LoginToServerBasicInfo
	for _, installation := range []string{phone, tablet} {
		r, err := client.Login(ctx, &chatstreampb.LoginRequest{Name: "ann", Password: right, InstallationId: installation})
		if err != nil {
			t.Fatal(err)
		}
		if r.GetAccountId() != created.GetAccountId() {
			t.Errorf("account %s, want %s", r.GetAccountId(), created.GetAccountId())
		}
		login := &chatpb.LoginToServerBasicInfo{
			LetsGoVersion: 3, CurrentAccountId: r.GetAccountId(), LoggedInToken: r.GetLoggedInToken(), InstallationId: installation,
		}
		f.wantCheck(login, chatpb.ReturnStatus_SUCCESS)
		logins = append(logins, login)
	}
	f.wantEnded(ending{created.GetAccountId(), chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE, tablet})
	_, err = client.Logout(ctx, &chatstreampb.LogoutRequest{LoginInfo: logins[0]})
	wantError(t, err, codes.Unauthenticated, "another installation")
	if _, err = client.Logout(ctx, &chatstreampb.LogoutRequest{LoginInfo: logins[1]}); err != nil {
		t.Error(err)
	}
	f.wantEnded(ending{created.GetAccountId(), chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH, ""})

	for range nameBurst {
		_, err = client.Login(ctx, &chatstreampb.LoginRequest{Name: "Ann", Password: wrong, InstallationId: phone})
		wantError(t, err, codes.Unauthenticated)
	}
	_, err = client.Login(ctx, &chatstreampb.LoginRequest{Name: "Ann", Password: right, InstallationId: phone})
	wantError(t, err, codes.ResourceExhausted, "guesses")
	if got := retryIn(t, err); got != nameEvery {
		t.Errorf("retry in %v, want %v", got, nameEvery)
	}
}

// Over TCP the address of the caller is the one that counts.
func TestCallerOverTCP(t *testing.T) {
	f := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, f, l, grpc.WithUserAgent("test"), l.Addr().String())
	_, err = client.Login(t.Context(), &chatstreampb.LoginRequest{Name: "Ann", Password: wrong, InstallationId: phone})
	wantError(t, err, codes.Unauthenticated)
	if keys := f.guesses.peers.lru.Keys(); len(keys) != 1 || keys[0].String() != "127.0.0.1/32" {
		t.Errorf("callers %v", keys)
	}
}
