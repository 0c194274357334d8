package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/term"

	"github.com/chatstream/chatstream/client"
)

// chatCmd is `chatstream chat`.
type chatCmd struct {
	Name         string        `required:"" placeholder:"NAME" help:"Name of the account. It is created on first use."`
	Server       string        `default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"The server (${default})."`
	TLSCA        string        `name:"tls-ca" type:"existingfile" placeholder:"FILE" help:"Certificate authority to trust, PEM, instead of the system's."`
	Plaintext    bool          `help:"Do not encrypt, not even to another machine: passwords can be read on the way."`
	Linger       time.Duration `default:"0s" help:"From a script: how long to stay for messages after the end of the input (${default})."`
	Installation string        `placeholder:"UUID" help:"Id of this installation; made and kept by default."`
	StateDir     string        `type:"path" placeholder:"DIR" help:"Where installation ids are kept (the user's configuration directory)."`
}

// shownOnSelect is how many messages of a room are shown when it is selected.
const shownOnSelect = 50

// Run chats until the input ends, or the person leaves.
func (c *chatCmd) Run(ctx context.Context, std stdio) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	password, err := c.password(std)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	installation, known, err := c.installation()
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	var options []client.Option
	if c.TLSCA != "" {
		options = append(options, client.TLSCA(c.TLSCA))
	}
	if c.Plaintext {
		options = append(options, client.Insecure())
	}
	conn, err := client.Dial(c.Server, options...)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	defer conn.Close()

	login := func(ctx context.Context) (client.Credentials, error) {
		return conn.Login(ctx, c.Name, password, installation)
	}
	creds, err := c.enter(ctx, conn, login, password, known)
	if err != nil {
		return err
	}
	session, err := conn.Open(creds, client.Relogin(login), client.FullText(), client.FullHistory(shownOnSelect))
	if err != nil {
		return err
	}
	defer session.Close()
	if std.Terminal {
		return runTerminal(ctx, session, c, std)
	}
	return runPlain(ctx, session, c, std)
}

// enter logs in, and creates the account if that is what it takes. Where this
// installation has been used before, the account is expected to exist; asking
// the wrong way round first would count as guessing.
func (c *chatCmd) enter(ctx context.Context, conn *client.Client, login func(context.Context) (client.Credentials, error), password string, known bool) (client.Credentials, error) {
	if known {
		creds, err := login(ctx)
		if !errors.Is(err, client.ErrBadLogin) {
			return creds, err
		}
	}
	if _, err := conn.CreateAccount(ctx, c.Name, password); err != nil && !errors.Is(err, client.ErrNameTaken) {
		return client.Credentials{}, err
	}
	creds, err := login(ctx)
	if errors.Is(err, client.ErrBadLogin) {
		err = fmt.Errorf("%w; if the name is not yours, choose another one", err)
	}
	return creds, err
}

// password takes the password from the environment, or asks for it.
func (c *chatCmd) password(std stdio) (string, error) {
	if p := os.Getenv("CHATSTREAM_PASSWORD"); p != "" {
		return p, nil
	}
	in, isFile := std.In.(*os.File)
	if !std.Terminal || !isFile {
		return "", errors.New("no password: set CHATSTREAM_PASSWORD, since standard input is not a terminal to ask on")
	}
	fmt.Fprintf(std.Err, "Password of %s: ", c.Name)
	p, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(std.Err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(p), nil
}

// installation returns the id of this installation for this account, and
// whether it had been used before. One account is logged in on one installation
// at a time, so each account has an id of its own: two people on one machine do
// not end each other's streams.
func (c *chatCmd) installation() (id string, known bool, err error) {
	if c.Installation != "" {
		if _, err := uuid.Parse(c.Installation); err != nil {
			return "", false, fmt.Errorf("--installation: %w", err)
		}
		return c.Installation, true, nil
	}
	dir := c.StateDir
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return "", false, fmt.Errorf("where to keep the installation id: %w; give --state-dir", err)
		}
		dir = filepath.Join(base, "chatstream")
	}
	key := sha256.Sum256([]byte(c.Server + "\x00" + c.Name))
	file := filepath.Join(dir, "installation-"+hex.EncodeToString(key[:8]))
	kept, err := os.ReadFile(file)
	if err == nil {
		id := strings.TrimSpace(string(kept))
		if _, err := uuid.Parse(id); err != nil {
			return "", false, fmt.Errorf("%s does not hold an installation id: delete it, and a new one is made", file)
		}
		return id, true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("read the installation id: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", false, fmt.Errorf("keep the installation id: %w", err)
	}
	id = uuid.NewString()
	if err := os.WriteFile(file, []byte(id+"\n"), 0o600); err != nil {
		return "", false, fmt.Errorf("keep the installation id: %w", err)
	}
	return id, false, nil
}
