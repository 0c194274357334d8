package room

import "github.com/chatstream/chatstream/proto/chatpb"

// Kind says what an event is. The numbers are those of the oneof
// MessageSpecifics.message_body, which clients and stores both rely on.
type Kind int32

// The kinds that are decided by this package.
const (
	KindText   Kind = 1
	KindKicked Kind = 8
	KindBanned Kind = 9
	KindJoined Kind = 10
	KindLeft   Kind = 11
	KindCap    Kind = 21
)

// Action is the effect an event has on the membership of its Target.
type Action uint8

// The actions. Add takes effect before the event is routed, so that who joins
// sees the join; Remove takes effect after it, so that who is removed sees the
// removal.
const (
	None Action = iota
	Add
	Remove
)

// Draft is an event that was decided but has no place in the log yet.
type Draft struct {
	// UUID names the event within its room; 36 characters, see ValidUUID.
	UUID string
	Kind Kind
	// Sender is the account that caused the event.
	Sender string
	// Target is the account whose membership changes; empty when Action is None.
	Target string
	Action Action
	// Body is a marshalled MessageSpecifics. It is never changed once set.
	Body []byte
}

// Event is one record of a room's log: the message and the membership change in
// one. Events are immutable and may be shared.
type Event struct {
	Draft
	Room string
	// Seq counts from 1 without a gap within the room.
	Seq uint64
	// Time is in milliseconds since the Unix epoch, by the server's clock; it
	// strictly increases with Seq, so it is a cursor as exact as Seq.
	Time int64
}

// Size is about what the event occupies in memory, in bytes.
func (e *Event) Size() int { return len(e.Body) + 200 }

// Standing is what an account is in a room. The numbers are those of the wire.
type Standing = chatpb.AccountStateInChatRoom
