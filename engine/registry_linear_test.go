package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/chatstream/chatstream/proto/streampb"
)

// streamRegistry is what the check needs of a Registry; the wrong ones have it too.
type streamRegistry interface {
	Replace(s *Stream, next func() uint64) bool
	Acquire(account string) (Ref, bool)
	leave(s *Stream)
}

// registryCall is one call. Streams are known by their number in the history,
// from 1; 0 is none.
type registryCall struct {
	method  string
	account string
	stream  int
}

// registryResult is what came of it. What a stream was told, and when it was
// closed, is known when all is over: see registryRun.
type registryResult struct {
	ok         bool
	generation uint64 // that the stream was given, or has
	stream     int    // that was found
}

// registryRun is one history of a Registry: openings, ends and look-ups of a few
// accounts.
type registryRun struct {
	*history
	registry streamRegistry

	mu      sync.Mutex
	streams []*Stream
}

const (
	registryClients = 4
	registryCalls   = 9
	foreignInfo     = "ended by the client"
)

func (r *registryRun) open(account string) (int, *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.streams) + 1
	s := &Stream{
		account: account, installation: fmt.Sprint(n),
		ended: make(chan struct{}), drained: make(chan struct{}),
	}
	r.streams = append(r.streams, s)
	return n, s
}

// client opens streams, ends them as their handler would, and looks for those of
// others. What a stream's end consists of are three calls: nobody says that they
// are one step.
func (r *registryRun) client(client int, accounts []string, next func() uint64) {
	for range registryCalls / 3 {
		n, s := r.open(accounts[rand.IntN(len(accounts))])
		r.record(client, registryCall{"replace", s.account, n}, func() any {
			ok := r.registry.Replace(s, next)
			return registryResult{ok: ok, generation: s.generation}
		})
		for range rand.IntN(3) {
			r.find(client, accounts[rand.IntN(len(accounts))])
		}
		if rand.IntN(3) > 0 {
			s.End(Ending{Info: foreignInfo})
			r.record(client, registryCall{"close", s.account, n}, func() any {
				if _, drained := s.refs.Close(); drained {
					close(s.drained)
				}
				return registryResult{}
			})
			r.find(client, s.account)
			r.record(client, registryCall{"leave", s.account, n}, func() any {
				r.registry.leave(s)
				return registryResult{}
			})
		}
		r.find(client, s.account)
	}
}

func (r *registryRun) find(client int, account string) {
	r.record(client, registryCall{method: "acquire", account: account}, func() any {
		ref, ok := r.registry.Acquire(account)
		if !ok {
			return registryResult{}
		}
		defer ref.Release()
		// Nobody finds a stream before it has its generation: a plain read.
		found := ref.Stream()
		r.mu.Lock()
		defer r.mu.Unlock()
		return registryResult{ok: true, generation: found.generation, stream: slices.Index(r.streams, found) + 1}
	})
}

// registryState is one account: the stream with the highest generation of those
// that are open.
type registryState struct {
	held       int
	generation uint64
	closed     bool // it has come to its end, and has not left yet
}

// model is the sequential specification: one register per account. endedBy says
// of each stream whose opening ended it; "" if nothing did, and foreignInfo if
// the client had gone first.
func (r *registryRun) model() porcupine.Model {
	endedBy := make([]string, len(r.streams)+1)
	for i, s := range r.streams {
		if why := s.ending.Load(); why != nil {
			endedBy[i+1] = why.Info
		}
	}
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byAccount := map[string][]porcupine.Operation{}
			for _, op := range ops {
				account := op.Input.(registryCall).account
				byAccount[account] = append(byAccount[account], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byAccount {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return registryState{} },
		Step: func(state, input, output any) (bool, any) {
			s, call, got := state.(registryState), input.(registryCall), output.(registryResult)
			switch call.method {
			case "replace":
				if !got.ok {
					// Only a newer one refuses it, and then nothing was changed.
					return s.held != 0, s
				}
				// The one that is replaced was told so by this opening and no other,
				// unless it had been ended before.
				told := s.held == 0 || endedBy[s.held] == foreignInfo || endedBy[s.held] == fmt.Sprint(call.stream)
				return told && got.generation > s.generation, registryState{held: call.stream, generation: got.generation}
			case "acquire":
				if !got.ok {
					return s.held == 0 || s.closed, s
				}
				return got.stream == s.held && got.generation == s.generation && !s.closed, s
			case "close":
				s.closed = s.closed || s.held == call.stream
				return true, s
			default: // leave
				if s.held == call.stream {
					s = registryState{}
				}
				return true, s
			}
		},
	}
}

// runRegistry records one history and says what is wrong with it. next is called
// to take a generation.
func runRegistry(g streamRegistry, next func() uint64) error {
	r := &registryRun{history: newHistory(registryClients), registry: g}
	together(registryClients, func(i int) {
		r.client(i, []string{account(0), account(1)}, next)
	})
	for _, a := range []string{account(0), account(1)} {
		r.find(0, a)
	}
	// Told to end by an opening: only streams that this opening took the place of,
	// each opening of one at most.
	told := map[string]int{}
	for _, s := range r.streams {
		if why := s.ending.Load(); why != nil && why.Reason == streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM {
			if told[why.Info]++; told[why.Info] > 1 {
				return fmt.Errorf("%w: opening %s has ended several streams", errNoOrder, why.Info)
			}
		}
	}
	return r.linearizable(r.model())
}

func TestRegistryIsLinearizable(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		for range 400 {
			g := newRegistry()
			next := func() uint64 {
				generation := g.generations.Next()
				yield()
				return generation
			}
			if err := runRegistry(g, next); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Registries that are wrong in one thing. Each yields where the right one must not
// be interrupted.

// looseGenerations takes the generation before the step of the map, and does not
// compare: an older stream takes the place of a newer one.
type looseGenerations struct{ *Registry }

func (g looseGenerations) Replace(s *Stream, next func() uint64) bool {
	s.generation = next()
	yield()
	g.streams.Compute(s.account, func(old *Stream, loaded bool) (*Stream, bool) {
		if loaded {
			old.End(Ending{Info: s.installation})
		}
		return s, false
	})
	return true
}

// twoSteps looks for the stream to end before it takes its place.
type twoSteps struct{ *Registry }

func (g twoSteps) Replace(s *Stream, next func() uint64) bool {
	old, loaded := g.streams.Load(s.account)
	yield()
	g.streams.Compute(s.account, func(*Stream, bool) (*Stream, bool) {
		s.generation = next()
		return s, false
	})
	if loaded {
		old.End(Ending{Info: s.installation})
	}
	return true
}

// leavesForAnother takes out whatever stream the account has.
type leavesForAnother struct{ *Registry }

func (g leavesForAnother) leave(s *Stream) { g.streams.Delete(s.account) }

// looksOnce takes the end of the stream that it found for that of the account's.
type looksOnce struct{ *Registry }

func (g looksOnce) Acquire(account string) (Ref, bool) {
	s, ok := g.streams.Load(account)
	yield()
	if !ok || !s.acquire() {
		return Ref{}, false
	}
	return Ref{s}, true
}

func TestWrongRegistriesAreNotLinearizable(t *testing.T) {
	for name, wrong := range map[string]func(*Registry) streamRegistry{
		"generation outside the step": func(g *Registry) streamRegistry { return looseGenerations{g} },
		"replaced in two steps":       func(g *Registry) streamRegistry { return twoSteps{g} },
		"leave of another's":          func(g *Registry) streamRegistry { return leavesForAnother{g} },
		"acquire looks only once":     func(g *Registry) streamRegistry { return looksOnce{g} },
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, func() error {
				g := newRegistry()
				return runRegistry(wrong(g), g.generations.Next)
			})
		})
	}
}
