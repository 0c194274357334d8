package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

var (
	seedFlag     = flag.Uint64("chatstream.seed", 0, "seed of the tests that kill servers while messages are sent; 0 takes a new one")
	messagesFlag = flag.Int("chatstream.messages", 0, "how many messages these send; 0: 20000 to one server, 4000 to servers on MongoDB, fewer with -short or -race")
)

// killing is what a test that kills servers does.
type killing struct{ users, rooms, messages, kills int }

// TestKilledServerLosesNothing sends messages to rooms whose members open new
// streams all the time, and kills the server in between. Afterwards every
// member of a room has every message of it, in order.
func TestKilledServerLosesNothing(t *testing.T) {
	noLeaks(t)
	k := killing{users: 50, rooms: 20, messages: 20_000, kills: 2}
	switch {
	case testing.Short():
		k = killing{users: 16, rooms: 6, messages: 2_000, kills: 1}
	case raceBuild():
		k.messages = 8_000
	}
	data := t.TempDir()
	k.losesNothing(t, fixedAddresses(t, 1), func(address string) *process {
		return serve(t, "--listen="+address, "--data="+data)
	})
}

// TestKilledServersOnMongoDBLoseNothing is that with two servers on one database:
// each message may be sent to either, each stream be opened on either, and one
// server after the other is killed while the other goes on.
func TestKilledServersOnMongoDBLoseNothing(t *testing.T) {
	uri, database := mongod.URI(t), mongotest.Database()
	noLeaks(t)
	k := killing{users: 24, rooms: 10, messages: 4_000, kills: 4}
	switch {
	case testing.Short():
		k = killing{users: 12, rooms: 5, messages: 600, kills: 2}
	case raceBuild():
		k.messages = 2_000
	}
	k.losesNothing(t, fixedAddresses(t, 2), func(address string) *process {
		return serve(t, "--listen="+address, "--mongodb="+uri, "--database="+database)
	})
}

// losesNothing does it, with a server at each of the addresses.
func (k killing) losesNothing(t *testing.T, addresses []string, start func(address string) *process) {
	if *messagesFlag > 0 {
		k.messages = *messagesFlag
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with -chatstream.seed=%d -chatstream.messages=%d", seed, k.messages)
	random := rand.New(rand.NewPCG(seed, 0))

	var servers []*process
	for _, address := range addresses {
		servers = append(servers, start(address))
	}
	began := time.Now()

	// Everybody is in some rooms before anything is said.
	world := newWorld(t, addresses, k.users, k.rooms, random)
	t.Logf("%d users in %d rooms after %v", k.users, k.rooms, time.Since(began).Round(time.Millisecond))

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var readers, senders errgroup.Group
	var talking atomic.Bool
	talking.Store(true)
	for i, m := range world.members {
		readers.Go(func() error { return m.follow(ctx, rand.New(rand.NewPCG(seed, uint64(1000+i))), &talking) })
	}
	t.Cleanup(func() { cancel(); _ = readers.Wait() })

	// Every user sends its share, two messages at a time.
	began = time.Now()
	var acked atomic.Int64
	progress := make(chan struct{}, k.messages)
	perSender := k.messages / (2 * k.users)
	for i, m := range world.members {
		for half := range 2 {
			r := rand.New(rand.NewPCG(seed, uint64(2000+2*i+half)))
			senders.Go(func() error {
				for range perSender {
					if err := m.sendOne(ctx, r); err != nil {
						return err
					}
					acked.Add(1)
					progress <- struct{}{}
				}
				return nil
			})
		}
	}
	sendersDone := make(chan error, 1)
	go func() { sendersDone <- senders.Wait() }()
	total := perSender * 2 * k.users
	for n := 1; n <= k.kills; n++ {
		for int(acked.Load()) < total*n/(k.kills+1) {
			select {
			case <-progress:
			case err := <-sendersDone:
				t.Fatalf("the senders ended early: %v", err)
			case <-time.After(2 * patience):
				t.Fatalf("%d of %d messages acknowledged, and no progress", acked.Load(), total)
			}
		}
		i := n % len(servers)
		servers[i].kill()
		t.Logf("server %d killed with %d messages acknowledged", i+1, acked.Load())
		servers[i] = start(addresses[i])
	}
	select {
	case err := <-sendersDone:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(4 * patience):
		t.Fatalf("%d of %d messages acknowledged, and no progress", acked.Load(), total)
	}
	t.Logf("%d messages acknowledged in %v", acked.Load(), time.Since(began).Round(time.Millisecond))
	talking.Store(false)

	// Everybody gets everything.
	for _, m := range world.members {
		if !m.awaitAll(t) {
			break // the others are checked without waiting
		}
	}
	t.Logf("everybody has everything after %v", time.Since(began).Round(time.Millisecond))
	cancel()
	if err := readers.Wait(); err != nil {
		t.Error(err)
	}
	want := world.log(t)
	var first, again, streams, replaced, tries int
	for _, m := range world.members {
		m.check(t, want)
		first += m.first
		again += m.again
		streams += m.streams
		replaced += m.replaced
		tries += int(m.tries.Load())
	}
	t.Logf("%d deliveries on %d streams (%d ended by a newer one), %d more were duplicates; %d sends for %d messages",
		first, streams, replaced, again, tries, total)
	for _, p := range servers {
		if code := stop(p); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// world is the users and what they did.
type world struct {
	members []*member
	mu      sync.Mutex
	said    map[string]map[string]int64 // room -> uuid -> acknowledged time
}

// life is how long a client keeps a stream.
func (w *world) life(random *rand.Rand) time.Duration {
	longest := 20 * len(w.members) // milliseconds; more users say more and take longer
	return time.Duration(10+random.IntN(longest)) * time.Millisecond
}

// member is one user, on all its streams.
type member struct {
	*user
	world *world
	// addresses are those of the servers, apis connections to them.
	addresses []string
	apis      []*api
	rooms     []string // sorted

	tries atomic.Int64

	mu       sync.Mutex
	seen     map[string]*sequence // by room
	wrong    []error
	changed  chan struct{} // closed and replaced when something was received
	first    int
	again    int
	streams  int
	replaced int
}

// sequence is what a user got of one room.
type sequence struct {
	order  []event // without duplicates
	times  map[string]int64
	cursor int64 // time of the last message from a stream
}

type event struct {
	time int64
	uuid string
}

func newWorld(t *testing.T, addresses []string, users, rooms int, random *rand.Rand) *world {
	t.Helper()
	w := &world{said: map[string]map[string]int64{}}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(4)
	for i := range users {
		m := &member{
			user:  &user{name: fmt.Sprintf("member%d", i), password: "correct horse battery", installation: uuid.NewString()},
			world: w, addresses: addresses, seen: map[string]*sequence{}, changed: make(chan struct{}),
		}
		for _, address := range addresses {
			m.apis = append(m.apis, dial(t, address))
		}
		m.api = m.apis[i%len(m.apis)]
		w.members = append(w.members, m)
		group.Go(func() error { return m.register(ctx) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range rooms {
		r := w.members[i%users].create(t, fmt.Sprintf("room %d", i))
		w.said[r.id] = map[string]int64{}
		in := map[int]bool{i % users: true}
		for len(in) < min(users, 6+random.IntN(10)) {
			in[random.IntN(users)] = true
		}
		for k := range users { // a few more, so that nobody is alone
			if k%rooms == i {
				in[k] = true
			}
		}
		for _, k := range slices.Sorted(maps.Keys(in)) {
			m := w.members[k]
			if k != i%users {
				m.join(t, r)
			}
			m.rooms = append(m.rooms, r.id)
			m.seen[r.id] = &sequence{times: map[string]int64{}, cursor: -1}
		}
	}
	for _, m := range w.members {
		slices.Sort(m.rooms)
	}
	return w
}

// sendOne sends one message until it is acknowledged, and now and then the
// same one again.
func (m *member) sendOne(ctx context.Context, random *rand.Rand) error {
	id, roomID := uuid.NewString(), m.rooms[random.IntN(len(m.rooms))]
	text := textOf(id)
	stored, tries, err := m.deliverAnywhere(ctx, random, roomID, text, id)
	if err != nil {
		return err
	}
	m.tries.Add(int64(tries))
	m.world.mu.Lock()
	m.world.said[roomID][id] = stored
	m.world.mu.Unlock()
	if random.IntN(50) == 0 {
		again, tries, err := m.deliverAnywhere(ctx, random, roomID, text, id)
		if err != nil {
			return err
		}
		m.tries.Add(int64(tries))
		if again != stored {
			return fmt.Errorf("message %s was acknowledged at %d, sent again at %d", id, stored, again)
		}
	}
	return nil
}

// deliverAnywhere is deliver, with each attempt to any of the servers.
func (m *member) deliverAnywhere(ctx context.Context, random *rand.Rand, roomID, text, id string) (stored int64, tries int, err error) {
	for {
		tries++
		u := *m.user
		u.api = m.apis[random.IntN(len(m.apis))]
		stored, err = u.attempt(ctx, roomID, text, id, m.waits())
		if !errors.Is(err, errTryAgain) || ctx.Err() != nil {
			return stored, tries, err
		}
	}
}

// waits has a call wait for the server, if there is no other.
func (m *member) waits() grpc.CallOption { return grpc.WaitForReady(len(m.apis) == 1) }

// textOf is the text of a message, so that whoever gets it can check it.
func textOf(id string) string { return "this is what " + id + " says" }

// follow reads streams until ctx ends, one after the other or overlapping, each
// from any of the servers.
func (m *member) follow(ctx context.Context, random *rand.Rand, restart *atomic.Bool) error {
	var overlapping errgroup.Group
	defer overlapping.Wait()
	apis := make([]*api, len(m.addresses))
	defer func() {
		for _, a := range apis {
			if a != nil {
				a.conn.Close()
			}
		}
	}()
	for ctx.Err() == nil {
		at := random.IntN(len(apis))
		if apis[at] == nil {
			a, err := connect(m.addresses[at])
			if err != nil {
				return err
			}
			apis[at] = a
		}
		streamCtx, cancel := context.WithCancel(ctx)
		rpc, err := apis[at].chat.StreamChatRPC(metadata.NewOutgoingContext(streamCtx, m.metadata(m.positions()...)), m.waits())
		if err != nil {
			cancel()
			if status.Code(err) != codes.Unavailable && ctx.Err() == nil {
				return fmt.Errorf("open a stream: %w", err)
			}
			continue
		}
		ready, over := make(chan struct{}), make(chan struct{})
		overlapping.Go(func() error {
			defer close(over)
			m.read(ctx, rpc, ready)
			cancel()
			return nil
		})
		select {
		case <-ready:
		case <-over:
			continue
		}
		// A stream lives a while. Then the client leaves it in one of the ways
		// in which clients leave, or the server ends it.
		for left := false; !left; {
			select {
			case <-over:
				left = true
				continue
			case <-ctx.Done():
				left = true
				continue
			case <-time.After(m.world.life(random)): // part of the load
			}
			if !restart.Load() {
				continue
			}
			left = true
			switch random.IntN(4) {
			case 0:
				cancel()
			case 1:
				_ = rpc.CloseSend()
				<-over
			case 2: // the next stream replaces this one
			case 3: // the connection is lost
				apis[at].conn.Close()
				apis[at] = nil
			}
		}
	}
	return nil
}

// positions is what the user has, as the streams delivered it.
func (m *member) positions() []position {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []position
	for _, r := range m.rooms {
		s := m.seen[r]
		if s.cursor < 0 {
			continue // not downloaded yet
		}
		p := position{room: r, updated: s.cursor, viewed: s.cursor}
		for _, e := range s.order[max(0, len(s.order)-10):] {
			if e.time > s.cursor-20_000 {
				p.uuids = append(p.uuids, e.uuid)
			}
		}
		list = append(list, p)
	}
	return list
}

// read takes in what comes on one stream until it ends. It closes ready when
// the initialization is over.
func (m *member) read(ctx context.Context, rpc chatRPC, ready chan<- struct{}) {
	last := map[string]event{} // of this stream
	for {
		f, err := rpc.Recv()
		m.mu.Lock()
		if err != nil {
			m.ended(ctx, rpc, err)
			m.mu.Unlock()
			return
		}
		switch r := f.GetServerResponse().(type) {
		case *streampb.ChatToClientResponse_InitialConnectionPrimerResponse:
			m.streams++
		case *streampb.ChatToClientResponse_InitialConnectionMessagesResponse:
			m.takeAll(r.InitialConnectionMessagesResponse.GetMessagesList(), last)
		case *streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse:
			close(ready)
		case *streampb.ChatToClientResponse_ReturnNewChatMessage:
			m.takeAll(r.ReturnNewChatMessage.GetMessagesList(), last)
		default:
			m.fail("unexpected response %v", f)
		}
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// ended judges the end of a stream. m is locked.
func (m *member) ended(ctx context.Context, rpc chatRPC, err error) {
	e := endOf(rpc, err)
	switch {
	case ctx.Err() != nil, e.code == codes.Canceled, e.code == codes.Unavailable:
	case errors.Is(err, io.EOF) && e.reason == "3" && e.cancelInfo == m.installation:
		m.replaced++
	case errors.Is(err, io.EOF) && e.reason == "0":
	default:
		m.fail("a stream ended with %+v (%v)", e, err)
	}
}

func (m *member) fail(format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Errorf(m.name+": "+format, args...))
}

// takeAll takes in messages; m is locked.
func (m *member) takeAll(list []*chatpb.ChatMessageToClient, last map[string]event) {
	for _, msg := range list {
		e, roomID := event{msg.GetTimestampStored(), msg.GetMessageUuid()}, msg.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom()
		s := m.seen[roomID]
		if s == nil {
			m.fail("a message of a room it is not in: %v", msg)
			continue
		}
		specifics := msg.GetMessage().GetMessageSpecifics()
		switch kindOf(msg) {
		case kindNewUpdate:
			n := specifics.GetNewUpdateTimeMessage()
			e.uuid = n.GetRepresentedMessageUuid()
			if n.GetMessageTimestampStored() != e.time {
				m.fail("two times in %v", msg)
			}
		case kindText:
			got, text := specifics.GetTextMessage().GetMessageText(), textOf(e.uuid)
			if msg.GetMessage().GetStandardMessageInfo().GetAmountOfMessage() == chatpb.AmountOfMessage_ONLY_SKELETON {
				text = "" // the first download of a room
			}
			if got != text {
				m.fail("message %s says %q, want %q", e.uuid, got, text)
			}
		case kindStart, kindMember, kindFinished, kindObserved:
			continue
		}
		if e.time <= 0 || e.uuid == "" {
			m.fail("no time or no uuid: %v", msg)
			continue
		}
		// Within a stream the order is strict, but for a repeated message.
		if before, ok := last[roomID]; ok && e.time <= before.time {
			if known, ok := s.times[e.uuid]; !ok || known != e.time {
				m.fail("room %s: %v after %v on one stream", roomID, e, before)
			}
		}
		last[roomID] = e
		s.cursor = max(s.cursor, e.time)
		if known, ok := s.times[e.uuid]; ok {
			m.again++
			if known != e.time {
				m.fail("room %s: %s at %d and at %d", roomID, e.uuid, known, e.time)
			}
			continue
		}
		if n := len(s.order); n > 0 && e.time <= s.order[n-1].time {
			m.fail("room %s: %v is new after %v", roomID, e, s.order[n-1])
		}
		m.first++
		s.times[e.uuid] = e.time
		s.order = append(s.order, e)
	}
}

// log is what every room holds, the same for every member, and all that was
// acknowledged in it.
func (w *world) log(t *testing.T) map[string][]event {
	t.Helper()
	logs := map[string][]event{}
	for _, m := range w.members {
		for roomID, list := range m.historyOf(t) {
			if known, ok := logs[roomID]; ok && !slices.Equal(known, list) {
				t.Fatalf("room %s: two members read different histories, of %d and %d messages", roomID, len(known), len(list))
			}
			logs[roomID] = list
		}
	}
	for roomID, said := range w.said {
		list := logs[roomID]
		if !slices.IsSortedFunc(list, func(a, b event) int { return int(a.time - b.time) }) {
			t.Errorf("room %s: the history is not in order", roomID)
		}
		stored := map[string]int64{}
		for i, e := range list {
			stored[e.uuid] = e.time
			if i > 0 && list[i-1].time >= e.time {
				t.Errorf("room %s: %v after %v", roomID, e, list[i-1])
			}
		}
		if len(stored) != len(list) {
			t.Errorf("room %s: %d messages, %d uuids", roomID, len(list), len(stored))
		}
		lost := 0
		for id, at := range said {
			if stored[id] != at {
				lost++
				t.Errorf("room %s: %s was acknowledged at %d, stored is %d", roomID, id, at, stored[id])
			}
			if lost > 5 {
				break
			}
		}
		var texts int
		for _, e := range list {
			if _, ok := said[e.uuid]; ok {
				texts++
			}
		}
		// What is not a text is the cap and one join a member.
		if others := len(list) - texts; others != 1+w.membersOf(roomID) {
			t.Errorf("room %s: %d messages that nobody sent, want %d", roomID, others, 1+w.membersOf(roomID))
		}
	}
	return logs
}

func (w *world) membersOf(roomID string) int {
	n := 0
	for _, m := range w.members {
		if m.seen[roomID] != nil {
			n++
		}
	}
	return n
}

// historyOf reads the complete history of the user's rooms with a stream that
// has nothing of them yet.
func (m *member) historyOf(t *testing.T) map[string][]event {
	t.Helper()
	var all []position
	for _, r := range m.rooms {
		all = append(all, position{room: r, updated: -1, viewed: -1})
	}
	s := m.open(t, all...)
	defer s.cancel()
	logs := map[string][]event{}
	for _, msg := range s.initial() {
		if kindOf(msg) == kindObserved {
			continue
		}
		v := viewOf(msg)
		if v.kind == kindText && v.text != textOf(v.uuid) {
			t.Errorf("message %s says %q", v.uuid, v.text)
		}
		logs[v.room] = append(logs[v.room], event{v.time, v.uuid})
	}
	return logs
}

// awaitAll waits until the user has as much as there is: all that was said,
// the cap of the room and one join a member.
func (m *member) awaitAll(t *testing.T) bool {
	t.Helper()
	for {
		m.mu.Lock()
		changed := m.changed
		missing := ""
		for _, r := range m.rooms {
			if got, all := len(m.seen[r].order), len(m.world.said[r])+1+m.world.membersOf(r); got < all {
				missing = fmt.Sprintf("%s has %d of %d messages of room %s", m.name, got, all, r)
			}
		}
		m.mu.Unlock()
		if missing == "" {
			return true
		}
		select {
		case <-changed:
		case <-time.After(patience):
			t.Error(missing)
			return false
		}
	}
}

// check compares what the user got with what there is.
func (m *member) check(t *testing.T, want map[string][]event) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, err := range m.wrong {
		if i == 5 {
			t.Errorf("%s: and %d more", m.name, len(m.wrong)-i)
			break
		}
		t.Error(err)
	}
	for _, r := range m.rooms {
		got := m.seen[r].order
		if slices.Equal(got, want[r]) {
			continue
		}
		var lost []string
		for _, e := range want[r] {
			if _, ok := m.seen[r].times[e.uuid]; !ok {
				lost = append(lost, fmt.Sprint(e))
			}
		}
		t.Errorf("%s, room %s: %d messages, want %d; missing: %s", m.name, r, len(got), len(want[r]), strings.Join(lost[:min(5, len(lost))], " "))
	}
}

// TestKilledServerKeepsMembership kills the server while users join and leave.
// Whatever became of the last command, afterwards all say the same about who is
// in which room: the room's history, the user's stream and the commands.
func TestKilledServerKeepsMembership(t *testing.T) {
	noLeaks(t)
	const roomCount, userCount = 5, 10
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	address, data := fixedAddress(t), t.TempDir()
	start := func() *process { return serve(t, "--listen="+address, "--data="+data) }
	p := start()
	admin := dial(t, address).signUp(t)
	var rooms []room
	var users []*user
	for i := range roomCount {
		rooms = append(rooms, admin.create(t, fmt.Sprint("room ", i)))
	}
	for range userCount {
		users = append(users, dial(t, address).signUp(t))
	}
	for round := range rounds {
		var done atomic.Int64
		var group sync.WaitGroup
		enough := make(chan struct{})
		for i, u := range users {
			random := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			group.Go(func() {
				for { // until the server is gone
					r := rooms[random.IntN(len(rooms))]
					var err error
					if random.IntN(2) == 0 {
						_, err = u.tryJoin(t.Context(), r)
					} else {
						_, err = u.commands.LeaveChatRoomRPC(t.Context(), &commandspb.LeaveChatRoomRequest{LoginInfo: u.login(), ChatRoomId: r.id})
					}
					if err != nil {
						if status.Code(err) != codes.Unavailable {
							t.Errorf("a join or leave: %v", err)
						}
						return
					}
					if done.Add(1) == 500 {
						close(enough)
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(patience):
			t.Fatalf("only %d joins and leaves", done.Load())
		}
		p.kill()
		group.Wait()
		p = start()

		a := dial(t, address) // connected at once, the others are still backing off
		reader := *admin
		reader.api = a
		members := map[string]map[string]bool{} // room -> account
		for _, r := range rooms {
			in := map[string]bool{}
			for _, m := range reader.history(t, r) {
				switch who := m.GetSentByAccountId(); kindOf(m) {
				case kindJoined:
					if in[who] {
						t.Errorf("room %s: %s joined twice", r.id, who)
					}
					in[who] = true
				case kindLeft:
					if !in[who] {
						t.Errorf("room %s: %s left, and was not in", r.id, who)
					}
					delete(in, who)
				}
			}
			members[r.id] = in
		}
		total := 0
		for _, u := range users {
			back := *u
			back.api = a
			s := back.open(t)
			added := map[string]bool{}
			for _, m := range s.initial() {
				if kindOf(m) == kindStart {
					added[viewOf(m).room] = true
				}
			}
			s.cancel()
			for _, r := range rooms {
				in := members[r.id][u.id]
				if in {
					total++
				}
				if added[r.id] != in {
					t.Errorf("room %s: the history says that %s is in: %v, its stream: %v", r.id, u.name, in, added[r.id])
				}
				if resp := back.observe(t, r, time.Now().UnixMilli()); resp.GetUserNotInChatRoom() == in {
					t.Errorf("room %s: the history says that %s is in: %v, a command: %v", r.id, u.name, in, resp)
				}
			}
		}
		t.Logf("killed after %d joins and leaves; %d memberships", done.Load(), total)
	}
}
