package server

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/store"
)

func (u *user) delivery(id string, of ...string) (*chatstreampb.GetDeliveryResponse, error) {
	return chatstreampb.NewDeliveryServiceClient(u.cc).GetDelivery(u.t.Context(),
		&chatstreampb.GetDeliveryRequest{LoginInfo: u.login, ChatRoomId: id, AccountIds: of})
}

// reaches asks until the one device of an account is as far as want.
func (u *user) reaches(id, account string, want func(*chatstreampb.DeviceDelivery) bool) {
	u.t.Helper()
	var last *chatstreampb.GetDeliveryResponse
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		r, err := u.delivery(id, account)
		if err != nil {
			u.t.Fatal(err)
		}
		if last = r; len(r.GetDevices()) == 1 && want(r.GetDevices()[0]) {
			return
		}
	}
	u.t.Fatalf("never came: %v", last)
}

// Over real connections: what a client reads has reached it, by write credit,
// also if it says nothing; what it confirms has, at once.
func TestDeliveryIsKnown(t *testing.T) {
	v := serve(t, Config{})
	ada, bob := v.user("ada"), v.user("bob")
	room := ada.create("kitchen").GetChatRoomId()
	bob.join(room, roomPassword(t, ada, room))
	bobs := bob.open("")
	bobs.initialized()
	for range 300 { // more than the transport may keep to itself
		if r := ada.text(room, long); r.GetReturnStatus() != success {
			t.Fatal(r)
		}
	}
	var last uint64
	for range 300 {
		last = bobs.next().GetSeq()
	}
	ada.reaches(room, bob.login.GetCurrentAccountId(), func(d *chatstreampb.DeviceDelivery) bool {
		return d.GetOnline() && d.GetReachedSeq() > last-250 && d.GetConfirmedSeq() == 0 && d.GetDevice() != "" && d.GetDevice() != bob.login.GetInstallationId()
	})
	if err := bobs.stream.Send(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_Confirmation{
		Confirmation: &chatstreampb.Confirmation{Positions: []*chatstreampb.Position{{ChatRoomId: room, Seq: last}}},
	}}); err != nil {
		t.Fatal(err)
	}
	ada.reaches(room, bob.login.GetCurrentAccountId(), func(d *chatstreampb.DeviceDelivery) bool {
		return d.GetReachedSeq() == last && d.GetConfirmedSeq() == last
	})
	if r, err := ada.delivery(room); err != nil || r.GetLastSeq() != last {
		t.Errorf("%v, %v; the last is %d", r, err, last)
	}
}

var long = string(make([]byte, 200)) + "x"

func roomPassword(t *testing.T, u *user, id string) string {
	t.Helper()
	st := u.open("")
	for _, m := range st.initialized() {
		if info := m.GetMessage().GetMessageSpecifics().GetThisUserJoinedChatRoomStartMessage().GetChatRoomInfo(); info.GetChatRoomId() == id {
			return info.GetChatRoomPassword()
		}
	}
	t.Fatal("not in the room")
	return ""
}

func TestDeliveryIsRefused(t *testing.T) {
	v := serve(t, Config{})
	ada, eve := v.user("ada"), v.user("eve")
	room := ada.create("kitchen").GetChatRoomId()
	stale := *ada
	stale.login = proto.CloneOf(ada.login)
	stale.login.LoggedInToken = eve.login.GetLoggedInToken()
	for name, c := range map[string]struct {
		who  *user
		room string
		of   []string
		want codes.Code
	}{
		"no member":         {eve, room, nil, codes.PermissionDenied},
		"no such room":      {ada, "zzzzzzzz", nil, codes.PermissionDenied},
		"no room id":        {ada, "x", nil, codes.InvalidArgument},
		"not logged in":     {&stale, room, nil, codes.Unauthenticated},
		"for too many":      {ada, room, make([]string, engine.MaxDevices+1), codes.FailedPrecondition},
		"a member":          {ada, room, nil, codes.OK},
		"for somebody else": {ada, room, []string{eve.login.GetCurrentAccountId()}, codes.OK},
	} {
		if r, err := c.who.delivery(c.room, c.of...); status.Code(err) != c.want || len(r.GetDevices()) != 0 {
			t.Errorf("%s: %v, %v; want %v", name, r, err, c.want)
		}
	}
}

// A client that names its place gets what follows, once, over a real connection.
func TestExactResumeOverTheWire(t *testing.T) {
	v := serve(t, Config{Engine: engine.Config{BookmarkEvery: 200 * time.Millisecond}})
	ada, bob := v.user("ada"), v.user("bob")
	room := ada.create("kitchen").GetChatRoomId()
	joined := bob.join(room, roomPassword(t, ada, room))
	at := joined[len(joined)-1].GetSeq()
	if at != 3 {
		t.Fatalf("a join ends with %v", joined[len(joined)-1])
	}
	ada.text(room, "one")
	ada.text(room, "two")
	bobs := bob.openWith(keyPositions, room+"::"+strconv.FormatUint(at, 10), keyFeatures, "bookmark::go-away")
	if got := bobs.initialized(); len(got) != 3 || textOf(got[1]) != "one" || got[1].GetPreviousSeq() != at || got[2].GetSeq() != at+2 {
		t.Fatalf("bob missed %v", got) // when the room was viewed comes first
	}
	r, err := bobs.stream.Recv()
	if err != nil || r.GetBookmark() == nil || len(r.GetBookmark().GetPositions()) != 0 {
		t.Errorf("an idle stream said %v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- v.Shutdown(ctx) }()
	v.stopped = true
	for warned := false; ; {
		r, err := bobs.stream.Recv()
		if err != nil {
			if got := bobs.stream.Trailer().Get(keyReason); len(got) != 1 || got[0] != "4" || !warned {
				t.Errorf("ended with %v, warned %v", got, warned)
			}
			break
		}
		warned = warned || r.GetGoAway().GetReason() == chatstreampb.GoAway_REASON_SHUTTING_DOWN
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	v.done.Wait()
	if err := v.store.Close(); err != nil {
		t.Error(err)
	}
}

// Who joins is not shown what is for others, and is not left in doubt about it.
func TestJoinerIsNotShownWhatIsForOthers(t *testing.T) {
	v := serve(t, Config{})
	ada, bob, eve := v.user("ada"), v.user("bob"), v.user("eve")
	id := ada.create("kitchen").GetChatRoomId()
	password := roomPassword(t, ada, id)
	bob.join(id, password)
	body, err := proto.Marshal(&chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_InviteMessage{
		InviteMessage: &chatpb.InviteChatMessage{InvitedUserAccountOid: bob.login.GetCurrentAccountId()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	invite := room.Post{UUID: uuid.NewString(), Sender: ada.login.GetCurrentAccountId(), Kind: 5, Body: body}
	if _, err := v.store.Append(t.Context(), id, store.Op{
		UUID: invite.UUID, Sender: invite.Sender, Kind: invite.Kind, Body: body,
		Decide: func(state room.State) ([]room.Draft, error) { return room.Decide(state, invite) },
	}); err != nil {
		t.Fatal(err)
	}
	ada.text(id, "for all")
	var shown []uint64
	for _, m := range eve.join(id, password) {
		if m.GetMessageUuid() == "" {
			continue
		}
		if m.GetMessageUuid() == invite.UUID || len(shown) > 0 && m.GetPreviousSeq() != shown[len(shown)-1] {
			t.Errorf("shown %v behind %v", m, shown)
		}
		shown = append(shown, m.GetSeq())
	}
	if want := []uint64{1, 2, 3, 5, 6}; !slices.Equal(shown, want) { // 4 is the invitation
		t.Errorf("shown %v, want %v", shown, want)
	}
}
