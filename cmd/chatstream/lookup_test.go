package main_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

type requestStatus = streampb.RequestFullMessageInfoResponse_RequestStatus

const (
	finalList  = streampb.RequestFullMessageInfoResponse_FINAL_MESSAGE_LIST
	notMember  = streampb.RequestFullMessageInfoResponse_USER_NOT_A_MEMBER_OF_CHAT_ROOM
	serverErr  = streampb.RequestFullMessageInfoResponse_LG_SERVER_ERROR
	processing = streampb.RequestFullMessageInfoResponse_CURRENTLY_PROCESSING_UPDATE_REQUEST
	notSet     = chatpb.ReturnStatus_VALUE_NOT_SET
	unknown    = chatpb.ReturnStatus_UNKNOWN
)

// answer is what all responses to one request say.
type answer struct {
	status  requestStatus
	room    string
	entries []*chatpb.ChatMessageToClient
	errors  []string
}

// answer reads the responses to one request.
func (s *stream) answer() answer {
	s.t.Helper()
	var a answer
	for {
		f := s.next()
		r := f.GetRequestFullMessageInfoResponse()
		if r == nil {
			s.t.Fatalf("no answer to a request: %v", f)
		}
		a.status, a.room = r.GetRequestStatus(), r.GetChatRoomId()
		a.entries = append(a.entries, r.GetFullMessages().GetFullMessageList()...)
		a.errors = append(a.errors, r.GetErrorMessages().GetMessageUuidList()...)
		if a.status != streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST {
			return a
		}
	}
}

// shown is one entry of an answer, in short.
func shown(m *chatpb.ChatMessageToClient) string {
	v := viewOf(m)
	s := fmt.Sprint(v.uuid, " ", m.GetReturnStatus())
	if m.GetReturnStatus() != success {
		if v.kind != "" || v.time != 0 || v.from != "" {
			s += " and more"
		}
		return s
	}
	return fmt.Sprintf("%s %s %d %v %v %d", s, v.kind, v.time, v.amount, v.complete, len(v.text))
}

func TestFullMessages(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	foreign := other.create(t, "yard")
	foreignText := other.say(t, foreign, "not for you")
	short, long := u.say(t, r, "short"), other.say(t, r, strings.Repeat("é", 4_000))
	var joinUUID, capUUID string
	for _, m := range u.history(t, r) {
		switch kindOf(m) {
		case kindJoined:
			joinUUID = m.GetMessageUuid()
		case kindCap:
			capUUID = m.GetMessageUuid()
		}
	}
	absent := uuid.NewString()
	huge := strings.Repeat("x", 1024)
	ok := func(x sent, amount chatpb.AmountOfMessage, complete bool, length int) string {
		return fmt.Sprintf("%s SUCCESS text %d %v %v %d", x.uuid, x.time, amount, complete, length)
	}
	miss := func(id string, s chatpb.ReturnStatus) string { return id + " " + s.String() }
	var nine []entry
	var nineMissing []string
	for range 9 {
		id := uuid.NewString()
		nine, nineMissing = append(nine, entry{id, skeleton}), append(nineMissing, miss(id, notSet))
	}
	s := u.open(t)
	s.initial()
	for _, tt := range []struct {
		name    string
		room    string
		ask     []entry
		status  requestStatus
		entries []string
		errors  bool
	}{
		{"complete", r.id, []entry{{short.uuid, completed}, {long.uuid, completed}}, finalList,
			[]string{ok(short, completed, true, 5), ok(long, completed, true, 8_000)}, false},
		{"order is kept", r.id, []entry{{long.uuid, completed}, {short.uuid, completed}}, finalList,
			[]string{ok(long, completed, true, 8_000), ok(short, completed, true, 5)}, false},
		{"enough to display", r.id, []entry{{short.uuid, enough}, {long.uuid, enough}}, finalList,
			[]string{ok(short, enough, true, 5), ok(long, enough, false, 254)}, false},
		{"skeleton", r.id, []entry{{short.uuid, skeleton}}, finalList,
			[]string{ok(short, skeleton, false, 0)}, false},

		{"illegal room", "x", []entry{{short.uuid, completed}, {absent, completed}}, serverErr, nil, true},
		{"no room", "", []entry{{short.uuid, completed}}, serverErr, nil, true},
		{"room in capitals", "ABCDEFGH", []entry{{short.uuid, completed}}, serverErr, nil, true},
		{"a huge uuid", r.id, []entry{{short.uuid, completed}, {huge, completed}}, serverErr, nil, true},
		{"a large uuid", r.id, []entry{{short.uuid, completed}, {huge[1:], completed}}, finalList,
			[]string{ok(short, completed, true, 5), miss(huge[1:], notSet)}, false},
		{"no uuids", r.id, nil, finalList, nil, false},
		{"nothing legal", r.id, []entry{{"x", completed}, {short.uuid, 7}}, finalList,
			[]string{miss("x", notSet), miss(short.uuid, unknown)}, false},
		{"nothing legal, not a member", foreign.id, []entry{{"", completed}, {foreignText.uuid, -1}}, finalList,
			[]string{miss("", notSet), miss(foreignText.uuid, unknown)}, false},
		{"not a member", foreign.id, []entry{{foreignText.uuid, completed}, {"x", completed}}, notMember, nil, true},
		{"room that is not there", "zzzzzzzz", []entry{{short.uuid, completed}, {absent, completed}}, finalList,
			[]string{miss(short.uuid, notSet), miss(absent, notSet)}, false},
		{"not found", r.id, []entry{{absent, completed}}, finalList, []string{miss(absent, notSet)}, false},
		{"of another room", r.id, []entry{{foreignText.uuid, completed}}, finalList, []string{miss(foreignText.uuid, notSet)}, false},
		{"some illegal", r.id, []entry{{"x", completed}, {short.uuid, completed}, {short.uuid[1:], completed}, {long.uuid, 15}}, finalList,
			[]string{miss("x", notSet), ok(short, completed, true, 5), miss(short.uuid[1:], notSet), miss(long.uuid, unknown)}, false},
		{"kinds that are not active", r.id, []entry{{absent, completed}, {joinUUID, completed}, {short.uuid, completed}, {capUUID, skeleton}}, finalList,
			[]string{miss(absent, notSet), miss(joinUUID, unknown), ok(short, completed, true, 5), miss(capUUID, unknown)}, false},
		{"twice", r.id, []entry{{short.uuid, completed}, {short.uuid, completed}}, finalList,
			[]string{ok(short, completed, true, 5), miss(short.uuid, unknown)}, false},
		{"the highest amount is chosen", r.id, []entry{{short.uuid, skeleton}, {long.uuid, enough}, {short.uuid, completed}, {short.uuid, enough}, {short.uuid, completed}}, finalList,
			[]string{miss(short.uuid, unknown), ok(long, enough, false, 254), ok(short, completed, true, 5), miss(short.uuid, unknown), miss(short.uuid, unknown)}, false},
		{"an illegal amount is not the highest", r.id, []entry{{short.uuid, 30}, {short.uuid, enough}}, finalList,
			[]string{miss(short.uuid, unknown), ok(short, enough, true, 5)}, false},
		{"ten and more", r.id, append(slices.Clone(nine), entry{short.uuid, completed}, entry{long.uuid, completed}, entry{absent, completed}), finalList,
			append(slices.Clone(nineMissing), ok(short, completed, true, 5), miss(long.uuid, unknown), miss(absent, unknown)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.send(fullRequest(tt.room, tt.ask...))
			got := s.answer()
			if got.status != tt.status || got.room != tt.room {
				t.Errorf("%v of room %q, want %v of %q", got.status, got.room, tt.status, tt.room)
			}
			var entries []string
			for _, m := range got.entries {
				entries = append(entries, shown(m))
			}
			if !slices.Equal(entries, tt.entries) {
				t.Errorf("the entries are\n%s, want\n%s", strings.Join(entries, "\n"), strings.Join(tt.entries, "\n"))
			}
			var errors []string
			if tt.errors {
				for _, e := range tt.ask {
					errors = append(errors, e.uuid)
				}
			}
			if !slices.Equal(got.errors, errors) {
				t.Errorf("error_messages %q, want %q", got.errors, errors)
			}
		})
	}
	s.t = t

	t.Run("the content", func(t *testing.T) {
		s.send(fullRequest(r.id, entry{long.uuid, completed}))
		m := s.answer().entries[0]
		if v := viewOf(m); v.text != long.text || v.from != other.id || v.room != r.id {
			t.Errorf("got %.200v", m)
		}
	})
	t.Run("after leaving", func(t *testing.T) {
		s := other.open(t)
		s.initial()
		other.leave(t, r)
		if m := s.message(); kindOf(m) != kindNewUpdate {
			t.Errorf("got %v", m)
		}
		s.send(fullRequest(r.id, entry{short.uuid, completed}))
		if got := s.answer(); got.status != notMember || !slices.Equal(got.errors, []string{short.uuid}) {
			t.Errorf("got %+v", got)
		}
	})
}

// TestPipelinedRequests: however many requests are sent at once, also before
// the initialization is over, each gets exactly one answer, in their order.
func TestPipelinedRequests(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	x := u.say(t, r, "hello")
	s := u.open(t)
	const n = 300
	go func() { // the server stops reading while too many answers wait
		for i := range n {
			var err error
			switch i % 4 {
			case 0, 1:
				err = s.rpc.Send(fullRequest(r.id, entry{x.uuid, completed}, entry{fmt.Sprint("request ", i), completed}))
			case 2:
				err = s.rpc.Send(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{RefreshChatStream: &streampb.RefreshChatStreamRequest{}}})
			case 3: // an empty request is not answered
				err = s.rpc.Send(&streampb.ChatToServerRequest{})
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	s.initial()
	var busy int
	for i := range n {
		switch i % 4 {
		case 0, 1:
			got := s.answer()
			id := fmt.Sprint("request ", i)
			switch {
			case got.status == finalList && len(got.entries) == 2 && got.entries[0].GetReturnStatus() == success && got.entries[1].GetMessageUuid() == id:
			case got.status == processing && slices.Equal(got.errors, []string{x.uuid, id}):
				busy++
			default:
				t.Fatalf("the answer to request %d is %+v", i, got)
			}
		case 2:
			if f := s.next(); !f.GetRefreshChatStreamResponse().GetSuccessfullyRefreshedTime() {
				t.Fatalf("the answer to refresh %d is %v", i, f)
			}
		}
	}
	t.Logf("%d of %d requests came while another was looked up", busy, n/2)
	y := other.say(t, r, "and live goes on")
	if m := s.message(); m.GetMessageUuid() != y.uuid {
		t.Errorf("got %v", m)
	}
}

// TestLookupsAndLive: requests for messages do not hold up, disturb or repeat
// live messages of the same stream.
func TestLookupsAndLive(t *testing.T) {
	noLeaks(t)
	p := serve(t)
	a := dial(t, p.addr)
	u, other := a.signUp(t), a.signUp(t)
	r := u.create(t, "hall")
	other.join(t, r)
	x := other.say(t, r, strings.Repeat("x", 10_000))
	s := u.open(t)
	s.initial()
	const n = 200
	var writers sync.WaitGroup
	writers.Go(func() {
		for range n {
			if err := s.rpc.Send(fullRequest(r.id, entry{x.uuid, completed})); err != nil {
				t.Error(err)
				return
			}
		}
	})
	writers.Go(func() { flood(t, other, r, n) })
	t.Cleanup(writers.Wait)
	answers, live, last := 0, 0, int64(0)
	for answers < n || live < n {
		f := s.next()
		switch {
		case f.GetRequestFullMessageInfoResponse() != nil:
			if f.GetRequestFullMessageInfoResponse().GetRequestStatus() != streampb.RequestFullMessageInfoResponse_INTERMEDIATE_MESSAGE_LIST {
				answers++
			}
		case f.GetReturnNewChatMessage() != nil:
			for _, m := range f.GetReturnNewChatMessage().GetMessagesList() {
				if m.GetTimestampStored() <= last {
					t.Errorf("%d after %d", m.GetTimestampStored(), last)
				}
				last = m.GetTimestampStored()
				live++
			}
		default:
			t.Fatalf("got %v", f)
		}
	}
	writers.Wait()
	if answers != n || live != n {
		t.Errorf("%d answers, %d live messages, want %d of each", answers, live, n)
	}
}
