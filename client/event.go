package client

import (
	"time"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// Event is one of the types below.
type Event interface{ event() }

// The state of the connection.
type (
	// Connected: a stream is open. What was missed follows, then CaughtUp.
	Connected struct{}
	// CaughtUp: everything that existed when the stream opened has been handed
	// out, and the rooms are known. What follows is live.
	CaughtUp struct{}
	// GoingAway: the server is shutting down, and says so before it ends the
	// stream. Disconnected follows; the session comes back by itself.
	GoingAway struct {
		// RetryAfter is when, after the end of the stream, the session will be
		// back at the earliest.
		RetryAfter time.Duration
		// Servers are others that could be asked, as host:port. A session stays
		// with its own client's.
		Servers []string
	}
	// Disconnected: there is no stream; the session is connecting again. It is
	// handed out once, however many attempts it takes.
	Disconnected struct {
		// Why is an *EndError, or why there could be no login.
		Why error
	}
)

// RoomEntered: the account is in a room that the session did not know, because
// the program joined or made it, or because it was in it before. It comes a
// second time for a room that the program joined without the session having
// learnt that the account was out of it.
type RoomEntered struct {
	Room    Room
	Members []Member
	// Anew: the session was in the room, but the server does not know the place
	// in its log up to which that was told; the room's log is another one, or was
	// set back. What was handed out before may differ from it.
	Anew bool
	// History is the newest part of what happened before, as much as the session
	// holds. Its messages are not handed out again.
	History []Message
}

// RoomLeft: the account is not in the room any more. It is the last event of it.
type RoomLeft struct {
	Room string
	How  Departure
	// By is the account of the admin who removed the account.
	By string
}

// Departure is how an account went out of a room.
type Departure int

// The ways out of a room.
const (
	// Gone: it happened while there was no stream, so it is not known how.
	Gone Departure = iota
	Departed
	WasKicked
	WasBanned
)

func (d Departure) String() string {
	return [...]string{"gone", "left", "kicked", "banned"}[d]
}

// Message is a message of a room.
type Message struct {
	Room string
	UUID string
	// Sender is an account id, SenderName its name, or the id if the name is
	// not known.
	Sender, SenderName string
	// Time is when the server stored it. Times of a room strictly increase.
	Time time.Time
	// Seq is its place in the room's log, 0 if the server does not say.
	Seq  uint64
	Kind Kind
	// Text is the text of a message of KindText. It lacks its end, or all of
	// it, unless Complete.
	Text     string
	Complete bool
	// Own: the account sent it.
	Own bool
	// Body is what kinds other than KindText consist of, else nil.
	Body *chatpb.MessageSpecifics
}

// Kind is what a message consists of. The numbers are those of the wire.
type Kind int

// The kinds of messages.
const (
	KindText     Kind = 1
	KindPicture  Kind = 2
	KindLocation Kind = 3
	KindMIME     Kind = 4
	KindInvite   Kind = 5
)

// What happens to the members of a room.
type (
	// Joined: an account joined.
	Joined struct {
		Room   string
		Member Member
		Time   time.Time
	}
	// Left: an account went out by itself, or was kicked, or banned.
	Left struct {
		Room   string
		Member Member
		How    Departure
		// By is the account of the admin who removed it.
		By string
		// NewAdmin is who administers the room now, if that changed.
		NewAdmin string
		Time     time.Time
	}
)

// RoomChanged: the room's name, password or admin is another one.
type RoomChanged struct {
	Room Room
	// By is the account of the admin who did it.
	By   string
	Time time.Time
}

// Observed: the account's user looked at the room, here or elsewhere.
type Observed struct {
	Room string
	Time time.Time
}

// Room is what a room is called, and how the account stands in it.
type Room struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Password string `json:"password"`
	// Admin: the account administers it.
	Admin bool `json:"admin,omitempty"`
}

// Member is an account in a room.
type Member struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	Admin   bool   `json:"admin,omitempty"`
	// Gone: it was a member. Its name is kept for its messages.
	Gone bool `json:"gone,omitempty"`
}

func (Connected) event()    {}
func (CaughtUp) event()     {}
func (GoingAway) event()    {}
func (Disconnected) event() {}
func (RoomEntered) event()  {}
func (RoomLeft) event()     {}
func (Message) event()      {}
func (Joined) event()       {}
func (Left) event()         {}
func (RoomChanged) event()  {}
func (Observed) event()     {}
