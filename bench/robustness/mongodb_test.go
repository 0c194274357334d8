package robustness

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

var (
	serversFlag = flag.Int("robustness.servers", 2, "how many servers TestRobustnessOnMongoDB has on one database")
	cutFlag     = flag.Duration("robustness.cut", 5*time.Second, "how long a server is cut off from MongoDB")
)

// TestRobustnessOnMongoDB is TestRobustness with several servers on one database
// of a replica set of three, devices that hop between the servers, and faults of
// the database and of the network behind the servers too. The first runs have one
// kind of fault each, so that the table shows what that costs; those that follow
// have several.
func TestRobustnessOnMongoDB(t *testing.T) {
	mongod := mongotest.Mongod(t)
	faults, err := ParseFaults(*faultsFlag, MongoDBFaults)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := Build(t.Context(), t.TempDir(), *raceFlag || raceBuild())
	if err != nil {
		t.Fatal(err)
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	runs, until := *runsFlag, time.Now().Add(*timeFlag-20*time.Second)
	if testing.Short() && runs == 0 {
		runs = 1
	}
	keep := *keepFlag
	if keep == "" {
		keep = filepath.Join(os.TempDir(), "chatstream-robustness")
	}
	var mu sync.Mutex
	deck := newSeries(faults, seed)
	next := 0
	deal := func() (cfg Config, more bool) {
		mu.Lock()
		defer mu.Unlock()
		i := next
		if runs > 0 && i >= runs || runs == 0 && i > 0 && time.Now().After(until) {
			return cfg, false
		}
		next++
		cfg = Config{
			Programs: programs, Seed: seed + uint64(i), Faults: deck.deal(i), Work: *workFlag, Patience: *patienceFlag,
			Devices: 8, Accounts: 7, Rooms: 4, Servers: *serversFlag, Cut: *cutFlag,
		}
		for _, f := range cfg.Faults {
			cfg.Work = max(cfg.Work, f.Needs(cfg.Cut))
		}
		return cfg, true
	}
	var summary Summary
	var workers sync.WaitGroup
	for range max(1, *parallelFlag) {
		workers.Go(func() {
			// What is done to a set is done to all runs on it, so each of those that
			// are done at once has its own.
			set, err := mongotest.Start(mongod, mongotest.Options{Members: 3, Args: []string{
				"--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
			}})
			if err != nil {
				t.Error(err)
				return
			}
			defer set.Stop()
			for cfg, more := deal(); more; cfg, more = deal() {
				cfg.MongoDB = set
				one(t, cfg, keep, &summary)
			}
		})
	}
	workers.Wait()
	for _, f := range []Fault{FaultStoreCut, FaultStoreHalfOpen} {
		if c := summary.single[f]; c != nil && c.There.Acknowledged < *cutFlag/2 {
			t.Errorf("%s: a server that was cut off for %v acknowledged nothing for %v only: it was not cut off", f, *cutFlag, c.There.Acknowledged)
		}
	}
	t.Logf("\n%s", summary.String())
}

// series deals faults one at a time, and once none, until each has had its turn;
// and then several at once.
type series struct {
	singles [][]Fault
	several *deck
}

func newSeries(faults []Fault, seed uint64) *series {
	random := rand.New(rand.NewPCG(seed, 3))
	s := &series{several: &deck{faults: faults, random: random}}
	for _, f := range faults {
		s.singles = append(s.singles, []Fault{f})
	}
	if len(faults) != 1 {
		s.singles = append(s.singles, nil) // what the others are compared with
	}
	random.Shuffle(len(s.singles), func(i, j int) { s.singles[i], s.singles[j] = s.singles[j], s.singles[i] })
	return s
}

func (s *series) deal(i int) []Fault {
	if i < len(s.singles) {
		return s.singles[i]
	}
	return s.several.deal()
}
