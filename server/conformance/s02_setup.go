package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/loadpb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server"
	"github.com/chatstream/chatstream/store"
)

func setup() []section {
	return []section{{"2", "Process and gRPC set-up", []rule{
		{"servers_share_the_store_and_nothing_else", serversShareTheStore},
		{"tls_secures_every_service", tlsSecures},
		{"store_failure_is_database_down", storeFailureIsData},
		{"other_failure_is_lg_error", otherFailureIsData},
		{"nearly_a_mebibyte_of_metadata_is_taken", largeMetadata},
		{"more_metadata_is_refused_by_the_library", tooMuchMetadata},
		{"limits_of_a_connection_are_announced", announcedLimits},
		{"idle_connection_is_closed", idleConnection},
		{"silent_connection_is_asked_whether_it_is_there", silentConnection},
	}}}
}

// Several servers on one store share nothing but the store: each sees every
// message of every room, and takes every login.
func serversShareTheStore(t *testing.T, h *harness) {
	st := h.store(t)
	one, two := serveOn(t, st), serveOn(t, st)
	a, b := one.dial(t), two.dial(t)
	admin, u := a.signUp(t), b.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	sAdmin, s := admin.openLive(t), u.openLive(t, position{room: r.id, updated: since})
	x := admin.say(t, r, "from one server to the other")
	s.wantText(x)
	y := u.at(a).say(t, r, "back, through the first") // logged in at the second
	sAdmin.message()                                  // the own one
	sAdmin.wantText(y)
	wantUpdateTime(t, s.message(), r, y.uuid, y.time)
	admin.expel(t, r, kick, u)
	if m := s.message(); kindOf(m) != kindKicked {
		t.Errorf("got %v, want the kick that the other server took", m)
	}
}

// A server with a certificate secures its streams and its commands; who does
// not trust it, or speaks plaintext or an old TLS, gets no answer.
func tlsSecures(t *testing.T, h *harness) {
	certificate, roots := selfSigned(t)
	v := h.serve(t, func(c *server.Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	})
	secured := func(c *tls.Config) grpc.DialOption { return grpc.WithTransportCredentials(credentials.NewTLS(c)) }
	a := v.dial(t, secured(&tls.Config{RootCAs: roots}))
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "vault")
	s := u.openLive(t)
	j := u.join(t, r)
	wantUpdateTime(t, s.message(), r, "", j.time())
	s.wantText(admin.say(t, r, "secured"))
	for name, opts := range map[string][]grpc.DialOption{
		"plaintext": nil,
		"untrusted": {secured(&tls.Config{})},
		"TLS 1.1":   {secured(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})},
	} {
		other := v.dial(t, opts...)
		if _, err := other.load.RetrieveServerLoadRPC(soon(t), &loadpb.RetrieveServerLoadRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// selfSigned makes a certificate for 127.0.0.1, and who trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chatstream test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// failed calls each command that uses the store and returns their statuses.
func failed(t *testing.T, u, other *user, r chatRoom) map[string]chatpb.ReturnStatus {
	t.Helper()
	created, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login()})
	if err != nil {
		t.Errorf("create: %v, want status OK", err)
	}
	left, err := u.commands.LeaveChatRoomRPC(soon(t), &commandspb.LeaveChatRoomRequest{LoginInfo: u.login(), ChatRoomId: r.id})
	if err != nil {
		t.Errorf("leave: %v, want status OK", err)
	}
	said, err := u.commands.ClientMessageToServerRPC(soon(t), u.textRequest(r, "x", uuid.NewString()))
	if err != nil {
		t.Errorf("send: %v, want status OK", err)
	}
	j, err := other.tryJoin(soon(t), r)
	if err != nil || j.primers != 1 || len(j.messages) > 0 {
		t.Errorf("join: %+v, %v, want one primer and status OK", j, err)
	}
	return map[string]chatpb.ReturnStatus{
		"create": created.GetReturnStatus(), "leave": left.GetReturnStatus(), "send": said.GetReturnStatus(), "join": j.status,
		"remove": u.remove(t, r, kick, other.id, uuid.NewString()).GetReturnStatus(),
	}
}

// A command that the store fails is answered with DATABASE_DOWN in the body and
// gRPC status OK.
func storeFailureIsData(t *testing.T, h *harness) {
	st := h.store(t)
	a := serveOn(t, st).dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	for _, call := range []string{"Append", "Account"} { // of the rooms, of the logins
		st.failing(store.ErrUnavailable, call)
		for name, got := range failed(t, u, other, r) {
			if got != databaseDown {
				t.Errorf("%s, with %s failing: %v", name, call, got)
			}
		}
	}
	st.off()
	u.say(t, r, "up again")
}

// Any other failure of a command, a panic too, is answered with LG_ERROR in the
// body and gRPC status OK.
func otherFailureIsData(t *testing.T, h *harness) {
	st := h.store(t)
	a := serveOn(t, st).dial(t)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	for name, f := range map[string]func(string) error{
		"an error": func(call string) error {
			if call == "Append" {
				return errOdd
			}
			return nil
		},
		"a panic": func(call string) error {
			if call == "Append" {
				panic("this is a test")
			}
			return nil
		},
	} {
		st.on(f)
		for command, got := range failed(t, u, other, r) {
			if got != lgError {
				t.Errorf("%s, with %s: %v", command, name, got)
			}
		}
	}
	st.off()
	u.say(t, r, "as if nothing had been")
}

// nearlyTooMuch is a position whose metadata is just below 1 MiB, as HTTP/2
// counts.
func nearlyTooMuch(r chatRoom, updated int64) position {
	pos := position{room: r.id, updated: updated, viewed: never}
	for len(pos.uuids)*38 < 1<<20-2048-100 {
		pos.uuids = append(pos.uuids, uuid.NewString())
	}
	return pos
}

// A client may send nearly 1 MiB of metadata, the most that it is told to.
func largeMetadata(t *testing.T, h *harness) {
	a := h.dial(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	x := admin.say(t, r, "hello")
	if got := u.open(t, nearlyTooMuch(r, since)).initial(); len(got) != 1 || got[0].GetMessageUuid() != x.uuid {
		t.Errorf("got %v", got)
	}
}

// More than 1 MiB is refused below the application: no response, no trailing
// metadata, and no harm to others.
func tooMuchMetadata(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	pos := nearlyTooMuch(r, 1)
	for range 4096 / 38 {
		pos.uuids = append(pos.uuids, uuid.NewString())
	}
	open := u.openLive(t)
	// This client knows what the server accepts, and does not even send it.
	if _, err := u.chat.StreamChatRPC(metadata.NewOutgoingContext(t.Context(), u.metadata(pos))); err == nil {
		t.Error("more than 1 MiB of metadata is accepted")
	}
	// One that does not know gets an error of HTTP/2.
	sendOversizeHeaders(t, v.addr, u.metadata(pos))
	v.awaitStreams(t, 1)
	open.close()
}

// sendOversizeHeaders opens a stream with this metadata, whatever its size, and
// waits until the server refuses it.
func sendOversizeHeaders(t *testing.T, addr string, md metadata.MD) {
	t.Helper()
	conn, framer := rawConnection(t, addr)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: addr},
		{Name: ":path", Value: streampb.StreamChatService_StreamChatRPC_FullMethodName},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}
	for key, list := range md {
		fields = append(fields, hpack.HeaderField{Name: key, Value: list[0], Sensitive: true})
	}
	for _, f := range fields {
		if err := enc.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	wrote := make(chan struct{})
	go func() { // errors are expected: the server may hang up in the middle
		defer close(wrote)
		for first := true; first || block.Len() > 0; first = false {
			part := block.Next(16 << 10)
			if first {
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: part, EndHeaders: block.Len() == 0})
			} else if framer.WriteContinuation(1, block.Len() == 0, part) != nil {
				return
			}
		}
	}()
	defer func() {
		conn.Close()
		<-wrote
	}()
	for {
		f, err := framer.ReadFrame()
		switch f := f.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return
		case *http2.HeadersFrame: // an answer, or trailers only
			fields, err := hpack.NewDecoder(1<<16, nil).DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				t.Error(err)
			}
			for _, field := range fields {
				if field.Name == "stream_down_reason" || field.Name == "grpc-status" && field.Value == "0" {
					t.Errorf("the application answered: %v", fields)
				}
			}
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("no answer to more than 1 MiB of metadata")
		}
		if err != nil {
			return
		}
	}
}

// rawConnection speaks HTTP/2 without gRPC: the preface is written, settings
// are exchanged by whoever reads.
func rawConnection(t *testing.T, addr string) (net.Conn, *http2.Framer) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return conn, framer
}

// A connection carries at most 100 RPCs at once and 1 MiB of metadata in each,
// and the server says so in its settings.
func announcedLimits(t *testing.T, h *harness) {
	_, framer := rawConnection(t, h.shared.addr)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		s, ok := f.(*http2.SettingsFrame)
		if !ok || s.IsAck() {
			continue
		}
		streams, _ := s.Value(http2.SettingMaxConcurrentStreams)
		header, _ := s.Value(http2.SettingMaxHeaderListSize)
		if streams != 100 || header != 1<<20 {
			t.Errorf("%d RPCs at once, %d bytes of metadata", streams, header)
		}
		return
	}
}

// A connection without RPCs is closed after the idle time (15 minutes; here
// less).
func idleConnection(t *testing.T, h *harness) {
	v := h.serve(t, func(c *server.Config) { c.MaxIdle = 100 * time.Millisecond })
	_, framer := rawConnection(t, v.addr)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v, want GOAWAY first", err)
		}
		if _, ok := f.(*http2.GoAwayFrame); ok {
			return
		}
	}
}

// Replaced, no keepalive: a connection that is silent is asked whether it is
// still there (every 30 s; here every second, the least that grpc-go takes).
func silentConnection(t *testing.T, h *harness) {
	v := h.serve(t, func(c *server.Config) { c.Keepalive = time.Second })
	_, framer := rawConnection(t, v.addr)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v, want PING first", err)
		}
		if p, ok := f.(*http2.PingFrame); ok && !p.IsAck() {
			return
		}
	}
}
