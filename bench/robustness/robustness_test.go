package robustness

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

var (
	timeFlag     = flag.Duration("robustness.time", 45*time.Second, "about how long TestRobustness takes, unless -robustness.runs says how many runs")
	runsFlag     = flag.Int("robustness.runs", 0, "how many runs; 0: as many as fit into -robustness.time")
	parallelFlag = flag.Int("robustness.parallel", 2, "how many runs at once")
	seedFlag     = flag.Uint64("robustness.seed", 0, "seed of the first run; 0: a new one")
	faultsFlag   = flag.String("robustness.faults", "all", "faults with commas between them, all or none; up to 4 are all in every run, of more each run takes 4")
	raceFlag     = flag.Bool("robustness.race", false, "build the servers with the race detector, as they are if the test is")
	keepFlag     = flag.String("robustness.keep", "", "directory for the histories of failed runs; a temporary one if not set")
	historyFlag  = flag.String("robustness.history", "", "history that TestHistory judges")
	patienceFlag = flag.Duration("robustness.patience", 20*time.Second, "how long something may take that must happen at last")
	workFlag     = flag.Duration("robustness.work", 4*time.Second, "how long the devices of a run work")
)

// raceBuild reports whether this test binary has the race detector; the servers
// then have it too.
func raceBuild() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-race" && s.Value == "true"
	})
}

// faultsPerRun is how many kinds of faults a run has.
const faultsPerRun = 4

// TestRobustness runs servers, devices and faults, and judges what the devices
// saw.
func TestRobustness(t *testing.T) {
	faults, err := ParseFaults(*faultsFlag, AllFaults)
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
	runs, work, until := *runsFlag, *workFlag, time.Now().Add(*timeFlag-8*time.Second)
	if testing.Short() && runs == 0 {
		runs, work = 1, time.Second
	}
	keep := *keepFlag
	if keep == "" {
		keep = filepath.Join(os.TempDir(), "chatstream-robustness")
	}
	var summary Summary
	var group errgroup.Group
	group.SetLimit(max(1, *parallelFlag))
	deck := &deck{faults: faults, random: rand.New(rand.NewPCG(seed, 3))}
	for i := 0; i < runs || runs == 0 && (i == 0 || time.Now().Before(until)); i++ {
		cfg := Config{
			Programs: programs, Seed: seed + uint64(i), Faults: deck.deal(), Work: work,
			Patience: *patienceFlag, Devices: 8, Accounts: 7, Rooms: 4,
		}
		group.Go(func() error {
			one(t, cfg, keep, &summary)
			return nil
		})
	}
	_ = group.Wait() // they report to t
	t.Logf("\n%s", summary.String())
}

// printed is how many violations of a run are.
const printed = 8

// one does a run and judges it.
func one(t *testing.T, cfg Config, keep string, summary *Summary) {
	dir, err := os.MkdirTemp("", "chatstream-robustness-run-")
	if err != nil {
		t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	cfg.Dir = dir
	began := time.Now()
	records, err := Run(t.Context(), cfg)
	h := NewHistory(records)
	violations := Validate(h)
	summary.Add(h, violations)
	t.Logf("%s: %d records, %d violations in %v", records[0].Note, len(records), len(violations), time.Since(began).Round(time.Millisecond))
	if err == nil && len(violations) == 0 {
		return
	}
	again := fmt.Sprintf("seed %d: %s", cfg.Seed, records[0].Note)
	if err := os.MkdirAll(keep, 0o755); err != nil {
		t.Error(err)
	}
	path := filepath.Join(keep, fmt.Sprintf("%d.jsonl", cfg.Seed))
	if err := copyFile(path, filepath.Join(dir, historyFile)); err != nil {
		t.Error(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nhistory: %s (judge it again with -run TestHistory -robustness.history %s)\n", again, path, path)
	if err != nil {
		fmt.Fprintf(&b, "the run could not be done: %v\n", err)
	}
	for i, v := range violations {
		if i == printed {
			fmt.Fprintf(&b, "and %d more\n", len(violations)-i)
			break
		}
		fmt.Fprintln(&b, v)
	}
	t.Error(b.String())
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// deck deals faults, so that all have their turn.
type deck struct {
	faults, rest []Fault
	random       *rand.Rand
}

func (d *deck) deal() []Fault {
	if len(d.faults) <= faultsPerRun {
		return d.faults
	}
	var hand []Fault
	for len(hand) < faultsPerRun {
		if len(d.rest) == 0 {
			d.rest = append(d.rest, d.faults...)
			d.random.Shuffle(len(d.rest), func(i, j int) { d.rest[i], d.rest[j] = d.rest[j], d.rest[i] })
		}
		f := d.rest[0]
		d.rest = d.rest[1:]
		if !slices.Contains(hand, f) {
			hand = append(hand, f)
		}
	}
	return hand
}

// TestHistory judges a history that was kept.
func TestHistory(t *testing.T) {
	if *historyFlag == "" {
		t.Skip("needs -robustness.history")
	}
	records, err := Load(*historyFlag)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHistory(records)
	violations := Validate(h)
	for _, v := range violations {
		t.Error(v)
	}
	var summary Summary
	summary.Add(h, violations)
	t.Logf("\n%s", summary.String())
}
