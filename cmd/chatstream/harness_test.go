// Package main_test runs the built program as a process and talks to it as a
// client would: over TCP, with the generated stubs and nothing else of ours.
package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/loadpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

// patience is how long a test waits for what is to come: a safety net, nothing
// is ever expected to take as long.
const patience = 60 * time.Second

// program is the path of the built binary.
var program string

// mongod is the replica set that the tests share.
var mongod mongotest.Shared

func TestMain(m *testing.M) {
	code := buildAndRun(m)
	mongod.Stop()
	os.Exit(code)
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chatstream-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "chatstream")
	args := []string{"build", "-o", program}
	if raceBuild() {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, ".")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build:", err)
		return 1
	}
	return m.Run()
}

// raceBuild reports whether this test binary has the race detector; the
// program is then built with it too.
var raceBuild = sync.OnceValue(func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-race" && s.Value == "true"
	})
})

// noLeaks fails the test if it leaves a goroutine behind. It has to come first
// in a test, so that its check comes last.
func noLeaks(t *testing.T) {
	known := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if !t.Failed() {
			goleak.VerifyNone(t, known)
		}
	})
}

// ---------------------------------------------------------------- process

// output is what a process has written so far.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced by every write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) lines() []string {
	s := strings.TrimSuffix(o.String(), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// wait returns a channel closed by the next write.
func (o *output) wait() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.changed
}

// process is the program, running.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	addr           string // set by ready
	stdout, stderr output
	exited         chan struct{} // closed when it has ended
}

// launch starts the program with these arguments and env added to a clean
// environment.
func launch(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	return launchWith(t, nil, env, args...)
}

// launchWith is launch with a standard input.
func launchWith(t testing.TB, in *os.File, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CHATSTREAM_") {
			p.cmd.Env = append(p.cmd.Env, e)
		}
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	if in != nil {
		p.cmd.Stdin = in
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState says it all
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if strings.Contains(p.stderr.String(), "DATA RACE") {
			t.Errorf("data race in the server:\n%s", p.stderr.String())
		} else if t.Failed() {
			s := p.stderr.String()
			t.Logf("standard error of %q ends:\n%s", args, s[max(0, len(s)-1000):])
		}
	})
	return p
}

// serve runs `chatstream serve` with these arguments, on a free port and a
// new directory unless they name others, and waits until it is ready.
func serve(t testing.TB, args ...string) *process {
	t.Helper()
	has := func(flag string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
	}
	if !has("--listen") {
		args = append(args, "--listen=127.0.0.1:0")
	}
	if !has("--data") {
		args = append(args, "--data="+filepath.Join(t.TempDir(), "data"))
	}
	p := launch(t, nil, append([]string{"serve"}, args...)...)
	p.ready()
	return p
}

var readyLine = regexp.MustCompile(`^ready grpc=(\S+) store=(?:embedded|mongodb):(.+)\n`)

// ready waits for the line that says that the program serves, and returns the
// directory, or the database, that it names.
func (p *process) ready() (dir string) {
	p.t.Helper()
	late := time.After(patience)
	for {
		changed := p.stdout.wait()
		if m := readyLine.FindStringSubmatch(p.stdout.String()); m != nil {
			p.addr = m[1]
			return m[2]
		}
		select {
		case <-changed:
		case <-p.exited:
			p.t.Fatalf("the server ended with %d before it was ready:\n%s%s", p.code(), p.stdout.String(), p.stderr.String())
		case <-late:
			p.t.Fatalf("the server is not ready: %q", p.stdout.String())
		}
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v: %v", s, err)
	}
}

// kill ends the process with SIGKILL and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // may be over already
	<-p.exited
}

// wait waits until the program ends by itself and returns its exit code, -1 if
// a signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("the program does not end:\n%s", p.stderr.String())
	}
	return p.code()
}

func (p *process) code() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// rss is the resident memory of the process in bytes.
func (p *process) rss() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s*(\d+) kB`).FindSubmatch(b)
	if m == nil {
		p.t.Fatal("no VmRSS")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kb << 10
}

// fixedAddress returns a free address to start servers on one after the other.
// Its port is not one that the system gives to outgoing connections.
func fixedAddress(t testing.TB) string {
	t.Helper()
	return fixedAddresses(t, 1)[0]
}

// fixedAddresses returns n of them.
func fixedAddresses(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for port := 20000 + os.Getpid()%5000; port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // when all are found, so that none is found twice
		if addresses = append(addresses, l.Addr().String()); len(addresses) == n {
			return addresses
		}
	}
	t.Fatal("no free port")
	return nil
}

// ---------------------------------------------------------------- users

// api is one connection to a server.
type api struct {
	conn     *grpc.ClientConn
	accounts chatstreampb.AccountServiceClient
	commands commandspb.ChatRoomMessagesServiceClient
	chat     streampb.StreamChatServiceClient
	load     loadpb.RetrieveServerLoadServiceClient
}

func dial(t testing.TB, addr string, opts ...grpc.DialOption) *api {
	t.Helper()
	a, err := connect(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.conn.Close() })
	return a
}

func connect(addr string, opts ...grpc.DialOption) (*api, error) {
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
	}, opts...)
	conn, err := grpc.NewClient("passthrough:///"+addr, opts...)
	if err != nil {
		return nil, err
	}
	return &api{
		conn:     conn,
		accounts: chatstreampb.NewAccountServiceClient(conn),
		commands: commandspb.NewChatRoomMessagesServiceClient(conn),
		chat:     streampb.NewStreamChatServiceClient(conn),
		load:     loadpb.NewRetrieveServerLoadServiceClient(conn),
	}, nil
}

// clients is the number of open chat streams as the server tells it.
func (a *api) clients(t testing.TB) int {
	t.Helper()
	r, err := a.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{RequestNumClients: true})
	if err != nil {
		t.Fatal(err)
	}
	return int(r.GetNumClients())
}

// awaitClients waits until the server has n open chat streams.
func (a *api) awaitClients(t testing.TB, n int) {
	t.Helper()
	late := time.After(2 * patience)
	for {
		got := a.clients(t)
		if got == n {
			return
		}
		select {
		case <-late:
			t.Fatalf("the server has %d open streams, want %d", got, n)
		case <-time.After(20 * time.Millisecond): // there is nothing to wait for but the number
		}
	}
}

// soon is a context that ends when the test has waited long enough.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// user is an account that is logged in.
type user struct {
	*api
	name, password, installation string
	id, token                    string
}

var userCount atomic.Int64

// signUp makes a new account and logs in.
func (a *api) signUp(t testing.TB) *user {
	t.Helper()
	n := userCount.Add(1)
	u := &user{api: a, name: fmt.Sprintf("ada%d", n), password: fmt.Sprintf("correct horse %d", n), installation: uuid.NewString()}
	if err := u.register(soon(t)); err != nil {
		t.Fatal(err)
	}
	return u
}

// register creates the account and logs in.
func (u *user) register(ctx context.Context) error {
	created, err := u.accounts.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: u.name, Password: u.password})
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	if err := u.logIn(ctx); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if u.id != created.GetAccountId() {
		return fmt.Errorf("created as %q, logged in as %q", created.GetAccountId(), u.id)
	}
	return nil
}

func (u *user) logIn(ctx context.Context) error {
	r, err := u.accounts.Login(ctx, &chatstreampb.LoginRequest{Name: u.name, Password: u.password, InstallationId: u.installation})
	if err != nil {
		return err
	}
	u.id, u.token = r.GetAccountId(), r.GetLoggedInToken()
	return nil
}

// login is what authenticates a command.
func (u *user) login() *chatpb.LoginToServerBasicInfo {
	return &chatpb.LoginToServerBasicInfo{
		LetsGoVersion: 3, CurrentAccountId: u.id, LoggedInToken: u.token, InstallationId: u.installation,
	}
}

// room is a room as one who wants to join has to know it.
type room struct{ id, name, password string }

func (u *user) create(t testing.TB, name string) room {
	t.Helper()
	r, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login(), ChatRoomName: name})
	if err != nil {
		t.Fatal(err)
	}
	if r.GetReturnStatus() != chatpb.ReturnStatus_SUCCESS {
		t.Fatalf("create: %v", r.GetReturnStatus())
	}
	return room{r.GetChatRoomId(), r.GetChatRoomName(), r.GetChatRoomPassword()}
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

func (u *user) tryJoin(ctx context.Context, r room) (joined, error) {
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

func (u *user) join(t testing.TB, r room) joined {
	t.Helper()
	j, err := u.tryJoin(soon(t), r)
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	if j.status != chatpb.ReturnStatus_SUCCESS || j.outcome != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED {
		t.Fatalf("join: %v, %v", j.status, j.outcome)
	}
	return j
}

// sent is a message that the server has acknowledged.
type sent struct {
	uuid, text string
	time       int64
}

// say sends a text that must be accepted.
func (u *user) say(t testing.TB, r room, text string) sent {
	t.Helper()
	return u.sayAs(t, r, text, uuid.NewString())
}

func (u *user) sayAs(t testing.TB, r room, text, id string) sent {
	t.Helper()
	resp, err := u.commands.ClientMessageToServerRPC(soon(t), u.textRequest(r, text, id))
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	if resp.GetReturnStatus() != chatpb.ReturnStatus_SUCCESS || resp.GetUserNotInChatRoom() || resp.GetTimestampStored() <= 0 {
		t.Fatalf("send: %v", resp)
	}
	return sent{uuid: id, text: text, time: resp.GetTimestampStored()}
}

func (u *user) textRequest(r room, text, id string) *commandspb.ClientMessageToServerRequest {
	return &commandspb.ClientMessageToServerRequest{
		LoginInfo: u.login(), MessageUuid: id,
		Message: message(r.id, &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
			TextMessage: &chatpb.TextChatMessage{MessageText: text},
		}}),
	}
}

// observe tells the server that the user looked at the room at that time.
func (u *user) observe(t testing.TB, r room, at int64) *commandspb.ClientMessageToServerResponse {
	t.Helper()
	resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{
		LoginInfo: u.login(), TimestampObserved: at,
		Message: message(r.id, &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{
			UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{},
		}}),
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

// errTryAgain is what a sender answers with the same message, sent again.
var errTryAgain = errors.New("not acknowledged")

// deliver sends a text until it is acknowledged, over restarts of the server,
// and returns the time it is stored with. tries counts the attempts.
func (u *user) deliver(ctx context.Context, roomID, text, id string) (stored int64, tries int, err error) {
	for {
		tries++
		stored, err = u.attempt(ctx, roomID, text, id, grpc.WaitForReady(true))
		if !errors.Is(err, errTryAgain) || ctx.Err() != nil {
			return stored, tries, err
		}
	}
}

func (u *user) attempt(ctx context.Context, roomID, text, id string, how grpc.CallOption) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	resp, err := u.commands.ClientMessageToServerRPC(ctx, u.textRequest(room{id: roomID}, text, id), how)
	if err != nil {
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded:
			return 0, errTryAgain
		}
		return 0, err
	}
	switch {
	case resp.GetReturnStatus() == chatpb.ReturnStatus_DATABASE_DOWN:
		return 0, errTryAgain
	case resp.GetReturnStatus() != chatpb.ReturnStatus_SUCCESS || resp.GetUserNotInChatRoom() || resp.GetTimestampStored() <= 0:
		return 0, fmt.Errorf("send: %v", resp)
	}
	return resp.GetTimestampStored(), nil
}

// ---------------------------------------------------------------- streams

// position is what a client has of one room.
type position struct {
	room            string
	updated, viewed int64
	uuids           []string
}

// values is chat_room_values.
func values(rooms ...position) string {
	var b strings.Builder
	for _, p := range rooms {
		fmt.Fprintf(&b, "%s::%d::%d::%d::", p.room, p.updated, p.viewed, len(p.uuids))
		for _, id := range p.uuids {
			b.WriteString(id + "::")
		}
	}
	return b.String()
}

// metadata is the initial metadata of a stream of the user.
func (u *user) metadata(rooms ...position) metadata.MD {
	md := metadata.Pairs("current_account_id", u.id, "logged_in_token", u.token, "lets_go_version", "3", "installation_id", u.installation)
	if len(rooms) > 0 {
		md.Set("chat_room_values", values(rooms...))
	}
	return md
}

type (
	frame   = *streampb.ChatToClientResponse
	chatRPC = grpc.BidiStreamingClient[streampb.ChatToServerRequest, streampb.ChatToClientResponse]
)

// stream is a chat stream that is read all the time.
type stream struct {
	t      testing.TB
	rpc    chatRPC
	cancel context.CancelFunc
	frames chan frame // closed at the end
	err    error      // how it ended, after frames is closed
	live   []*chatpb.ChatMessageToClient
}

// open opens a stream with these rooms.
func (u *user) open(t testing.TB, rooms ...position) *stream {
	t.Helper()
	return u.openWith(t, u.metadata(rooms...))
}

func (u *user) openWith(t testing.TB, md metadata.MD, opts ...grpc.CallOption) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), md))
	t.Cleanup(cancel)
	rpc, err := u.chat.StreamChatRPC(ctx, opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, rpc: rpc, cancel: cancel, frames: make(chan frame, 1<<14)}
	go func() {
		defer close(s.frames)
		for {
			f, err := rpc.Recv()
			if err != nil {
				s.err = err
				return
			}
			select {
			case s.frames <- f:
			case <-ctx.Done():
				s.err = ctx.Err()
				return
			}
		}
	}()
	return s
}

// next is the next response; nil at the end of the stream.
func (s *stream) next() frame {
	s.t.Helper()
	select {
	case f := <-s.frames:
		return f
	case <-time.After(patience):
		s.t.Fatal("nothing comes from the stream")
		return nil
	}
}

// initial reads the initialization and returns its messages.
func (s *stream) initial() []*chatpb.ChatMessageToClient {
	s.t.Helper()
	var all []*chatpb.ChatMessageToClient
	for first := true; ; first = false {
		f := s.next()
		switch {
		case f == nil:
			s.t.Fatalf("the stream ended in its initialization: %v", s.ending())
		case first:
			if f.GetInitialConnectionPrimerResponse() == nil {
				s.t.Fatalf("the first response is no primer: %v", f)
			}
		case f.GetInitialConnectionMessagesResponse() != nil:
			list := f.GetInitialConnectionMessagesResponse().GetMessagesList()
			if len(list) == 0 {
				s.t.Error("an empty list of messages")
			}
			all = append(all, list...)
		case f.GetInitialConnectionMessagesCompleteResponse() != nil:
			return all
		default:
			s.t.Fatalf("a response within the initialization: %v", f)
		}
	}
}

// message is the next live message.
func (s *stream) message() *chatpb.ChatMessageToClient {
	s.t.Helper()
	if len(s.live) == 0 {
		f := s.next()
		if f == nil {
			s.t.Fatalf("the stream ended: %v", s.ending())
		}
		if s.live = f.GetReturnNewChatMessage().GetMessagesList(); len(s.live) == 0 {
			s.t.Fatalf("no live message: %v", f)
		}
	}
	m := s.live[0]
	s.live = s.live[1:]
	return m
}

// ending is how a stream ended.
type ending struct {
	code                       codes.Code
	reason, status, cancelInfo string // trailing metadata
}

// down is the end that a server brings about.
func down(reason streampb.StreamDownReasons) ending {
	return ending{reason: strconv.Itoa(int(reason))}
}

// refused is the end of a stream with a status.
func refused(s chatpb.ReturnStatus) ending {
	e := down(streampb.StreamDownReasons_RETURN_STATUS_ATTACHED)
	e.status = strconv.Itoa(int(s))
	return e
}

// ending waits for the end of the stream, whatever comes before it.
func (s *stream) ending() ending {
	s.t.Helper()
	e, _ := s.rest()
	return e
}

// rest waits for the end of the stream and returns what came before it.
func (s *stream) rest() (ending, []frame) {
	s.t.Helper()
	var before []frame
	for {
		f := s.next()
		if f == nil {
			return endOf(s.rpc, s.err), before
		}
		before = append(before, f)
	}
}

func endOf(rpc chatRPC, err error) ending {
	var e ending
	if !errors.Is(err, io.EOF) {
		e.code = status.Code(err)
	}
	get := func(key string) string { return strings.Join(rpc.Trailer().Get(key), ",") }
	e.reason, e.status, e.cancelInfo = get("stream_down_reason"), get("return_status"), get("optional_info_cancel")
	return e
}

func (s *stream) wantEnd(want ending) {
	s.t.Helper()
	if got := s.ending(); got != want {
		s.t.Errorf("the stream ended with %+v, want %+v", got, want)
	}
}

func (s *stream) send(r *streampb.ChatToServerRequest) {
	s.t.Helper()
	if err := s.rpc.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

// kindOf names the body of a message.
func kindOf(m *chatpb.ChatMessageToClient) string {
	specifics := m.GetMessage().GetMessageSpecifics().ProtoReflect()
	field := specifics.WhichOneof(specifics.Descriptor().Oneofs().ByName("message_body"))
	if field == nil {
		return ""
	}
	return strings.TrimSuffix(string(field.Name()), "_message")
}

// Kinds of messages, as kindOf names them.
const (
	kindText      = "text"
	kindJoined    = "different_user_joined"
	kindLeft      = "different_user_left"
	kindObserved  = "update_observed_time"
	kindStart     = "this_user_joined_chat_room_start"
	kindMember    = "this_user_joined_chat_room_member"
	kindFinished  = "this_user_joined_chat_room_finished"
	kindNewUpdate = "new_update_time"
)

// view is what matters of a message here. (What else there is to a message,
// package server/conformance checks.)
type view struct {
	kind, uuid, room, text string
	time                   int64
}

func viewOf(m *chatpb.ChatMessageToClient) view {
	return view{
		kind: kindOf(m), uuid: m.GetMessageUuid(), time: m.GetTimestampStored(),
		room: m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom(),
		text: m.GetMessage().GetMessageSpecifics().GetTextMessage().GetMessageText(),
	}
}

// history is what a room holds, as a member without anything gets it.
func (u *user) history(t testing.TB, r room) []*chatpb.ChatMessageToClient {
	t.Helper()
	s := u.open(t, position{room: r.id, updated: -1, viewed: time.Now().Add(time.Hour).UnixMilli()})
	defer s.cancel()
	return slices.DeleteFunc(s.initial(), func(m *chatpb.ChatMessageToClient) bool { return viewOf(m).room != r.id })
}

// texts are the texts among messages.
func texts(list []*chatpb.ChatMessageToClient) (found []string) {
	for _, m := range list {
		if v := viewOf(m); v.kind == kindText {
			found = append(found, v.text)
		}
	}
	return found
}

// stop ends the server with SIGTERM and returns its exit code.
func stop(p *process) int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.wait()
}

// openRaw opens a stream and leaves the reading to the caller.
func (u *user) openRaw(t testing.TB, rooms ...position) chatRPC {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), u.metadata(rooms...)))
	t.Cleanup(cancel)
	rpc, err := u.chat.StreamChatRPC(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rpc
}
