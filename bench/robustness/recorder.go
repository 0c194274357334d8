package robustness

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Recorder writes a history down. Safe for concurrent use.
type Recorder struct {
	begin time.Time

	mu      sync.Mutex
	n       int64
	numbers int64
	records []Record
	file    *os.File
	buffer  *bufio.Writer
	err     error
}

// NewRecorder writes to a new file.
func NewRecorder(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Recorder{begin: time.Now(), file: f, buffer: bufio.NewWriterSize(f, 1<<16)}, nil
}

// Add takes r down, now.
func (c *Recorder) Add(r Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	now := time.Now()
	r.N, r.At, r.Wall = c.n, now.Sub(c.begin), now.UnixMicro()
	c.records = append(c.records, r)
	line, err := json.Marshal(r)
	if err == nil {
		_, err = c.buffer.Write(append(line, '\n'))
	}
	c.err = errors.Join(c.err, err)
}

// Number is a new one, for a stream or a call.
func (c *Recorder) Number() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers++
	return c.numbers
}

// Close returns the history, which is on disk too.
func (c *Recorder) Close() ([]Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records, errors.Join(c.err, c.buffer.Flush(), c.file.Close())
}

// Load reads a history that was written down.
func Load(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	defer f.Close()
	var records []Record
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var r Record
		switch err := d.Decode(&r); {
		case errors.Is(err, io.EOF):
			return records, nil
		case err != nil:
			return records, fmt.Errorf("history %s, record %d: %w", path, len(records)+1, err)
		}
		records = append(records, r)
	}
}
