package client

import (
	"context"
	"fmt"
	"time"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
)

// version is what we say we are; servers accept 3 and above.
const version = 3

// Credentials are a login: an account, a token, and the installation that may
// use it.
type Credentials struct {
	// Name is the account's name, shown with one's own messages.
	Name           string
	AccountID      string
	Token          string
	InstallationID string
	Expires        time.Time
}

func (c Credentials) info() *chatpb.LoginToServerBasicInfo {
	return &chatpb.LoginToServerBasicInfo{
		LetsGoVersion:    version,
		CurrentAccountId: c.AccountID,
		LoggedInToken:    c.Token,
		InstallationId:   c.InstallationID,
	}
}

// CreateAccount makes an account and returns its id. It does not log it in.
// Errors: ErrNameTaken, ErrInvalid, or the gRPC status.
func (c *Client) CreateAccount(ctx context.Context, name, password string) (string, error) {
	r, err := c.accounts.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: name, Password: password})
	if err != nil {
		return "", fmt.Errorf("create account %s: %w", name, explain(err))
	}
	return r.GetAccountId(), nil
}

// Login logs the account in for one installation: a uuid that the program makes
// once and keeps. The account's other installations are logged out.
// Errors: ErrBadLogin, ErrInvalid, or the gRPC status.
func (c *Client) Login(ctx context.Context, name, password, installationID string) (Credentials, error) {
	r, err := c.accounts.Login(ctx, &chatstreampb.LoginRequest{Name: name, Password: password, InstallationId: installationID})
	if err != nil {
		return Credentials{}, fmt.Errorf("log in as %s: %w", name, explain(err))
	}
	return Credentials{
		Name:           name,
		AccountID:      r.GetAccountId(),
		Token:          r.GetLoggedInToken(),
		InstallationID: installationID,
		Expires:        time.UnixMilli(r.GetTokenExpiresAtMs()),
	}, nil
}

// Logout makes the token worthless and ends the account's stream.
func (c *Client) Logout(ctx context.Context, creds Credentials) error {
	if _, err := c.accounts.Logout(ctx, &chatstreampb.LogoutRequest{LoginInfo: creds.info()}); err != nil {
		return fmt.Errorf("log out: %w", explain(err))
	}
	return nil
}
