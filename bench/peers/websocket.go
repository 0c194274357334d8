package peers

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// The opcodes of WebSocket frames (RFC 6455, section 5.2) that are used here.
const (
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

// webSocket is the client's end of a WebSocket connection. One goroutine reads;
// any may write.
type webSocket struct {
	conn net.Conn
	in   *bufio.Reader
	long []byte // a payload that does not fit into in

	mu  sync.Mutex
	out []byte
}

// readBuffer is the size of the read buffer of every client here, in bytes.
const readBuffer = 8 << 10

// dialWebSocket connects to ws://address+path with a subprotocol.
func dialWebSocket(address, path, subprotocol string) (*webSocket, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	w := &webSocket{conn: conn, in: bufio.NewReaderSize(conn, readBuffer)}
	if err := w.shakeHands(address, path, subprotocol); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open a WebSocket: %w", err)
	}
	return w, nil
}

func (w *webSocket) shakeHands(address, path, subprotocol string) error {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	if _, err := fmt.Fprintf(w.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		path, address, key, subprotocol); err != nil {
		return err
	}
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	switch {
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return fmt.Errorf("the server answered %s", resp.Status)
	case resp.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		return errors.New("the server's Sec-WebSocket-Accept is wrong")
	case resp.Header.Get("Sec-WebSocket-Protocol") != subprotocol:
		return fmt.Errorf("the server speaks %q", resp.Header.Get("Sec-WebSocket-Protocol"))
	}
	return nil
}

// read returns the payload of the next binary message, which is valid until the
// next read. It answers pings.
func (w *webSocket) read() ([]byte, error) {
	for {
		op, payload, err := w.readFrame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opBinary:
			return payload, nil
		case opPing:
			if err := w.write(opPong, payload); err != nil {
				return nil, err
			}
		case opClose:
			return nil, fmt.Errorf("the server closed the connection: %q", payload)
		case opPong:
		default:
			return nil, fmt.Errorf("a frame with opcode %d", op)
		}
	}
}

var errFragment = errors.New("a message in several frames, or compressed: not understood here")

// maxPayload bounds a frame's payload.
const maxPayload = 16 << 20

func (w *webSocket) readFrame() (op byte, payload []byte, err error) {
	h, err := w.in.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	if h[0]&0xF0 != 0x80 { // FIN, and no extension
		return 0, nil, errFragment
	}
	op = h[0] & 0x0F
	header, size := 2, uint64(h[1])
	switch size { // the highest bit, a mask, is never set by a server
	case 126:
		if h, err = w.in.Peek(4); err != nil {
			return 0, nil, err
		}
		header, size = 4, uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		if h, err = w.in.Peek(10); err != nil {
			return 0, nil, err
		}
		header, size = 10, binary.BigEndian.Uint64(h[2:])
	default:
		if size > 127 {
			return 0, nil, errors.New("the server masked a frame")
		}
	}
	if size > maxPayload {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	if _, err := w.in.Discard(header); err != nil {
		return 0, nil, err
	}
	n := int(size)
	if n > w.in.Size() {
		if cap(w.long) < n {
			w.long = make([]byte, n)
		}
		_, err := io.ReadFull(w.in, w.long[:n])
		return op, w.long[:n], err
	}
	if payload, err = w.in.Peek(n); err != nil {
		return 0, nil, err
	}
	_, err = w.in.Discard(n) // leaves the bytes where they are until the next read
	return op, payload, err
}

// write sends one message.
func (w *webSocket) write(op byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = appendFrame(w.out[:0], op, payload)
	_, err := w.conn.Write(w.out)
	return err
}

// appendFrame appends a client's frame. Its mask is all zeros, which saves the
// client work and the server none.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

func (w *webSocket) close() { w.conn.Close() }
