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

	"github.com/chatstream/chatstream/store/mongo/mongotest"
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

// The faults of MongoDB, and of what is between it and a server.
const (
	FaultStepDown       Fault = "step-down"       // the primary resigns
	FaultKillPrimary    Fault = "kill-primary"    // SIGKILL, 1 to 3 s, and it is back
	FaultFreezePrimary  Fault = "freeze-primary"  // SIGSTOP, 5 s, SIGCONT
	FaultRestartMembers Fault = "restart-members" // SIGTERM, and it is back: one after the other
	FaultStoreCut       Fault = "store-cut"       // a server reaches no member for 5 s, and is told so
	FaultStoreHalfOpen  Fault = "store-half-open" // nothing comes through, and nobody is told
	FaultKillCursors    Fault = "kill-cursors"    // the change streams' cursors are killed again and again
	FaultSkew           Fault = "skew"            // the servers' clocks are 5 s apart from the start
)

// AllFaults are all of them.
var AllFaults = []Fault{
	FaultKill, FaultTerm, FaultPause, FaultCut, FaultHalfOpen, FaultSlowClient, FaultDeafClient,
	FaultTinyTail, FaultTinyLimits, FaultSlowDisk, FaultFullDisk, FaultClock, FaultPower,
}

// MongoDBFaults are those of servers on MongoDB: its own first, then all of the
// others but those of the embedded store's disk.
var MongoDBFaults = []Fault{
	FaultStepDown, FaultKillPrimary, FaultFreezePrimary, FaultRestartMembers, FaultStoreCut, FaultStoreHalfOpen,
	FaultKillCursors, FaultSkew, FaultClock,
	FaultKill, FaultTerm, FaultPause, FaultCut, FaultHalfOpen, FaultSlowClient, FaultDeafClient, FaultTinyTail, FaultTinyLimits,
}

// ParseFaults reads names with commas between them; all are all of known.
func ParseFaults(names string, known []Fault) ([]Fault, error) {
	if names == "" || names == "all" {
		return known, nil
	}
	var list []Fault
	for name := range strings.SplitSeq(names, ",") {
		if name == "none" {
			continue
		}
		if !slices.Contains(known, Fault(name)) {
			return nil, fmt.Errorf("unknown fault %q; there are %v", name, known)
		}
		list = append(list, Fault(name))
	}
	return list, nil
}

// needsFaulty: only faultyserver can do it.
func (f Fault) needsFaulty() bool {
	return f == FaultSlowDisk || f == FaultFullDisk || f == FaultClock || f == FaultPower || f == FaultSkew || f.behindServer()
}

// behindServer: between a server and MongoDB.
func (f Fault) behindServer() bool { return f == FaultStoreCut || f == FaultStoreHalfOpen }

// onServer: one at a time, by whoever looks after the process.
func (f Fault) onServer() bool {
	switch f {
	case FaultKill, FaultTerm, FaultPause, FaultSlowDisk, FaultFullDisk, FaultClock, FaultPower:
		return true
	}
	return false
}

// isLasting: it is there from the start of a server to its end.
func (f Fault) isLasting() bool { return f == FaultTinyTail || f == FaultTinyLimits || f == FaultSkew }

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
	servers []*process
	devices []*device
	// proxies are the devices', to each server; behind are the servers', to each
	// member of set, which is nil without MongoDB.
	proxies, behind [][]*proxy
	set             *mongotest.Set
	cut             time.Duration
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

func (in *injector) note(f Fault, format string, args ...any) { in.noteAt(0, f, format, args...) }

// noteAt is note, of what is done to one server.
func (in *injector) noteAt(server int, f Fault, format string, args ...any) {
	in.rec.Add(Record{Kind: KindFault, Op: string(f), Server: server, Note: fmt.Sprintf(format, args...)})
}

// onServer does f to a server. When it returns the server runs.
func (in *injector) onServer(ctx context.Context, f Fault, random *rand.Rand) error {
	p := in.servers[random.IntN(len(in.servers))]
	note := func(format string, args ...any) { in.noteAt(p.number, f, format, args...) }
	restart := func() error {
		sleep(ctx, millis(random.IntN(200)))
		return p.start()
	}
	if err := p.ensure(); err != nil {
		return err
	}
	switch f {
	case FaultKill:
		note("")
		p.kill()
		return restart()
	case FaultTerm:
		note("")
		p.stop()
		return restart()
	case FaultPause:
		t := millis(1000 + random.IntN(2000))
		note("%v", t)
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		sleep(ctx, t)
		err := p.cmd.Process.Signal(syscall.SIGCONT)
		note(noteOver)
		return err
	case FaultSlowDisk:
		if p.fsync = 300*time.Millisecond - p.fsync; p.fsync > 0 {
			note("%v", p.fsync)
		}
		return p.tell("fsync " + p.fsync.String())
	case FaultFullDisk:
		n := random.IntN(100_000)
		note("room for %d bytes", n)
		p.mayEnd = true
		if err := p.tell(fmt.Sprint("full ", n)); err != nil {
			return err
		}
		return untilFull(p, restart)
	case FaultClock:
		p.clock = millis(random.IntN(10_001) - 5000)
		note("%v", p.clock)
		return p.tell("clock " + p.clock.String())
	case FaultPower:
		note("")
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
func untilFull(p *process, restart func() error) error {
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
		for _, p := range in.ways(victims) {
			if err := p.cut(); err != nil {
				return err
			}
		}
		return nil
	case FaultHalfOpen:
		direction := random.IntN(3)
		in.note(f, "%d devices for %v", n, t)
		for _, p := range in.ways(victims) {
			if err := p.halfOpen(direction != 1, direction != 2); err != nil {
				return err
			}
		}
		sleep(ctx, t)
		for _, p := range in.ways(victims) {
			p.heal()
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

// ways are the proxies of some devices.
func (in *injector) ways(devices []int) (proxies []*proxy) {
	for _, i := range devices {
		proxies = append(proxies, in.proxies[i]...)
	}
	return proxies
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
func (in *injector) heal(ctx context.Context) error {
	for _, p := range slices.Concat(in.proxies...) {
		p.heal()
	}
	if err := in.healMongoDB(ctx); err != nil {
		return err
	}
	for _, p := range in.servers {
		p.fsync = 0
		if err := p.ensure(); err != nil {
			return err
		}
		if !p.faulty || in.set != nil {
			continue
		}
		for _, command := range []string{"fsync 0s", "full -1"} {
			if err := p.tell(command); err != nil {
				return err
			}
		}
	}
	return nil
}

// run does all of it, until ctx ends.
func (in *injector) run(ctx context.Context, faults []Fault, seed uint64) error {
	var wg sync.WaitGroup
	var server, clients, mongodb error
	for _, f := range faults {
		if f.isLasting() {
			in.note(f, noteLasting)
		}
	}
	wg.Go(func() {
		server = in.attack(ctx, faults, rand.New(rand.NewPCG(seed, 1)), Fault.onServer, in.onServer)
	})
	wg.Go(func() {
		clients = in.attack(ctx, faults, rand.New(rand.NewPCG(seed, 2)), Fault.onClients, in.onClients)
	})
	wg.Go(func() {
		mongodb = in.attack(ctx, faults, rand.New(rand.NewPCG(seed, 4)), Fault.onMongoDB, in.onMongoDB)
	})
	wg.Wait()
	if err := errors.Join(server, clients, mongodb); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
