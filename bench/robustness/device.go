package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// world is what the devices of a run share.
type world struct {
	rec *Recorder

	accounts []*account
	auditor  *account

	mu sync.Mutex
	// rooms are those that somebody knows of, in the order they became known,
	// and their passwords.
	rooms     []string
	passwords map[string]string
	// named are the uuids that devices have given to what they have sent.
	named map[string]bool
}

func (w *world) name(uuid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.named[uuid] = true
}

func (w *world) isNamed(uuid string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.named[uuid]
}

func (w *world) learn(room, password string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.passwords[room]; !known && room != "" {
		w.passwords[room] = password
		w.rooms = append(w.rooms, room)
	}
}

// room is any.
func (w *world) room(random *rand.Rand) (id, password string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rooms) == 0 {
		return "", ""
	}
	id = w.rooms[random.IntN(len(w.rooms))]
	return id, w.passwords[id]
}

func (w *world) allRooms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rooms)
}

func (w *world) password(room string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passwords[room]
}

// account is one user.
type account struct{ name, password, id string }

// session is a login of a device.
type session struct {
	account *account
	token   string
	book    *book
}

// api is one connection to a server.
type api struct {
	conn     *grpc.ClientConn
	accounts chatstreampb.AccountServiceClient
	commands commandspb.ChatRoomMessagesServiceClient
	chat     streampb.StreamChatServiceClient
}

// window is how many bytes a stream may have on the way: a client that does not
// read is to be felt soon.
const window = 64 << 10

func dial(address string) (*api, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(4*window),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return &api{
		conn:     conn,
		accounts: chatstreampb.NewAccountServiceClient(conn),
		commands: commandspb.NewChatRoomMessagesServiceClient(conn),
		chat:     streampb.NewStreamChatServiceClient(conn),
	}, nil
}

// device is one installation. One goroutine opens its streams, another sends its
// commands.
type device struct {
	w *world
	// id is the installation id.
	id string
	// exact: it resumes by places, and understands bookmarks and go-aways.
	exact bool
	// steady: it seldom leaves a stream.
	steady bool
	// addresses are those of the servers, as the device reaches them.
	addresses []string

	// made are the rooms that it made. The actor's own.
	made []string

	// slow is how long it takes over each response of a stream, in nanoseconds;
	// while it is deaf it reads nothing.
	slow atomic.Int64
	deaf atomic.Bool
	// settling: it keeps its stream.
	settling atomic.Bool

	mu sync.Mutex
	// conns are the connections, one to each server; at is the server that the
	// device is at, an index of both; hops decides when it goes elsewhere.
	conns   []*api
	at      int
	hops    *rand.Rand
	session *session
	books   map[*account]*book
	current *chat
	chats   []*chat
	readers sync.WaitGroup
	changed chan struct{} // closed and replaced when something was received
}

// newDevice makes the n-th device: every other one resumes exactly, and half of
// either kind is steady. It begins at one of the servers, and every now and then
// goes to another with its next command or its next stream.
func newDevice(w *world, n int, addresses []string, seed uint64) (*device, error) {
	d := &device{
		w: w, id: fmt.Sprintf("device%02d-0000-0000-0000-000000000000", n), exact: n%2 == 0, steady: n%4 < 2,
		addresses: addresses, at: n / 2 % len(addresses), hops: rand.New(rand.NewPCG(seed, uint64(300+n))),
		books: make(map[*account]*book), changed: make(chan struct{}),
	}
	for _, address := range addresses {
		c, err := dial(address)
		if err != nil {
			return d, err
		}
		d.conns = append(d.conns, c)
	}
	return d, nil
}

// api is a connection for the next command or stream, and the number of the
// server that it leads to.
func (d *device) api() (server int, a *api) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) > 1 && d.hops.IntN(4) == 0 {
		d.at = d.hops.IntN(len(d.conns))
	}
	return d.at + 1, d.conns[d.at]
}

// leaves has the device go elsewhere, if there is another server, since this one
// cannot be used.
func (d *device) leaves(server int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == server-1 {
		d.at = server % len(d.conns)
	}
}

// connection is the one to the server that the device is at.
func (d *device) connection() *grpc.ClientConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conns[d.at].conn
}

// redial gives up the connection to a server, with all that is on it, for a new
// one. There may be streams of sessions before: a logout that is not known to have
// succeeded ends none.
func (d *device) redial(server int) error {
	c, err := dial(d.addresses[server-1])
	if err != nil {
		return err
	}
	for _, open := range d.openChats() {
		if open.server == server {
			open.quit("connection closed")
		}
	}
	d.mu.Lock()
	old := d.conns[server-1]
	d.conns[server-1] = c
	d.mu.Unlock()
	return old.conn.Close()
}

func (d *device) loggedIn() *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session
}

// lost: the server says that the session is not one any more.
func (d *device) lost(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == s {
		d.session = nil
	}
}

// notify wakes whoever waits for something to be received.
func (d *device) notify() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.changed)
	d.changed = make(chan struct{})
}

// await waits until done, or reports that it took too long.
func (d *device) await(ctx context.Context, done func() bool) bool {
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		if done() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return done()
		}
	}
}

// login is what authenticates a command of s.
func (d *device) login(s *session) *chatpb.LoginToServerBasicInfo {
	return &chatpb.LoginToServerBasicInfo{
		LetsGoVersion: 3, CurrentAccountId: s.account.id, LoggedInToken: s.token, InstallationId: d.id,
	}
}

// openChats are the streams that are not over.
func (d *device) openChats() []*chat {
	d.mu.Lock()
	chats := slices.Clone(d.chats)
	d.mu.Unlock()
	return slices.DeleteFunc(chats, (*chat).isOver)
}

// hangUp ends everything and waits for it.
func (d *device) hangUp() {
	for _, c := range d.openChats() {
		c.quit("hung up")
		c.cancel()
	}
	d.readers.Wait()
	for _, c := range d.conns {
		_ = c.conn.Close() // it is over either way
	}
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
