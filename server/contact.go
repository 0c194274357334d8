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
	// sendAway ends the streams that there are. It gives up when ctx ends, which is
	// that of keep: once begun it goes on although the store is heard of again.
	sendAway func(ctx context.Context)
}

// contactEvery is how long after each look it is looked again whether the server is
// cut off. A process that was paused has heard nothing either, but hears of the
// store before the second look.
const contactEvery = 2 * time.Second

// keep looks after it until ctx ends. It takes two looks in a row to be cut off.
// Where no other server was alive when the store could last be asked, the streams
// stay: their clients have nowhere to go. Where one was, they are sent away, also if
// the store is down for all: who is cut off cannot tell.
func (c *contact) keep(ctx context.Context) {
	before := false // whether the store was silent at the look before
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(contactEvery):
		}
		silent := time.Since(c.store.Heard())
		late := silent >= c.patience
		cut := late && before
		before = late
		if c.cut.Swap(cut) != cut {
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
