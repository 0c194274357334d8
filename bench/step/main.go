// Step runs the tests of the engine and the pool in which every atomic operation of the engine, the
// pool and the lock-free parts is a step of its own, taken in an order that a seed
// decides: see package stepped.
//
//	go run ./bench/step             some seeds
//	go run ./bench/step -seeds 500
//	go run ./bench/step -seed 17    one, with its log
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/chatstream/chatstream/bench/stepped"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	seeds := flag.Int("seeds", 40, "how many seeds")
	seed := flag.Int("seed", 0, "only this one")
	flag.Parse()
	dir, err := os.MkdirTemp("", "step")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list, err := stepped.Overlay(".", dir, nil)
	if err != nil {
		return err
	}
	command := exec.Command("go", "test", "-tags", "stepping", "-overlay", list, "-vet=off", "-count=1", "-v",
		"-timeout", "2h", "-run", "^TestStepped", "./atomics", "./pool", "./server", "./engine")
	command.Env = append(os.Environ(), "ENGINE_SEEDS="+strconv.Itoa(*seeds))
	if *seed > 0 {
		command.Env = append(command.Env, "ENGINE_SEED="+strconv.Itoa(*seed))
	}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}
