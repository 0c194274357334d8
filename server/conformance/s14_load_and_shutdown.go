package conformance

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/loadpb"
)

func loadAndShutdown() []section {
	return []section{{"14", "Load and shutdown", []rule{
		{"load_counts_open_streams_if_asked", loadCounts},
		{"shutdown_ends_every_stream_with_4", shutdownEndsStreams},
		{"shutdown_takes_as_long_as_its_work", shutdownIsQuick},
		{"everything_is_refused_while_it_lasts", refusedWhileShuttingDown},
	}}}
}

// The load is asked for without a login, and tells that the server accepts, and
// the number of open streams if that was asked, else -1.
func loadCounts(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	for n := range 3 {
		if n > 0 {
			a.signUp(t).openLive(t)
		}
		r, err := a.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{RequestNumClients: true})
		if err != nil || !r.GetAcceptingConnections() || int(r.GetNumClients()) != n {
			t.Errorf("%v, %v, want %d clients", r, err, n)
		}
	}
	if r, err := a.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{}); err != nil || !r.GetAcceptingConnections() || r.GetNumClients() != -1 {
		t.Errorf("%v, %v, want -1 clients when not asked", r, err)
	}
}

// A shutdown ends every stream with reason 4, also one that initializes.
func shutdownEndsStreams(t *testing.T, h *harness) {
	st := h.store(t)
	v := serveOn(t, st)
	a := v.dial(t)
	var streams []*stream
	for range 5 {
		streams = append(streams, a.signUp(t).openLive(t))
	}
	st.on(func(call string) error {
		if call == "RoomsOf" {
			time.Sleep(100 * time.Millisecond) // a store that is not quick
		}
		return nil
	})
	initializing := a.signUp(t).open(t)
	initializing.next() // its primer
	stopped := make(chan struct{})
	go func() {
		v.stop()
		close(stopped)
	}()
	for _, s := range append(streams, initializing) {
		s.wantEnd(shutDown())
	}
	<-stopped
}

// Replaced, 91 s of fixed sleeps: a shutdown takes as long as its work.
func shutdownIsQuick(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	for range 10 {
		a.signUp(t).openLive(t)
	}
	began := time.Now()
	v.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Replaced, new streams hang while a server shuts down: from its beginning on,
// and as long as it lasts, a new stream is ended with reason 4, commands are
// UNAVAILABLE, and the load says that nobody is accepted.
func refusedWhileShuttingDown(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	u, late := a.signUp(t), v.dial(t).signUp(t)
	stuck := v.dial(t, smallWindows()...).signUp(t)
	r := u.create(t, "hall")
	stuck.join(t, r)
	reader := u.openLive(t)
	read := stuck.stall(t)
	v.awaitStreams(t, 2)
	flood(t, u, r, 640) // the shutdown waits for who does not read
	stopped := make(chan struct{})
	go func() {
		v.stop()
		close(stopped)
	}()
	reader.wantEnd(shutDown())
	select {
	case <-stopped:
		t.Fatal("the shutdown did not wait for the client that does not read")
	default:
	}
	for name, c := range map[string]*api{"old connection": late.api, "new connection": v.dial(t)} {
		wrong := *late
		wrong.token = "not even a token" // is not looked at any more
		for _, who := range []*user{late, &wrong} {
			got, before := who.at(c).open(t).rest()
			if got != shutDown() || len(before) > 0 {
				t.Errorf("%s: a new stream: %v, %+v", name, before, got)
			}
		}
		if resp, err := c.commands.ClientMessageToServerRPC(soon(t), late.textRequest(r, "x", uuid.NewString())); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: a command: %v, %v", name, resp, err)
		}
		if _, err := c.accounts.CreateAccount(soon(t), &chatstreampb.CreateAccountRequest{Name: "too late", Password: "correct horse battery"}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: a new account: %v", name, err)
		}
		if l, err := c.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{RequestNumClients: true}); err != nil || l.GetAcceptingConnections() || l.GetNumClients() != -1 {
			t.Errorf("%s: load: %v, %v", name, l, err)
		}
	}
	if err := read(); err == nil { // it reads at last, and the shutdown goes on
		t.Error("the stream goes on")
	}
	<-stopped
}
