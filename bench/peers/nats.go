package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// nats is a nats-server. With a stream it is JetStream: messages are stored,
// and each subscriber is a consumer of the stream; without one it is core NATS,
// which stores nothing.
type nats struct {
	address   string
	process   *process
	stream    bool
	conns     []*natsConn
	publisher *natsConn
	audience  *audience
	readers   sync.WaitGroup
}

func startNATS(ctx context.Context, programs *programs, dir string) (peer, error) {
	return startNATSServer(ctx, programs, dir, false)
}

func startJetStream(ctx context.Context, programs *programs, dir string) (peer, error) {
	return startNATSServer(ctx, programs, dir, true)
}

func startNATSServer(ctx context.Context, programs *programs, dir string, stream bool) (peer, error) {
	address, _, err := freeAddress()
	if err != nil {
		return nil, err
	}
	profiles, profilePort, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("prof_port: %d\n", profilePort) + "listen: " + strconv.Quote(address) + "\n"
	if stream {
		config += "jetstream { store_dir: " + strconv.Quote(filepath.Join(dir, "jetstream")) + ", sync_interval: always }\n"
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, address, profiles, programs.nats, "--config", file)
	if err != nil {
		return nil, err
	}
	return &nats{address: address, process: p, stream: stream}, nil
}

func (n *nats) server() *process { return n.process }

// acks is where JetStream's answers to the publisher go.
const acks = "_INBOX.acks"

func (n *nats) subscribe(ctx context.Context, a *audience) error {
	n.audience = a
	var err error
	if n.publisher, err = dialNATS(n.address); err != nil {
		return err
	}
	if n.stream {
		if err := n.createStream(len(a.seats)); err != nil {
			return err
		}
	}
	n.conns = make([]*natsConn, len(a.seats))
	if err := eachSeat(ctx, a, func(i int) error {
		c, err := dialNATS(n.address)
		if err != nil {
			return err
		}
		n.conns[i] = c
		if err := n.subscribeOne(c, i); err != nil {
			return err
		}
		n.read(c, func(m natsMessage) error { // from now on: pings have to be answered
			defer a.seats[i].counted()
			return a.seats[i].came(m.payload, true)
		})
		return nil
	}); err != nil {
		return err
	}
	if n.stream {
		if err := n.publisher.subscribe(acks); err != nil {
			return err
		}
	}
	n.read(n.publisher, natsRefusal)
	return nil
}

// createStream makes the stream, in files, with one replica, and for that many
// consumers, since there may be 1 000 otherwise: what else there is stays as it
// comes.
func (n *nats) createStream(consumers int) error {
	return natsRequest(n.publisher, "$JS.API.STREAM.CREATE."+channel, map[string]any{
		"name":          channel,
		"subjects":      []string{channel},
		"storage":       "file",
		"retention":     "limits",
		"discard":       "old",
		"num_replicas":  1,
		"max_msgs":      100_000,
		"max_consumers": consumers,
	})
}

// subscribeOne makes the connection a subscriber. With a stream it is a consumer
// that is pushed what is new, and acknowledges nothing.
func (n *nats) subscribeOne(c *natsConn, i int) error {
	if !n.stream {
		return errors.Join(c.subscribe(channel), c.flush())
	}
	name, inbox := fmt.Sprintf("c%d", i), fmt.Sprintf("_INBOX.to.%d", i)
	if err := errors.Join(c.subscribe(inbox), c.flush()); err != nil {
		return err
	}
	return natsRequest(c, "$JS.API.CONSUMER.CREATE."+channel+"."+name, map[string]any{
		"stream_name": channel,
		"config": map[string]any{
			"name":            name,
			"deliver_subject": inbox,
			"deliver_policy":  "new",
			"ack_policy":      "none",
			"replay_policy":   "instant",
			"num_replicas":    1,
			"mem_storage":     true,
		},
	})
}

// natsRequest sends a request on a connection that nobody reads yet and waits
// for its answer, which must not be a refusal. Nothing else may come meanwhile.
func natsRequest(c *natsConn, subject string, request any) error {
	const id = "2"
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := errors.Join(c.write("SUB "+inboxOf(c)+" "+id+"\r\n"), c.publish(subject, inboxOf(c), body)); err != nil {
		return err
	}
	m, err := c.read()
	if err == nil {
		err = natsRefusal(m)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return c.write("UNSUB " + id + "\r\n")
}

// inboxOf is a subject that only c subscribes to.
func inboxOf(c *natsConn) string {
	return "_INBOX." + strconv.Itoa(c.conn.LocalAddr().(*net.TCPAddr).Port)
}

// natsRefusal is the error in an answer of JetStream.
func natsRefusal(m natsMessage) error {
	if m.headers { // nobody answers
		return fmt.Errorf("the server refused: %q", m.payload)
	}
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if !bytes.Contains(m.payload, []byte(`"error"`)) {
		return nil
	}
	if err := json.Unmarshal(m.payload, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("the server refused: %s", answer.Error.Description)
	}
	return nil
}

// read hands what comes to c to take.
func (n *nats) read(c *natsConn, take func(natsMessage) error) {
	n.readers.Go(func() {
		for {
			m, err := c.read()
			if err == nil {
				err = take(m)
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				n.audience.fail(fmt.Errorf("read a NATS connection: %w", err))
				return
			}
		}
	})
}

func (n *nats) publish(text []byte) error {
	if n.stream {
		return n.publisher.publish(channel, acks, text)
	}
	return n.publisher.publish(channel, "", text)
}

func (n *nats) close() {
	for _, c := range append(n.conns, n.publisher) {
		if c != nil {
			c.close()
		}
	}
	n.readers.Wait()
	n.process.stop()
}
