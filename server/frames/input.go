//go:build frames

package frames

import (
	"io"
	"sync"
	"syscall"
)

// reads are buffers for reading. A connection has one only while there is
// something in it.
var reads = sync.Pool{New: func() any {
	b := make([]byte, 16<<10)
	return &b
}}

// input reads from a socket, and has no buffer while it waits.
type input struct {
	raw     syscall.RawConn
	f       func(fd uintptr) bool
	buf     *[]byte
	at, end int
	err     error
}

func newInput(raw syscall.RawConn) *input {
	in := &input{raw: raw}
	in.f = in.run
	return in
}

func (in *input) Read(p []byte) (int, error) {
	if in.buf == nil {
		if err := in.raw.Read(in.f); err != nil {
			return 0, err
		}
		if in.err != nil {
			return 0, in.err
		}
	}
	n := copy(p, (*in.buf)[in.at:in.end])
	if in.at += n; in.at == in.end {
		reads.Put(in.buf)
		in.buf = nil
	}
	return n, nil
}

func (in *input) run(fd uintptr) bool {
	buf := reads.Get().(*[]byte)
	for {
		n, err := syscall.Read(int(fd), *buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == nil && n > 0:
			in.buf, in.at, in.end = buf, 0, n
			return true
		}
		reads.Put(buf)
		if err == syscall.EAGAIN {
			return false // wait
		}
		if in.err = err; err == nil {
			in.err = io.EOF
		}
		return true
	}
}
