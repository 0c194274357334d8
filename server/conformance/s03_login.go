package conformance

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/server"
	"github.com/chatstream/chatstream/store"
)

func login() []section {
	return []section{{"3", "Login", []rule{
		{"stream_judges_form_then_account", streamLogin},
		{"commands_judge_form_then_account", commandLogin},
		{"standing_comes_before_everything_stored", standingFirst},
		{"installation_then_token_then_expiry", installationTokenExpiry},
		{"token_is_an_oid_and_lives_half_an_hour", tokenLife},
		{"same_installation_keeps_its_token", sameInstallation},
		{"other_installation_takes_over", otherInstallation},
		{"expired_token_is_replaced", expiredToken},
		{"expiry_ends_no_open_stream", expiryEndsNoStream},
		{"login_elsewhere_ends_open_stream", loginElsewhereEndsStream},
		{"logout_ends_open_stream", logoutEndsStream},
		{"login_that_cannot_be_judged_is_database_down", loginDown},
		{"refused_login_disturbs_nobody", refusedLoginDisturbsNobody},
		{"refused_command_stores_nothing", refusedCommandStoresNothing},
	}}}
}

// wantOpening checks that a stream with this metadata is accepted, or is
// refused with this status and nothing else: not even the primer.
func wantOpening(t *testing.T, u *user, md metadata.MD, want chatpb.ReturnStatus) []*chatpb.ChatMessageToClient {
	t.Helper()
	s := u.openWith(t, md)
	if want == success {
		messages := s.initial()
		s.close()
		return messages
	}
	got, before := s.rest()
	if got != refused(want) || len(before) > 0 {
		t.Errorf("%d responses, and the end %+v (%v), want none and %+v", len(before), got, s.err, refused(want))
	}
	return nil
}

// A stream's login is judged in this order: presence of the four keys, digits
// of the version, grammar of the rooms (44 each), account (40), version (42),
// token (41), installation (43), and then what is stored.
func streamLogin(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	const absent = "\x00"
	someUUID := uuid.NewString()
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

		{name: "account of 23 digits", account: someOID()[1:], want: invalidAccount},
		{name: "account of 25 digits", account: someOID() + "0", want: invalidAccount},
		{name: "account not hex", account: someOID()[1:] + "g", want: invalidAccount},
		{name: "account is a uuid", account: someUUID, want: invalidAccount},
		{name: "token of 23 digits", token: someOID()[1:], want: invalidToken},
		{name: "token not hex", token: someOID()[1:] + "g", want: invalidToken},
		{name: "token is a uuid", token: someUUID, want: invalidToken},
		{name: "installation too short", install: someUUID[1:], want: invalidInstallation},
		{name: "installation too long", install: someUUID + "0", want: invalidInstallation},
		{name: "installation without dashes", install: strings.ReplaceAll(someUUID, "-", "0"), want: invalidInstallation},
		{name: "installation is an oid", install: someOID(), want: invalidInstallation},

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

		{name: "presence before digits", install: absent, version: "x", account: "x", token: "x", room: "x", want: invalidParameter},
		{name: "digits before account", version: "x", account: "x", want: invalidParameter},
		{name: "grammar before account", room: "x", account: "x", want: invalidParameter},
		{name: "grammar before version", room: "x", version: "2", want: invalidParameter},
		{name: "grammar before token", room: "x", token: "x", want: invalidParameter},
		{name: "account before version", account: "x", version: "2", token: "x", install: "x", want: invalidAccount},
		{name: "version before token", version: "2", token: "x", install: "x", want: outdated},
		{name: "token before installation", token: "x", install: "x", want: invalidToken},
		{name: "installation before the account is looked up", install: "x", account: someOID(), want: invalidInstallation},

		{name: "unknown account", account: someOID(), want: noAccount},
		{name: "wrong token", token: someOID(), want: wrongToken},
		{name: "other installation", install: someUUID, want: elsewhere},
		{name: "other installation and wrong token", install: someUUID, token: someOID(), want: elsewhere},
		{name: "unknown account and wrong everything", account: someOID(), token: someOID(), install: someUUID, want: noAccount},
		{name: "account and token in capitals", account: strings.ToUpper(u.id), token: strings.ToUpper(u.token), want: success},
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
	t.Run("repeated keys, of which the first counts", func(t *testing.T) {
		for _, key := range []string{"current_account_id", "logged_in_token", "lets_go_version", "installation_id", "chat_room_values"} {
			md := u.metadata()
			if key == "chat_room_values" {
				md.Append(key, "")
			}
			md.Append(key, "x")
			wantOpening(t, u, md, success)
		}
	})
	t.Run("unknown keys, which are ignored", func(t *testing.T) {
		md := u.metadata()
		md.Set("something_else", "x")
		wantOpening(t, u, md, success)
	})
}

// commandsWith are the served commands with a login, and what they answer.
func commandsWith(t *testing.T, u *user, r chatRoom, target string) map[string]func(*chatpb.LoginToServerBasicInfo) (chatpb.ReturnStatus, error) {
	type login = *chatpb.LoginToServerBasicInfo
	return map[string]func(login) (chatpb.ReturnStatus, error){
		"create": func(l login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: l, ChatRoomName: "x"})
			return resp.GetReturnStatus(), err
		},
		"join": func(l login) (chatpb.ReturnStatus, error) {
			rpc, err := u.commands.JoinChatRoomRPC(soon(t), &commandspb.JoinChatRoomRequest{LoginInfo: l, ChatRoomId: r.id, ChatRoomPassword: r.password})
			if err != nil {
				return 0, err
			}
			first, err := rpc.Recv()
			if err != nil {
				return 0, err
			}
			if len(first.GetMessagesList()) != 1 || !first.GetMessagesList()[0].GetPrimer() || first.GetChatRoomStatus() != 0 {
				t.Errorf("join: the first response is %v", first)
			}
			if second, err := rpc.Recv(); err == nil {
				t.Errorf("join: a second response: %v", second)
			}
			return first.GetMessagesList()[0].GetReturnStatus(), nil
		},
		"leave": func(l login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.LeaveChatRoomRPC(soon(t), &commandspb.LeaveChatRoomRequest{LoginInfo: l, ChatRoomId: r.id})
			return resp.GetReturnStatus(), err
		},
		"remove": func(l login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.RemoveFromChatRoomRPC(soon(t), &commandspb.RemoveFromChatRoomRequest{
				LoginInfo: l, MessageUuid: uuid.NewString(), ChatRoomId: r.id, AccountIdToRemove: target,
			})
			return resp.GetReturnStatus(), err
		},
		"text": func(l login) (chatpb.ReturnStatus, error) {
			req := u.textRequest(r, "x", uuid.NewString())
			req.LoginInfo = l
			resp, err := u.commands.ClientMessageToServerRPC(soon(t), req)
			return resp.GetReturnStatus(), err
		},
		"observe": func(l login) (chatpb.ReturnStatus, error) {
			resp, err := u.commands.ClientMessageToServerRPC(soon(t), &commandspb.ClientMessageToServerRequest{LoginInfo: l, Message: message(r.id, observedBody())})
			return resp.GetReturnStatus(), err
		},
	}
}

// A command's login is judged in this order: account (40), version (42), token
// (41), installation (43), a login as administrator (44), and then what is
// stored.
func commandLogin(t *testing.T, h *harness) {
	a := h.dial(t)
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	v.join(t, r)
	type login = *chatpb.LoginToServerBasicInfo
	commands := commandsWith(t, u, r, v.id)
	for _, tt := range []struct {
		name   string
		change func(login)
		want   chatpb.ReturnStatus
	}{
		{"account", func(l login) { l.CurrentAccountId = "x" }, invalidAccount},
		{"no account", func(l login) { l.CurrentAccountId = "" }, invalidAccount},
		{"version", func(l login) { l.LetsGoVersion = 2 }, outdated},
		{"token", func(l login) { l.LoggedInToken = "x" }, invalidToken},
		{"installation", func(l login) { l.InstallationId = "x" }, invalidInstallation},
		{"admin", func(l login) { l.AdminInfoUsed = true }, invalidParameter},
		{"account before version", func(l login) { l.CurrentAccountId, l.LetsGoVersion = "x", 2 }, invalidAccount},
		{"version before token", func(l login) { l.LetsGoVersion, l.LoggedInToken = 2, "x" }, outdated},
		{"token before installation", func(l login) { l.LoggedInToken, l.InstallationId = "x", "x" }, invalidToken},
		{"installation before admin", func(l login) { l.InstallationId, l.AdminInfoUsed = "x", true }, invalidInstallation},
		{"admin before the account is looked up", func(l login) { l.CurrentAccountId, l.AdminInfoUsed = someOID(), true }, invalidParameter},
		{"wrong token", func(l login) { l.LoggedInToken = someOID() }, wrongToken},
		{"other installation", func(l login) { l.InstallationId = uuid.NewString() }, elsewhere},
		{"unknown account", func(l login) { l.CurrentAccountId = someOID() }, noAccount},
	} {
		for name, call := range commands {
			l := u.login()
			tt.change(l)
			if got, err := call(l); err != nil || got != tt.want {
				t.Errorf("%s, %s: %v, %v, want %v", name, tt.name, got, err, tt.want)
			}
		}
	}
	for name, call := range commands {
		if got, err := call(nil); err != nil || got != invalidAccount {
			t.Errorf("%s without a login: %v, %v", name, got, err)
		}
	}
}

// An account that is banned (26) or suspended (25) hears that before anything
// else that is stored about it.
func standingFirst(t *testing.T, h *harness) {
	v := h.serve(t)
	a := v.dial(t)
	for standing, want := range map[store.AccountStanding]chatpb.ReturnStatus{
		store.Suspended: suspended, store.AccountBanned: accountBanned,
	} {
		u := &user{api: a, installation: uuid.NewString(), token: someOID(), id: strings.ReplaceAll(uuid.NewString(), "-", "")[:24]}
		ctx := soon(t)
		if err := v.store.CreateAccount(ctx, store.Account{ID: u.id, Name: u.id, Display: u.id, Standing: standing, Created: 1}); err != nil {
			t.Fatal(err)
		}
		if err := v.store.UpdateSession(ctx, u.id, func(store.Account) (store.Session, error) {
			return store.Session{Installation: u.installation, TokenHash: sha256.Sum256([]byte(u.token)), Expires: never}, nil
		}); err != nil {
			t.Fatal(err)
		}
		for name, other := range map[string]*user{"right": u, "elsewhere": {api: a, id: u.id, token: u.token, installation: uuid.NewString()}} {
			wantOpening(t, other, other.metadata(), want)
			for command, call := range commandsWith(t, other, chatRoom{id: "abcdefgh"}, someOID()) {
				if got, err := call(other.login()); err != nil || got != want {
					t.Errorf("%s, %s: %v, %v, want %v", command, name, got, err, want)
				}
			}
		}
	}
}

// fakeClock starts a server whose logins go by the returned clock.
func (h *harness) fakeClock(t *testing.T) (*api, *clock) {
	t.Helper()
	c := &clock{}
	return h.serve(t, func(cfg *server.Config) { cfg.Accounts.Now = c.now }).dial(t), c
}

// Another installation (20) is noticed before another token (24), and the right
// token that has expired is told so (22).
func installationTokenExpiry(t *testing.T, h *harness) {
	a, c := h.fakeClock(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	c.advance(31 * time.Minute)
	for name, tt := range map[string]struct {
		token, installation string
		want                chatpb.ReturnStatus
	}{
		"expired":                        {u.token, u.installation, tokenExpired},
		"another token":                  {someOID(), u.installation, wrongToken},
		"another installation":           {u.token, uuid.NewString(), elsewhere},
		"another token and installation": {someOID(), uuid.NewString(), elsewhere},
	} {
		other := *u
		other.token, other.installation = tt.token, tt.installation
		wantOpening(t, u, other.metadata(), tt.want)
		for command, call := range commandsWith(t, u, r, someOID()) {
			if got, err := call(other.login()); err != nil || got != tt.want {
				t.Errorf("%s, %s: %v, %v, want %v", command, name, got, err, tt.want)
			}
		}
	}
}

// A token is an oid in text form and is good for 30 minutes, not a moment
// longer.
func tokenLife(t *testing.T, h *harness) {
	a, c := h.fakeClock(t)
	u := a.signUp(t)
	before := c.now()
	expires := u.logIn(t)
	if !regexp.MustCompile(`^[0-9a-f]{24}$`).MatchString(u.token) {
		t.Errorf("the token is %q", u.token)
	}
	if life := expires.Sub(before); life < 30*time.Minute-time.Second || life > 30*time.Minute+patience {
		t.Errorf("the token lives %v", life)
	}
	c.advance(time.Until(expires) - 10*time.Second)
	wantOpening(t, u, u.metadata(), success)
	c.advance(10 * time.Second)
	wantOpening(t, u, u.metadata(), tokenExpired)
}

// A login from the same installation before the token expires prolongs it.
func sameInstallation(t *testing.T, h *harness) {
	a, c := h.fakeClock(t)
	u := a.signUp(t)
	token := u.token
	for range 3 {
		c.advance(20 * time.Minute)
		if u.logIn(t); u.token != token {
			t.Fatalf("the token was %q, is %q", token, u.token)
		}
		wantOpening(t, u, u.metadata(), success)
	}
}

// A login from another installation makes a new token, and the old device hears
// of it (20) with its next call.
func otherInstallation(t *testing.T, h *harness) {
	a := h.dial(t)
	u := a.signUp(t)
	r := u.create(t, "hall")
	other := u.elsewhere()
	if other.logIn(t); other.token == u.token {
		t.Error("two installations have one token")
	}
	wantOpening(t, u, u.metadata(), elsewhere)
	for name, call := range commandsWith(t, u, r, someOID()) {
		if got, err := call(u.login()); err != nil || got != elsewhere {
			t.Errorf("%s from the old installation: %v, %v", name, got, err)
		}
	}
	wantOpening(t, other, other.metadata(), success)
	u.logIn(t) // and back
	wantOpening(t, u, u.metadata(), success)
	wantOpening(t, other, other.metadata(), elsewhere)
}

// A login after expiry makes a new token, and the old one is worth nothing (24).
func expiredToken(t *testing.T, h *harness) {
	a, c := h.fakeClock(t)
	u := a.signUp(t)
	stale := *u
	c.advance(31 * time.Minute)
	if u.logIn(t); u.token == stale.token {
		t.Error("the same token after it had expired")
	}
	wantOpening(t, u, stale.metadata(), wrongToken)
	wantOpening(t, u, u.metadata(), success)
}

// An open stream does not care that its token expires.
func expiryEndsNoStream(t *testing.T, h *harness) {
	a, c := h.fakeClock(t)
	admin, u := a.signUp(t), a.signUp(t)
	r := admin.create(t, "hall")
	u.join(t, r)
	s := u.openLive(t)
	c.advance(31 * time.Minute)
	admin.logIn(t)
	s.wantText(admin.say(t, r, "still there?"))
	u.logIn(t) // a new token, of the same installation
	s.wantText(admin.say(t, r, "and now?"))
	s.close()
}

// Replaced, nothing but a new stream ends one: a login from another
// installation ends the open stream (1, 20); one from the same, or a wrong
// password, does not.
func loginElsewhereEndsStream(t *testing.T, h *harness) {
	u := h.dial(t).signUp(t)
	s := u.openLive(t)
	u.logIn(t)
	other := u.elsewhere()
	if _, err := other.accounts.Login(soon(t), &chatstreampb.LoginRequest{Name: u.name, Password: "a wrong horse", InstallationId: other.installation}); err == nil {
		t.Error("a wrong password logs in")
	}
	s.send(refreshRequest())
	if f := s.next(); f.GetRefreshChatStreamResponse() == nil {
		t.Fatalf("the stream has ended or says %v", f)
	}
	other.logIn(t)
	s.wantEnd(refused(elsewhere))
}

// Replaced, nothing but a new stream ends one: a logout ends the open stream
// (1, 24), and what it logged out is worth nothing.
func logoutEndsStream(t *testing.T, h *harness) {
	a := h.dial(t)
	u, other := a.signUp(t), a.signUp(t)
	s, sOther := u.openLive(t), other.openLive(t)
	wrong := u.login()
	wrong.LoggedInToken = someOID()
	if _, err := a.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: wrong}); err == nil {
		t.Error("somebody else's token logs out")
	}
	if _, err := a.accounts.Logout(soon(t), &chatstreampb.LogoutRequest{LoginInfo: u.login()}); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(refused(wrongToken))
	wantOpening(t, u, u.metadata(), wrongToken)
	if resp, err := u.commands.CreateChatRoomRPC(soon(t), &commandspb.CreateChatRoomRequest{LoginInfo: u.login()}); err != nil || resp.GetReturnStatus() != wrongToken {
		t.Errorf("a command after the logout: %v, %v", resp, err)
	}
	sOther.close() // it was open all the time
	u.logIn(t)
	wantOpening(t, u, u.metadata(), success)
}

// Replaced, 61: a stream whose login the store cannot judge is told so (1, 60),
// as a command is, and comes again.
func loginDown(t *testing.T, h *harness) {
	st := h.store(t)
	u := serveOn(t, st).dial(t).signUp(t)
	r := u.create(t, "hall")
	st.failing(store.ErrUnavailable, "Account")
	wantOpening(t, u, u.metadata(), databaseDown)
	for name, call := range commandsWith(t, u, r, someOID()) {
		if got, err := call(u.login()); err != nil || got != databaseDown {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	st.off()
	wantOpening(t, u, u.metadata(), success)
}

// A stream whose login is refused replaces none, and counts as none.
func refusedLoginDisturbsNobody(t *testing.T, h *harness) {
	v := h.serve(t)
	u := v.dial(t).signUp(t)
	s := u.openLive(t)
	wrong := *u
	wrong.token = someOID()
	wantOpening(t, u, wrong.metadata(), wrongToken)
	if n := v.Stats().Engine.Streams; n != 1 {
		t.Errorf("%d streams", n)
	}
	if n := v.Stats().Engine.StreamsOpened; n != 1 {
		t.Errorf("%d streams have begun", n)
	}
	s.close()
}

// A command whose login is refused changes nothing. (The original writes the
// outcome into the account each time.)
func refusedCommandStoresNothing(t *testing.T, h *harness) {
	a := h.dial(t)
	u, v := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	v.join(t, r)
	before := len(u.history(t, r))
	stored, err := h.shared.store.Account(soon(t), u.id)
	if err != nil {
		t.Fatal(err)
	}
	wrong := *u
	wrong.token = someOID()
	for name, call := range commandsWith(t, u, r, v.id) {
		if got, err := call(wrong.login()); err != nil || got != wrongToken {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	now, err := h.shared.store.Account(soon(t), u.id)
	if err != nil || now.Standing != stored.Standing || now.Session.Expires != stored.Session.Expires || now.Session.TokenHash != stored.Session.TokenHash {
		t.Errorf("the account was %+v, is %+v (%v)", stored, now, err)
	}
	if after := len(u.history(t, r)); after != before {
		t.Errorf("the room had %d messages, has %d", before, after)
	}
}
