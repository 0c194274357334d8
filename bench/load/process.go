package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is a server's process on this machine, by its id. It is measured by
// what Linux keeps in /proc.
type Process int

// ticksPerSecond is in what /proc/PID/stat counts: USER_HZ, 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// CPU is the processor time that the process has used, in steps of 10 ms.
func (p Process) CPU() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", int(p)))
	if err != nil {
		return 0, fmt.Errorf("measure the server: %w", err)
	}
	// Behind the name, which may hold anything, user and system time are the
	// 12th and 13th field.
	f := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("measure the server: /proc/%d/stat cannot be read", int(p))
	}
	user, err := strconv.ParseInt(string(f[11]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure the server: %w", err)
	}
	system, err := strconv.ParseInt(string(f[12]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure the server: %w", err)
	}
	return time.Duration(user+system) * (time.Second / ticksPerSecond), nil
}

// Memory is the resident memory of the process in bytes.
func (p Process) Memory() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", int(p)))
	if err != nil {
		return 0, fmt.Errorf("measure the server: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("measure the server: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("measure the server: /proc/%d/status has no VmRSS", int(p))
}
