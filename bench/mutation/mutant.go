package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/chatstream/chatstream/bench/stepped"
)

// mutant is one change of one file that must make a test fail.
type mutant struct {
	// what is left out or put in the wrong order.
	what string
	// file is its path from the module's root; from occurs in it once, and is
	// replaced by to.
	file, from, to string
	// tests is the -run pattern of the tests that should notice; empty: all of
	// the package in pkg.
	tests string
	// pkg is whose tests are run, the file's by default.
	pkg  string
	race bool
}

// result is what became of a mutant.
type result struct {
	mutant
	// caughtBy is the test that failed first, "" if none did; how is what it said.
	caughtBy, how string
	err           error
}

func (r result) String() string {
	switch {
	case r.err != nil:
		return "BROKEN: " + r.err.Error()
	case r.caughtBy == "":
		return "SURVIVED"
	}
	return r.caughtBy + ": " + r.how
}

// apply returns the file's source as the mutant has it.
func (m mutant) apply(source string) (string, error) {
	if n := strings.Count(source, m.from); n != 1 {
		return "", fmt.Errorf("%s: its text occurs %d times, not once", m.what, n)
	}
	return strings.Replace(source, m.from, m.to, 1), nil
}

func (m mutant) packageOf() string {
	if m.pkg != "" {
		return m.pkg
	}
	return "./" + path.Dir(m.file)
}

// Tests that look at models, not at the code, cannot notice; benchmarks of
// allocations take long.
const skip = "^TestModel|InAnyInterleaving$|ModelFinds|HoldsInEveryInterleaving$"

// Three kinds of tests are tried one after the other, since a test that sees what goes
// wrong is better than one that sees that the text is another: the package's own; those
// in which each atomic operation is a step of its own (package stepped); and steps,
// which compare the text of the code with the models, and see an overlay by the
// variable.
const (
	steps   = "^TestStepsAre"
	overlay = "CHATSTREAM_OVERLAY"
)

// try runs the tests on m, unless c knows what comes of it.
func try(ctx context.Context, m mutant, dir string, c *cache, timeout time.Duration) result {
	r := result{mutant: m}
	if r.err = os.MkdirAll(dir, 0o755); r.err != nil {
		return r
	}
	source, err := os.ReadFile(m.file)
	if err != nil {
		r.err = err
		return r
	}
	if known, ok := c.get(m, source); ok {
		r.caughtBy, r.how = known.By, known.How
		return r
	}
	mutated, err := m.apply(string(source))
	if err != nil {
		r.err = err
		return r
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		r.err = err
		return r
	}
	replaced := filepath.Join(dir, filepath.Base(m.file))
	replacements, err := json.Marshal(map[string]map[string]string{"Replace": {original: replaced}})
	if err != nil {
		r.err = err
		return r
	}
	overlaid := filepath.Join(dir, "overlay.json")
	list := overlaid
	if r.err = errors.Join(os.WriteFile(replaced, []byte(mutated), 0o644), os.WriteFile(list, replacements, 0o644)); r.err != nil {
		return r
	}
	arguments := []string{"test", "-overlay", list, "-vet=off", "-ldflags=-w", "-count=1", "-failfast", "-short", "-v", "-timeout", timeout.String()}
	if m.race {
		arguments = append(arguments, "-race")
	}
	behaviour := append(append([]string{}, arguments...), "-skip", skip+"|"+steps)
	if m.tests != "" {
		behaviour = append(behaviour, "-run", m.tests)
	}
	r.caughtBy, r.how, r.err = goTest(ctx, list, append(behaviour, m.packageOf()), timeout)
	if r.caughtBy == "" && r.err == nil && slices.Contains(stepped.Packages, path.Dir(m.file)) {
		if list, r.err = stepped.Overlay(".", dir, map[string]string{m.file: mutated}); r.err != nil {
			return r
		}
		stepping := append([]string{"test", "-tags", "stepping", "-overlay", list}, arguments[3:]...)
		r.caughtBy, r.how, r.err = goTest(ctx, list, append(stepping, "-run", "^TestStepped", "./atomics", "./pool", "./server", "./engine"), timeout)
	}
	if r.caughtBy == "" && r.err == nil {
		r.caughtBy, r.how, r.err = goTest(ctx, overlaid, append(arguments, "-run", steps, "./engine"), timeout)
	}
	if r.caughtBy != "" && ctx.Err() == nil {
		c.put(m, source, caught{By: r.caughtBy, How: r.how})
	}
	return r
}

// goTest runs the go command and says which test failed first and what it said.
func goTest(ctx context.Context, list string, arguments []string, timeout time.Duration) (test, how string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Minute) // go test has a time-out of its own
	defer cancel()
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), overlay+"="+list, "ENGINE_SEEDS=")
	output, err := command.CombinedOutput()
	switch {
	case err == nil:
		return "", "", nil
	case ctx.Err() != nil:
		return "", "", fmt.Errorf("the go command took too long: %w", ctx.Err())
	case bytes.Contains(output, []byte("[build failed]")) || bytes.Contains(output, []byte("[setup failed]")):
		return "", "", fmt.Errorf("does not build: %s", bytes.TrimSpace(output))
	}
	test, how = firstFailure(output)
	return test, how, nil
}

var (
	runLine  = regexp.MustCompile(`^=== (?:RUN|NAME|CONT)\s+(\S+)`)
	failLine = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
	saidLine = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)`)
	elseLine = regexp.MustCompile(`^\s*((?:panic: |fatal error: |WARNING: DATA RACE|race detected|goleak: |found unexpected goroutines).*)`)
)

// firstFailure reads the output of go test -v: the test that failed first, of which
// the innermost part, and the first thing it said. Of a test that panics or hangs the
// name is that of the last one that began.
func firstFailure(output []byte) (test, how string) {
	at, said := "the test binary", map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(output))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		line := lines.Text()
		if m := elseLine.FindStringSubmatch(line); m != nil {
			if test == "" {
				test = at
			}
			return test, m[1]
		}
		if m := runLine.FindStringSubmatch(line); m != nil {
			if at = m[1]; test != "" {
				break // the next test
			}
		} else if m := failLine.FindStringSubmatch(line); m != nil {
			if at = m[1]; test == "" || strings.HasPrefix(m[1], test+"/") {
				test = m[1]
			}
		} else if m := saidLine.FindStringSubmatch(line); m != nil && said[at] == "" {
			said[at] = m[1]
		}
	}
	if test == "" {
		test = at
	}
	return test, cmp.Or(said[test], "it fails")
}
