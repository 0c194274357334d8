// Mutation leaves out each wait, check, fence and ordering that the way of a
// message and the life of a stream rest on, one at a time, and runs the tests that
// must notice. The list is in the files mutants_*.go.
//
//	go run ./bench/mutation                   all of it; writes docs/mutations.md
//	go run ./bench/mutation -only 'Turn|fill' those whose description or text match
//
// Nothing in the tree is changed: a mutant is an overlay of one file (go test
// -overlay). It exits with 1 if a mutant survives.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	parallel := flag.Int("p", 2, "mutants at a time")
	only := flag.String("only", "", "only mutants whose description, file or text matches; writes no table")
	timeout := flag.Duration("timeout", 2*time.Minute, "for the tests of one mutant")
	table := flag.String("o", "docs/mutations.md", "where the table goes")
	known := flag.Bool("known", false, "make the table of what -cache knows, and try nothing")
	keep := flag.String("cache", "", "file that keeps what was caught; of files that have not changed it is not tried again")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	cache, err := openCache(*keep)
	if err != nil {
		return fmt.Errorf("-cache: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	var chosen []mutant
	for _, m := range mutants() {
		if match.MatchString(m.what) || match.MatchString(m.file) || match.MatchString(m.from) {
			chosen = append(chosen, m)
		}
	}
	if *known {
		return os.WriteFile(*table, []byte(report(cache.results(chosen))), 0o644)
	}
	if err := sound(ctx, chosen, *timeout); err != nil {
		return err
	}
	results := make([]result, len(chosen))
	slots := make(chan struct{}, *parallel)
	var running sync.WaitGroup
	for i, m := range chosen {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			results[i] = try(ctx, m, fmt.Sprintf("%s/%d", dir, i), cache, *timeout)
			if err := cache.save(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			fmt.Printf("%3d %5.1fs %s: %s\n", i+1, time.Since(began).Seconds(), m.what, results[i])
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if *only == "" {
		if err := os.WriteFile(*table, []byte(report(results)), 0o644); err != nil {
			return err
		}
	}
	survived := 0
	for _, r := range results {
		if r.caughtBy == "" {
			survived++
		}
	}
	fmt.Printf("%d mutants, %d caught\n", len(results), len(results)-survived)
	if survived > 0 {
		return fmt.Errorf("%d mutants survived", survived)
	}
	return nil
}

// sound says whether the tests pass on the code as it is: a test that fails anyway
// catches nothing.
func sound(ctx context.Context, chosen []mutant, timeout time.Duration) error {
	done := map[string]bool{}
	for _, m := range chosen {
		if pkg := m.packageOf(); !done[pkg] {
			done[pkg] = true
			test, how, err := goTest(ctx, "", []string{"test", "-vet=off", "-count=1", "-v", "-timeout", timeout.String(), "-skip", skip, pkg}, timeout)
			if err != nil || test != "" {
				return fmt.Errorf("without a mutant: %s %s: %s (%v)", pkg, test, how, err)
			}
		}
	}
	return nil
}
