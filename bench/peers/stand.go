package peers

import (
	"context"
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
	// empty is the server's memory before there were connections, in bytes.
	empty int64
	stop  func()
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
}

var (
	kindChatstream = kind{"chatstream", openChatstream}
	kindCentrifugo = kind{"centrifugo", opener("centrifugo", startCentrifugo)}
	kindNATS       = kind{"nats", opener("nats", startNATS)}
	kindJetStream  = kind{"jetstream", opener("jetstream", startJetStream)}
)

// others are those that ours is compared with.
var others = []kind{kindCentrifugo, kindNATS, kindJetStream}

func opener(name string, start func(context.Context, *programs, string) (peer, error)) func(context.Context, *programs, string, int) (*stand, error) {
	return func(ctx context.Context, programs *programs, dir string, subscribers int) (*stand, error) {
		p, err := start(ctx, programs, dir)
		if err != nil {
			return nil, err
		}
		f := &fanout{peer: p, audience: newAudience(subscribers)}
		s := &stand{name: name, process: p.server().id(), sender: f, stop: f.Close}
		if s.empty, err = s.process.Memory(); err == nil {
			err = p.subscribe(ctx, f.audience)
		}
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("%s: %w\n%s", name, err, p.server().output)
		}
		return s, nil
	}
}

// openChatstream is ours: as it comes, but for the cost of passwords, which is
// not what is measured here.
func openChatstream(ctx context.Context, programs *programs, dir string, subscribers int) (*stand, error) {
	address, _, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, address, programs.chatstream, "serve", "--listen="+address, "--log-level=warn",
		"--data="+filepath.Join(dir, "chatstream"), "--argon2-time=1", "--argon2-memory=64")
	if err != nil {
		return nil, err
	}
	s := &stand{name: "chatstream", process: p.id()}
	var f *load.Fanout
	if s.empty, err = s.process.Memory(); err == nil {
		f, err = load.OpenFanout(ctx, load.Target{Address: address}, subscribers, 0, nil)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("chatstream: %w\n%s", err, p.output)
	}
	s.sender = f
	s.stop = func() { f.Close(); p.stop() }
	return s, nil
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

// perConnection is the server's memory for each of n connections, in bytes.
func (s *stand) perConnection(n int) (float64, error) {
	full, err := s.process.Memory()
	return float64(full-s.empty) / float64(n), err
}
