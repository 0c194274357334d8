package peers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// natsConn is the client's end of a NATS connection. One goroutine reads; any
// may write.
type natsConn struct {
	conn net.Conn
	in   *bufio.Reader
	long []byte // a payload that does not fit into in

	mu  sync.Mutex
	out []byte
}

// natsMessage is a MSG or HMSG. Its payload is valid until the next read.
type natsMessage struct {
	// headers is set for one that has headers: payload begins with them.
	headers bool
	payload []byte
}

// dialNATS connects and says hello.
func dialNATS(address string) (*natsConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &natsConn{conn: conn, in: bufio.NewReaderSize(conn, readBuffer)}
	line, err := c.line()
	if err == nil && !bytes.HasPrefix(line, []byte("INFO ")) {
		err = fmt.Errorf("the server began with %q", line)
	}
	if err == nil {
		err = c.write(`CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"1","protocol":1,"headers":true}` + "\r\n")
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return c, nil
}

// flush waits until the server has done what was written before. Nobody else
// may read, and no message may come.
func (c *natsConn) flush() error {
	if err := c.write("PING\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		switch {
		case string(line) == "PONG":
			return nil
		case string(line) == "PING":
			if err := c.write("PONG\r\n"); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte("INFO ")): // about other servers
		default:
			return fmt.Errorf("the server answered %q", line)
		}
	}
}

func (c *natsConn) subscribe(subject string) error {
	return c.write("SUB " + subject + " 1\r\n")
}

// publish sends payload to subject; the answer, if any, goes to reply.
func (c *natsConn) publish(subject, reply string, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendPublish(c.out[:0], subject, reply, payload)
	_, err := c.conn.Write(c.out)
	return err
}

func appendPublish(b []byte, subject, reply string, payload []byte) []byte {
	b = append(append(b, "PUB "...), subject...)
	b = append(b, ' ')
	if reply != "" {
		b = append(append(b, reply...), ' ')
	}
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(append(b, "\r\n"...), payload...)
	return append(b, "\r\n"...)
}

func (c *natsConn) write(line string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out[:0], line...)
	_, err := c.conn.Write(c.out)
	return err
}

// read returns the next message. It answers pings.
func (c *natsConn) read() (natsMessage, error) {
	for {
		line, err := c.line()
		if err != nil {
			return natsMessage{}, err
		}
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")), bytes.HasPrefix(line, []byte("HMSG ")):
			return c.message(line)
		case string(line) == "PING":
			if err := c.write("PONG\r\n"); err != nil {
				return natsMessage{}, err
			}
		case string(line) == "PONG", string(line) == "+OK", bytes.HasPrefix(line, []byte("INFO ")):
		default:
			return natsMessage{}, fmt.Errorf("the server said %q", line)
		}
	}
}

// message reads the payload that belongs to a MSG or HMSG line.
func (c *natsConn) message(line []byte) (natsMessage, error) {
	m := natsMessage{headers: line[0] == 'H'}
	// MSG subject sid [reply] size, HMSG subject sid [reply] headers size
	size, err := strconv.ParseUint(string(line[bytes.LastIndexByte(line, ' ')+1:]), 10, 32)
	if err != nil || size > maxPayload {
		return m, fmt.Errorf("a control line that is none: %q", line)
	}
	n := int(size) + len("\r\n")
	if n > c.in.Size() {
		if cap(c.long) < n {
			c.long = make([]byte, n)
		}
		_, err = io.ReadFull(c.in, c.long[:n])
		m.payload = c.long[:n]
	} else if m.payload, err = c.in.Peek(n); err == nil {
		_, err = c.in.Discard(n) // leaves the bytes where they are until the next read
	}
	if err != nil {
		return m, err
	}
	if !bytes.HasSuffix(m.payload, []byte("\r\n")) {
		return m, errors.New("a payload without an end")
	}
	m.payload = m.payload[:size]
	return m, nil
}

// line reads a control line, without its end.
func (c *natsConn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func (c *natsConn) close() { c.conn.Close() }
