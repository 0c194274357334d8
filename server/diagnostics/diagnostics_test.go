package diagnostics_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/server/diagnostics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type counters struct{ Streams int }

func start(t *testing.T) (*diagnostics.Server, func(path string) (int, string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := diagnostics.Start(l, func() any { return counters{Streams: 7} }, slog.New(slog.DiscardHandler))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return s, func(path string) (int, string) {
		r, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
}

func TestShowsProfilesAndCounters(t *testing.T) {
	s, get := start(t)
	defer s.Close()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?gc=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/mutex", "/debug/pprof/cmdline"} {
		if code, body := get(path); code != http.StatusOK || body == "" {
			t.Errorf("%s answers %d and %d bytes", path, code, len(body))
		}
	}
	code, body := get("/debug/stats")
	var shown struct {
		Process struct{ CPU, Memory, Goroutines int64 }
		Server  counters
	}
	if err := json.Unmarshal([]byte(body), &shown); err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v: %s", code, err, body)
	}
	if shown.Server.Streams != 7 || shown.Process.Goroutines == 0 || shown.Process.CPU == 0 {
		t.Errorf("shown: %+v", shown)
	}
}

// Garbage is collected when that is asked for, and not by looking at it.
func TestCollectsGarbage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := diagnostics.Start(l, func() any { return nil }, slog.New(slog.DiscardHandler))
	defer s.Close()
	forced := func(method string) (code int, collections uint32) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+"/debug/gc", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		runtime.ReadMemStats(&after)
		return r.StatusCode, after.NumForcedGC - before.NumForcedGC
	}
	if code, n := forced(http.MethodPost); code != http.StatusOK || n == 0 {
		t.Errorf("POST: %d, %d collections", code, n)
	}
	if code, n := forced(http.MethodGet); code == http.StatusOK || n != 0 {
		t.Errorf("GET: %d, %d collections", code, n)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	s, get := start(t)
	defer s.Close()
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("/ answers %d", code)
	}
}

func TestCloseEndsServing(t *testing.T) {
	s, _ := start(t)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestServingThatFailedIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	said := make(line, 1)
	s := diagnostics.Start(l, func() any { return nil }, slog.New(slog.NewTextHandler(said, nil)))
	if text := <-said; !strings.Contains(text, "diagnostics are not served any more") {
		t.Error(text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// line takes one line that is logged.
type line chan string

func (l line) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
