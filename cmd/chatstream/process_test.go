package main_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/loadpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server"
)

// TestCannotStart: whatever makes it impossible to serve is told in one line,
// with exit code 2.
func TestCannotStart(t *testing.T) {
	noLeaks(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cert, key, _ := makeCertificate(t)
	for name, tt := range map[string]struct {
		args []string
		env  []string
		says string
	}{
		"unknown flag":            {args: []string{"--nonsense"}, says: "nonsense"},
		"unknown argument":        {args: []string{"nonsense"}, says: "nonsense"},
		"value of no duration":    {args: []string{"--stream-lifetime=soon"}, says: "stream-lifetime"},
		"value of no number":      {args: []string{"--workers=many"}, says: "workers"},
		"unknown log format":      {args: []string{"--log-format=xml"}, says: "log-format"},
		"unknown log level":       {args: []string{"--log-level=loud"}, says: "log-level"},
		"wrong environment":       {env: []string{"CHATSTREAM_DRAIN_TIMEOUT=soon"}, says: "DRAIN_TIMEOUT"},
		"directory is a file":     {args: []string{"--data=" + file}, says: file},
		"directory below a file":  {args: []string{"--data=" + filepath.Join(file, "data")}, says: file},
		"address taken":           {args: []string{"--listen=" + taken.Addr().String()}, says: taken.Addr().String()},
		"address without port":    {args: []string{"--listen=127.0.0.1"}, says: "127.0.0.1"},
		"plaintext everywhere":    {args: []string{"--listen=0.0.0.0:0"}, says: "insecure"},
		"plaintext without host":  {args: []string{"--listen=:0"}, says: "insecure"},
		"plaintext on IPv6":       {args: []string{"--listen=[::]:0"}, says: "insecure"},
		"certificate without key": {args: []string{"--tls-cert=" + cert}, says: "tls-key"},
		"key without certificate": {args: []string{"--tls-key=" + key}, says: "tls-cert"},
		"no certificate":          {args: []string{"--tls-cert=" + file, "--tls-key=" + key}, says: ""},
		"certificate is missing":  {args: []string{"--tls-cert=" + cert + ".no", "--tls-key=" + key}, says: cert + ".no"},
		"diagnostics everywhere":  {args: []string{"--diagnostics=:0"}, says: "--diagnostics :0 is beyond loopback"},
		"diagnostics are taken":   {args: []string{"--diagnostics=" + taken.Addr().String()}, says: taken.Addr().String()},
		"no time for a stream":    {args: []string{"--stream-lifetime=-1s"}, says: "lifetime"},
		"no time for a token":     {args: []string{"--token-lifetime=-1s"}, says: "lifetime"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"serve", "--listen=127.0.0.1:0", "--data=" + filepath.Join(t.TempDir(), "data")}
			p := launch(t, tt.env, append(args, tt.args...)...)
			wantRefusal(t, p, tt.says)
		})
	}
}

// wantRefusal checks that the program ended with code 2, one line on standard
// error and none on standard output.
func wantRefusal(t *testing.T, p *process, says string) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		t.Fatalf("it serves: %q", p.stdout.String())
	}
	lines := p.stderr.lines()
	if p.code() != 2 || len(lines) != 1 || p.stdout.String() != "" || !strings.Contains(p.stderr.String(), says) {
		t.Errorf("exit code %d, standard output %q, standard error (%d lines, want one with %q):\n%s",
			p.code(), p.stdout.String(), len(lines), says, p.stderr.String())
	}
}

// TestUnknownCommand: the same for the program itself.
func TestUnknownCommand(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"--nonsense"}, {}} {
		wantRefusal(t, launch(t, nil, args...), "")
	}
}

// TestOneServerPerDirectory: a second process on the same directory is refused,
// the first is not disturbed, and its end frees the directory.
func TestOneServerPerDirectory(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := serve(t, "--data="+dir)
	wantRefusal(t, launch(t, nil, "serve", "--listen=127.0.0.1:0", "--data="+dir), dir)
	dial(t, p.addr).signUp(t)
	p.kill()
	dial(t, serve(t, "--data="+dir).addr).signUp(t)
}

// TestReadyLine: it is the only line on standard output, and says where the
// server is.
func TestReadyLine(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "some data")
	p := launch(t, nil, "serve", "--listen=127.0.0.1:0", "--data="+dir)
	if got := p.ready(); got != dir {
		t.Errorf("store %q, want %q", got, dir)
	}
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil || host != "127.0.0.1" || port == "0" {
		t.Errorf("address %q (%v)", p.addr, err)
	}
	u := dial(t, p.addr).signUp(t)
	u.open(t).initial()
	if code := stop(p); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if want := fmt.Sprintf("ready grpc=%s store=embedded:%s\n", p.addr, dir); p.stdout.String() != want {
		t.Errorf("standard output %q, want %q", p.stdout.String(), want)
	}
}

// TestDiagnostics: the ready line says where they are, they show the counters of
// the server and its goroutines by what they do, and they end with the server.
func TestDiagnostics(t *testing.T) {
	noLeaks(t)
	p := serve(t, "--diagnostics=127.0.0.1:0")
	_, address, found := strings.Cut(strings.TrimSpace(p.stdout.String()), " diagnostics=")
	if !found {
		t.Fatalf("standard output %q", p.stdout.String())
	}
	get := func(path string) string {
		t.Helper()
		r, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, r.Status, err)
		}
		return string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()
	dial(t, p.addr).signUp(t).open(t).initial()
	var shown struct{ Server server.Stats }
	if err := json.Unmarshal([]byte(get("/debug/stats")), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Server.Engine.Streams != 1 || shown.Server.Pool.Turns == 0 {
		t.Errorf("with one stream: %+v", shown.Server)
	}
	goroutines := get("/debug/pprof/goroutine?debug=1")
	for _, role := range []string{"runner", "feed", "sweeper", "committer", "syncer", "transport", "stream handler", "stream reader"} {
		if !strings.Contains(goroutines, fmt.Sprintf(`"role":%q`, role)) {
			t.Errorf("no goroutine is labelled %s", role)
		}
	}
	if code := stop(p); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestEnvironment: every flag is an environment variable too, and the flag wins.
func TestEnvironment(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, []string{
		"CHATSTREAM_LISTEN=127.0.0.1:0", "CHATSTREAM_DATA=" + dir, "CHATSTREAM_STREAM_LIFETIME=7m",
		"CHATSTREAM_TOKEN_LIFETIME=1h", "CHATSTREAM_LOG_FORMAT=json", "CHATSTREAM_LOG_LEVEL=debug",
	}, "serve", "--stream-lifetime=5m")
	if got := p.ready(); got != dir {
		t.Errorf("store %q, want %q", got, dir)
	}
	u := dial(t, p.addr).signUp(t)
	if got := u.open(t).next().GetInitialConnectionPrimerResponse().GetTimeUntilChatStreamExpiresInMillis(); got != 5*60_000 {
		t.Errorf("a stream lives %d ms, want 5 minutes", got)
	}
	r, err := u.accounts.Login(soon(t), &chatstreampb.LoginRequest{Name: u.name, Password: u.password, InstallationId: u.installation})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.UnixMilli(r.GetTokenExpiresAtMs())); left < 50*time.Minute || left > time.Hour {
		t.Errorf("a token lives %v, want an hour", left)
	}
	stop(p)
	wantJSON(t, p)
}

func wantJSON(t *testing.T, p *process) {
	t.Helper()
	lines := p.stderr.lines()
	if len(lines) == 0 {
		t.Error("nothing logged")
	}
	for _, line := range lines {
		var entry struct {
			Time  time.Time
			Level string
			Msg   string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" {
			t.Errorf("not a log entry (%v): %s", err, line)
		}
	}
}

// TestNothingPrivateInLogs: not even at level debug do messages, passwords,
// tokens or room passwords appear.
func TestNothingPrivateInLogs(t *testing.T) {
	noLeaks(t)
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			p := serve(t, "--log-level=debug", "--log-format="+format)
			a := dial(t, p.addr)
			u, v := a.signUp(t), a.signUp(t)
			r := u.create(t, "hidingplace")
			v.join(t, r)
			s := v.open(t)
			s.initial()
			private := []string{u.password, v.password, u.token, v.token, "hidingplace"}
			for range 3 {
				x := u.say(t, r, "body-"+uuid.NewString())
				private = append(private, x.text)
				s.message()
			}
			// Failures are what gets logged most.
			wrong := *u
			wrong.token = strings.Repeat("a", 24)
			private = append(private, wrong.token)
			wrong.open(t).ending()
			wrong.password = "a wrong horse"
			_ = wrong.logIn(soon(t))
			private = append(private, wrong.password)
			req := u.textRequest(r, strings.Repeat("toolong", 2000), "no uuid")
			if _, err := u.commands.ClientMessageToServerRPC(soon(t), req); err != nil {
				t.Error(err)
			}
			private = append(private, "toolong")
			stop(p)
			if format == "json" {
				wantJSON(t, p)
			}
			for _, secret := range private {
				if strings.Contains(p.stderr.String(), secret) {
					t.Errorf("%q is in the log", secret)
				}
			}
		})
	}
}

// ---------------------------------------------------------------- TLS

// makeCertificate makes a self-signed certificate for 127.0.0.1.
func makeCertificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chatstream test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, content := range map[string][]byte{
		certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certPEM) {
		t.Fatal("no certificate")
	}
	return certFile, keyFile, pool
}

func TestTLS(t *testing.T) {
	noLeaks(t)
	cert, key, pool := makeCertificate(t)
	p := serve(t, "--tls-cert="+cert, "--tls-key="+key, "--listen=0.0.0.0:0") // with TLS beyond loopback too
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + port
	a := dial(t, addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "vault")
	v.join(t, r)
	s := v.open(t)
	s.initial()
	x := u.say(t, r, "secured")
	if got := viewOf(s.message()); got.uuid != x.uuid {
		t.Errorf("got %+v", got)
	}

	// Who does not trust the certificate, who speaks no TLS and who speaks an
	// old one get no answer.
	for name, opts := range map[string][]grpc.DialOption{
		"plaintext": nil,
		"untrusted": {grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{}))},
		"TLS 1.1":   {grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}))},
	} {
		other := dial(t, addr, opts...)
		if _, err := other.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.signal(syscall.SIGTERM)
	s.wantEnd(down(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN))
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestInsecureBeyondLoopback(t *testing.T) {
	noLeaks(t)
	p := serve(t, "--insecure", "--listen=0.0.0.0:0")
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	dial(t, "127.0.0.1:"+port).signUp(t)
}

// ---------------------------------------------------------------- services

func TestServices(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)

	// Health, of the server and of each service it names.
	health := grpc_health_v1.NewHealthClient(a.conn)
	check, err := health.Check(soon(t), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || check.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", check, err)
	}
	watchCtx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	watch, err := health.Watch(watchCtx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := watch.Recv(); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", r, err)
	}

	// Reflection.
	reflCtx, reflCancel := context.WithCancel(t.Context())
	refl, err := grpc_reflection_v1.NewServerReflectionClient(a.conn).ServerReflectionInfo(reflCtx)
	if err != nil {
		t.Fatal(err)
	}
	if err := refl.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	list, err := refl.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, s := range list.GetListServicesResponse().GetService() {
		services = append(services, s.GetName())
	}
	for _, name := range []string{
		"chatstream.v1.AccountService", "grpc_chat_commands.ChatRoomMessagesService", "grpc_stream_chat.StreamChatService",
		"retrieve_server_load.RetrieveServerLoadService", "grpc.health.v1.Health",
	} {
		if !slices.Contains(services, name) {
			t.Errorf("reflection does not list %s: %v", name, services)
		}
	}
	reflCancel()

	// The end is announced.
	p.signal(syscall.SIGTERM)
	if r, err := watch.Recv(); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health at the end: %v, %v", r, err)
	}
	cancel()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// ---------------------------------------------------------------- the end

// TestShutdown: SIGTERM, with clients that read, one that does not, and
// messages under way.
func TestShutdown(t *testing.T) {
	noLeaks(t)
	data := filepath.Join(t.TempDir(), "data")
	const drain = 4 * time.Second
	p := serve(t, "--data="+data, "--drain-timeout="+drain.String())
	a := dial(t, p.addr)
	admin, reader := a.signUp(t), a.signUp(t)
	stuck := dial(t, p.addr, grpc.WithInitialWindowSize(65535), grpc.WithInitialConnWindowSize(65535)).signUp(t)
	r := admin.create(t, "hall")
	reader.join(t, r)
	stuck.join(t, r)
	readers := []*stream{admin.open(t), reader.open(t)}
	for _, s := range readers {
		s.initial()
	}
	neverRead := stuck.stall(t)
	a.awaitClients(t, 3)
	flood(t, admin, r, 1500)

	health := grpc_health_v1.NewHealthClient(a.conn)
	watchCtx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	watch, err := health.Watch(watchCtx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}

	// Senders go on until they are told that it is over.
	var mu sync.Mutex
	acked := map[string]int64{}
	var senders sync.WaitGroup
	for range 6 {
		senders.Go(func() {
			for {
				id := uuid.NewString()
				resp, err := admin.commands.ClientMessageToServerRPC(soon(t), admin.textRequest(r, textOf(id), id))
				if err != nil {
					if status.Code(err) != codes.Unavailable {
						t.Errorf("a send while the server shuts down: %v", err)
					}
					return
				}
				if resp.GetTimestampStored() > 0 {
					mu.Lock()
					acked[id] = resp.GetTimestampStored()
					mu.Unlock()
				}
			}
		})
	}
	for enough := false; !enough; {
		time.Sleep(time.Millisecond)
		mu.Lock()
		enough = len(acked) > 50
		mu.Unlock()
	}

	began := time.Now()
	p.signal(syscall.SIGTERM)
	if h, err := watch.Recv(); err != nil || h.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v, %v", h, err)
	}
	cancel()
	// Clients that read get all that was acknowledged, and then the reason.
	seen := make([]map[string]bool, len(readers))
	for i, s := range readers {
		end, before := s.rest()
		if end != down(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN) {
			t.Errorf("the stream of a client that reads ended with %+v", end)
		}
		seen[i] = map[string]bool{}
		for _, f := range before {
			for _, m := range f.GetReturnNewChatMessage().GetMessagesList() {
				seen[i][m.GetMessageUuid()+m.GetMessage().GetMessageSpecifics().GetNewUpdateTimeMessage().GetRepresentedMessageUuid()] = true
			}
		}
	}
	senders.Wait()
	if since := time.Since(began); since > drain {
		t.Logf("the streams that read ended only after %v", since)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(began)
	t.Logf("exit after %v, %d messages acknowledged during the end", took.Round(time.Millisecond), len(acked))
	if took < drain-100*time.Millisecond {
		t.Errorf("the server ended after %v, with a client that had not read for less than the drain time", took)
	}
	for i := range seen {
		missing := 0
		for id := range acked {
			if !seen[i][id] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("reader %d was told the end before %d messages acknowledged earlier", i, missing)
		}
	}
	if err := neverRead(); err == nil {
		t.Error("the stream of the client that does not read goes on")
	}

	// All that was acknowledged is there.
	p = serve(t, "--data="+data)
	back := *reader
	back.api = dial(t, p.addr)
	history := map[string]int64{}
	for _, m := range back.open(t, position{room: r.id, updated: -1, viewed: -1}).initial() {
		history[m.GetMessageUuid()] = m.GetTimestampStored()
	}
	for id, at := range acked {
		if history[id] != at {
			t.Errorf("%s was acknowledged at %d, stored is %d", id, at, history[id])
		}
	}
}

// TestRefusalsWhileDraining: as long as the server waits for a client that does
// not read, it tells everybody else that it is shutting down.
func TestRefusalsWhileDraining(t *testing.T) {
	noLeaks(t)
	p := serve(t, "--drain-timeout=4s")
	a := dial(t, p.addr)
	admin, late := a.signUp(t), a.signUp(t)
	stuck := dial(t, p.addr, grpc.WithInitialWindowSize(65535), grpc.WithInitialConnWindowSize(65535)).signUp(t)
	r := admin.create(t, "hall")
	stuck.join(t, r)
	reader := admin.open(t)
	reader.initial()
	neverRead := stuck.stall(t)
	a.awaitClients(t, 2)
	flood(t, admin, r, 1500)
	p.signal(syscall.SIGTERM)
	began := time.Now()
	reader.wantEnd(down(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN))
	for round := 0; time.Since(began) < 2*time.Second && !t.Failed(); round++ {
		for name, c := range map[string]*api{"old connection": a, "new connection": dial(t, p.addr)} {
			after := func() string {
				return fmt.Sprintf("%s, %v after the signal", name, time.Since(began).Round(time.Millisecond))
			}
			md := metadata.NewOutgoingContext(soon(t), late.metadata())
			rpc, err := c.chat.StreamChatRPC(md)
			if err == nil {
				_, err = rpc.Recv()
			}
			if err == nil || rpc == nil || endOf(rpc, err) != down(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN) {
				t.Errorf("%s: a new stream: %v", after(), err)
			}
			if resp, err := c.commands.ClientMessageToServerRPC(soon(t), late.textRequest(r, "x", uuid.NewString())); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: a command: %v, %v", after(), resp, err)
			}
			if _, err := c.accounts.CreateAccount(soon(t), &chatstreampb.CreateAccountRequest{Name: "toolate", Password: "correct horse battery"}); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: a new account: %v", after(), err)
			}
			if l, err := c.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{RequestNumClients: true}); err != nil || l.GetAcceptingConnections() || l.GetNumClients() != -1 {
				t.Errorf("%s: load: %v, %v", after(), l, err)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	_ = neverRead()
}

// stall opens a stream and never reads from it. The returned function reads
// to its end.
func (u *user) stall(t testing.TB, rooms ...position) func() error {
	t.Helper()
	rpc := u.openRaw(t, rooms...)
	return func() error {
		for {
			if _, err := rpc.Recv(); err != nil {
				return err
			}
		}
	}
}

// flood sends n texts, some at a time; 1500 are far more than a stream takes
// that is not read.
func flood(t testing.TB, u *user, r room, n int) {
	t.Helper()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range n / 8 {
				id := uuid.NewString()
				if _, _, err := u.deliver(soon(t), r.id, id+strings.Repeat(" and so on", 21), id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestSecondSignal: who is in a hurry signals twice.
func TestSecondSignal(t *testing.T) {
	noLeaks(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := serve(t, "--drain-timeout=10m")
		a := dial(t, p.addr)
		admin := a.signUp(t)
		stuck := dial(t, p.addr, grpc.WithInitialWindowSize(65535), grpc.WithInitialConnWindowSize(65535)).signUp(t)
		r := admin.create(t, "hall")
		stuck.join(t, r)
		reader := admin.open(t)
		reader.initial()
		neverRead := stuck.stall(t)
		a.awaitClients(t, 2)
		flood(t, admin, r, 1500)
		p.signal(syscall.SIGINT)
		reader.wantEnd(down(streampb.StreamDownReasons_SERVER_SHUTTING_DOWN))
		select {
		case <-p.exited:
			t.Errorf("%v: the server does not wait for the client that does not read, exit code %d", s, p.code())
			continue
		default:
		}
		p.signal(s)
		if code := p.wait(); code == 0 {
			t.Errorf("%v: exit code 0 of a server that ended at once", s)
		}
		_ = neverRead()
	}
}

// TestIdleShutdown: without streams the end takes no time, for both signals.
func TestIdleShutdown(t *testing.T) {
	noLeaks(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := serve(t, "--drain-timeout=10m")
		dial(t, p.addr).signUp(t) // a connection without RPCs
		p.signal(s)
		if code := p.wait(); code != 0 {
			t.Errorf("%v: exit code %d", s, code)
		}
	}
}

// TestSilentConnectionAtShutdown: who connects and says nothing does not keep
// the server longer than the drain time.
func TestSilentConnectionAtShutdown(t *testing.T) {
	noLeaks(t)
	p := serve(t, "--drain-timeout=2s")
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dial(t, p.addr).signUp(t) // the server has accepted the other one before
	began := time.Now()
	if code := stop(p); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("exit after %v", time.Since(began).Round(time.Millisecond))
}

// TestHelp: help is no error, and goes to standard output.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}} {
		p := launch(t, nil, args...)
		if code := p.wait(); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		s := bufio.NewScanner(strings.NewReader(p.stdout.String()))
		if !s.Scan() || p.stderr.String() != "" {
			t.Errorf("%v: standard output %q, standard error %q", args, p.stdout.String(), p.stderr.String())
		}
	}
}
