package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// ---------------------------------------------------------------- metadata

const (
	invalidAccount      = chatpb.ReturnStatus_INVALID_USER_OID
	invalidToken        = chatpb.ReturnStatus_INVALID_LOGIN_TOKEN
	outdated            = chatpb.ReturnStatus_OUTDATED_VERSION
	invalidInstallation = chatpb.ReturnStatus_INVALID_INSTALLATION_ID
	invalidParameter    = chatpb.ReturnStatus_INVALID_PARAMETER_PASSED
	noAccount           = chatpb.ReturnStatus_NO_VERIFIED_ACCOUNT
	wrongToken          = chatpb.ReturnStatus_LOGIN_TOKEN_DID_NOT_MATCH
	tokenExpired        = chatpb.ReturnStatus_LOGIN_TOKEN_EXPIRED
	elsewhere           = chatpb.ReturnStatus_LOGGED_IN_ELSEWHERE
	success             = chatpb.ReturnStatus_SUCCESS
	lgError             = chatpb.ReturnStatus_LG_ERROR
)

// TestLoginMetadata: the four keys, and the order in which they are judged.
func TestLoginMetadata(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	u := dial(t, p.addr).signUp(t)
	const absent = "\x00"
	someOID, someUUID := strings.Repeat("ab", 12), uuid.NewString()
	for _, tt := range []struct {
		name                                   string
		account, token, version, install, room string // "" for the right one, absent for none
		want                                   chatpb.ReturnStatus
	}{
		{name: "all right", want: success},
		{name: "no account", account: absent, want: invalidParameter},
		{name: "no token", token: absent, want: invalidParameter},
		{name: "no version", version: absent, want: invalidParameter},
		{name: "no installation", install: absent, want: invalidParameter},
		{name: "nothing at all", account: absent, token: absent, version: absent, install: absent, want: invalidParameter},

		{name: "account of 23 digits", account: someOID[1:], want: invalidAccount},
		{name: "account of 25 digits", account: someOID + "0", want: invalidAccount},
		{name: "account not hex", account: someOID[1:] + "g", want: invalidAccount},
		{name: "account is a uuid", account: someUUID, want: invalidAccount},
		{name: "token of 23 digits", token: someOID[1:], want: invalidToken},
		{name: "token not hex", token: someOID[1:] + "g", want: invalidToken},
		{name: "token is a uuid", token: someUUID, want: invalidToken},
		{name: "installation too short", install: someUUID[1:], want: invalidInstallation},
		{name: "installation too long", install: someUUID + "0", want: invalidInstallation},
		{name: "installation without dashes", install: strings.ReplaceAll(someUUID, "-", "0"), want: invalidInstallation},
		{name: "installation is an oid", install: someOID, want: invalidInstallation},

		{name: "version 2", version: "2", want: outdated},
		{name: "version 0", version: "0", want: outdated},
		{name: "version 4", version: "4", want: success},
		{name: "version with zeros", version: "0000000000003", want: success},
		{name: "version is a word", version: "three", want: invalidParameter},
		{name: "version with sign", version: "+3", want: invalidParameter},
		{name: "version negative", version: "-3", want: invalidParameter},
		{name: "version with point", version: "3.0", want: invalidParameter},
		{name: "version in hex", version: "0x3", want: invalidParameter},
		{name: "version wraps to 3", version: "4294967299", want: success},
		{name: "version wraps to 2", version: "4294967298", want: outdated},
		{name: "version wraps to 0", version: "4294967296", want: outdated},
		{name: "version is huge", version: strings.Repeat("9", 500), want: success}, // 10^500-1 mod 2^32 = 2^32-1

		// Presence, version digits, grammar, account, version, token, installation.
		{name: "presence before digits", install: absent, version: "x", account: "x", token: "x", room: "x", want: invalidParameter},
		{name: "digits before account", version: "x", account: "x", want: invalidParameter},
		{name: "grammar before account", room: "x", account: "x", want: invalidParameter},
		{name: "grammar before version", room: "x", version: "2", want: invalidParameter},
		{name: "grammar before token", room: "x", token: "x", want: invalidParameter},
		{name: "account before version", account: "x", version: "2", token: "x", install: "x", want: invalidAccount},
		{name: "version before token", version: "2", token: "x", install: "x", want: outdated},
		{name: "token before installation", token: "x", install: "x", want: invalidToken},
		{name: "installation before the account is looked up", install: "x", account: someOID, want: invalidInstallation},

		{name: "unknown account", account: someOID, want: noAccount},
		{name: "wrong token", token: someOID, want: wrongToken},
		{name: "other installation", install: someUUID, want: elsewhere},
		{name: "other installation and wrong token", install: someUUID, token: someOID, want: elsewhere},
		{name: "unknown account and wrong everything", account: someOID, token: someOID, install: someUUID, want: noAccount},
	} {
		t.Run(tt.name, func(t *testing.T) {
			md := u.metadata()
			for key, value := range map[string]string{
				"current_account_id": tt.account, "logged_in_token": tt.token, "lets_go_version": tt.version,
				"installation_id": tt.install, "chat_room_values": tt.room,
			} {
				switch value {
				case "":
				case absent:
					delete(md, key)
				default:
					md.Set(key, value)
				}
			}
			wantOpening(t, u, md, tt.want)
		})
	}

	t.Run("empty values", func(t *testing.T) {
		for key, want := range map[string]chatpb.ReturnStatus{
			"current_account_id": invalidAccount, "logged_in_token": invalidToken, "lets_go_version": outdated,
			"installation_id": invalidInstallation, "chat_room_values": success,
		} {
			md := u.metadata()
			md.Set(key, "")
			wantOpening(t, u, md, want)
		}
	})
	t.Run("repeated keys", func(t *testing.T) {
		for key, other := range map[string]string{
			"current_account_id": "x", "logged_in_token": "x", "lets_go_version": "x", "installation_id": "x", "chat_room_values": "x",
		} {
			md := u.metadata()
			if key == "chat_room_values" {
				md.Append(key, "")
			}
			md.Append(key, other)
			wantOpening(t, u, md, success) // the first one counts
		}
	})
	t.Run("unknown keys", func(t *testing.T) {
		md := u.metadata()
		md.Set("something_else", "x")
		wantOpening(t, u, md, success)
	})
}

// wantOpening checks that a stream with this metadata is accepted, or is
// refused with this status and nothing else.
func wantOpening(t *testing.T, u *user, md metadata.MD, want chatpb.ReturnStatus) []*chatpb.ChatMessageToClient {
	t.Helper()
	s := u.openWith(t, md)
	if want == success {
		messages := s.initial()
		if err := s.rpc.CloseSend(); err != nil {
			t.Fatal(err)
		}
		s.wantEnd(down(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON))
		return messages
	}
	end, before := s.rest()
	if end != refused(want) || len(before) > 0 {
		t.Errorf("%d responses, and the end %+v (%v), want none and %+v", len(before), end, s.err, refused(want))
	}
	return nil
}

// TestRoomValues: the grammar of chat_room_values. The user is in no room, so
// that every room that is taken in comes back as one that was left.
func TestRoomValues(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	u := dial(t, p.addr).signUp(t)
	id36 := uuid.NewString()
	far := fmt.Sprint(time.Now().AddDate(20, 0, 0).UnixMilli())
	for _, tt := range []struct {
		value string
		bad   bool
		left  string // rooms
	}{
		{value: ""},
		{value: "abcdefgh::-1::-1::0", left: "abcdefgh"},
		{value: "abcdefgh::-1::-1::0::", left: "abcdefgh"},
		{value: "abcdefg::-1::-1::0::", left: "abcdefg"},
		{value: "zz345678::1::2::0::a1234567::3::4::0::", left: "a1234567 zz345678"},
		{value: "zz345678::1::2::0::a1234567::3::4::0", left: "a1234567 zz345678"},
		{value: "abcdefgh::1::2::1::" + id36, left: "abcdefgh"},
		{value: "abcdefgh::1::2::2::" + id36 + "::" + id36 + "::", left: "abcdefgh"},
		{value: "abcdefgh::1::2::1::no uuid at all", left: "abcdefgh"},
		{value: "abcdefgh::1::2::1::a:b:c", left: "abcdefgh"},
		{value: "abcdefgh::1::2::1::::", left: "abcdefgh"}, // an empty uuid
		{value: "abcdefgh::1::2::2::::x", left: "abcdefgh"},
		{value: "abcdefgh::0::0::0", left: "abcdefgh"},
		{value: "abcdefgh::00000000000001::1::0", left: "abcdefgh"},
		{value: "abcdefgh::99999999999999::99999999999999::0", left: "abcdefgh"},
		{value: "abcdefgh::" + far + "::" + far + "::0", left: "abcdefgh"},
		{value: "abcdefgh::1::1::0000000000", left: "abcdefgh"},
		{value: "abcdefgh::1::1::0000000001::x", left: "abcdefgh"},

		// Rooms that cannot exist, and repetitions, are dropped.
		{value: "abc::1::1::0::abcdefgh::1::1::0", left: "abcdefgh"},
		{value: "ABCDEFGH::1::1::0"},
		{value: "abcdefghi::1::1::0"},
		{value: "abc efgh::1::1::0"},
		{value: "::1::1::0"},
		{value: "abcdefgh::1::1::0::abcdefgh::2::2::1::x", left: "abcdefgh"},

		{value: "::", bad: true},
		{value: "::::", bad: true},
		{value: "abcdefgh", bad: true},
		{value: "abcdefgh::", bad: true},
		{value: "abcdefgh::1", bad: true},
		{value: "abcdefgh::1::", bad: true},
		{value: "abcdefgh::1::1", bad: true},
		{value: "abcdefgh::1::1::", bad: true},
		{value: "abcdefgh::1::1::0::::", bad: true}, // two delimiters at the end
		{value: "abcdefgh::1::1::0::b", bad: true},
		{value: "abcdefgh::1::1::0::bcdefghi::1::1", bad: true},
		{value: "abcdefgh::1::1::1", bad: true},
		{value: "abcdefgh::1::1::1::", bad: true}, // the delimiter makes no token
		{value: "abcdefgh::1::1::2::x", bad: true},
		{value: "abcdefgh::1::1::1::x::y", bad: true},
		{value: "abcdefgh::1::1::1::" + id36 + "0", bad: true},
		{value: "abcdefgh::::1::0", bad: true},
		{value: "abcdefgh::1::::0", bad: true},
		{value: "abcdefgh::1::1::::", bad: true},
		{value: "abcdefgh::-2::1::0", bad: true},
		{value: "abcdefgh::1::-2::0", bad: true},
		{value: "abcdefgh::-::1::0", bad: true},
		{value: "abcdefgh::--1::1::0", bad: true},
		{value: "abcdefgh::+1::1::0", bad: true},
		{value: "abcdefgh:: 1::1::0", bad: true},
		{value: "abcdefgh::1 ::1::0", bad: true},
		{value: "abcdefgh::x::1::0", bad: true},
		{value: "abcdefgh::1::x::0", bad: true},
		{value: "abcdefgh::1.5::1::0", bad: true},
		{value: "abcdefgh::123456789012345::1::0", bad: true},
		{value: "abcdefgh::1::123456789012345::0", bad: true},
		{value: "abcdefgh::000000000000001::1::0", bad: true},
		{value: "abcdefgh::1::1::-1", bad: true},
		{value: "abcdefgh::1::1::x", bad: true},
		{value: "abcdefgh::1::1::+0", bad: true},
		{value: "abcdefgh::1::1::00000000000", bad: true},
		{value: "abcdefgh::1::1::9999999999", bad: true},
		{value: "abcdefgh::1::1::4294967296::", bad: true},
		{value: "abcdefgh:1:1:0", bad: true},
	} {
		t.Run(tt.value, func(t *testing.T) {
			md := u.metadata()
			md.Set("chat_room_values", tt.value)
			status := success
			if tt.bad {
				status = invalidParameter
			}
			var left []string
			for _, m := range wantOpening(t, u, md, status) {
				v := viewOf(m)
				if v.kind != kindThisLeft || v.from != u.id || v.uuid != "" || v.time != 0 {
					t.Errorf("got %v", m)
				}
				left = append(left, v.room)
			}
			if got := strings.Join(left, " "); got != tt.left {
				t.Errorf("left %q, want %q", got, tt.left)
			}
		})
	}
}

// TestLargeMetadata: nearly 1 MiB is taken, more is refused by the library.
func TestLargeMetadata(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	x := admin.say(t, r, "hello")
	pos := position{room: r.id, updated: since, viewed: x.time + 1000}
	for len(pos.uuids)*38 < 1<<20-2048-100 {
		pos.uuids = append(pos.uuids, uuid.NewString())
	}
	s := u.open(t, pos)
	if got := s.initial(); len(got) != 1 || got[0].GetMessageUuid() != x.uuid {
		t.Errorf("got %v", got)
	}
	s.cancel()
	for range 4096 / 38 {
		pos.uuids = append(pos.uuids, uuid.NewString())
	}
	// This client knows what the server accepts, and does not even send it.
	if _, err := u.chat.StreamChatRPC(metadata.NewOutgoingContext(t.Context(), u.metadata(pos))); err == nil {
		t.Error("more than 1 MiB of metadata is accepted")
	}
	// One that does not know gets an error of HTTP/2, and does no harm.
	sendOversizeHeaders(t, p.addr, u.metadata(pos))
	u.open(t).initial()
}

// sendOversizeHeaders opens a stream with this metadata, whatever its size, and
// waits until the server refuses it.
func sendOversizeHeaders(t *testing.T, addr string, md metadata.MD) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
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
	framer := http2.NewFramer(conn, conn)
	wrote := make(chan struct{})
	go func() { // errors are expected: the server may hang up in the middle
		defer close(wrote)
		_, _ = conn.Write([]byte(http2.ClientPreface))
		_ = framer.WriteSettings()
		for first := true; first || block.Len() > 0; first = false {
			part := block.Next(16 << 10)
			if first {
				_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: part, EndHeaders: block.Len() == 0})
			} else if framer.WriteContinuation(1, block.Len() == 0, part) != nil {
				return
			}
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := framer.ReadFrame()
		switch f := f.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			conn.Close()
			<-wrote
			return
		case *http2.HeadersFrame:
			t.Logf("answered with headers: %v", f)
			conn.Close()
			<-wrote
			return
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("no answer to more than 1 MiB of metadata")
			}
			conn.Close()
			<-wrote
			return
		}
	}
}

// ---------------------------------------------------------------- logins and ends

// TestTokenLife: an expired token opens nothing; what is open stays open.
func TestTokenLife(t *testing.T) {
	noLeaks(t)
	p := serve(t, "--token-lifetime=2s")
	a := dial(t, p.addr)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	pos := position{room: r.id, updated: u.join(t, r).time(), viewed: 0}
	s := u.open(t, pos)
	s.initial()

	// The same installation again, before it expires: the same token.
	old := u.token
	if err := u.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	if u.token != old {
		t.Log("the token had expired already") // on a very slow machine
	}
	for refusedYet := false; !refusedYet; {
		resp, err := u.commands.ClientMessageToServerRPC(soon(t), u.textRequest(r, "x", uuid.NewString()))
		if err != nil {
			t.Fatal(err)
		}
		switch resp.GetReturnStatus() {
		case success:
			time.Sleep(50 * time.Millisecond)
		case tokenExpired:
			refusedYet = true
		default:
			t.Fatalf("got %v", resp)
		}
	}
	u2 := dial(t, p.addr)
	other := *u
	other.api = u2
	if end, _ := other.open(t).rest(); end != refused(tokenExpired) {
		t.Errorf("a stream with an expired token ended with %+v", end)
	}
	// The open stream does not care.
	if err := admin.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	x := admin.say(t, r, "still there?")
	for {
		m := s.message()
		if kindOf(m) == kindNewUpdate {
			continue // what u sent
		}
		if m.GetMessageUuid() != x.uuid {
			t.Errorf("got %v", m)
		}
		break
	}
	// After expiry a login makes a new token, and the old one is worth nothing.
	old = u.token
	if err := u.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	if u.token == old {
		t.Error("the same token after it had expired")
	}
	y := admin.say(t, r, "and now?")
	if m := s.message(); m.GetMessageUuid() != y.uuid {
		t.Errorf("got %v", m)
	}
	stale := *u
	stale.token = old
	if end, _ := stale.open(t).rest(); end != refused(wrongToken) {
		t.Errorf("a stream with the token before ended with %+v", end)
	}
}

func TestLogoutEndsStream(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	u := dial(t, p.addr).signUp(t)
	s := u.open(t)
	s.initial()

	// Somebody else's logout does not.
	for name, tt := range map[string]struct {
		change func(*chatpb.LoginToServerBasicInfo)
		want   codes.Code
	}{
		"wrong token":       {func(l *chatpb.LoginToServerBasicInfo) { l.LoggedInToken = strings.Repeat("a", 24) }, codes.Unauthenticated},
		"malformed token":   {func(l *chatpb.LoginToServerBasicInfo) { l.LoggedInToken = "x" }, codes.InvalidArgument},
		"malformed account": {func(l *chatpb.LoginToServerBasicInfo) { l.CurrentAccountId = "x" }, codes.InvalidArgument},
		"malformed install": {func(l *chatpb.LoginToServerBasicInfo) { l.InstallationId = "x" }, codes.InvalidArgument},
		"other account":     {func(l *chatpb.LoginToServerBasicInfo) { l.CurrentAccountId = strings.Repeat("a", 24) }, codes.Unauthenticated},
		"other install":     {func(l *chatpb.LoginToServerBasicInfo) { l.InstallationId = uuid.NewString() }, codes.Unauthenticated},
	} {
		l := u.login()
		tt.change(l)
		if _, err := u.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: l}); status.Code(err) != tt.want {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := u.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no login: %v", err)
	}

	if _, err := u.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: u.login()}); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(refused(wrongToken))
	u.open(t).wantEnd(refused(wrongToken))
	resp, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login()})
	if err != nil || resp.GetReturnStatus() != wrongToken {
		t.Errorf("a command after logout: %v, %v", resp, err)
	}
	// Who repeats a logout, not knowing whether it took effect, is logged out.
	if _, err := u.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: u.login()}); err != nil && status.Code(err) != codes.Unauthenticated {
		t.Errorf("a second logout: %v", err)
	}
	if err := u.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	u.open(t).initial()
}

func TestLoginElsewhereEndsStream(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	u := dial(t, p.addr).signUp(t)
	s := u.open(t)
	s.initial()
	// Logging in again with the same installation does not.
	if err := u.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	// A wrong guess does not.
	other := u.elsewhere()
	other.password += "r"
	if err := other.logIn(soon(t)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("wrong password: %v", err)
	}
	s.send(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{RefreshChatStream: &streampb.RefreshChatStreamRequest{}}})
	if f := s.next(); f.GetRefreshChatStreamResponse() == nil {
		t.Fatalf("the stream has ended or says %v", f)
	}

	other.password = u.password
	if err := other.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(refused(elsewhere))
	u.open(t).wantEnd(refused(elsewhere))
	resp, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login()})
	if err != nil || resp.GetReturnStatus() != elsewhere {
		t.Errorf("a command from the old installation: %v, %v", resp, err)
	}
	s = other.open(t)
	s.initial()
	// And back again.
	if err := u.logIn(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(refused(elsewhere))
	u.open(t).initial()
}

func TestReplacement(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	pos := position{room: r.id, updated: u.join(t, r).time(), viewed: 0}
	replaced := down(streampb.StreamDownReasons_STREAM_CANCELED_BY_ANOTHER_STREAM)
	replaced.cancelInfo = u.installation
	s := u.open(t, pos)
	s.initial()
	for range 20 {
		second := u.open(t, pos)
		second.initial()
		s.wantEnd(replaced)
		s = second
	}
	x := admin.say(t, r, "who gets this?")
	if m := s.message(); m.GetMessageUuid() != x.uuid {
		t.Errorf("got %v", m)
	}
	a.awaitClients(t, 1)

	// Many at once: one of them stays, every other one is told.
	const many = 30
	var streams []*stream
	for range many {
		streams = append(streams, u.open(t, pos))
	}
	s.wantEnd(replaced)
	ends := make(chan ending, many)
	for _, s := range streams {
		go func() {
			for f := range s.frames {
				_ = f
			}
			ends <- endOf(s.rpc, s.err)
		}()
	}
	for range many - 1 {
		select {
		case e := <-ends:
			if e != replaced {
				t.Errorf("a stream ended with %+v", e)
			}
		case <-time.After(patience):
			t.Fatal("more than one stream is left")
		}
	}
	a.awaitClients(t, 1)
	for _, s := range streams {
		_ = s.rpc.CloseSend()
	}
	if e := <-ends; e != down(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON) {
		t.Errorf("the last one ended with %+v", e)
	}
	a.awaitClients(t, 0)
}

func TestClientEndsStream(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u := a.signUp(t)

	t.Run("half close", func(t *testing.T) {
		s := u.open(t)
		s.initial()
		a.awaitClients(t, 1)
		if err := s.rpc.CloseSend(); err != nil {
			t.Fatal(err)
		}
		s.wantEnd(down(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON))
		a.awaitClients(t, 0)
	})
	t.Run("half close at once", func(t *testing.T) {
		s := u.open(t)
		if err := s.rpc.CloseSend(); err != nil {
			t.Fatal(err)
		}
		s.wantEnd(down(streampb.StreamDownReasons_UNKNOWN_STREAM_STOP_REASON))
		a.awaitClients(t, 0)
	})
	t.Run("cancel", func(t *testing.T) {
		s := u.open(t)
		s.initial()
		s.cancel()
		if end := s.ending(); end.code != codes.Canceled || end.reason != "" {
			t.Errorf("ended with %+v", end)
		}
		a.awaitClients(t, 0)
	})
	t.Run("cancel at once", func(t *testing.T) {
		for range 50 {
			u.open(t).cancel()
		}
		a.awaitClients(t, 0)
	})
	t.Run("connection lost", func(t *testing.T) {
		other := *u
		other.api = dial(t, p.addr)
		other.open(t).initial()
		a.awaitClients(t, 1)
		other.conn.Close()
		a.awaitClients(t, 0)
	})
}

// TestLifetime: refreshing prolongs a stream, in time.
func TestLifetime(t *testing.T) {
	noLeaks(t)
	const life = 4 * time.Second
	p := serve(t, "--stream-lifetime="+life.String())
	a := dial(t, p.addr)
	refresh := &streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{RefreshChatStream: &streampb.RefreshChatStreamRequest{}}}
	timedOut := down(streampb.StreamDownReasons_STREAM_TIMED_OUT)

	t.Run("no refresh", func(t *testing.T) {
		s := a.signUp(t).open(t)
		first := s.next()
		if got := first.GetInitialConnectionPrimerResponse().GetTimeUntilChatStreamExpiresInMillis(); got != life.Milliseconds() {
			t.Errorf("the primer says %d ms", got)
		}
		began := time.Now()
		s.wantEnd(timedOut)
		if since := time.Since(began); since < life*9/10 {
			t.Errorf("timed out after %v", since)
		}
	})
	t.Run("refreshed", func(t *testing.T) {
		t.Parallel()
		s := a.signUp(t).open(t)
		s.initial()
		began := time.Now()
		var last time.Time
		for time.Since(began) < life*3/2 {
			// Two at once: both are answered, both succeed.
			for range 2 {
				last = time.Now()
				s.send(refresh)
			}
			for range 2 {
				r := s.next().GetRefreshChatStreamResponse()
				if left := r.GetTimeUntilChatStreamExpiresInMillis(); !r.GetSuccessfullyRefreshedTime() || left > life.Milliseconds() || left < life.Milliseconds()*9/10 {
					t.Errorf("after %v: %v", time.Since(began), r)
				}
			}
			time.Sleep(life / 4) // well before the limit
		}
		s.wantEnd(timedOut)
		if since := time.Since(last); since < life*9/10 {
			t.Errorf("timed out %v after the last refresh", since)
		}
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		u := a.signUp(t)
		for range 5 { // the moment can be missed on a busy machine
			s := u.open(t)
			s.initial()
			time.Sleep(life*95/100 + 20*time.Millisecond) // the server began before we did
			_ = s.rpc.Send(refresh)
			f := s.next()
			if f == nil {
				continue
			}
			r := f.GetRefreshChatStreamResponse()
			if left := r.GetTimeUntilChatStreamExpiresInMillis(); r.GetSuccessfullyRefreshedTime() || left < 1 || left > life.Milliseconds()/20 {
				t.Errorf("a refresh after 95 %% of the time: %v", f)
			}
			s.wantEnd(timedOut)
			return
		}
		t.Error("the stream never lived up to its end")
	})
}

// ---------------------------------------------------------------- initialization

func TestInitialization(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u, third := a.signUp(t), a.signUp(t), a.signUp(t)
	var rooms []room
	for i := range 6 {
		rooms = append(rooms, admin.create(t, fmt.Sprintf("room %d", i)))
	}
	slices.SortFunc(rooms, func(a, b room) int { return strings.Compare(a.id, b.id) })
	updated, added1, nothingNew, added2, left, kicked := rooms[0], rooms[1], rooms[2], rooms[3], rooms[4], rooms[5]
	third.join(t, added1)
	joinTimes := map[string]int64{}
	for _, r := range rooms {
		joinTimes[r.id] = u.join(t, r).time()
	}
	third.leave(t, added1)
	u.leave(t, left)
	if r := admin.remove(t, kicked, commandspb.RemoveFromChatRoomRequest_KICK, u.id, uuid.NewString()); r.GetReturnStatus() != success || r.GetOperationFailed() {
		t.Fatalf("kick: %v", r)
	}
	long := strings.Repeat("é", 200)                   // 400 bytes
	cut := strings.Repeat("é", 127)                    // 254 bytes, the 255th is half a rune
	u.say(t, added2, "before")                         // own messages are in the history too
	skeleton := admin.say(t, added1, "text of a room") //
	x := []sent{admin.say(t, updated, "one"), admin.say(t, updated, long), u.say(t, updated, "mine")}
	j := third.join(t, updated)
	third.leave(t, updated)
	observed := time.Now().UnixMilli()
	if r := u.observe(t, nothingNew, observed); r.GetReturnStatus() != success || r.GetTimestampStored() != observed {
		t.Fatalf("observe: %v", r)
	}

	s := u.open(t,
		position{room: "zzzzzz9", updated: 1, viewed: 1},
		position{room: kicked.id, updated: joinTimes[kicked.id], viewed: 1},
		position{room: nothingNew.id, updated: joinTimes[nothingNew.id], viewed: observed - 1},
		position{room: updated.id, updated: joinTimes[updated.id], viewed: observed + 1000},
		position{room: left.id, updated: joinTimes[left.id], viewed: 1},
	)
	got := s.initial()

	// The order: added rooms, removed ones, updated ones, each by id.
	var order []string
	for _, m := range got {
		if v := viewOf(m); len(order) == 0 || order[len(order)-1] != v.room {
			order = append(order, v.room)
		}
	}
	if want := []string{added1.id, added2.id, left.id, kicked.id, "zzzzzz9", updated.id, nothingNew.id}; !slices.Equal(order, want) {
		t.Fatalf("the rooms come as %v, want %v", order, want)
	}
	of := func(r string) (list []*chatpb.ChatMessageToClient) {
		for _, m := range got {
			if viewOf(m).room == r {
				list = append(list, m)
			}
		}
		return list
	}

	t.Run("added", func(t *testing.T) {
		list := of(added1.id)
		kinds := kindsOf(list)
		want := []string{kindStart, kindMember, kindMember, kindCap, kindJoined, kindJoined, kindJoined, kindLeft, kindText, kindFinished}
		if !slices.Equal(kinds, want) {
			t.Fatalf("got %v, want %v", kinds, want)
		}
		start := list[0]
		info := start.GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo()
		if info.GetChatRoomId() != added1.id || info.GetChatRoomName() != added1.name || info.GetChatRoomPassword() != added1.password ||
			info.GetAccountState() != chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM || info.GetTimeJoined() != joinTimes[added1.id] ||
			info.GetUserLastActivityTime() != joinTimes[added1.id] || info.GetChatRoomLastActivityTime() != skeleton.time ||
			info.GetLongitudePinnedLocation() != 181 || info.GetLatitudePinnedLocation() != 91 ||
			info.GetMatchMadeChatRoomOid() != "" || info.GetEventOid() != "" || len(info.GetQrCodeImageBytes()) > 0 || info.GetQrCodeMessage() != "" || info.GetQrCodeTimestamp() != 0 {
			t.Errorf("the room is described as %v (joined at %d, last text at %d)", info, joinTimes[added1.id], skeleton.time)
		}
		if v := viewOf(start); v.from != u.id || !v.force || v.uuid != "" || v.time != 0 {
			t.Errorf("the start is %+v", v)
		}
		for i, wantMember := range []struct {
			who   *user
			state chatpb.AccountStateInChatRoom
		}{
			{admin, chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IS_ADMIN},
			{third, chatpb.AccountStateInChatRoom_ACCOUNT_STATE_NOT_IN_CHAT_ROOM},
		} {
			info := list[1+i].GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomMemberMessage().GetMemberInfo()
			if info.GetUserInfo().GetAccountOid() != wantMember.who.id || info.GetUserInfo().GetAccountName() != wantMember.who.name || info.GetAccountState() != wantMember.state {
				t.Errorf("member %d is %v, want %s %v", i, info, wantMember.who.name, wantMember.state)
			}
		}
		last := int64(0)
		for _, m := range list[3 : len(list)-1] {
			v := viewOf(m)
			if !v.onlyStore || !v.keepState || !v.force || v.uuid == "" || v.time <= last || v.amount != chatpb.AmountOfMessage_ONLY_SKELETON {
				t.Errorf("a message of the history is %+v", v)
			}
			last = v.time
		}
		wantView(t, list[8], view{kind: kindText, uuid: skeleton.uuid, from: admin.id, room: added1.id, time: skeleton.time, onlyStore: true, keepState: true, force: true})
		if v := viewOf(list[9]); !v.keepState || v.from != u.id {
			t.Errorf("the end is %+v", v)
		}
	})
	t.Run("removed", func(t *testing.T) {
		for _, r := range []string{left.id, kicked.id, "zzzzzz9"} {
			list := of(r)
			if len(list) != 1 {
				t.Errorf("%d messages of a room that was left", len(list))
			}
			if v := viewOf(list[0]); v.kind != kindThisLeft || v.from != u.id || v.uuid != "" || v.time != 0 {
				t.Errorf("got %+v", v)
			}
		}
	})
	t.Run("updated", func(t *testing.T) {
		list := of(updated.id)
		if kinds := kindsOf(list); !slices.Equal(kinds, []string{kindText, kindText, kindText, kindJoined, kindLeft}) {
			t.Fatalf("got %v", kinds)
		}
		enough := chatpb.AmountOfMessage_ENOUGH_TO_DISPLAY_AS_FINAL_MESSAGE
		wantView(t, list[0], view{kind: kindText, uuid: x[0].uuid, from: admin.id, room: updated.id, time: x[0].time, amount: enough, complete: true, keepState: true, force: true, text: "one"})
		wantView(t, list[1], view{kind: kindText, uuid: x[1].uuid, from: admin.id, room: updated.id, time: x[1].time, amount: enough, keepState: true, force: true, text: cut})
		wantView(t, list[2], view{kind: kindText, uuid: x[2].uuid, from: u.id, room: updated.id, time: x[2].time, amount: enough, complete: true, keepState: true, force: true, text: "mine"})
		info := list[3].GetMessage().GetMessageSpecifics().GetDifferentUserJoinedMessage().GetMemberInfo()
		if info.GetUserInfo().GetAccountOid() != third.id || info.GetUserInfo().GetAccountName() != third.name ||
			info.GetAccountState() != chatpb.AccountStateInChatRoom_ACCOUNT_STATE_IN_CHAT_ROOM || info.GetAccountLastActivityTime() != j.time() {
			t.Errorf("the join is %v", list[3])
		}
		for _, m := range list {
			if v := viewOf(m); v.onlyStore || !v.keepState || !v.force {
				t.Errorf("got %+v", v)
			}
		}
	})
	t.Run("observed", func(t *testing.T) {
		list := of(nothingNew.id)
		o := list[0].GetMessage().GetMessageSpecifics().GetUpdateObservedTimeMessage()
		if len(list) != 1 || kindOf(list[0]) != kindObserved || o.GetChatRoomLastObservedTime() != observed || list[0].GetSentByAccountId() != u.id {
			t.Errorf("got %v", list)
		}
	})

	// The client has told that it observed "updated" a second later than now,
	// which was taken as now: never lowered, only raised.
	t.Run("viewed", func(t *testing.T) {
		get := func(viewed int64) int64 {
			s := u.open(t, position{room: updated.id, updated: x[2].time + 1_000_000, viewed: viewed})
			defer s.cancel()
			for _, m := range s.initial() {
				if kindOf(m) == kindObserved {
					return m.GetMessage().GetMessageSpecifics().GetUpdateObservedTimeMessage().GetChatRoomLastObservedTime()
				}
			}
			return 0
		}
		first := get(-1)
		if first < observed || first > observed+60_000 {
			t.Errorf("observed %d, the client had said %d", first, observed+1000)
		}
		if again := get(1); again != first {
			t.Errorf("observed %d, then %d", first, again)
		}
		if again := get(first); again != 0 {
			t.Errorf("the client is told what it knows: %d", again)
		}
	})
}

func kindsOf(list []*chatpb.ChatMessageToClient) []string {
	var kinds []string
	for _, m := range list {
		kinds = append(kinds, kindOf(m))
	}
	return kinds
}

// TestPosition: exactly what is newer than the client's time comes, but for
// what the client lists.
func TestPosition(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	since := u.join(t, r).time()
	var all []sent
	for i := range 10 {
		who := admin
		if i%3 == 2 {
			who = u // own messages too
		}
		all = append(all, who.say(t, r, fmt.Sprint(i)))
	}
	at := func(updated int64, listed ...int) (texts []string) {
		pos := position{room: r.id, updated: updated, viewed: all[9].time + 1_000_000}
		for _, i := range listed {
			pos.uuids = append(pos.uuids, all[i].uuid)
		}
		s := u.open(t, pos)
		defer s.cancel()
		for _, m := range s.initial() {
			if v := viewOf(m); v.kind == kindText {
				texts = append(texts, v.text)
			} else {
				texts = append(texts, v.kind)
			}
		}
		return texts
	}
	for _, tt := range []struct {
		updated int64
		listed  []int
		want    string
	}{
		{since, nil, "0 1 2 3 4 5 6 7 8 9"},
		{all[0].time - 1, nil, "0 1 2 3 4 5 6 7 8 9"},
		{all[0].time, nil, "1 2 3 4 5 6 7 8 9"},
		{all[8].time, nil, "9"},
		{all[9].time, nil, ""},
		{all[9].time + 3_600_000, nil, ""}, // later than now is now
		{99999999999999, nil, ""},
		{all[3].time, []int{0, 1, 2, 3}, "4 5 6 7 8 9"},
		{all[3].time, []int{5, 8}, "4 6 7 9"},
		{all[3].time, []int{9, 8, 7, 6, 5, 4}, ""},
		{-1, nil, "chat_room_cap different_user_joined different_user_joined 0 1 2 3 4 5 6 7 8 9"},
		{0, []int{4}, "chat_room_cap different_user_joined different_user_joined 0 1 2 3 5 6 7 8 9"},
	} {
		if got := strings.Join(at(tt.updated, tt.listed...), " "); got != tt.want {
			t.Errorf("at %d with %v listed: %q, want %q", tt.updated, tt.listed, got, tt.want)
		}
	}
	// What was excluded once is not excluded for good, and live goes on.
	s := u.open(t, position{room: r.id, updated: all[9].time, viewed: all[9].time, uuids: []string{all[9].uuid}})
	s.initial()
	x := admin.say(t, r, "live")
	if m := s.message(); m.GetMessageUuid() != x.uuid {
		t.Errorf("got %v", m)
	}
}

// TestLongHistory: the initialization of a large room is complete and comes in
// messages that a default client accepts.
func TestLongHistory(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	flood(t, admin, r, 4000)
	s := u.open(t, position{room: r.id, updated: -1, viewed: -1})
	last, texts := int64(0), 0
	for _, m := range s.initial() {
		v := viewOf(m)
		if v.kind == kindObserved {
			continue
		}
		if v.time <= last {
			t.Fatalf("%+v after %d", v, last)
		}
		last = v.time
		if v.kind == kindText {
			texts++
		}
	}
	if texts != 4000 {
		t.Errorf("%d texts", texts)
	}
}
