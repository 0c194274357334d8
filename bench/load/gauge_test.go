package load

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/chatstream/chatstream/bench/result"
)

// What a server of ours tells of its locks is read, and of the measured interval.
func TestWaitsAreThoseOfTheInterval(t *testing.T) {
	answers := []string{
		`{"Process": {"CPU": 5, "Memory": 6, "Goroutines": 7}, "Server": {"Pool": {"RunQueueLock": {"Waited": 3, "Spins": 40, "Yields": 1, "Longest": 900}, "JobQueueLock": {}}}}`,
		`{"Process": {"CPU": 5, "Memory": 6, "Goroutines": 7}, "Server": {"Pool": {"RunQueueLock": {"Waited": 5, "Spins": 90, "Yields": 2, "Longest": 950}, "JobQueueLock": {"Waited": 1, "Spins": 2}}}}`,
		`{"Process": {"CPU": 5, "Memory": 6, "Goroutines": 7}, "Server": null}`, // the bare program
	}
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(answers[asked]))
		asked++
	}))
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var uses []Use
	for range answers {
		u, err := Diagnostics(s.Listener.Addr().String()).Use(t.Context())
		if err != nil || u.CPU != 5 || u.Memory != 6 || u.Goroutines != 7 {
			t.Fatalf("%+v, %v", u, err)
		}
		uses = append(uses, u)
	}
	want := []result.LockWaits{
		{Name: "run queue", Waited: 2, Spins: 50, Yields: 1, Longest: 950},
		{Name: "job queue", Waited: 1, Spins: 2},
	}
	if got := since(uses[0].Locks, uses[1].Locks); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := since(uses[2].Locks, uses[2].Locks); got != nil || since(uses[2].Locks, uses[0].Locks) != nil {
		t.Errorf("of a server that tells nothing: %+v", got)
	}
}
