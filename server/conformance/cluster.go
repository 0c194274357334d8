package conformance

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/loadpb"
	"github.com/chatstream/chatstream/store"
)

// RunCluster checks what must be true of servers that share a database: to a
// client they are one. database makes an empty database, and returns what opens
// a store on it; each store is closed by the rule.
func RunCluster(t *testing.T, database func(t *testing.T) (open func(*testing.T) store.Store)) {
	for _, r := range []struct {
		name  string
		holds func(*testing.T, *cluster)
	}{
		{"message_reaches_streams_on_every_server", reachesEveryServer},
		{"newer_stream_ends_the_older_on_another_server", replacedElsewhere},
		{"newest_of_many_stays_in_the_cluster", newestStaysInCluster},
		{"logout_ends_the_stream_on_another_server", loggedOutElsewhere},
		{"login_ends_the_other_installations_stream_on_another_server", loggedInElsewhere},
		{"login_holds_on_every_server_at_once", loginHoldsAtOnce},
		{"logout_holds_on_every_server", logoutHolds},
		{"kick_ends_the_room_on_another_server", kickedElsewhere},
		{"user_that_hops_misses_nothing", hops},
		{"same_message_sent_to_two_servers_is_stored_once", sentTwice},
		{"servers_name_each_other_while_they_live", nameEachOther},
		{"server_that_is_cut_off_sends_its_clients_to_others", cutOff},
		{"server_that_is_cut_off_keeps_clients_that_have_nowhere_to_go", cutOffAlone},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			open := database(t)
			r.holds(t, &cluster{harness: &harness{open: open}})
		})
	}
}

// cluster is servers on one database, each with a store of its own.
type cluster struct{ *harness }

// pair starts two servers and connects to them.
func (c *cluster) pair(t *testing.T) (a, b *api) {
	t.Helper()
	return c.serve(t).dial(t), c.serve(t).dial(t)
}

// tracker reads a stream, initialization and live alike, since it depends on
// the way between the servers in which of the two a message comes.
type tracker struct {
	*stream
	complete bool
}

// until reads up to the message that was stored at that time, and returns all
// that came.
func (f *tracker) until(stored int64) (all []*chatpb.ChatMessageToClient) {
	f.t.Helper()
	for reached := int64(0); !f.complete || reached < stored; {
		response := f.next()
		if response == nil {
			f.t.Fatalf("the stream ended: %+v", endOf(f.rpc, f.err))
		}
		f.complete = f.complete || response.GetInitialConnectionMessagesCompleteResponse() != nil
		for _, m := range slices.Concat(response.GetInitialConnectionMessagesResponse().GetMessagesList(), response.GetReturnNewChatMessage().GetMessagesList()) {
			all = append(all, m)
			reached = max(reached, m.GetTimestampStored())
		}
	}
	return all
}

// A message that was sent to one server is told on the streams of all, in the
// room's one order.
func reachesEveryServer(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	ada, bob, eve := a.signUp(t), b.signUp(t), b.signUp(t)
	r := ada.create(t, "hall")
	bob.join(t, r)
	last := eve.join(t, r)
	onA, onB := &tracker{stream: ada.open(t)}, &tracker{stream: bob.open(t)}
	onA.until(last.time())
	onB.until(last.time())
	const each = 40
	var sending sync.WaitGroup
	for _, u := range []*user{ada, bob, eve.at(a)} {
		sending.Go(func() {
			for n := range each {
				u.say(t, r, fmt.Sprint(n))
			}
		})
	}
	sending.Wait()
	var order [2][]int64
	for i, s := range []*tracker{onA, onB} {
		for range 3 * each {
			order[i] = append(order[i], s.message().GetTimestampStored())
		}
		if !slices.IsSorted(order[i]) {
			t.Errorf("not in order: %v", order[i])
		}
	}
	if !slices.Equal(order[0], order[1]) {
		t.Errorf("not the same:\n%v\n%v", order[0], order[1])
	}
}

// A newer stream on another server ends the older with 3 and who, also when it
// is of the same installation.
func replacedElsewhere(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u := a.signUp(t)
	s := u.openLive(t)
	for _, server := range []*api{b, a, b, b} {
		newer := u.at(server).openLive(t)
		s.wantEnd(replacedBy(u))
		s = newer
	}
	s.close()
}

// Many streams of an account are opened at once on two servers: one is left.
func newestStaysInCluster(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u := a.signUp(t)
	var streams []*stream
	for i := range 20 {
		streams = append(streams, u.at([]*api{a, b}[i%2]).open(t))
	}
	ended := make(chan end, len(streams))
	for _, s := range streams {
		go func() {
			for range s.frames {
			}
			ended <- endOf(s.rpc, s.err)
		}()
	}
	for range len(streams) - 1 {
		select {
		case e := <-ended:
			if e != replacedBy(u) {
				t.Errorf("a stream ended with %+v", e)
			}
		case <-time.After(patience):
			t.Fatal("more than one stream is left")
		}
	}
	eventually(t, "one stream is there", func() bool {
		return a.server.Stats().Engine.Streams+b.server.Stats().Engine.Streams == 1
	})
	a.server.stop()
	b.server.stop()
	if e := <-ended; e != shutDown() {
		t.Errorf("the newest stream ended with %+v", e)
	}
}

func loggedOutElsewhere(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u, other := a.signUp(t), a.signUp(t)
	s, stays := u.openLive(t), other.openLive(t)
	if _, err := b.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: u.login()}); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(refused(chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH))
	stays.close()
}

// The same installation's login prolongs the session, and ends no stream.
func loggedInElsewhere(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u := a.signUp(t)
	s := u.openLive(t)
	u.at(b).logIn(t)
	r := u.at(b).create(t, "hall")
	still := u.at(b).say(t, r, "still here")
	(&tracker{stream: s, complete: true}).until(still.time)
	u.at(b).elsewhere().logIn(t)
	s.wantEnd(refused(elsewhere))
}

// A login by way of one server is known to the other one at once, although that
// has seen another one a moment ago: never is who has logged in refused.
func loginHoldsAtOnce(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	u.at(b).say(t, r, "first")
	for i := range 50 {
		u.logIn(t)
		u.at(b).say(t, r, fmt.Sprint("after login ", i))
		u = u.elsewhere()
		u.logIn(t)
		u.at(b).say(t, r, fmt.Sprint("from elsewhere ", i))
	}
}

// After a logout by way of one server the other one refuses the commands of that
// session as well: once it is shown, and what is stored until then is stored.
func logoutHolds(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	for range 5 {
		u.at(b).say(t, r, "good day")
		if _, err := a.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: u.login()}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other server refuses the session", func() bool {
			response, err := b.commands.ClientMessageToServerRPC(soon(t), u.textRequest(r, "still there?", uuid.NewString()))
			if err != nil {
				t.Fatal(err)
			}
			status := response.GetReturnStatus()
			if status != chatpb.ReturnStatus_SUCCESS && status != chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH {
				t.Errorf("refused as %v", status)
			}
			return status != chatpb.ReturnStatus_SUCCESS
		})
		u.logIn(t)
	}
}

// Who is removed by way of another server is told so, and then nothing more.
func kickedElsewhere(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	ada, bob := a.signUp(t), b.signUp(t)
	r, own := ada.create(t, "hall"), bob.create(t, "own")
	last := bob.join(t, r)
	s := &tracker{stream: bob.open(t)}
	s.until(last.time())
	at := ada.expel(t, r, kick, bob)
	after := ada.say(t, r, "without him")
	mine := bob.say(t, own, "by myself")
	var got []int64
	for len(got) == 0 || got[len(got)-1] < mine.time {
		got = append(got, s.message().GetTimestampStored())
	}
	if !slices.Contains(got, at) || slices.Contains(got, after.time) {
		t.Errorf("told %v; the kick is %d, what came after it %d", got, at, after.time)
	}
}

// A user that goes from server to server, naming the place he has come to, is
// told everything once.
func hops(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	ada, bob := a.signUp(t), b.signUp(t)
	r := ada.create(t, "hall")
	at := bob.join(t, r).time()
	const messages, each = 200, 20
	var all, got []int64
	var said sync.WaitGroup
	said.Go(func() {
		for n := range messages {
			all = append(all, ada.say(t, r, fmt.Sprint(n)).time)
		}
	})
	for hop := 0; len(got) < messages; hop++ {
		s := &tracker{stream: bob.at([]*api{a, b}[hop%2]).open(t, position{room: r.id, updated: at, viewed: -1})}
		for want := min(len(got)+each, messages); len(got) < want; {
			for _, m := range s.until(at + 1) {
				if m.GetMessage().GetMessageSpecifics().GetTextMessage() != nil {
					at = m.GetTimestampStored()
					got = append(got, at)
				}
			}
		}
		s.cancel()
	}
	said.Wait()
	if !slices.Equal(got, all) {
		t.Errorf("told %d messages:\n%v\nof %d:\n%v", len(got), got, len(all), all)
	}
}

// A client that has no answer from one server asks another: the first time counts.
func sentTwice(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	for range 10 {
		id := uuid.NewString()
		var times [2]int64
		var sending sync.WaitGroup
		for i, server := range []*api{a, b} {
			sending.Go(func() { times[i] = u.at(server).sayAs(t, r, "once", id).time })
		}
		sending.Wait()
		if times[0] != times[1] {
			t.Errorf("stored at %d and at %d", times[0], times[1])
		}
	}
}

// Each server tells clients which others there are, until those have gone.
func nameEachOther(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	announce(t, a, b)
	if err := b.server.store.Store.(store.Shared).Withdraw(soon(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a names nobody", func() bool { return len(a.askLoad(t).GetServers()) == 0 })
}

// announce makes the two known to each other.
func announce(t *testing.T, a, b *api) {
	t.Helper()
	for _, v := range []*served{a.server, b.server} {
		if err := v.store.Store.(store.Shared).Announce(soon(t), v.addr); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a names b", func() bool { return slices.Equal(a.askLoad(t).GetServers(), []string{b.server.addr}) })
	eventually(t, "b names a", func() bool { return slices.Equal(b.askLoad(t).GetServers(), []string{a.server.addr}) })
}

func (a *api) askLoad(t *testing.T) *loadpb.RetrieveServerLoadResponse {
	t.Helper()
	r, err := a.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// isReady reports whether the server is to be used, as it tells the health checks
// and as it tells clients, once both say the same.
func (a *api) isReady(t *testing.T) (ready bool) {
	t.Helper()
	eventually(t, "health checks and load agree", func() bool {
		r, err := grpc_health_v1.NewHealthClient(a.conn).Check(soon(t), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		ready = r.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING
		return a.askLoad(t).GetAcceptingConnections() == ready
	})
	return ready
}

// A server that hears nothing of what others store is not ready, and its clients
// are sent to those, until it hears of them again.
func cutOff(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	announce(t, a, b)
	u := a.signUp(t)
	r := u.create(t, "hall")
	s := u.openLive(t)
	a.server.store.mute.Store(true)
	s.wantEnd(shutDown())
	late := u.open(t)
	if m := late.next(); m != nil {
		t.Errorf("a stream that was opened here was told %v", m)
	}
	late.wantEnd(shutDown())
	eventually(t, "it is not ready", func() bool { return !a.isReady(t) })
	if !b.isReady(t) {
		t.Error("the other one is not ready either")
	}
	there := &tracker{stream: u.at(b).open(t)}
	there.until(u.at(b).say(t, r, "here I am").time)
	a.server.store.mute.Store(false)
	eventually(t, "it is ready again", func() bool { return a.isReady(t) })
	u.openLive(t).close()
}

// Where no other server is known the streams stay: the store may be down for all,
// and what it says, if it does, is told.
func cutOffAlone(t *testing.T, c *cluster) {
	a := c.serve(t).dial(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	s := u.openLive(t)
	a.server.store.mute.Store(true)
	eventually(t, "it is not ready", func() bool { return !a.isReady(t) })
	said := u.say(t, r, "is anybody there?")
	(&tracker{stream: s, complete: true}).until(said.time)
	a.signUp(t).openLive(t).close()
	a.server.store.mute.Store(false)
	eventually(t, "it is ready again", func() bool { return a.isReady(t) })
}
