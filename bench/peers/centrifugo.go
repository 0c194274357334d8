package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// channel is the name of the one channel, or subject, that everything is
// published to.
const channel = "kitchen"

// centrifugo is a Centrifugo with its memory engine; subscribers are clients with
// protobuf over WebSocket, and so is the publisher, unless there is an API.
type centrifugo struct {
	address   string
	process   *process
	sockets   []*webSocket
	publisher *webSocket
	commands  uint64
	viaAPI    bool
	api       *centrifugoAPI
	audience  *audience
	readers   sync.WaitGroup
	out       []byte
}

func startCentrifugo(ctx context.Context, programs *programs, dir string) (peer, error) {
	return startCentrifugoServer(ctx, programs, dir, false)
}

func startCentrifugoWithAPI(ctx context.Context, programs *programs, dir string) (peer, error) {
	return startCentrifugoServer(ctx, programs, dir, true)
}

func startCentrifugoServer(ctx context.Context, programs *programs, dir string, viaAPI bool) (peer, error) {
	address, port, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(centrifugoConfig(port))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "centrifugo.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, address, address, programs.centrifugo, "--config", file)
	if err != nil {
		return nil, err
	}
	return &centrifugo{address: address, process: p, viaAPI: viaAPI}, nil
}

// centrifugoConfig has history and recovery on, so that a client that comes back
// is given what it has missed, and leaves everything else as it comes.
func centrifugoConfig(port int) any {
	type m = map[string]any
	return m{
		"http_server": m{"address": "127.0.0.1", "port": port},
		"engine":      m{"type": "memory"},
		"log":         m{"level": "warn"},
		"usage_stats": m{"disabled": true},
		"debug":       m{"enabled": true},
		"http_api":    m{"insecure": true}, // no key
		"client":      m{"insecure": true}, // no tokens
		"channel": m{"without_namespace": m{
			"allow_subscribe_for_client": true,
			"allow_publish_for_client":   true,
			"history_size":               10_000,
			"history_ttl":                "600s",
			"force_recovery":             true,
		}},
	}
}

func (c *centrifugo) server() *process { return c.process }

func (c *centrifugo) subscribe(ctx context.Context, a *audience) error {
	c.audience = a
	c.sockets = make([]*webSocket, len(a.seats))
	if err := eachSeat(ctx, a, func(i int) error {
		w, err := c.dial()
		if err != nil {
			return err
		}
		c.sockets[i] = w
		if err := centrifugoSubscribe(w); err != nil {
			return err
		}
		c.read(w, a.seats[i]) // from now on: pings have to be answered
		return nil
	}); err != nil {
		return err
	}
	if c.viaAPI {
		c.api = newCentrifugoAPI(c.address, a.fail)
		return nil
	}
	var err error
	if c.publisher, err = c.dial(); err != nil {
		return err
	}
	c.read(c.publisher, nil)
	return nil
}

// dial connects and says hello.
func (c *centrifugo) dial() (*webSocket, error) {
	w, err := dialWebSocket(c.address, "/connection/websocket", "centrifuge-protobuf")
	if err != nil {
		return nil, err
	}
	if _, err := centrifugoCall(w, fieldCommandConnect, connectRequest()); err != nil {
		w.close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return w, nil
}

func centrifugoSubscribe(w *webSocket) error {
	r, err := centrifugoCall(w, fieldCommandSubscribe, subscribeRequest(channel))
	if err == nil && !r.recoverable {
		err = errors.New("the channel has no recovery")
	}
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// centrifugoCall sends a command on a connection that nobody reads yet, and
// waits for its answer.
func centrifugoCall(w *webSocket, field protowire.Number, request []byte) (answer centrifugoReply, err error) {
	const id = 1 // one at a time
	if err := w.write(opBinary, appendCommand(nil, id, field, request)); err != nil {
		return answer, err
	}
	for answer.id != id {
		message, err := w.read()
		if err != nil {
			return answer, err
		}
		if err := eachReply(message, func(b []byte) error {
			r, err := parseReply(b)
			if err != nil || r.id != id {
				return err
			}
			answer = r
			if r.err != "" {
				return errors.New(r.err)
			}
			return nil
		}); err != nil {
			return answer, err
		}
	}
	return answer, nil
}

// read counts what comes to w for s; a publisher has none.
func (c *centrifugo) read(w *webSocket, s *seat) {
	c.readers.Go(func() {
		for {
			message, err := w.read()
			if err == nil {
				err = eachReply(message, func(b []byte) error { return c.take(w, s, b) })
			}
			if s != nil {
				s.counted()
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				c.audience.fail(fmt.Errorf("read a WebSocket: %w", err))
				return
			}
		}
	})
}

func (c *centrifugo) take(w *webSocket, s *seat, b []byte) error {
	r, err := parseReply(b)
	switch {
	case err != nil:
		return err
	case r.err != "":
		return fmt.Errorf("the server refused a message: %s", r.err)
	case len(b) == 0:
		return w.write(opBinary, pong)
	case s == nil: // an acknowledgement
		return nil
	case !r.publication:
		return errNotPublication
	case r.offset != uint64(s.next)+1:
		return fmt.Errorf("offset %d came where %d should have", r.offset, s.next+1)
	}
	return s.came(r.data, !c.viaAPI)
}

func (c *centrifugo) publish(text []byte) error {
	if c.viaAPI {
		return c.api.publish(text)
	}
	c.commands++
	c.out = appendCommand(c.out[:0], c.commands, fieldCommandPublish, publishRequest(channel, text))
	return c.publisher.write(opBinary, c.out)
}

func (c *centrifugo) close() {
	if c.api != nil {
		c.api.close()
	}
	for _, w := range append(c.sockets, c.publisher) {
		if w != nil {
			w.close()
		}
	}
	c.readers.Wait()
	c.process.stop()
}
