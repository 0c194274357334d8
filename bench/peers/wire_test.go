package peers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"testing/iotest"
	"time"

	"github.com/centrifugal/protocol"
)

// FuzzText: a text carries its number and time, and nothing else is taken for
// one.
func FuzzText(f *testing.F) {
	f.Add(int64(7), int64(12345), 200, []byte("no text"))
	f.Add(int64(0), int64(0), 0, appendText(nil, 1, 2, 60))
	f.Fuzz(func(t *testing.T, number, due int64, size int, raw []byte) {
		number, due, size = number&(1<<62-1), due&(1<<62-1), size&1023
		text := appendText([]byte("before"), number, time.Duration(due), size)[len("before"):]
		if len(text) != max(size, minText) {
			t.Fatalf("%d bytes, not %d", len(text), size)
		}
		if n, d, err := readText(text); n != number || d != time.Duration(due) || err != nil {
			t.Fatalf("read %d, %d, %v", n, d, err)
		}
		if n, d, err := readText(raw); err == nil && !bytes.HasPrefix(raw, appendText(nil, n, d, 0)) {
			t.Fatalf("%q was read as %d, %d", raw, n, d)
		}
	})
}

// FuzzCentrifugoReplies: what Centrifugo's own code encodes is read, however many
// replies are joined; nothing else makes the parser fall over.
func FuzzCentrifugoReplies(f *testing.F) {
	f.Add([]byte("hello"), uint64(3), uint32(9), "no", 2, []byte{1, 2, 3})
	f.Add([]byte{}, uint64(0), uint32(1), "", 0, []byte{0})
	f.Fuzz(func(t *testing.T, data []byte, offset uint64, id uint32, refusal string, times int, raw []byte) {
		times &= 15
		replies := []*protocol.Reply{
			{}, // a ping
			{Id: id, Subscribe: &protocol.SubscribeResult{Recoverable: true, Epoch: refusal, Offset: offset}},
			{Id: id, Error: &protocol.Error{Code: id, Message: refusal}},
			{Id: id, Publish: &protocol.PublishResult{}},
		}
		for range times {
			replies = append(replies, &protocol.Reply{Push: &protocol.Push{Channel: channel, Pub: &protocol.Publication{
				Data: data, Offset: offset, Info: &protocol.ClientInfo{User: "ada", Client: refusal},
			}}})
		}
		encoder := protocol.GetDataEncoder(protocol.TypeProtobuf)
		defer protocol.PutDataEncoder(protocol.TypeProtobuf, encoder)
		for _, r := range replies {
			b, err := r.MarshalVT()
			if err != nil {
				t.Skip(err) // no UTF-8
			}
			if err := encoder.Encode(b); err != nil {
				t.Fatal(err)
			}
		}
		var got []centrifugoReply
		if err := eachReply(encoder.Finish(), func(b []byte) error {
			r, err := parseReply(b)
			got = append(got, r)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(replies) {
			t.Fatalf("%d replies, not %d", len(got), len(replies))
		}
		for i, want := range replies {
			g := got[i]
			if g.id != uint64(want.Id) || g.publication != (want.Push != nil) || g.recoverable != (want.Subscribe != nil) || (g.err != "") != (want.Error != nil) {
				t.Fatalf("%+v was read as %+v", want, g)
			}
			if want.Push != nil && (!bytes.Equal(g.data, data) || g.offset != offset) {
				t.Fatalf("%+v was read as %+v", want, g)
			}
		}
		_ = eachReply(raw, func(b []byte) error { _, err := parseReply(b); return err })
	})
}

// FuzzCentrifugoCommand: Centrifugo's own code reads what is sent.
func FuzzCentrifugoCommand(f *testing.F) {
	f.Add(uint64(1), []byte("hello"))
	f.Fuzz(func(t *testing.T, id uint64, data []byte) {
		id &= 1<<32 - 1
		b := appendCommand(nil, id, fieldCommandPublish, publishRequest(channel, data))
		b = appendCommand(b, id, fieldCommandSubscribe, subscribeRequest(channel))
		b = appendCommand(b, id, fieldCommandConnect, connectRequest())
		decoder := protocol.GetStreamCommandDecoder(protocol.TypeProtobuf, bytes.NewReader(append(b, pong...)))
		var commands []*protocol.Command
		for {
			c, _, err := decoder.Decode()
			if c != nil {
				commands = append(commands, c)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(commands) != 4 {
			t.Fatalf("%d commands", len(commands))
		}
		p, s := commands[0].GetPublish(), commands[1].GetSubscribe()
		if commands[0].Id != uint32(id) || p.GetChannel() != channel || !bytes.Equal(p.GetData(), data) {
			t.Errorf("publish was read as %v", commands[0])
		}
		if s.GetChannel() != channel || !s.GetRecoverable() {
			t.Errorf("subscribe was read as %v", commands[1])
		}
		if commands[2].GetConnect() == nil || commands[2].Id != uint32(id) {
			t.Errorf("connect was read as %v", commands[2])
		}
		if commands[3].Id != 0 {
			t.Errorf("a pong was read as %v", commands[3])
		}
	})
}

// serverFrame is a frame as a server sends it: without a mask.
func serverFrame(op byte, payload []byte) []byte {
	b := appendFrame(nil, op, payload)
	header := len(b) - len(payload)
	b[1] &^= 0x80
	return slices.Delete(b, header-4, header)
}

// FuzzWebSocket: messages come out as they went in, however the network cuts
// them, and pings between them are answered.
func FuzzWebSocket(f *testing.F) {
	for _, size := range []int{0, 1, 125, 126, 127, 4096, 1<<16 - 1, 1 << 16} {
		f.Add(size, 3, true, []byte{0x82, 0xFF, 1})
	}
	f.Fuzz(func(t *testing.T, size, times int, cut bool, raw []byte) {
		size, times = size&(1<<17-1), times&3
		var wire []byte
		want := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		for range times {
			wire = append(wire, serverFrame(opBinary, want)...)
			wire = append(wire, serverFrame(opPing, []byte("still there?"))...)
		}
		var in io.Reader = bytes.NewReader(wire)
		if cut {
			in = iotest.HalfReader(in)
		}
		answers := &recordedConn{}
		w := &webSocket{conn: answers, in: bufio.NewReaderSize(in, readBuffer)}
		for range times {
			if got, err := w.read(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
		if _, err := w.read(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
		if pongs := bytes.Count(answers.Bytes(), []byte("still there?")); pongs != times {
			t.Fatalf("%d of %d pings were answered", pongs, times)
		}
		w = &webSocket{conn: answers, in: bufio.NewReaderSize(bytes.NewReader(raw), readBuffer)}
		for err := error(nil); err == nil; {
			_, err = w.read()
		}
	})
}

// recordedConn keeps what is written to it.
type recordedConn struct {
	net.Conn
	bytes.Buffer
}

func (c *recordedConn) Write(p []byte) (int, error) { return c.Buffer.Write(p) }
func (c *recordedConn) Read([]byte) (int, error)    { return 0, io.EOF }

// FuzzNATS: messages come out as they went in, however the network cuts them.
func FuzzNATS(f *testing.F) {
	f.Add([]byte("hello"), 3, true, []byte("MSG a 1 2\r\nhi\r\n"))
	f.Add(bytes.Repeat([]byte("x"), 2*readBuffer), 1, false, []byte("MSG a 1 -2\r\nhi\r\n"))
	f.Add([]byte("\r\nMSG kitchen 1 5\r\n"), 2, true, []byte("HMSG a 1 99999999999\r\n"))
	f.Fuzz(func(t *testing.T, payload []byte, times int, cut bool, raw []byte) {
		times &= 3
		var wire []byte
		for i := range times {
			wire = append(wire, "PING\r\n"...)
			wire = append(wire, "INFO {}\r\n"...)
			reply := ""
			if i%2 == 1 {
				reply = "$JS.ACK.kitchen.c1.1.2.3.4.0 "
			}
			wire = append(wire, "MSG kitchen 1 "+reply+strconv.Itoa(len(payload))+"\r\n"...)
			wire = append(append(wire, payload...), "\r\n"...)
			wire = append(wire, "HMSG kitchen 1 12 "+strconv.Itoa(12+len(payload))+"\r\nNATS/1.0\r\n\r\n"...)
			wire = append(append(wire, payload...), "\r\n"...)
		}
		var in io.Reader = bytes.NewReader(wire)
		if cut {
			in = iotest.HalfReader(in)
		}
		answers := &recordedConn{}
		c := &natsConn{conn: answers, in: bufio.NewReaderSize(in, readBuffer)}
		for range times {
			if m, err := c.read(); err != nil || m.headers || !bytes.Equal(m.payload, payload) {
				t.Fatalf("%+v, %v", m, err)
			}
			if m, err := c.read(); err != nil || !m.headers || !bytes.Equal(m.payload, append([]byte("NATS/1.0\r\n\r\n"), payload...)) {
				t.Fatalf("%+v, %v", m, err)
			}
		}
		if _, err := c.read(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
		if pongs := bytes.Count(answers.Bytes(), []byte("PONG\r\n")); pongs != times {
			t.Fatalf("%d of %d pings were answered", pongs, times)
		}
		c = &natsConn{conn: answers, in: bufio.NewReaderSize(bytes.NewReader(raw), readBuffer)}
		for err := error(nil); err == nil; {
			_, err = c.read()
		}
	})
}

// What is lost, doubled or out of order is noticed, and by nobody counted.
func TestSeatNoticesWhatIsWrong(t *testing.T) {
	text := func(number int64) []byte { return appendText(nil, number, clock(), textSize) }
	for _, test := range []struct {
		name  string
		texts [][]byte
		fails bool
	}{
		{"all", [][]byte{text(0), text(1), text(2)}, false},
		{"lost", [][]byte{text(0), text(2)}, true},
		{"doubled", [][]byte{text(0), text(0)}, true},
		{"out of order", [][]byte{text(1), text(0)}, true},
		{"more than was sent", [][]byte{text(0), text(1), text(2), text(3)}, true},
		{"something else", [][]byte{[]byte("hello")}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAudience(1)
			a.published.Store(3)
			var err error
			for _, x := range test.texts {
				if err = a.seats[0].came(x, true); err != nil {
					break
				}
			}
			a.seats[0].counted()
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			if !test.fails && a.total.Load() != int64(len(test.texts)) {
				t.Errorf("%d were counted", a.total.Load())
			}
			if n := a.latencies().TotalCount(); n != a.total.Load() {
				t.Errorf("%d latencies of %d deliveries", n, a.total.Load())
			}
		})
	}
}

// Whoever waits is told when everything has come, and when something went wrong.
func TestAudienceWaits(t *testing.T) {
	const seats, messages = 8, 500
	a := newAudience(seats)
	a.published.Store(messages)
	for _, s := range a.seats {
		go func() {
			for i := range int64(messages) {
				if err := s.came(appendText(nil, i, clock(), textSize), true); err != nil {
					a.fail(err)
				}
				if i%3 == 0 {
					s.counted()
				}
			}
			s.counted()
		}()
	}
	for n := int64(1); n <= messages; n++ {
		if err := a.wait(t.Context(), n*seats); err != nil {
			t.Fatal(err)
		}
	}
	broken := fmt.Errorf("broken")
	go a.fail(broken)
	if err := a.wait(t.Context(), messages*seats+1); !errors.Is(err, broken) {
		t.Errorf("wait ended with %v", err)
	}
}
