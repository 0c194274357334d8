package mongotest

import (
	"os/exec"
	"syscall"
)

// dieWithUs has the kernel end the server when this process ends.
func dieWithUs(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
