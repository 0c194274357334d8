package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fault is something that is done to the server, to its disk and clock, to the
// network, or to a client.
type Fault string

// The faults.
const (
	FaultKill       Fault = "kill"        // SIGKILL
	FaultTerm       Fault = "term"        // SIGTERM
	FaultPause      Fault = "pause"       // SIGSTOP, 1 to 3 s, SIGCONT
	FaultCut        Fault = "cut"         // connections are closed
	FaultHalfOpen   Fault = "half-open"   // connections stay, and nothing comes through
	FaultSlowClient Fault = "slow-client" // a client takes its time over each response
	FaultDeafClient Fault = "deaf-client" // a client reads nothing, while much is said
	FaultTinyTail   Fault = "tiny-tail"   // events are kept in memory for nobody
	FaultTinyLimits Fault = "tiny-limits" // one runner, one worker, short lives, no patience
	FaultSlowDisk   Fault = "slow-disk"   // a sync takes 300 ms longer
	FaultFullDisk   Fault = "full-disk"   // ENOSPC, then a restart with room
	FaultClock      Fault = "clock"       // the clock steps by up to 5 s
	FaultPower      Fault = "power"       // what was not synced is lost
)

// AllFaults are all of them.
var AllFaults = []Fault{
	FaultKill, FaultTerm, FaultPause, FaultCut, FaultHalfOpen, FaultSlowClient, FaultDeafClient,
	FaultTinyTail, FaultTinyLimits, FaultSlowDisk, FaultFullDisk, FaultClock, FaultPower,
}

// ParseFaults reads names with commas between them.
func ParseFaults(names string) ([]Fault, error) {
	if names == "" || names == "all" {
		return AllFaults, nil
	}
	var list []Fault
	for name := range strings.SplitSeq(names, ",") {
		if name == "none" {
			continue
		}
		if !slices.Contains(AllFaults, Fault(name)) {
			return nil, fmt.Errorf("unknown fault %q; there are %v", name, AllFaults)
		}
		list = append(list, Fault(name))
	}
	return list, nil
}

// needsFaulty: only faultyserver can do it.
func (f Fault) needsFaulty() bool {
	return f == FaultSlowDisk || f == FaultFullDisk || f == FaultClock || f == FaultPower
}

// onServer: one at a time, by whoever looks after the process.
func (f Fault) onServer() bool {
	return f == FaultKill || f == FaultTerm || f == FaultPause || f.needsFaulty()
}

func (f Fault) onClients() bool {
	return f == FaultCut || f == FaultHalfOpen || f == FaultSlowClient || f == FaultDeafClient
}

// serverArgs are what a server is started with that has these faults all the
// time.
func serverArgs(faults []Fault) []string {
	args := []string{"--drain-timeout=2s", "--bookmark-every=200ms"}
	if slices.Contains(faults, FaultTinyTail) {
		args = append(args, "--tail-age=1ms", "--tail-bytes=1", "--cache-bytes=65536")
	}
	if slices.Contains(faults, FaultTinyLimits) {
		args = append(args, "--replies=1", "--workers=1", "--runners=1", "--max-streams=6", "--stall-timeout=400ms",
			"--gap-patience=1ms", "--stream-lifetime=1200ms")
	}
	return args
}

// injector makes faults happen.
type injector struct {
	rec     *Recorder
	server  *process
	devices []*device
	proxies []*proxy
}

// attack makes faults happen, of those that apply, until ctx ends.
func (in *injector) attack(ctx context.Context, faults []Fault, random *rand.Rand, apply func(Fault) bool, inject func(context.Context, Fault, *rand.Rand) error) error {
	faults = slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return !apply(f) })
	if len(faults) == 0 {
		return nil
	}
	random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for i := 0; sleep(ctx, millis(200+random.IntN(700))); i++ {
		f := faults[random.IntN(len(faults))]
		if i < len(faults) {
			f = faults[i] // each at least once, if there is time
		}
		if err := inject(ctx, f, random); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

func (in *injector) note(f Fault, format string, args ...any) {
	in.rec.Add(Record{Kind: KindFault, Op: string(f), Note: fmt.Sprintf(format, args...)})
}

// onServer does f to the server. When it returns the server runs.
func (in *injector) onServer(ctx context.Context, f Fault, random *rand.Rand) error {
	p := in.server
	restart := func() error {
		sleep(ctx, millis(random.IntN(200)))
		return p.start()
	}
	if err := p.ensure(); err != nil {
		return err
	}
	switch f {
	case FaultKill:
		in.note(f, "")
		p.kill()
		return restart()
	case FaultTerm:
		in.note(f, "")
		p.stop()
		return restart()
	case FaultPause:
		t := millis(1000 + random.IntN(2000))
		in.note(f, "%v", t)
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		sleep(ctx, t)
		err := p.cmd.Process.Signal(syscall.SIGCONT)
		in.note(f, "over")
		return err
	case FaultSlowDisk:
		if p.fsync = 300*time.Millisecond - p.fsync; p.fsync > 0 {
			in.note(f, "%v", p.fsync)
		}
		return p.tell("fsync " + p.fsync.String())
	case FaultFullDisk:
		n := random.IntN(100_000)
		in.note(f, "room for %d bytes", n)
		p.mayEnd = true
		if err := p.tell(fmt.Sprint("full ", n)); err != nil {
			return err
		}
		return in.untilFull(restart)
	case FaultClock:
		p.clock = millis(random.IntN(10_001) - 5000)
		in.note(f, "%v", p.clock)
		return p.tell("clock " + p.clock.String())
	case FaultPower:
		in.note(f, "")
		if err := p.tell("power"); err != nil {
			return err
		}
		<-p.exited
		p.over()
		return restart()
	}
	return nil
}

// untilFull waits until the server has noticed that the disk is full, which ends
// it, and restarts it when there is room again. With nobody writing enough the
// disk does not become full.
func (in *injector) untilFull(restart func() error) error {
	p := in.server
	select {
	case <-p.exited:
		p.over()
		return restart()
	case <-time.After(2 * time.Second):
		return p.tell("full -1")
	}
}

// onClients does f to some devices, for a while.
func (in *injector) onClients(ctx context.Context, f Fault, random *rand.Rand) error {
	n := 1 + random.IntN(1+len(in.devices)/3)
	victims := random.Perm(len(in.devices))[:n]
	t := millis(300 + random.IntN(1500))
	switch f {
	case FaultCut:
		in.note(f, "%d devices", n)
		for _, i := range victims {
			if err := in.proxies[i].cut(); err != nil {
				return err
			}
		}
		return nil
	case FaultHalfOpen:
		direction := random.IntN(3)
		in.note(f, "%d devices for %v", n, t)
		for _, i := range victims {
			if err := in.proxies[i].halfOpen(direction != 1, direction != 2); err != nil {
				return err
			}
		}
		sleep(ctx, t)
		for _, i := range victims {
			in.proxies[i].heal()
		}
	case FaultSlowClient:
		in.note(f, "%d devices for %v", n, t)
		for _, i := range victims {
			in.devices[i].slow.Store(int64(millis(10 + random.IntN(90))))
		}
		sleep(ctx, t)
		for _, i := range victims {
			in.devices[i].slow.Store(0)
		}
	case FaultDeafClient:
		in.note(f, "%d devices for %v", n, t)
		for _, i := range victims {
			in.devices[i].deaf.Store(true)
		}
		in.flood(ctx, in.devices[victims[0]], random)
		sleep(ctx, t)
		for _, i := range victims {
			in.devices[i].deaf.Store(false)
		}
	}
	return nil
}

// floodSize is how many messages are more than the transport takes for a client
// that does not read: about 128 KiB.
const floodSize = 600

// flood has others say much in a room of victim.
func (in *injector) flood(ctx context.Context, victim *device, random *rand.Rand) {
	s := victim.loggedIn()
	if s == nil {
		return
	}
	rooms := s.book.list()
	if len(rooms) == 0 {
		return
	}
	room := rooms[random.IntN(len(rooms))]
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	const senders = 24
	for i := range senders {
		d, mine := in.devices[i%len(in.devices)], rand.New(rand.NewPCG(random.Uint64(), 0))
		s := d.loggedIn()
		if s == nil || !slices.Contains(s.book.list(), room) {
			continue
		}
		all.Go(func() {
			for range floodSize / senders {
				if ctx.Err() == nil {
					d.send(ctx, s, room, uuidOf(mine))
				}
			}
		})
	}
	all.Wait()
}

// heal ends all faults.
func (in *injector) heal() error {
	for _, p := range in.proxies {
		p.heal()
	}
	if in.server.faulty {
		in.server.fsync = 0
	}
	if err := in.server.ensure(); err != nil || !in.server.faulty {
		return err
	}
	for _, command := range []string{"fsync 0s", "full -1"} {
		if err := in.server.tell(command); err != nil {
			return err
		}
	}
	return nil
}

// run does all of it, until ctx ends.
func (in *injector) run(ctx context.Context, faults []Fault, seed uint64) error {
	var wg sync.WaitGroup
	var server, clients error
	wg.Go(func() {
		server = in.attack(ctx, faults, rand.New(rand.NewPCG(seed, 1)), Fault.onServer, in.onServer)
	})
	wg.Go(func() {
		clients = in.attack(ctx, faults, rand.New(rand.NewPCG(seed, 2)), Fault.onClients, in.onClients)
	})
	wg.Wait()
	if err := errors.Join(server, clients); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
