package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/mongo"
)

// openMongoDB opens the store in a database, by the ways in via, and says where it
// is.
func openMongoDB(uri, database, via string, c *clock, log *slog.Logger) (st store.Store, where string, err error) {
	cfg := mongo.Config{URI: uri, Database: database, Logger: log, Now: c.now}
	if via != "" {
		ways := make(detours)
		for way := range strings.SplitSeq(via, ",") {
			member, address, ok := strings.Cut(way, "=")
			if !ok {
				return nil, "", fmt.Errorf("-via %q is not MEMBER=ADDRESS,MEMBER=ADDRESS", via)
			}
			ways[member] = address
		}
		cfg.Dialer = ways
	}
	m, err := mongo.Open(context.Background(), cfg)
	if err != nil {
		return nil, "", err
	}
	return m, "mongodb:" + m.Address(), nil
}

// detours are the addresses to connect to instead of others. The set itself knows
// one address of each member, which is everybody's, so a way that only this server
// takes must be found where it connects.
type detours map[string]string

// DialContext implements mongo.Dialer.
func (d detours) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	way, ok := d[address]
	if !ok {
		return nil, fmt.Errorf("there is no way to %s", address)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, way)
}
