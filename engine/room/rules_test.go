package room

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// The rules of a room as properties: whatever commands come, in whatever order,
// this is true of the room afterwards.

// refusals are all that Decide may answer but drafts.
var refusals = []error{ErrNoRoom, ErrRoomExists, ErrWrongPassword, ErrBanned, ErrAlreadyIn, ErrNotMember, ErrNotAdmin, ErrTarget}

// script is a room that is driven by random commands.
type script struct {
	t     testing.TB
	state State
	log   []Event
	// banned and ever are what the script itself remembers.
	banned map[string]bool
	first  []string // accounts, in the order of their first joins
	said   map[error]int
}

func newScript(t testing.TB) *script {
	return &script{t: t, banned: map[string]bool{}, said: map[error]int{}}
}

func (s *script) do(c Command) bool {
	t := s.t
	before := snapshot(s.state)
	drafts, err := Decide(s.state, c)
	again, errAgain := Decide(s.state, c)
	if !reflect.DeepEqual(drafts, again) || err != errAgain {
		t.Fatalf("%#v: decided differently the second time", c)
	}
	if !reflect.DeepEqual(before, snapshot(s.state)) {
		t.Fatalf("%#v: Decide has changed the state", c)
	}
	if err != nil {
		i := slices.IndexFunc(refusals, func(r error) bool { return errors.Is(err, r) })
		if i < 0 || len(drafts) > 0 {
			t.Fatalf("%#v: refused with %v and %d drafts", c, err, len(drafts))
		}
		s.said[refusals[i]]++
		return false
	}
	for _, d := range drafts {
		e := Event{Draft: d, Room: "roomaaa", Seq: s.state.Seq + 1, Time: s.state.Time + 1 + int64(len(s.log)%3)}
		old := s.state
		held := snapshot(old)
		s.state = Fold(old, e)
		if !reflect.DeepEqual(held, snapshot(old)) {
			t.Fatalf("%#v: Fold has changed the state before", c)
		}
		same := slices.Equal(slices.Collect(old.Members()), slices.Collect(s.state.Members()))
		if s.state.SameMembers(old) != same {
			t.Fatalf("%#v: SameMembers is %v", c, !same)
		}
		s.log = append(s.log, e)
		s.remember(e)
		s.check(c)
	}
	return true
}

func (s *script) remember(e Event) {
	switch e.Action {
	case Add:
		if s.banned[e.Target] {
			s.t.Fatalf("%s is banned, and has joined", e.Target)
		}
		if !slices.Contains(s.first, e.Target) {
			s.first = append(s.first, e.Target)
		}
	case Remove:
		if e.Kind == KindBanned {
			s.banned[e.Target] = true
		}
	}
}

// check holds what must be true after every event.
func (s *script) check(c Command) {
	t := s.t
	t.Helper()
	fatal := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("after %d, %#v: %s", s.state.Seq, c, fmt.Sprintf(format, args...))
	}
	last := s.log[len(s.log)-1]
	if s.state.Seq != uint64(len(s.log)) || s.state.Time != last.Time || s.state.ID != last.Room || !s.state.Exists() {
		fatal("at %d, time %d", s.state.Seq, s.state.Time)
	}
	var order, admins []string
	present := 0
	for m := range s.state.Members() {
		order = append(order, m.Account)
		if m.Present() {
			present++
		}
		if m.Standing == Admin {
			admins = append(admins, m.Account)
		}
		if m.Present() && s.banned[m.Account] {
			fatal("%s is banned, and in the room", m.Account)
		}
		if m.Present() != s.state.Present(m.Account) {
			fatal("%s is listed as %v", m.Account, m.Standing)
		}
		changed := s.log[m.Changed-1]
		if changed.Target != m.Account || changed.Time != m.Since || (changed.Action == Add) != m.Present() {
			fatal("%s was last changed by %+v", m.Account, changed)
		}
		if joined := s.log[m.Position-1]; joined.Target != m.Account || joined.Action != Add {
			fatal("%s is in position %d, which is %+v", m.Account, m.Position, joined)
		}
	}
	if !slices.Equal(order, s.first) {
		fatal("members are %v, first joined in the order %v", order, s.first)
	}
	if present != s.state.PresentCount() {
		fatal("%d are present, counted %d", present, s.state.PresentCount())
	}
	// A room in which somebody is has an admin; an empty one has none. (Create's
	// first event comes before anybody is in.)
	switch {
	case len(admins) > 1:
		fatal("admins are %v", admins)
	case present > 0 && (len(admins) != 1 || s.state.Admin != admins[0]):
		fatal("admins are %v, the header says %q", admins, s.state.Admin)
	case present == 0 && (len(admins) != 0 || s.state.Admin != ""):
		fatal("an empty room has admins %v, %q", admins, s.state.Admin)
	}
}

// snapshot is everything a state tells, for comparison.
func snapshot(s State) any {
	type all struct {
		Header  Header
		Members []Member
		Present int
	}
	return all{s.Header, slices.Collect(s.Members()), s.PresentCount()}
}

func randomCommand(next func(n int) int) Command {
	who := func() string { return string(rune('a' + next(6))) }
	uuid := fmt.Sprint(next(1000))
	switch next(12) {
	case 0:
		return Create{Name: "name", Password: "p", Creator: who(), CreatorName: "N", CapUUID: uuid, JoinUUID: uuid + "j"}
	case 1, 2, 3, 4:
		return Join{UUID: uuid, Account: who(), Name: "N" + uuid, Password: []string{"p", "p", "p", "p", "wrong"}[next(5)]}
	case 5, 6:
		return Leave{UUID: uuid, Account: who()}
	case 7, 8:
		return Expel{UUID: uuid, Caller: who(), Target: who()}
	case 9:
		return Expel{UUID: uuid, Caller: who(), Target: who(), Ban: next(2) == 0}
	default:
		return Post{UUID: uuid, Sender: who(), Kind: KindText, Body: []byte{}}
	}
}

func TestRulesHoldAfterAnyCommands(t *testing.T) {
	said := map[error]int{}
	events := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		s := newScript(t)
		for range 100 {
			s.do(randomCommand(rng.IntN))
		}
		restoreIsTheFold(t, s, rng)
		for err, n := range s.said {
			said[err] += n
		}
		events += len(s.log)
	}
	for _, r := range refusals {
		if said[r] == 0 {
			t.Errorf("never refused with %v", r)
		}
	}
	t.Logf("%d events, refusals %v", events, said)
}

func FuzzRulesHoldAfterAnyCommands(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 1, 5, 0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, choices []byte) {
		s := newScript(t)
		for len(choices) > 0 {
			s.do(randomCommand(func(n int) int {
				if len(choices) == 0 {
					return 0
				}
				c := choices[0]
				choices = choices[1:]
				return int(c) % n
			}))
		}
	})
}

func restoreIsTheFold(t *testing.T, s *script, rng *rand.Rand) {
	t.Helper()
	members := slices.Collect(s.state.Members())
	rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	restored := Restore(s.state.Header, slices.Values(members))
	if !reflect.DeepEqual(snapshot(restored), snapshot(s.state)) {
		t.Fatalf("restored %+v, folded %+v", snapshot(restored), snapshot(s.state))
	}
	// It goes on as the other would.
	for range 20 {
		c := randomCommand(rng.IntN)
		one, errOne := Decide(s.state, c)
		two, errTwo := Decide(restored, c)
		if !reflect.DeepEqual(one, two) || errOne != errTwo {
			t.Fatalf("%#v: decided differently after Restore", c)
		}
	}
}

func TestCreatorAdministersAndTheFirstWhoJoinedInherits(t *testing.T) {
	s := newScript(t)
	for _, c := range []Command{
		Create{Name: "n", Password: "p", Creator: "a", CapUUID: "1", JoinUUID: "2"},
		Join{UUID: "3", Account: "b", Password: "p"}, Join{UUID: "4", Account: "c", Password: "p"},
		Leave{UUID: "5", Account: "b"}, Join{UUID: "6", Account: "b", Password: "p"},
	} {
		if !s.do(c) {
			t.Fatalf("%#v is refused", c)
		}
	}
	for _, heir := range []string{"b", "c", ""} {
		s.do(Leave{UUID: "7", Account: s.state.Admin})
		if s.state.Admin != heir {
			t.Errorf("admin is %q, want %q", s.state.Admin, heir)
		}
	}
	s.do(Join{UUID: "8", Account: "c", Password: "p"})
	if s.state.Admin != "c" {
		t.Errorf("who joins an empty room is not its admin, but %q", s.state.Admin)
	}
}

func TestRefusals(t *testing.T) {
	s := newScript(t)
	for _, tc := range []struct {
		c    Command
		want error
	}{
		{Join{Account: "b", Password: "p"}, ErrNoRoom},
		{Leave{Account: "b"}, ErrNotMember},
		{Post{Sender: "b"}, ErrNotMember},
		{Expel{Caller: "a", Target: "b"}, ErrNotAdmin},
		{Create{Creator: "a", Password: "p"}, nil},
		{Create{Creator: "a", Password: "p"}, ErrRoomExists},
		{Join{Account: "b", Password: "x"}, ErrWrongPassword},
		{Join{Account: "b", Password: "p"}, nil},
		{Join{Account: "b", Password: "p"}, ErrAlreadyIn},
		{Expel{Caller: "b", Target: "a"}, ErrNotAdmin},
		{Expel{Caller: "a", Target: "a"}, ErrTarget},
		{Expel{Caller: "a", Target: "c"}, ErrTarget},
		{Expel{Caller: "a", Target: "b"}, nil},
		{Expel{Caller: "a", Target: "b"}, ErrTarget},
		{Post{Sender: "b"}, ErrNotMember},
		{Join{Account: "b", Password: "p"}, nil},
		{Expel{Caller: "a", Target: "b", Ban: true}, nil},
		{Join{Account: "b", Password: "p"}, ErrBanned},
		{Join{Account: "b", Password: "x"}, ErrWrongPassword},
		{Expel{Caller: "a", Target: "b"}, ErrTarget},
	} {
		_, err := Decide(s.state, tc.c)
		if err != tc.want {
			t.Errorf("%#v at %d: %v, want %v", tc.c, s.state.Seq, err, tc.want)
		}
		s.do(tc.c)
	}
}

func TestFoldRefusesAnEventOutOfOrder(t *testing.T) {
	s := newScript(t)
	s.do(Create{Creator: "a", Password: "p"})
	for _, seq := range []uint64{0, 1, 2, 4} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("event %d was folded onto %d", seq, s.state.Seq)
				}
			}()
			Fold(s.state, Event{Seq: seq})
		}()
	}
}

// A body that cannot be read changes nothing but Seq and Time, and no body makes
// Fold panic.
func FuzzFoldTakesAnyBody(f *testing.F) {
	for _, d := range mustDecide(f, State{}, Create{Name: "n", Password: "p", Creator: "a", CapUUID: "1", JoinUUID: "2"}) {
		f.Add(int32(d.Kind), uint8(d.Action), d.Target, d.Body)
	}
	f.Add(int32(KindJoined), uint8(Add), "c", []byte{0xff})
	f.Add(int32(KindLeft), uint8(Remove), "a", []byte{})
	f.Fuzz(func(t *testing.T, kind int32, action uint8, target string, body []byte) {
		s := newScript(t)
		s.do(Create{Name: "n", Password: "p", Creator: "a", CapUUID: "1", JoinUUID: "2"})
		s.do(Join{UUID: "3", Account: "b", Password: "p"})
		s.do(Expel{UUID: "4", Caller: "a", Target: "b", Ban: true})
		before := snapshot(s.state)
		e := Event{Draft: Draft{Kind: Kind(kind), Action: Action(action), Target: target, Sender: "a", Body: body}, Room: s.state.ID, Seq: s.state.Seq + 1, Time: s.state.Time + 1}
		after := Fold(s.state, e)
		if after.Seq != e.Seq || after.Time != e.Time || !reflect.DeepEqual(before, snapshot(s.state)) {
			t.Errorf("folded to %+v", after.Header)
		}
		unreadable := proto.Unmarshal(body, &chatpb.MessageSpecifics{}) != nil
		if Kind(kind) == KindJoined && unreadable {
			if _, known := after.Member(target); known != (target == "a" || target == "b") || after.PresentCount() != s.state.PresentCount() {
				t.Error("an unreadable join has changed the members")
			}
		}
	})
}

func mustDecide(t testing.TB, s State, c Command) []Draft {
	d, err := Decide(s, c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
