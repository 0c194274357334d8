package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/client/clienttest"
)

func TestAccounts(t *testing.T) {
	s := clienttest.Start(t)
	c, err := Dial(clienttest.Target, Insecure(), DialOptions(s.DialOptions()...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	id, err := c.CreateAccount(ctx, "ada", "secret")
	if err != nil || len(id) != 24 {
		t.Fatal(id, err)
	}
	if _, err := c.CreateAccount(ctx, "ada", "secret"); !errors.Is(err, ErrNameTaken) || status.Code(err) != codes.AlreadyExists {
		t.Errorf("twice: %v", err)
	}
	if _, err := c.CreateAccount(ctx, "", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("no name: %v", err)
	}
	if _, err := c.Login(ctx, "ada", "wrong", installation); !errors.Is(err, ErrBadLogin) {
		t.Errorf("wrong password: %v", err)
	}
	creds, err := c.Login(ctx, "ada", "secret", installation)
	if err != nil || creds.AccountID != id || creds.Name != "ada" || time.Until(creds.Expires) < time.Minute {
		t.Fatalf("%+v, %v", creds, err)
	}
	if err := c.Logout(ctx, creds); err != nil {
		t.Error(err)
	}
	if err := c.Logout(ctx, creds); !errors.Is(err, ErrBadLogin) {
		t.Errorf("logged out twice: %v", err)
	}
	s.Crash()
	if _, err := c.Login(ctx, "ada", "secret", installation); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no server: %v", err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	err := explain(status.Error(codes.AlreadyExists, "an account with that name exists"))
	if got, want := err.Error(), "the name is taken: log in, or choose another one: an account with that name exists"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for s, want := range statusErrors {
		err := error(&EndError{Stated: true, Reason: 1, Status: s})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestTLS(t *testing.T) {
	cert, ca := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(l)
	}()
	defer func() {
		g.Stop()
		<-served
	}()
	for name, c := range map[string]struct {
		opts []Option
		want codes.Code
	}{
		"the right authority":                 {[]Option{TLSCA(ca)}, codes.Unimplemented},
		"plaintext, as it is on this machine": {nil, codes.Unavailable},
	} {
		c2, err := Dial(l.Addr().String(), c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c2.CreateAccount(t.Context(), "ada", "secret"); status.Code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err := c2.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Dial("x:1", TLSCA(filepath.Join(t.TempDir(), "missing"))); err == nil {
		t.Error("a missing file is no error")
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial("x:1", TLSCA(empty)); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := Dial("x:1", TLSCA(ca), Insecure()); !errors.Is(err, ErrInvalid) {
		t.Errorf("both: %v", err)
	}
}

func TestLocalTargets(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:50051": true, "localhost:1": true, "[::1]:1": true, "unix:/tmp/x": true, "127.0.0.2": true,
		"example.com:443": false, "10.0.0.1:1": false, "dns:///localhost.example.com:1": false,
	} {
		if got := local(target); got != want {
			t.Errorf("local(%q) = %v", target, got)
		}
	}
}

// certificate makes a certificate for 127.0.0.1 and the file of its authority.
func certificate(t *testing.T) (tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
