package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/chatstream/chatstream/store"
)

// contact is whether a server that shares its store hears what is stored by way of
// the others. One that has not for a while is cut off: its streams are told nothing
// new although others could tell their clients. Safe for concurrent use.
type contact struct {
	store store.Shared
	// patience is for how long the store may say nothing.
	patience time.Duration
	log      *slog.Logger
	cut      atomic.Bool
	// ready is told again and again whether the server is to be used.
	ready func(bool)
	// sendAway ends the streams that there are. It gives up when ctx ends.
	sendAway func(ctx context.Context)
}

// contactEvery is how often it is looked whether the server is cut off.
const contactEvery = time.Second

// keep looks after it until ctx ends. Without another server that is known to be
// alive the streams stay: their clients have nowhere to go, and the store may be
// down for all.
func (c *contact) keep(ctx context.Context) {
	tick := time.NewTicker(contactEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		silent := time.Since(c.store.Heard())
		if cut := silent >= c.patience; c.cut.Swap(cut) != cut {
			if cut {
				c.log.Error("cut off from the store: not ready, and clients are sent to other servers if there are any",
					"silent for", silent, "servers", len(c.store.Servers()))
			} else {
				c.log.Info("in touch with the store again")
			}
		}
		c.ready(!c.isCut())
		if c.lost() {
			c.sendAway(ctx)
		}
	}
}

// isCut reports whether the server is cut off. It has been a while ago at most.
func (c *contact) isCut() bool { return c != nil && c.cut.Load() }

// lost reports whether clients are to go to another server.
func (c *contact) lost() bool { return c.isCut() && len(c.store.Servers()) > 0 }
