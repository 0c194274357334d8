package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/chatstream/chatstream/pool"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

// Claims is where servers that share a store agree on which stream of an account
// is the newest. An engine without has all streams of its accounts to itself.
// See store.Shared.
type Claims interface {
	Claim(ctx context.Context, account, installation string) (store.Claim, error)
	Claims(ctx context.Context, accounts []string) ([]store.Claim, error)
}

// claim returns how a stream gets its generation: in the registry's step, or,
// where other servers may have a stream of the account, from all of them
// together. Called by the handler, which may wait.
func (e *Engine) claim(ctx context.Context, r *Request) (next func() uint64, err error) {
	if e.cfg.Claims == nil {
		return e.registry.generations.Next, nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StoreTimeout)
	defer cancel()
	c, err := e.cfg.Claims.Claim(ctx, r.Account, r.Installation)
	if err != nil {
		return nil, errors.Join(errStore, err)
	}
	return func() uint64 { return c.Generation }, nil
}

// claimed ends the account's stream here if it is older than c.
func (e *Engine) claimed(c store.Claim) {
	if ref, ok := e.registry.Acquire(c.Account); ok {
		defer ref.Release()
		if ref.Stream().generation < c.Generation {
			ref.Stream().End(Ending{Reason: streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM, Info: c.Installation})
		}
	}
}

// fence looks whether streams of these accounts have been opened elsewhere since
// those that are here, and ends those that are older. A claim that was made
// before is found by the look; one that is made afterwards is shown by Watch,
// and the stream is in the registry by then. Without an answer it asks again:
// who is not fenced would be told what another device is told, too. Only with
// Config.Claims.
func (e *Engine) fence(accounts []string) {
	var claims []store.Claim
	read := func(ctx context.Context) (err error) {
		claims, err = e.cfg.Claims.Claims(ctx, accounts)
		return err
	}
	e.untilAnswered(read, func() {
		for _, c := range claims {
			e.claimed(c)
		}
	}, func() bool { return e.has(accounts) })
}

// has reports whether one of the accounts has a stream here.
func (e *Engine) has(accounts []string) bool {
	for _, a := range accounts {
		if ref, ok := e.registry.Acquire(a); ok {
			ref.Release()
			return true
		}
	}
	return false
}

// recheck asks whether the session that the account's stream was opened with
// still holds: it may have been ended by way of another server.
func (e *Engine) recheck(account string) {
	ref, ok := e.registry.Acquire(account)
	if !ok {
		return
	}
	s := ref.Stream()
	ref.Release()
	if s.holds == nil {
		return
	}
	var why *Ending
	read := func(ctx context.Context) (err error) {
		why, err = s.holds(ctx)
		return err
	}
	e.untilAnswered(read, func() {
		if why != nil {
			s.End(*why)
		}
	}, func() bool { return s.ending.Load() == nil })
}

// untilAnswered has read run on a worker, again and again until it succeeds,
// and then calls answered; it gives up when that is not wanted any more, or the
// pool is closed.
func (e *Engine) untilAnswered(read func(context.Context) error, answered func(), wanted func() bool) {
	attempt := 0
	var try func()
	again := func() {
		attempt++
		time.AfterFunc(backoff(attempt), try)
	}
	try = func() {
		if !wanted() {
			return
		}
		err := e.job(read, func(err error) {
			if err == nil {
				answered()
				return
			}
			e.log.Debug("the store did not say what other servers have done; it is asked again", "error", err)
			again()
		})
		if errors.Is(err, pool.ErrBusy) {
			again()
		}
	}
	try()
}

// recheckAll is for when it is unknown what other servers have done: whether
// each stream is still its account's newest, and its session still holds.
func (e *Engine) recheckAll() {
	if e.cfg.Claims == nil {
		return
	}
	var accounts []string
	e.registry.Range(func(s *Stream) { accounts = append(accounts, s.account) })
	for some := range slices.Chunk(accounts, fenceChunk) {
		e.fence(some)
	}
	for _, a := range accounts {
		e.recheck(a)
	}
}

// fenceChunk is of how many accounts the claims are read at once.
const fenceChunk = 500
