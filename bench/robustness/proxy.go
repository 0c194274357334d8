package robustness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// proxy stands between one device and a server, or between a server and a member
// of the replica set, on an address of its own.
type proxy struct {
	*toxiproxy.Proxy
}

func newProxy(name, upstream string) (*proxy, error) {
	listen, err := freeAddress() // it may have to come back to it
	if err != nil {
		return nil, err
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &proxy{toxiproxy.NewProxy(server, name, listen, upstream)}
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return p, nil
}

// proxiesTo makes a proxy to each of the addresses, and returns where they listen.
func proxiesTo(addresses []string) (proxies []*proxy, listening []string, err error) {
	for _, address := range addresses {
		p, err := newProxy("to "+address, address)
		if err != nil {
			return proxies, listening, err
		}
		proxies, listening = append(proxies, p), append(listening, p.Listen)
	}
	return proxies, listening, nil
}

// cut closes every connection, and soon takes new ones.
func (p *proxy) cut() error {
	for _, direction := range []string{"upstream", "downstream"} {
		if err := p.stall(direction, 1); err != nil {
			return err
		}
	}
	time.Sleep(30 * time.Millisecond)
	p.heal()
	return nil
}

// refuse closes every connection and takes no new ones, until admit.
func (p *proxy) refuse() error {
	p.Proxy.Stop()
	return nil
}

// admit takes connections again.
func (p *proxy) admit() error {
	if p.Proxy.Enabled {
		return nil
	}
	if err := p.Proxy.Start(); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	return nil
}

// stall has nothing come through in a direction; after a time in milliseconds
// the connections are closed, with 0 they stay.
func (p *proxy) stall(direction string, timeout int) error {
	toxic := fmt.Sprintf(`{"name":%q,"type":"timeout","stream":%q,"attributes":{"timeout":%d}}`, direction, direction, timeout)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	return nil
}

// halfOpen has nothing come through any more, in one direction or both, while
// the connections stay open.
func (p *proxy) halfOpen(up, down bool) error {
	for direction, on := range map[string]bool{"upstream": up, "downstream": down} {
		if !on {
			continue
		}
		if err := p.stall(direction, 0); err != nil {
			return err
		}
	}
	return nil
}

// heal lets everything through again. What was half-open is closed.
func (p *proxy) heal() { p.Toxics.ResetToxics(context.Background()) }
