package load_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/bench/load"
	"github.com/chatstream/chatstream/bench/result"
	"github.com/chatstream/chatstream/server"
	"github.com/chatstream/chatstream/server/accounts"
	"github.com/chatstream/chatstream/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) } // ants keeps its default pool

// serve is a server of ours.
func serve(t *testing.T) load.Target {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	st, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), st, server.Config{Logger: log, Accounts: accounts.Config{Argon2: accounts.Argon2{Time: 1, MemoryKiB: 64}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(t.Context()), <-served, st.Close()); err != nil {
			t.Log(err) // clients have been cut off
		}
	})
	return load.Target{Address: l.Addr().String()}
}

// small is a scenario that ends soon.
func small(t *testing.T) load.Scenario {
	return load.Scenario{
		Target: serve(t), Gauge: load.Process(os.Getpid()),
		Streams: 12, Connections: 3, Members: 4, Rate: 40, Reconnects: 20, Size: 100, Duration: time.Second,
	}
}

// check holds what every scenario's result must hold.
func check(t *testing.T, r *result.Run, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r.Server, r.Command = "chatstream", "test"
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	if r.Counts.Missing != 0 || len(r.Latencies) == 0 || r.Latencies[0].Count == 0 || r.Use == nil || r.Use.RSSEnd == 0 {
		t.Errorf("result: %+v, use %+v", r.Counts, r.Use)
	}
}

func TestFanoutAtARate(t *testing.T) {
	r, err := small(t).Fanout(t.Context(), "fanout")
	check(t, r, err)
	if c := r.Counts; c.Sent != 40 || c.Deliveries != 40*12 {
		t.Errorf("%+v", c)
	}
}

func TestFanoutWithAWindow(t *testing.T) {
	s := small(t)
	s.Window, s.Rate = 4, 0
	r, err := s.Fanout(t.Context(), "fanout")
	check(t, r, err)
	if c := r.Counts; c.Sent == 0 || c.Deliveries != c.Sent*12 {
		t.Errorf("%+v", c)
	}
}

func TestRooms(t *testing.T) {
	r, err := small(t).Rooms(t.Context(), "rooms")
	check(t, r, err)
	if c := r.Counts; c.Sent != 40 || c.Deliveries != 40*3 {
		t.Errorf("%+v", c)
	}
}

func TestChurn(t *testing.T) {
	r, err := small(t).Churn(t.Context(), "churn")
	check(t, r, err)
	if c := r.Counts; c.Connects != 40 || c.Replacements != 40 {
		t.Errorf("%+v", c)
	}
}

func TestSoak(t *testing.T) {
	r, err := small(t).Soak(t.Context(), "soak")
	check(t, r, err)
	if c := r.Counts; c.Deliveries != 40*3 || c.Connects == 0 {
		t.Errorf("%+v", c)
	}
}

func TestClientsThatNeverReadAreNotCounted(t *testing.T) {
	f, err := load.OpenFanout(t.Context(), serve(t), 3, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.AddDeaf(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	s, err := f.Paced(t.Context(), 20, 100, time.Second)
	if err != nil || s.Check() != nil || s.Deliveries != 60 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestCatchesUpAgainAndAgain(t *testing.T) {
	target := serve(t)
	late, err := load.FallBehind(t.Context(), target, 300, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	for range 3 {
		if took, err := late.CatchUp(t.Context(), target); err != nil || took <= 0 {
			t.Errorf("%s, %v", took, err)
		}
	}
}

func TestScenarioThatMakesNoSenseIsRefused(t *testing.T) {
	good := load.Scenario{Streams: 4, Members: 2, Rate: 1, Reconnects: 1, Size: 100, Duration: time.Second}
	for _, name := range []string{"fanout", "rooms", "churn", "soak", "latency"} {
		if err := good.Validate(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for what, change := range map[string]func(*load.Scenario){
		"no streams":              func(s *load.Scenario) { s.Streams = 0 },
		"too many connections":    func(s *load.Scenario) { s.Connections = 5 },
		"no time":                 func(s *load.Scenario) { s.Duration = 0 },
		"no rate":                 func(s *load.Scenario) { s.Rate = 0 },
		"negative rate":           func(s *load.Scenario) { s.Rate = -1 },
		"too short":               func(s *load.Scenario) { s.Size = 3 },
		"too long":                func(s *load.Scenario) { s.Size = 1 << 30 },
		"alone":                   func(s *load.Scenario) { s.Members = 1 },
		"a room that is not full": func(s *load.Scenario) { s.Members = 3 },
		"nobody breaks off":       func(s *load.Scenario) { s.Reconnects = 0 },
	} {
		s := good
		change(&s)
		if s.Validate("soak") == nil {
			t.Errorf("%s is allowed", what)
		}
	}
}
