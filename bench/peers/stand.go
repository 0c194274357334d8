package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/chatstream/chatstream/bench/load"
)

// stand is one server with everything that is connected to it.
type stand struct {
	name    string
	process load.Process
	sender
	stop func()
}

// sender gives a server work: load.Fanout for ours, fanout for the others.
type sender interface {
	Backlog(ctx context.Context, window, size int, d time.Duration) (load.Sample, error)
	Paced(ctx context.Context, rate float64, size int, d time.Duration) (load.Sample, error)
	// Close ends what is connected.
	Close()
}

// kind is a sort of server.
type kind struct {
	name string
	// open starts a server that keeps its files in dir, and connects subscribers,
	// each on a connection of its own.
	open func(ctx context.Context, programs *programs, dir string, subscribers int) (*stand, error)
	// weigh does the same, and returns by how many bytes the server's memory has
	// grown, once every subscriber has been sent something.
	weigh func(ctx context.Context, programs *programs, dir string, subscribers int) (int64, error)
}

var (
	kindChatstream    = kind{"chatstream", openChatstream, weighChatstream}
	kindCentrifugo    = peerKind("centrifugo", startCentrifugo)
	kindCentrifugoAPI = peerKind("centrifugo-api", startCentrifugoWithAPI)
	kindNATS          = peerKind("nats", startNATS)
	kindJetStream     = peerKind("jetstream", startJetStream)
)

// others are those that ours is compared with: while they work, and idle.
var (
	others     = []kind{kindCentrifugo, kindCentrifugoAPI, kindNATS, kindJetStream}
	othersIdle = []kind{kindCentrifugo, kindNATS, kindJetStream}
)

// peerKind is the kind of the servers that start starts.
func peerKind(name string, start func(context.Context, *programs, string) (peer, error)) kind {
	open := func(ctx context.Context, programs *programs, dir string, subscribers int) (*stand, error) {
		p, err := start(ctx, programs, dir)
		if err != nil {
			return nil, err
		}
		f := &fanout{peer: p, audience: newAudience(subscribers)}
		if err := p.subscribe(ctx, f.audience); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w\n%s", name, err, p.server().output)
		}
		return &stand{name: name, process: p.server().id(), sender: f, stop: f.Close}, nil
	}
	weigh := func(ctx context.Context, programs *programs, dir string, subscribers int) (int64, error) {
		p, err := start(ctx, programs, dir)
		if err != nil {
			return 0, err
		}
		f := &fanout{peer: p, audience: newAudience(subscribers)}
		defer f.Close()
		return growth(ctx, p.server(), func() error {
			if err := p.subscribe(ctx, f.audience); err != nil {
				return fmt.Errorf("%s: %w\n%s", name, err, p.server().output)
			}
			s, err := f.Paced(ctx, 1, textSize, time.Nanosecond) // the one that is due at once
			return errors.Join(err, s.Check())
		})
	}
	return kind{name, open, weigh}
}

// growth is by how many bytes the memory of p grows while connect does so.
func growth(ctx context.Context, p *process, connect func() error) (int64, error) {
	before, err := p.settledMemory(ctx)
	if err == nil {
		err = connect()
	}
	if err != nil {
		return 0, err
	}
	after, err := p.settledMemory(ctx)
	return after - before, err
}

// startChatstream starts ours: as it comes, but for the cost of passwords, which
// is not what is measured here.
func startChatstream(ctx context.Context, programs *programs, dir string) (*process, load.Target, error) {
	address, _, err := freeAddress()
	if err != nil {
		return nil, load.Target{}, err
	}
	profiles, _, err := freeAddress()
	if err != nil {
		return nil, load.Target{}, err
	}
	p, err := startProcess(ctx, address, profiles, programs.chatstream, "serve", "--listen="+address, "--diagnostics="+profiles,
		"--log-level=warn", "--data="+filepath.Join(dir, "chatstream"), "--argon2-time=1", "--argon2-memory=64")
	return p, load.Target{Address: address}, err
}

func openChatstream(ctx context.Context, programs *programs, dir string, subscribers int) (*stand, error) {
	p, target, err := startChatstream(ctx, programs, dir)
	if err != nil {
		return nil, err
	}
	f, err := load.OpenFanout(ctx, target, subscribers, 0, nil)
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("chatstream: %w\n%s", err, p.output)
	}
	return &stand{name: "chatstream", process: p.id(), sender: f, stop: func() { f.Close(); p.stop() }}, nil
}

// Of the rooms in which idle streams are, and of the connections on which their
// accounts are made.
const (
	idleRoom         = 100
	idleSetupOnConns = 16
)

// weighChatstream makes accounts and rooms with one process and opens the
// streams with another, in which nothing is left of that.
func weighChatstream(ctx context.Context, programs *programs, dir string, subscribers int) (int64, error) {
	first, target, err := startChatstream(ctx, programs, dir)
	if err != nil {
		return 0, err
	}
	rooms, err := load.OpenRooms(ctx, target, subscribers, idleSetupOnConns, idleRoom, nil)
	first.stop()
	if err != nil {
		return 0, fmt.Errorf("chatstream: %w\n%s", err, first.output)
	}
	defer rooms.Close()
	p, target, err := startChatstream(ctx, programs, dir)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	return growth(ctx, p, func() error {
		if err := rooms.Connect(ctx, target, subscribers); err != nil {
			return fmt.Errorf("chatstream: %w\n%s", err, p.output)
		}
		s, err := rooms.Once(ctx, textSize)
		return errors.Join(err, s.Check())
	})
}

// cost is what some deliveries have cost a server.
type cost struct {
	load.Sample
	cpu time.Duration
}

// perDelivery is the server's processor time for each delivery, in microseconds.
func (c cost) perDelivery() float64 {
	return float64(c.cpu.Nanoseconds()) / 1e3 / float64(c.Deliveries)
}

// rate is the number of messages in a second.
func (c cost) rate() float64 { return float64(c.Sent) / c.Elapsed.Seconds() }

// saturate has window messages on their way for d.
func (s *stand) saturate(ctx context.Context, window int, d time.Duration) (cost, error) {
	return s.cost(ctx, d, func(ctx context.Context) (load.Sample, error) { return s.Backlog(ctx, window, textSize, d) })
}

// pace publishes rate messages a second for d.
func (s *stand) pace(ctx context.Context, rate float64, d time.Duration) (cost, error) {
	return s.cost(ctx, d, func(ctx context.Context) (load.Sample, error) { return s.Paced(ctx, rate, textSize, d) })
}

// textSize is the size of a text in bytes.
const textSize = 200

// cost has run give the server work for d, and fails if anything of it does not
// arrive exactly once.
func (s *stand) cost(ctx context.Context, d time.Duration, run func(context.Context) (load.Sample, error)) (cost, error) {
	ctx, stop := context.WithTimeout(ctx, d+2*settle) // one who waits for a lost message would wait for ever
	defer stop()
	before, err := s.process.CPU()
	if err != nil {
		return cost{}, err
	}
	sample, err := run(ctx)
	if err == nil {
		err = sample.Check()
	}
	if err == nil && sample.Duplicates != 0 {
		err = fmt.Errorf("%d messages came twice", sample.Duplicates)
	}
	if err != nil {
		return cost{}, fmt.Errorf("%s: %w", s.name, err)
	}
	after, err := s.process.CPU()
	return cost{sample, after - before}, err
}
