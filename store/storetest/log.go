package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

func testContiguous(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	for i := range 20 {
		if e := r.Post(t, Account(0), fmt.Sprint(i)); e.Seq != uint64(i)+3 {
			t.Fatalf("message %d has number %d, want %d", i, e.Seq, i+3)
		}
		if i%5 == 0 {
			// What is refused takes no number.
			if _, err := s.Append(ctx, r.ID, OpOf(r.join(Account(0)))); !errors.Is(err, room.ErrAlreadyIn) {
				t.Fatalf("got %v, want %v", err, room.ErrAlreadyIn)
			}
		}
	}
	if got := len(CheckRoom(ctx, t, s, r.ID)); got != 22 {
		t.Fatalf("%d events, want 22", got)
	}
}

func testTime(t *testing.T, h Harness) {
	start := time.UnixMilli(1_700_000_000_000)
	var mu sync.Mutex
	now := start
	set := func(to time.Time) {
		mu.Lock()
		defer mu.Unlock()
		now = to
	}
	s := openedAt(t, h, func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	})
	r := created(t, s, RoomID(0), Account(0))
	first := r.Post(t, Account(0), "at the start")
	second := r.Post(t, Account(0), "while the clock stands")
	set(start.Add(-time.Hour))
	third := r.Post(t, Account(0), "after it jumped back")
	set(start.Add(time.Hour))
	fourth := r.Post(t, Account(0), "after it jumped ahead")
	if second.Time != first.Time+1 || third.Time != second.Time+1 {
		t.Errorf("times are %d, %d, %d; want steps of 1 ms while the clock is behind", first.Time, second.Time, third.Time)
	}
	if want := start.Add(time.Hour).UnixMilli(); fourth.Time != want {
		t.Errorf("time is %d, want that of the clock, %d", fourth.Time, want)
	}
	CheckRoom(bounded(t), t, s, r.ID)
}

// history makes one room of everything, and an account, and returns a check
// that a later store still has it.
func history(t *testing.T, s store.Store) func(store.Store) {
	t.Helper()
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	for i := 1; i < 5; i++ {
		r.Join(t, Account(i))
	}
	r.Leave(t, Account(0)) // Account(1) inherits
	r.Do(t, room.Expel{UUID: r.UUID(), Caller: Account(1), Target: Account(2)})
	r.Do(t, room.Expel{UUID: r.UUID(), Caller: Account(1), Target: Account(3), Ban: true})
	r.Post(t, Account(4), "still here")
	if err := s.RaiseViewed(ctx, Account(4), map[string]int64{r.ID: 77}); err != nil {
		t.Fatal(err)
	}
	account := store.Account{
		ID: Account(0), Name: "somebody", Display: "Somebody", Credential: []byte("hash"), Created: 5, Standing: store.Suspended,
		Session: store.Session{Installation: "phone", TokenHash: [32]byte{1, 2}, Nonce: []byte("nonce"), Expires: 9},
	}
	if err := s.CreateAccount(ctx, account); err != nil {
		t.Fatal(err)
	}
	before := CheckRoom(ctx, t, s, r.ID)
	seen, err := s.Seen(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return func(s store.Store) {
		t.Helper()
		ctx := bounded(t)
		if after := CheckRoom(ctx, t, s, r.ID); !slices.EqualFunc(before, after, Equal) {
			t.Fatalf("the log is\n%+v, was\n%+v", after, before)
		}
		after, err := s.Seen(ctx, r.ID)
		if err != nil || !sameSeen(after, seen) {
			t.Fatalf("seen: got %v, %v; was %v", after, err, seen)
		}
		for _, find := range []func() (store.Account, error){
			func() (store.Account, error) { return s.Account(ctx, account.ID) },
			func() (store.Account, error) { return s.AccountByName(ctx, account.Name) },
		} {
			if got, err := find(); err != nil || !sameAccount(got, account) {
				t.Fatalf("account is %+v, %v; was %+v", got, err, account)
			}
		}
		// The log goes on where it ended, and remembers what was sent.
		again := &Room{Store: s, ID: r.ID, next: 1000}
		if e := again.Post(t, Account(4), "back"); e.Seq != uint64(len(before))+1 {
			t.Fatalf("number %d after %d events", e.Seq, len(before))
		}
		last := before[len(before)-1]
		done, err := s.Append(ctx, r.ID, OpOf(room.Post{
			UUID: last.UUID, Sender: last.Sender, Kind: last.Kind, Body: last.Body,
		}))
		if err != nil || !done.Repeated || !Equal(done.Events[0], last) {
			t.Fatalf("S8: got %+v, %v; want %+v again", done, err, last)
		}
	}
}

func testRestart(t *testing.T, h Harness) {
	s := h.Open(t, nil)
	check := history(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(opened(t, h))
}

func testCrash(t *testing.T, h Harness) {
	if h.Crash == nil {
		t.Skip("this store's power cannot be cut")
	}
	s := h.Open(t, nil)
	check := history(t, s)
	h.Crash(t, s)
	check(opened(t, h))
}

func testRepeat(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	r.Join(t, Account(1))
	message := room.Post{UUID: r.UUID(), Sender: Account(1), Kind: room.KindText, Body: Text("once")}
	first := r.Do(t, message)[0]
	r.Post(t, Account(0), "between")
	create := room.Create{Creator: Account(0), CapUUID: r.UUID(), JoinUUID: r.UUID()}
	other := &Room{Store: s, ID: RoomID(1)}
	opening := other.Do(t, create)

	repeat := func(id string, c room.Command, want room.Event) {
		t.Helper()
		done, err := s.Append(ctx, id, OpOf(c))
		if err != nil || !done.Repeated || len(done.Events) != 1 || !Equal(done.Events[0], want) {
			t.Fatalf("got %+v, %v; want %+v again", done, err, want)
		}
	}
	repeat(r.ID, message, first)
	repeat(other.ID, create, opening[0])
	// Who has left may not send; but this was sent before he left.
	r.Leave(t, Account(1))
	repeat(r.ID, message, first)
	// The uuid belongs to its room: elsewhere it is another message.
	elsewhere := message
	elsewhere.Sender = Account(0)
	done, err := s.Append(ctx, other.ID, OpOf(elsewhere))
	if err != nil || done.Repeated || done.Events[0].Room != other.ID {
		t.Fatalf("the same uuid in another room: got %+v, %v", done, err)
	}
	// What was refused was not stored, and is decided again.
	late := room.Post{UUID: r.UUID(), Sender: Account(1), Kind: room.KindText, Body: Text("late")}
	if _, err := s.Append(ctx, r.ID, OpOf(late)); !errors.Is(err, room.ErrNotMember) {
		t.Fatalf("got %v, want %v", err, room.ErrNotMember)
	}
	r.Join(t, Account(1))
	if done, err := s.Append(ctx, r.ID, OpOf(late)); err != nil || done.Repeated {
		t.Fatalf("after a refusal: got %+v, %v", done, err)
	}
	CheckRoom(ctx, t, s, r.ID)
	CheckRoom(ctx, t, s, other.ID)
}

func testRepeatConcurrently(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	const messages, senders = 40, 8
	var got [messages][senders]store.Appended
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			<-start
			for _, m := range rand.Perm(messages) {
				done, err := s.Append(ctx, r.ID, OpOf(room.Post{
					UUID: UUID(1<<20, m), Sender: Account(0), Kind: room.KindText, Body: Text(fmt.Sprint(m)),
				}))
				if err != nil || len(done.Events) != 1 {
					t.Errorf("message %d, sender %d: %+v, %v", m, i, done, err)
					return
				}
				got[m][i] = done
			}
		})
	}
	close(start)
	wg.Wait()
	if t.Failed() {
		return
	}
	for m := range got {
		first := 0
		for i := range got[m] {
			if !got[m][i].Repeated {
				first++
			}
			if !Equal(got[m][i].Events[0], got[m][0].Events[0]) {
				t.Fatalf("message %d: answers differ: %+v and %+v", m, got[m][i], got[m][0])
			}
		}
		if first != 1 {
			t.Fatalf("message %d: %d of %d answers say it is the first", m, first, senders)
		}
	}
	if n := len(CheckRoom(ctx, t, s, r.ID)); n != messages+2 {
		t.Fatalf("%d events, want %d", n, messages+2)
	}
}

func testUUIDTaken(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := &Room{Store: s, ID: RoomID(0)}
	opening := r.Create(t, Account(0))
	r.Join(t, Account(1))
	sent := room.Post{UUID: r.UUID(), Sender: Account(0), Kind: room.KindText, Body: Text("a")}
	r.Do(t, sent)
	for name, change := range map[string]func(*room.Post){
		"sender":                    func(c *room.Post) { c.Sender = Account(1) },
		"kind":                      func(c *room.Post) { c.Kind = 5 },
		"body":                      func(c *room.Post) { c.Body = Text("b") },
		"no body":                   func(c *room.Post) { c.Body = nil },
		"uuid of the server's join": func(c *room.Post) { c.UUID, c.Kind, c.Body = opening[1].UUID, room.KindJoined, nil },
	} {
		c := sent
		change(&c)
		if _, err := s.Append(ctx, r.ID, OpOf(c)); !errors.Is(err, store.ErrUUIDTaken) {
			t.Errorf("other %s: got %v, want %v", name, err, store.ErrUUIDTaken)
		}
	}
	// Two different commands of one uuid at once: one of them is stored.
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, errs[i] = s.Append(ctx, r.ID, OpOf(room.Post{
				UUID: UUID(1<<20, 0), Sender: Account(0), Kind: room.KindText, Body: Text(fmt.Sprint(i)),
			}))
		})
	}
	wg.Wait()
	stored := 0
	for _, err := range errs {
		if err == nil {
			stored++
		} else if !errors.Is(err, store.ErrUUIDTaken) {
			t.Errorf("got %v, want %v", err, store.ErrUUIDTaken)
		}
	}
	if stored != 1 {
		t.Errorf("%d of %d stored, want 1", stored, n)
	}
	if got := len(CheckRoom(ctx, t, s, r.ID)); got != 5 {
		t.Errorf("%d events, want 5", got)
	}
}

// drafts makes an op that answers with these drafts whatever the room is like.
func drafts(ds ...room.Draft) store.Op {
	return store.Op{Decide: func(room.State) ([]room.Draft, error) { return ds, nil }}
}

func draft(uuid string) room.Draft {
	return room.Draft{UUID: uuid, Kind: room.KindText, Sender: Account(0), Body: Text("x")}
}

func testAllOrNone(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	taken := r.Post(t, Account(0), "there already").UUID
	large := draft(r.UUID())
	large.Body = make([]byte, store.MaxEventBytes+1)
	broken := draft(r.UUID())
	broken.Body = []byte{0xff}
	for name, tt := range map[string]struct {
		second room.Draft
		want   error
	}{
		"uuid in the room":      {draft(taken), store.ErrUUIDTaken},
		"uuid of the first":     {draft(UUID(1<<20, 0)), store.ErrUUIDTaken},
		"body too large":        {large, store.ErrTooLarge},
		"body unreadable":       {broken, nil},
		"uuid malformed":        {draft("nonsense"), nil},
		"action without target": {room.Draft{UUID: r.UUID(), Kind: room.KindLeft, Sender: Account(0), Action: room.Remove}, nil},
		"no sender":             {room.Draft{UUID: r.UUID(), Kind: room.KindText}, nil},
	} {
		done, err := s.Append(ctx, r.ID, drafts(draft(UUID(1<<20, 0)), tt.second, draft(r.UUID())))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %+v, %v; want %v", name, done, err, tt.want)
		}
		if n := len(CheckRoom(ctx, t, s, r.ID)); n != 3 {
			t.Fatalf("%s: %d events, want 3", name, n)
		}
	}
	done, err := s.Append(ctx, r.ID, drafts(draft(UUID(1<<20, 0)), draft(r.UUID()), draft(r.UUID())))
	if err != nil || len(done.Events) != 3 || done.Events[2].Seq != 6 {
		t.Errorf("three drafts: got %+v, %v", done, err)
	}
	if done, err := s.Append(ctx, r.ID, drafts()); err != nil || len(done.Events) != 0 || done.Repeated {
		t.Errorf("no drafts: got %+v, %v", done, err)
	}
	if n := len(CheckRoom(ctx, t, s, r.ID)); n != 6 {
		t.Errorf("%d events, want 6", n)
	}
}

// odd is an error that is not comparable and wraps nothing.
type odd struct{ why []string }

func (o odd) Error() string { return strings.Join(o.why, " ") }

func testRefusals(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	plain := errors.New("no")
	op := OpOf(room.Post{UUID: r.UUID(), Sender: Account(0), Kind: room.KindText})
	op.Viewed = 1 << 50
	op.Decide = func(room.State) ([]room.Draft, error) { return []room.Draft{draft(op.UUID)}, plain }
	if _, err := s.Append(ctx, r.ID, op); err != plain { //nolint:errorlint // as it is
		t.Errorf("got %#v, want the very error of Decide", err)
	}
	op.Decide = func(room.State) ([]room.Draft, error) { return nil, odd{[]string{"not", "this"}} }
	if _, err := s.Append(ctx, r.ID, op); err == nil {
		t.Error("no error")
	} else if o, ok := err.(odd); !ok || o.Error() != "not this" { //nolint:errorlint // as it is
		t.Errorf("got %#v, want the very error of Decide", err)
	}
	if n := len(CheckRoom(ctx, t, s, r.ID)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	if seen := mustSeen(t, s, r.ID, Account(0)); seen.Viewed != 0 {
		t.Errorf("viewed %d, but what would have raised it was refused", seen.Viewed)
	}
	// In a room that does not exist, the state says so.
	called := false
	_, err := s.Append(ctx, RoomID(7), store.Op{Decide: func(st room.State) ([]room.Draft, error) {
		called = true
		if st.Exists() || st.PresentCount() != 0 {
			t.Errorf("state of an unknown room: %+v", st)
		}
		return nil, room.ErrNoRoom
	}})
	if !called || !errors.Is(err, room.ErrNoRoom) {
		t.Errorf("called %v, got %v", called, err)
	}
}

func testDecidePanics(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			<-start
			op := OpOf(room.Post{
				UUID: UUID(1<<20, i), Sender: Account(0), Kind: room.KindText, Body: Text(fmt.Sprint(i)),
			})
			if i%2 == 0 {
				op.Decide = func(room.State) ([]room.Draft, error) { panic("a bug") }
			}
			if _, err := s.Append(ctx, r.ID, op); (err != nil) != (i%2 == 0) {
				t.Errorf("op %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := len(CheckRoom(ctx, t, s, r.ID)); n != 12 {
		t.Errorf("%d events, want 12", n)
	}
}

// testSerial: a rule that holds at a number is decided on exactly the events
// before it.
func testSerial(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	const limit, callers = 5, 24
	full := errors.New("full")
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := 1; i <= callers; i++ {
		wg.Go(func() {
			<-start
			c := room.Join{UUID: UUID(1<<20, i), Account: Account(i), Password: "secret"}
			op := OpOf(c)
			var at room.Header
			op.Decide = func(st room.State) ([]room.Draft, error) {
				at = st.Header
				if st.PresentCount() >= limit {
					return nil, full
				}
				return room.Decide(st, c)
			}
			done, err := s.Append(ctx, r.ID, op)
			switch {
			case err == nil:
				if e := done.Events[0]; e.Seq != at.Seq+1 {
					t.Errorf("event %d was decided on the state after %d", e.Seq, at.Seq)
				}
			case !errors.Is(err, full):
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	state, err := s.State(ctx, r.ID)
	if err != nil || state.PresentCount() != limit {
		t.Errorf("%d present, want %d (%v)", state.PresentCount(), limit, err)
	}
	CheckRoom(ctx, t, s, r.ID)
}

func testBadInput(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	good := OpOf(room.Post{UUID: r.UUID(), Sender: Account(0), Kind: room.KindText, Body: Text("x")})
	for name, tt := range map[string]struct {
		room   string
		change func(*store.Op)
	}{
		"no room":         {"", func(*store.Op) {}},
		"long room":       {strings.Repeat("a", 300), func(*store.Op) {}},
		"odd room":        {"ROOM\x00!!", func(*store.Op) {}},
		"bad uuid":        {r.ID, func(op *store.Op) { op.UUID = "nonsense" }},
		"nothing to do":   {r.ID, func(op *store.Op) { op.Decide = nil }},
		"other uuid":      {r.ID, func(op *store.Op) { op.UUID = r.UUID() }},
		"other sender":    {r.ID, func(op *store.Op) { op.Sender = Account(1) }},
		"other kind":      {r.ID, func(op *store.Op) { op.Kind = 5 }},
		"endless account": {r.ID, func(op *store.Op) { *op = drafts(room.Draft{UUID: r.UUID(), Sender: strings.Repeat("a", 1000)}) }},
	} {
		op := good
		tt.change(&op)
		if done, err := s.Append(ctx, tt.room, op); err == nil {
			t.Errorf("%s: got %+v, want an error", name, done)
		}
	}
	for name, viewed := range map[string]map[string]int64{"": {r.ID: 1}, Account(0): {"": 1}} {
		if err := s.RaiseViewed(ctx, name, viewed); err == nil {
			t.Errorf("raise viewed of %q in %v: no error", name, viewed)
		}
	}
	for _, a := range []store.Account{
		{}, {ID: "1", Name: "a"}, {ID: Account(0)}, {ID: strings.Repeat("A", 24), Name: "b"},
		{ID: Account(0), Name: strings.Repeat("n", 1<<20)},
	} {
		if err := s.CreateAccount(ctx, a); err == nil {
			t.Errorf("account %.40q %.40q: no error", a.ID, a.Name)
		}
	}
	for name, read := range map[string]func() error{
		"state":    func() error { return second(s.State(ctx, "")) },
		"events":   func() error { return second(s.Events(ctx, "odd\x00", 0, store.Page{})) },
		"rooms of": func() error { return second(s.RoomsOf(ctx, strings.Repeat("a", 300))) },
		"seen":     func() error { return second(s.Seen(ctx, strings.Repeat("a", 300))) },
		"seen by":  func() error { return second(s.SeenBy(ctx, "", []string{r.ID, "", strings.Repeat("a", 300)})) },
		"seq at":   func() error { return second(s.SeqAt(ctx, "", 1)) },
	} {
		if err := read(); err != nil {
			t.Errorf("%s of what cannot be: %v, want nothing found and no error", name, err)
		}
	}
	if n := len(CheckRoom(ctx, t, s, r.ID)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func second[T any](_ T, err error) error { return err }

func testLimits(t *testing.T, h Harness) {
	s := opened(t, h)
	ctx := bounded(t)
	r := created(t, s, RoomID(0), Account(0))
	// The text that makes the body exactly as large as allowed.
	room0 := store.MaxEventBytes - len(Text(strings.Repeat("x", store.MaxEventBytes))) + store.MaxEventBytes
	largest := Text(strings.Repeat("x", room0))
	if len(largest) != store.MaxEventBytes {
		t.Fatalf("the body has %d bytes", len(largest))
	}
	post := func(body []byte) error {
		return second(s.Append(ctx, r.ID, OpOf(room.Post{
			UUID: r.UUID(), Sender: Account(0), Kind: room.KindText, Body: body,
		})))
	}
	if err := post(largest); err != nil {
		t.Errorf("largest body: %v", err)
	}
	if err := post(Text(strings.Repeat("x", room0+1))); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("one byte more: got %v, want %v", err, store.ErrTooLarge)
	}
	if err := post(nil); err != nil {
		t.Errorf("no body: %v", err)
	}
	if n := len(CheckRoom(ctx, t, s, r.ID)); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}
