package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// A store is linearizable, room by room and account by account: whatever
// concurrent calls return, there is an order of them, each somewhere between its
// call and its return, in which the same calls one after another return the
// same. Calls that concern several rooms (RoomsOf, RaiseViewed) are one call of
// each: that the rooms are read at one moment nobody promises. Nor does anybody
// promise that an event shows in the log, in State, in RoomsOf and in Seen at one
// moment, before it is acknowledged: so for each of these ways to look at a room
// there is an order, of all that is written and of what looks that way.

// observation is one call on one object and what it returned, as the step that it
// is in the order. Porcupine looks for the order.
type observation struct {
	// object is the room, or the name of the account; aspect the way it is looked
	// at, empty for a call that all ways must agree on.
	object string
	aspect aspect
	client int
	// begin and end are moments of the history; end is forever when what became of
	// the call is not known: then it may have happened at any time.
	begin, end int64
	// text is for who reads that there is no order.
	text string
	// step tells whether the call returns what it did return when it is the next
	// one, and what the object is like afterwards. nil is the object at first.
	step func(state any) (next any, ok bool)
	// shows names what the call shows to have happened: others, of which that is
	// not known.
	shows func() []string
	// happened says of a call whose outcome is not known whether it had an effect,
	// when all is over, by what has been shown. nil if that need not be asked,
	// since nothing speaks against its happening last.
	happened func(shown map[string]bool) bool
	// lost is the step instead if the outcome is not known.
	lost func(state any) (next any, ok bool)
}

// aspect is a way to look at a room.
type aspect string

const (
	inLog     aspect = "log"
	inState   aspect = "state"
	inRoomsOf aspect = "rooms of"
	inSeen    aspect = "seen"
)

const forever = math.MaxInt64

// errNotLinearizable: no order of the calls explains what they returned.
var errNotLinearizable = errors.New("not linearizable")

// errUndecided: none was found, and none excluded.
var errUndecided = errors.New("undecided whether linearizable")

// recorder is a history in the making: calls of concurrent clients. Its clock is
// a counter, so that two moments are never equal.
type recorder struct {
	clock   atomic.Int64
	crashed atomic.Bool // since the power began to be cut
	clients [][]observation
	// patience is how long an order is looked for, that of one room or account. It
	// is found within a millisecond; to know that there is none may take for ever.
	patience time.Duration
}

func newRecorder(clients int) *recorder {
	return &recorder{clients: make([][]observation, clients), patience: patience}
}

// errGone: the call brought nothing that counts, since the power is cut or the
// store closed.
var errGone = errors.New("store is gone")

// unknown reports whether an error leaves open what became of a call.
func unknown(err error) bool {
	for _, e := range []error{store.ErrUnavailable, store.ErrClosed, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// read records a call that changes nothing. Where it has no answer there is
// nothing to explain.
func (r *recorder) read(client int, call func() ([]observation, error)) error {
	begin := r.clock.Add(1)
	made, err := call()
	end := r.clock.Add(1)
	switch {
	case r.crashed.Load() || unknown(err):
		return errGone
	case err != nil:
		return err
	}
	r.keep(client, begin, end, made)
	return nil
}

// write records a call that changes something. call returns what it did and, if
// it is not known whether it did, an error that says so.
func (r *recorder) write(client int, call func() ([]observation, error)) error {
	begin := r.clock.Add(1)
	made, err := call()
	end := r.clock.Add(1)
	// What is acknowledged once the power is being cut is not: the process is gone.
	gone := r.crashed.Load()
	switch {
	case gone || unknown(err):
		end = forever
	case err != nil:
		return err
	}
	for i := range made {
		if o := &made[i]; end == forever && o.lost != nil {
			o.step = o.lost
		}
	}
	r.keep(client, begin, end, made)
	if gone || errors.Is(err, store.ErrClosed) {
		return errGone
	}
	return nil
}

// keep is called by the client alone.
func (r *recorder) keep(client int, begin, end int64, made []observation) {
	for _, o := range made {
		o.client, o.begin, o.end = client, begin, end
		r.clients[client] = append(r.clients[client], o)
	}
}

// check says of which object the history has no order; nil if all have one.
func (r *recorder) check() error {
	type view struct {
		object string
		aspect aspect
	}
	written, looks := make(map[string][]porcupine.Operation), make(map[view][]porcupine.Operation)
	for _, o := range r.happened() {
		op := porcupine.Operation{ClientId: o.client, Input: o, Call: o.begin, Return: o.end}
		if o.aspect == "" {
			written[o.object] = append(written[o.object], op)
		} else {
			looks[view{o.object, o.aspect}] = append(looks[view{o.object, o.aspect}], op)
		}
	}
	// Each room and name has been looked at in each way, at the end.
	for v, ops := range looks {
		ops = slices.Concat(written[v.object], ops)
		switch porcupine.CheckOperationsTimeout(linearModel, ops, r.patience) {
		case porcupine.Illegal:
			return fmt.Errorf("%s: %s: %w:%s", v.object, v.aspect, errNotLinearizable, told(ops))
		case porcupine.Unknown:
			return fmt.Errorf("%s: %s: %w: %d calls in %v", v.object, v.aspect, errUndecided, len(ops), r.patience)
		}
	}
	return nil
}

// happened are the calls that had an effect, or an answer.
func (r *recorder) happened() []observation {
	var did, open []observation
	shown := make(map[string]bool)
	take := func(o observation) {
		did = append(did, o)
		if o.shows != nil {
			for _, what := range o.shows() {
				shown[what] = true
			}
		}
	}
	for _, o := range slices.Concat(r.clients...) {
		if o.end == forever && o.happened != nil {
			open = append(open, o)
		} else {
			take(o)
		}
	}
	for more := true; more; { // what one has seen that happened has happened
		more = false
		rest := open[:0]
		for _, o := range open {
			if o.happened(shown) {
				take(o)
				more = true
			} else {
				rest = append(rest, o)
			}
		}
		open = rest
	}
	return did
}

// linearModel has the observations as its steps.
var linearModel = porcupine.Model{
	Init: func() any { return nil },
	Step: func(state, input, _ any) (bool, any) {
		o := input.(observation)
		next, ok := o.step(state)
		return ok, next
	},
	Equal: sameObject,
}

func told(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, op := range ops {
		end := fmt.Sprint(op.Return)
		if op.Return == forever {
			end = "?"
		}
		fmt.Fprintf(&b, "\n%5d-%-5s client %d: %s", op.Call, end, op.ClientId, op.Input.(observation).text)
	}
	return b.String()
}

// linearRun is a number of clients who use the same few rooms and accounts of a
// store at the same time.
type linearRun struct {
	*recorder
	rooms  []string
	people []string // the accounts that go into rooms
	name   string   // that accounts are to have which are made,
	ids    []string // one of these

	uuid atomic.Int64 // also of what else must be different from all others

	mu   sync.Mutex
	sent []linearAppend // what may be sent again
	// last is about where each room's log ends: where it matters what is asked.
	last map[string]room.Event
	// logs is what each room's log is at the end.
	logs map[string][]room.Event
}

const (
	linearClients = 5
	linearRooms   = 3
)

// newLinearRun makes the n-th of a store: each has rooms and accounts of its own.
func newLinearRun(n int) *linearRun {
	l := &linearRun{
		recorder: newRecorder(linearClients + 1), // the last one looks at the end
		name:     fmt.Sprintf("name %d", n),
		ids:      []string{Account(1<<20 + 2*n), Account(1<<20 + 2*n + 1)},
		last:     make(map[string]room.Event),
		logs:     make(map[string][]room.Event),
	}
	l.uuid.Store(int64(n) << 20)
	for i := range linearRooms {
		l.rooms = append(l.rooms, RoomID(n*linearRooms+i))
	}
	for i := range linearClients {
		l.people = append(l.people, Account(n*linearClients+i))
	}
	return l
}

// use has each client make calls until it has made that many, or the store is
// gone. After each made is called.
func (l *linearRun) use(ctx context.Context, s store.Store, calls int, made func()) error {
	var wg sync.WaitGroup
	errs := make([]error, linearClients)
	for c := range linearClients {
		wg.Go(func() {
			for range calls {
				if err := l.call(ctx, s, c); errors.Is(err, errGone) {
					return
				} else if err != nil {
					errs[c] = fmt.Errorf("client %d: %w", c, err)
					return
				}
				made()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// call makes one call.
func (l *linearRun) call(ctx context.Context, s store.Store, client int) error {
	id, me := l.rooms[rand.IntN(len(l.rooms))], l.people[client]
	switch dice := rand.IntN(46); {
	case dice < 18:
		return l.append(ctx, s, client, l.command(id, me))
	case dice < 21:
		return l.state(ctx, s, client, id)
	case dice < 24:
		return l.events(ctx, s, client, id)
	case dice < 26:
		return l.event(ctx, s, client, id)
	case dice < 28:
		return l.seqAt(ctx, s, client, id)
	case dice < 30:
		return l.roomsOf(ctx, s, client, l.people[rand.IntN(len(l.people))])
	case dice < 32:
		return l.seen(ctx, s, client, id)
	case dice < 33:
		return l.seenBy(ctx, s, client, id, l.people[rand.IntN(len(l.people))])
	case dice < 34:
		return l.raiseViewed(ctx, s, client, me)
	}
	account := l.ids[rand.IntN(len(l.ids))]
	switch rand.IntN(5) {
	case 0:
		return l.createAccount(ctx, s, client, account)
	case 1, 2:
		return l.updateSession(ctx, s, client, account)
	case 3:
		return l.account(ctx, s, client, account)
	default:
		return l.accountByName(ctx, s, client)
	}
}

// end looks at everything once more, when nothing is under way.
func (l *linearRun) end(ctx context.Context, s store.Store) error {
	for _, id := range l.rooms {
		events, err := s.Events(ctx, id, 0, store.Page{})
		if err != nil {
			return err
		}
		l.logs[id] = events
		for _, look := range []func(context.Context, store.Store, int, string) error{l.wholeLog, l.state, l.seen} {
			if err := look(ctx, s, linearClients, id); err != nil {
				return err
			}
		}
	}
	for _, account := range l.people {
		if err := l.roomsOf(ctx, s, linearClients, account); err != nil {
			return err
		}
	}
	return l.accountByName(ctx, s, linearClients)
}

// linear runs one history on s, which it closes, and says what is wrong with it.
// The calls whose time ran out are through when the store has been closed, so it
// is opened again for the last look; the store then is returned.
func linear(ctx context.Context, t *testing.T, h Harness, s store.Store, l *linearRun, calls int) (store.Store, error) {
	t.Helper()
	if err := l.use(ctx, s, calls, func() {}); err != nil {
		return s, err
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = h.Open(t, nil)
	if err := l.end(ctx, s); err != nil {
		return s, err
	}
	return s, l.check()
}

// linearWithCrashes is linear, with the power cut a few times in the middle.
func linearWithCrashes(ctx context.Context, t *testing.T, h Harness, s store.Store, l *linearRun, crashes, calls int) (store.Store, error) {
	t.Helper()
	for range crashes {
		var made atomic.Int64
		enough, limit := make(chan struct{}), int64(1+rand.IntN(linearClients*calls))
		over := make(chan error, 1)
		go func() {
			over <- l.use(ctx, s, math.MaxInt, func() {
				if made.Add(1) == limit {
					close(enough)
				}
			})
		}()
		select {
		case <-enough:
		case err := <-over:
			return s, fmt.Errorf("the clients did not wait for the power cut: %w", err)
		}
		l.crashed.Store(true)
		h.Crash(t, s)
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		l.crashed.Store(false)
		s = h.Open(t, nil)
	}
	return linear(ctx, t, h, s, l, calls)
}

func testLinearizable(t *testing.T, h Harness) {
	ctx := bounded(t)
	s := h.Open(t, nil)
	defer func() { closed(t, s) }()
	for n := range 4 {
		var err error
		if s, err = linear(ctx, t, h, s, newLinearRun(n), 40); err != nil {
			t.Fatal(err)
		}
	}
}

func testLinearizableAcrossCrashes(t *testing.T, h Harness) {
	if h.Crash == nil {
		t.Skip("this store's power cannot be cut")
	}
	ctx := bounded(t)
	s := h.Open(t, nil)
	defer func() { closed(t, s) }()
	for n := range 3 {
		var err error
		if s, err = linearWithCrashes(ctx, t, h, s, newLinearRun(n), 3, 15); err != nil {
			t.Fatal(err)
		}
	}
}

func closed(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
