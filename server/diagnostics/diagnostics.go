// Package diagnostics serves what a running server shows of its inside: profiles
// and counters, over HTTP, on an address of its own. It is not for the public: a
// profile names functions, and taking one costs time.
package diagnostics

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// Server serves diagnostics until it is closed.
type Server struct {
	http   *http.Server
	served chan struct{} // closed when Serve has returned
}

// Start serves on l, which it owns from then on. stats returns the counters that
// /debug/stats shows as JSON; it is called for each request, by many goroutines. A
// POST to /debug/gc collects garbage and gives what is free back to the operating
// system, which the runtime itself does late, if ever: what is resident afterwards
// is what the server needs.
// Serving that ends by itself is told to log: the server goes on without it.
func Start(l net.Listener, stats func() any, log *slog.Logger) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /debug/gc", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	mux.HandleFunc("GET /debug/stats", func(w http.ResponseWriter, _ *http.Request) { write(w, stats()) })
	s := &Server{
		// No WriteTimeout: a profile lasts as long as it is asked to.
		http:   &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute},
		served: make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("diagnostics are not served any more", "error", err)
		}
	}()
	return s
}

// process is what the runtime and the operating system tell.
type process struct {
	CPU        time.Duration // used so far, in nanoseconds
	Memory     int64         // resident, in bytes; 0 where it cannot be told
	Goroutines int
	Processors int
	Go         string
}

func thisProcess() process {
	p := process{Goroutines: runtime.NumGoroutine(), Processors: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		p.CPU = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	if raw, err := os.ReadFile("/proc/self/statm"); err == nil { // Linux
		var size, resident int64
		if n, _ := fmt.Sscan(string(raw), &size, &resident); n == 2 {
			p.Memory = resident * int64(os.Getpagesize())
		}
	}
	return p
}

func write(w http.ResponseWriter, stats any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(struct {
		Process process
		Server  any
	}{thisProcess(), stats})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// Close cuts every request off.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close diagnostics: %w", err)
	}
	return nil
}
