package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/chatstream/chatstream/engine/room"
)

// Errors every store uses. Test with errors.Is; stores wrap them with context.
var (
	// ErrNotFound: no such account or event. (An unknown room is not an error;
	// its State does not exist.)
	ErrNotFound = errors.New("store: not found")
	// ErrNameTaken: an account has that name already.
	ErrNameTaken = errors.New("store: account name is taken")
	// ErrUUIDTaken: the room has an event of that uuid from another command.
	ErrUUIDTaken = errors.New("store: message uuid is taken by another message")
	// ErrTooLarge: an event exceeds MaxEventBytes.
	ErrTooLarge = errors.New("store: event is too large")
	// ErrHistoryLost: Watch cannot go on from that position (S9).
	ErrHistoryLost = errors.New("store: watch position is no longer held")
	// ErrUnavailable: the store cannot answer now. An append that failed so may
	// have been stored; sending the same uuid again is safe.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store: closed")
)

// MaxEventBytes is the largest event body a store takes.
const MaxEventBytes = 1 << 20

// Op is one command on a room's log.
type Op struct {
	// UUID names the command for S8 and is the UUID of its first draft. Empty:
	// the command cannot be repeated by a client, and no such check is made.
	UUID string
	// Sender and Kind are those of the first draft. The same UUID with another
	// sender, kind or Body gives ErrUUIDTaken.
	Sender string
	Kind   room.Kind
	// Body distinguishes commands of the same uuid, sender and kind; usually
	// the message body, or nil.
	Body []byte
	// Decide is called with the room's state after every earlier event. It may
	// be called more than once, never concurrently, and must be pure but for
	// results it leaves in variables of its own (the last call counts). An
	// error refuses the command and is returned by Append as it is. No drafts
	// and no error: nothing is stored.
	Decide func(room.State) ([]room.Draft, error)
	// Viewed, if not 0, raises the time up to which Sender has seen the room,
	// in the same atomic write. Nothing is raised when Decide refuses.
	Viewed int64
}

// Appended is what became of an Op.
type Appended struct {
	// Events are the stored events in order; for a repetition, the first event
	// of the original.
	Events []room.Event
	// Repeated says that the uuid had been stored before.
	Repeated bool
}

// Position is a place in what Watch shows. It is opaque, and means something
// only to the store that gave it.
type Position string

// Seen is when an account last did something in a room and up to when it has
// viewed it. Both in milliseconds since the Unix epoch, 0 for never.
type Seen struct {
	Activity int64
	Viewed   int64
}

// Page bounds a read. Zero means no bound.
type Page struct {
	Events int
	// Bytes counts bodies; a page has at least one event if there is any.
	Bytes int
}

// Log is the rooms' part of a store. Safe for concurrent use. Every method
// ends early with an error when ctx does; an Append that ends so may still be
// stored.
type Log interface {
	// Append decides op and stores what was decided, durably, before it
	// returns. A store may decide many rooms' and many callers' ops in one
	// write. Each event raises its sender's Seen.Activity to its time.
	Append(ctx context.Context, roomID string, op Op) (Appended, error)

	// State returns the room after its last visible event.
	State(ctx context.Context, roomID string) (room.State, error)
	// Events returns the events after seq, in order, as many as page allows.
	Events(ctx context.Context, roomID string, after uint64, page Page) ([]room.Event, error)
	// Event finds an event by its uuid.
	Event(ctx context.Context, roomID, uuid string) (room.Event, error)
	// SeqAt returns the largest sequence number whose time is not later than
	// t; 0 if there is none.
	SeqAt(ctx context.Context, roomID string, t int64) (uint64, error)
	// RoomsOf returns the rooms account is in, sorted.
	RoomsOf(ctx context.Context, account string) ([]string, error)

	// Seen yields what is known of each account ever seen in the room.
	Seen(ctx context.Context, roomID string) (map[string]Seen, error)
	// SeenBy is Seen for one account in each of rooms, of which there may be many.
	// A room it was never seen in is not in the answer.
	SeenBy(ctx context.Context, account string, rooms []string) (map[string]Seen, error)
	// RaiseViewed raises, never lowers, account's viewed time in each room.
	RaiseViewed(ctx context.Context, account string, viewed map[string]int64) error

	// Now is the position after everything that is visible now.
	Now(ctx context.Context) (Position, error)
	// Watch yields what becomes visible after pos, in groups that became
	// visible together, with the position behind each. It blocks while there
	// is nothing new and ends when ctx ends (no error), the store closes
	// (ErrClosed) or pos is too old (ErrHistoryLost); an error is yielded last.
	// The events must not be changed; the slice is the caller's.
	Watch(ctx context.Context, pos Position) iter.Seq2[Batch, error]
}

// Batch is what became visible together.
type Batch struct {
	Events []room.Event
	// Claims are those of streams, Sessions the accounts whose session or
	// standing has changed, by whichever server. Only a Shared store shows them:
	// at least once each, unless history was lost, and it may show an older claim
	// after a newer one.
	Claims   []Claim
	Sessions []string
	// After is the position behind these events.
	After Position
}

// Account is a person's account.
type Account struct {
	// ID is 24 lower case hexadecimal digits.
	ID string
	// Name is what the account is found by; no other account has it.
	Name string
	// Display is how the name is shown to people.
	Display string
	// Credential is what a password is checked against; opaque to the store.
	Credential []byte
	Created    int64 // milliseconds since the Unix epoch
	Standing   AccountStanding
	Session    Session
}

// AccountStanding says whether an account may log in. The zero value may.
type AccountStanding uint8

// The standings of an account.
const (
	Active AccountStanding = iota
	Suspended
	AccountBanned
)

// Session is an account's one login. The zero value: logged out.
type Session struct {
	Installation string
	// TokenHash is the SHA-256 of the token, which itself is not kept.
	TokenHash [32]byte
	// Nonce is what the token was derived with; opaque to the store.
	Nonce []byte
	// Expires is in milliseconds since the Unix epoch.
	Expires int64
}

// Accounts is the accounts' part of a store. Safe for concurrent use. What a
// method has changed is durable when it returns.
type Accounts interface {
	// CreateAccount stores a, whose ID must be new; ErrNameTaken if Name is not.
	CreateAccount(ctx context.Context, a Account) error
	// Account finds by id, AccountByName by name; ErrNotFound.
	Account(ctx context.Context, id string) (Account, error)
	AccountByName(ctx context.Context, name string) (Account, error)
	// UpdateSession replaces the account's session by what f makes of the
	// account as it is; an error of f is returned and changes nothing. f may be
	// called more than once.
	UpdateSession(ctx context.Context, id string, f func(Account) (Session, error)) error
}

// Claim says whose the newest stream of an account is.
type Claim struct {
	Account string
	// Generation is above that of every earlier claim of the account.
	Generation uint64
	// Installation is the one that the stream was opened by.
	Installation string
}

// Shared is what a store offers beside the rest when several servers run on it,
// so that what must be true of all of them together is. Safe for concurrent use.
type Shared interface {
	// Claim makes the stream that installation is about to open the newest of
	// the account. It is durable when Claim returns, and is shown by every Watch.
	// After an error it may be made all the same.
	Claim(ctx context.Context, account, installation string) (Claim, error)
	// Claims returns the newest claim of each account that has one, every claim
	// included that was acknowledged before the call by this store, or that its Watch
	// has shown; and by whichever other, unless a database is asked that has been
	// deposed and does not know it yet. Watch shows those later.
	Claims(ctx context.Context, accounts []string) ([]Claim, error)
	// RecentAccount is Account, without its credential, but of changes by way of
	// another server it may know only once Watch has shown them. So it need not ask
	// the database each time.
	RecentAccount(ctx context.Context, id string) (Account, error)
	// Heard is when the store last heard what there is to be shown, or that there is
	// nothing. What was stored by way of other servers since then is not known here.
	Heard() time.Time
	// Servers are the addresses that other servers on the store are announced
	// with, as far as they were alive when the store could last be asked: while it
	// cannot be they stay, dead or not. It does not wait.
	Servers() []string
	// Announce makes this server's address known to the others, until Withdraw,
	// Close, or until it is dead, or has heard nothing, for a while. It may be called
	// once.
	Announce(ctx context.Context, address string) error
	// Withdraw makes that this server is named to nobody any more.
	Withdraw(ctx context.Context) error
}

// Store is all of it.
type Store interface {
	Log
	Accounts
	// Failed is closed when the store can no longer keep its promises (a disk
	// that is full or refuses to sync). Nothing is acknowledged from then on,
	// Err says why, and the process should end: a restart recovers.
	Failed() <-chan struct{}
	// Err is the reason behind Failed, else nil.
	Err() error
	// Close waits for what is under way and releases everything.
	Close() error
}
