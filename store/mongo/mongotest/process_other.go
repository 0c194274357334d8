//go:build !linux

package mongotest

import "os/exec"

// dieWithUs does nothing here: a server outlives a process that is killed.
func dieWithUs(*exec.Cmd) {}

// stopped takes it for granted here.
func stopped(int) error { return nil }
