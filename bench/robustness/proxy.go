package robustness

import (
	"context"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// proxy stands between one device and the server, on an address of its own.
type proxy struct {
	*toxiproxy.Proxy
}

func newProxy(name, upstream string) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &proxy{toxiproxy.NewProxy(server, name, address, upstream)}
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return p, nil
}

// cut closes every connection, and takes new ones at once.
func (p *proxy) cut() error {
	p.Stop()
	if err := p.Start(); err != nil {
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
		toxic := fmt.Sprintf(`{"name":%q,"type":"timeout","stream":%q,"attributes":{"timeout":0}}`, direction, direction)
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
	}
	return nil
}

// heal lets everything through again. What was half-open is closed.
func (p *proxy) heal() { p.Toxics.ResetToxics(context.Background()) }
