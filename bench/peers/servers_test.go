package peers

import (
	"syscall"
	"testing"
	"time"
)

// Every server delivers to everybody, and what is measured of it is there.
func TestServersDeliver(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts every server")
	}
	for _, k := range append([]kind{kindChatstream}, others...) {
		t.Run(k.name, func(t *testing.T) {
			const n = 5
			s := k.openFor(t, n)
			for range 2 {
				c, err := s.saturate(t.Context(), 4, 20*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				if c.Sent == 0 || c.Deliveries != n*c.Sent || c.Latency.TotalCount() != c.Deliveries {
					t.Errorf("%d were sent to %d, %d came, with %d latencies", c.Sent, n, c.Deliveries, c.Latency.TotalCount())
				}
			}
			c, err := s.pace(t.Context(), 100, 95*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if c.Sent != 10 || c.Deliveries != 10*n || c.Latency.TotalCount() != 10*n {
				t.Errorf("%d were sent to %d, %d came, with %d latencies", c.Sent, n, c.Deliveries, c.Latency.TotalCount())
			}
		})
	}
}

// Connections weigh something in every server.
func TestConnectionsWeigh(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts every server")
	}
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append([]kind{kindChatstream}, others...) {
		t.Run(k.name, func(t *testing.T) {
			grown, err := k.weigh(t.Context(), programs, files(t), 150)
			if err != nil {
				t.Fatal(err)
			}
			if grown < 150<<10 {
				t.Errorf("150 connections weigh %d bytes", grown)
			}
		})
	}
}

// A server that ends while something is on its way ends the measurement.
func TestServerEndsInBetween(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts every server")
	}
	for _, k := range others {
		t.Run(k.name, func(t *testing.T) {
			s := k.openFor(t, 3)
			if err := syscall.Kill(int(s.process), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if _, err := s.saturate(t.Context(), 1, time.Hour); err == nil {
				t.Error("nobody noticed")
			}
		})
	}
}
