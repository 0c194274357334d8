package robustness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

// Config is what a run is.
type Config struct {
	Programs Programs
	// Seed decides what is done; what comes of it, time decides too.
	Seed uint64
	// Faults are those that happen.
	Faults []Fault
	// Work is how long devices work while faults happen.
	Work time.Duration
	// Patience is how long something may take that must happen at last.
	Patience time.Duration
	// Devices and Accounts are how many there are, Rooms how many at first.
	Devices, Accounts, Rooms int
	// Dir is where the server's data and the history go.
	Dir string
	// MongoDB, if set, is where Servers servers keep everything, in a database of
	// the run's own. Otherwise there is one, with its data in Dir.
	MongoDB *mongotest.Set
	Servers int
	// Cut is how long a server is cut off from MongoDB.
	Cut time.Duration
}

// history is the name of the file in Config.Dir.
const historyFile = "history.jsonl"

// Run does one run and returns its history, which is in the file Dir/history.jsonl
// too. An error says that the run itself could not be done.
func Run(ctx context.Context, cfg Config) (records []Record, err error) {
	rec, err := NewRecorder(filepath.Join(cfg.Dir, historyFile))
	if err != nil {
		return nil, err
	}
	defer func() {
		all, closed := rec.Close()
		records, err = all, errors.Join(err, closed)
	}()
	rec.Add(Record{Kind: KindRun, Note: cfg.again()})
	r := &run{cfg: cfg, rec: rec, random: rand.New(rand.NewPCG(cfg.Seed, 0))}
	return nil, r.run(ctx)
}

// again is what repeats the run.
func (c Config) again() string {
	names := []string{"none"}
	if len(c.Faults) > 0 {
		names = nil
	}
	for _, f := range c.Faults {
		names = append(names, string(f))
	}
	test := "-run=TestRobustness$"
	if c.MongoDB != nil {
		test = fmt.Sprintf("-run=TestRobustnessOnMongoDB -robustness.servers=%d", c.Servers)
	}
	return fmt.Sprintf("%s -robustness.seed=%d -robustness.runs=1 -robustness.faults=%s", test, c.Seed, strings.Join(names, ","))
}

type run struct {
	cfg     Config
	rec     *Recorder
	random  *rand.Rand
	world   *world
	servers []*process
	devices []*device
	// proxies are the devices', to each server; behind are the servers', to each
	// member of the replica set. Empty where no network is to fail.
	proxies, behind [][]*proxy
	auditor         *device
}

func (r *run) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		r.close()
		for _, p := range r.servers {
			p.end()
		}
	}()
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.populate(ctx); err != nil {
		return err
	}
	// The streams live on when the work is over.
	listening, hangUp := context.WithCancel(ctx)
	var listeners sync.WaitGroup
	defer listeners.Wait()
	defer hangUp()
	for i, d := range r.devices {
		random := rand.New(rand.NewPCG(r.cfg.Seed, uint64(100+i)))
		listeners.Go(func() { d.listen(ctx, listening.Done(), random) })
	}
	if err := r.work(ctx); err != nil {
		return err
	}
	r.rec.Add(Record{Kind: KindHealed})
	settled := r.settle(ctx)
	if err := r.audit(ctx, settled); err != nil {
		return err
	}
	hangUp()
	listeners.Wait()
	return r.finish()
}

// begin starts the servers and makes the devices.
func (r *run) begin() error {
	if err := r.prepare(); err != nil {
		return err
	}
	var addresses []string
	for _, p := range r.servers {
		if err := p.start(); err != nil {
			return err
		}
		addresses = append(addresses, p.address)
	}
	r.world = &world{rec: r.rec, passwords: make(map[string]string), named: make(map[string]bool)}
	network := slices.Contains(r.cfg.Faults, FaultCut) || slices.Contains(r.cfg.Faults, FaultHalfOpen)
	for i := range r.cfg.Devices {
		to := addresses
		if network {
			ways, listening, err := proxiesTo(addresses)
			r.proxies = append(r.proxies, ways)
			if err != nil {
				return err
			}
			to = listening
		}
		d, err := newDevice(r.world, i+1, to, r.cfg.Seed)
		if err != nil {
			return err
		}
		r.devices = append(r.devices, d)
	}
	var err error
	r.auditor, err = newDevice(r.world, 99, addresses, r.cfg.Seed)
	return err
}

// prepare makes the servers, which are not started yet.
func (r *run) prepare() error {
	faulty := slices.ContainsFunc(r.cfg.Faults, Fault.needsFaulty)
	database := mongotest.Database()
	for i := range max(1, r.cfg.Servers) {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		p := &process{
			rec: r.rec, number: i + 1, program: r.cfg.Programs.Server, address: address, faulty: faulty,
			args: serverArgs(r.cfg.Faults),
		}
		if faulty {
			p.program = r.cfg.Programs.Faulty
		}
		if slices.Contains(r.cfg.Faults, FaultSkew) {
			p.clock = skew(i)
		}
		switch {
		case r.cfg.MongoDB == nil:
			p.args = append(p.args, "--data="+filepath.Join(r.cfg.Dir, "data"))
		default:
			p.persistent = true
			p.args = append(p.args, "--mongodb="+r.cfg.MongoDB.URI(), "--database="+database, "--advertise="+address)
			if slices.ContainsFunc(r.cfg.Faults, Fault.behindServer) {
				ways, err := r.behindServer()
				if err != nil {
					return err
				}
				p.args = append(p.args, ways)
			}
		}
		r.servers = append(r.servers, p)
	}
	return nil
}

// behindServer puts proxies between a server and the members of the replica set,
// and returns what the server is to be told of them.
func (r *run) behindServer() (argument string, err error) {
	var members, ways []string
	for n := range r.cfg.MongoDB.Members() {
		members = append(members, r.cfg.MongoDB.Address(n))
	}
	proxies, listening, err := proxiesTo(members)
	r.behind = append(r.behind, proxies)
	for n, address := range listening {
		ways = append(ways, members[n]+"="+address)
	}
	return "--via=" + strings.Join(ways, ","), err
}

// close ends what begin began, but the servers.
func (r *run) close() {
	for _, d := range append(slices.Clone(r.devices), r.auditor) {
		if d != nil {
			d.hangUp()
		}
	}
	for _, p := range slices.Concat(slices.Concat(r.proxies...), slices.Concat(r.behind...)) {
		p.Stop()
	}
}

// populate makes accounts and rooms, and has everybody join most of them.
func (r *run) populate(ctx context.Context) error {
	for i := range r.cfg.Accounts + 1 {
		a := &account{name: fmt.Sprint("user", i), password: fmt.Sprint("correct horse ", i)}
		if i == r.cfg.Accounts {
			a.name = "auditor"
		}
		if got := r.auditor.createAccount(ctx, a); got.Outcome != Done {
			return fmt.Errorf("create account: %s", got.Error)
		}
		r.world.accounts = append(r.world.accounts, a)
	}
	r.world.auditor, r.world.accounts = r.world.accounts[r.cfg.Accounts], r.world.accounts[:r.cfg.Accounts]
	for i, d := range r.devices {
		if got := d.logIn(ctx, r.world.accounts[i%r.cfg.Accounts]); got.Outcome != Done {
			return fmt.Errorf("log in: %s", got.Error)
		}
	}
	for i := range r.cfg.Rooms {
		d := r.devices[i%r.cfg.Devices]
		if s := d.loggedIn(); s != nil {
			d.create(ctx, s, fmt.Sprint("room ", i))
		}
	}
	if len(r.world.allRooms()) == 0 {
		return errors.New("no room could be made")
	}
	for _, room := range r.world.allRooms() {
		for _, d := range r.devices {
			if s := d.loggedIn(); s != nil && r.random.IntN(4) > 0 {
				d.join(ctx, s, room, r.world.password(room))
			}
		}
	}
	return nil
}

// work has the devices work while faults happen.
func (r *run) work(ctx context.Context) error {
	working, over := context.WithTimeout(ctx, r.cfg.Work)
	defer over()
	in := &injector{
		rec: r.rec, servers: r.servers, devices: r.devices, proxies: r.proxies, set: r.cfg.MongoDB, behind: r.behind, cut: r.cfg.Cut,
	}
	var actors sync.WaitGroup
	for i, d := range r.devices {
		random := rand.New(rand.NewPCG(r.cfg.Seed, uint64(200+i)))
		// A call that is under way when the time is over ends as it likes.
		actors.Go(func() { d.act(working, random, r.world.accounts[i%r.cfg.Accounts]) })
	}
	// Also after an error: other runs may need the replica set.
	err := errors.Join(in.run(working, r.cfg.Faults, r.cfg.Seed), in.heal(ctx))
	over()
	actors.Wait()
	return err
}

// owner is a device that has an account at the end of a run.
type owner struct {
	*device
	account *account
	random  *rand.Rand
}

// settle has every account's last device come back with a stream that lives, and
// returns those devices.
func (r *run) settle(ctx context.Context) []owner {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	devices := make(map[*account]*device)
	for _, d := range r.devices {
		d.settling.Store(true)
		if s := d.loggedIn(); s != nil {
			devices[s.account] = d
		}
	}
	taken := func(d *device) bool { return slices.Contains(slices.Collect(maps.Values(devices)), d) }
	for _, a := range r.world.accounts { // nobody has it: somebody who has nothing takes it
		for _, d := range r.devices {
			if devices[a] == nil && d.loggedIn() == nil && !taken(d) && d.books[a] != nil {
				devices[a] = d
			}
		}
	}
	for _, d := range r.devices {
		if s := d.loggedIn(); s != nil && !taken(d) {
			d.lost(s)
		}
	}
	var settled []owner
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, a := range r.world.accounts {
		if devices[a] == nil {
			continue
		}
		o := owner{devices[a], a, rand.New(rand.NewPCG(r.random.Uint64(), 0))}
		wg.Go(func() {
			room, _ := r.world.room(o.random)
			if o.keep(ctx, room) || o.comeBack(ctx) {
				mu.Lock()
				defer mu.Unlock()
				settled = append(settled, o)
			}
		})
	}
	wg.Wait()
	return settled
}

// keep reports whether the owner has a stream that lives: then it keeps that, so
// that what became stuck in it is found.
func (o owner) keep(ctx context.Context, room string) bool {
	s := o.loggedIn()
	return s != nil && s.account == o.account && o.observe(ctx, s, room).Outcome != Unknown &&
		o.loggedIn() == s && o.isSettled(0)
}

// comeBack logs in and waits for a stream that lives.
func (o owner) comeBack(ctx context.Context) bool {
	for o.logIn(ctx, o.account).Outcome != Done {
		if !sleep(ctx, millis(100)) {
			o.stuck("it cannot log in")
			return false
		}
	}
	if !o.await(ctx, func() bool { return o.isSettled(0) || o.loggedIn() == nil }) {
		o.stuck("its stream does not become live")
		return false
	}
	return true
}

// awaits waits until done. The account may still be taken from the device, by a
// login that is under way since a device has given it up: then it comes back.
func (o owner) awaits(ctx context.Context, done func(*session) bool) bool {
	for {
		s := o.loggedIn()
		switch {
		case s == nil && !o.comeBack(ctx):
			return false
		case s == nil:
		case !o.await(ctx, func() bool { return done(s) || o.loggedIn() != s }):
			return false
		case o.loggedIn() == s:
			return true
		}
	}
}

func (o owner) stuck(format string, args ...any) {
	o.w.rec.Add(Record{Kind: KindStuck, Device: o.id, Account: o.account.id, Note: fmt.Sprintf(format, args...)})
}

// isSettled: the device has a live stream of the session that it has, opened
// after that number was given out.
func (d *device) isSettled(after int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.current
	return d.session != nil && c != nil && c.number > after && c.s == d.session && c.isLive()
}

// finish stops the servers, which must take it well.
func (r *run) finish() error {
	r.close()
	for _, p := range r.servers {
		p.stop()
	}
	return os.RemoveAll(filepath.Join(r.cfg.Dir, "data"))
}
