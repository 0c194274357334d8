package robustness

import (
	"strconv"
	"time"
)

// Kind says what a Record is of.
type Kind string

// The kinds of records.
const (
	// KindRun opens a history: Note says how to repeat the run.
	KindRun Kind = "run"
	// KindServer and KindFault: Note says what happened to the server process,
	// or was done to it, to the network or to a client.
	KindServer Kind = "server"
	KindFault  Kind = "fault"
	// KindCall: a command is about to be sent. KindAnswer: it was answered, or
	// failed; same Call, Op and what the command was about.
	KindCall   Kind = "call"
	KindAnswer Kind = "answer"
	// KindOpen: a stream is about to be opened, with Claims.
	KindOpen Kind = "open"
	// What comes on a stream: the primer, the end of the initialization, a
	// message (before KindComplete: of the initialization), the answer to a
	// request, a bookmark, a go-away. A message with a Call and no Stream was
	// shown by JoinChatRoom.
	KindPrimer   Kind = "primer"
	KindComplete Kind = "complete"
	KindMessage  Kind = "message"
	KindReply    Kind = "reply"
	KindBookmark Kind = "bookmark"
	KindGoAway   Kind = "go-away"
	// KindRequest is about to be sent on a stream: Op is OpLookup or OpRefresh.
	KindRequest Kind = "request"
	// KindQuit: the device is about to end a stream, or its connection; Note says
	// how.
	KindQuit Kind = "quit"
	// KindEnd: a stream has ended, as its device sees it.
	KindEnd Kind = "end"
	// KindHealed: from here on nothing is done to anybody.
	KindHealed Kind = "healed"
	// KindLast: all servers have ended, and are about to be started for the last
	// time.
	KindLast Kind = "last"
	// KindStuck: something that had to come has not come in a long time.
	KindStuck Kind = "stuck"
)

// What commands and requests do.
const (
	OpCreateAccount = "create account"
	OpLogin         = "login"
	OpLogout        = "logout"
	OpCreate        = "create"
	OpJoin          = "join"
	OpLeave         = "leave"
	OpKick          = "kick"
	OpBan           = "ban"
	OpSend          = "send"
	OpObserve       = "observe"
	OpLookup        = "lookup"
	OpRefresh       = "refresh"
)

// Outcome is what a device knows about a command after its answer.
type Outcome string

// The outcomes.
const (
	// Done: the server says that it is done, at Record.Time.
	Done Outcome = "done"
	// Refused: the server says that it is not done, and not why it could not.
	Refused Outcome = "refused"
	// Unknown: it may have been done or not.
	Unknown Outcome = "unknown"
)

// Record is one thing that happened, as whoever recorded it saw it.
type Record struct {
	// N counts the records of a history. A record with a lower N was taken
	// before one with a higher N: what a device saw before it sent something has
	// a lower N than whatever anybody saw of that.
	N int64 `json:"n"`
	// At is the time since the history began, by a clock that does not step;
	// Wall is in microseconds since the Unix epoch.
	At   time.Duration `json:"at"`
	Wall int64         `json:"wall"`
	Kind Kind          `json:"kind"`

	// Device is an installation id, Account the account it was logged in to.
	Device  string `json:"device,omitempty"`
	Account string `json:"account,omitempty"`
	// Server is the number, from 1, of the server that something was sent to, or
	// that something happened to; 0 where it is not about one.
	Server int `json:"server,omitempty"`
	// Stream and Call number the streams and the commands of a history, from 1.
	Stream int64 `json:"stream,omitempty"`
	Call   int64 `json:"call,omitempty"`

	// Op is what a call, answer or request is, and the rest is what it is about.
	// A login's and a logout's Text is the token; a created room's Text its
	// password.
	Op     string   `json:"op,omitempty"`
	Room   string   `json:"room,omitempty"`
	UUID   string   `json:"uuid,omitempty"`
	Text   string   `json:"text,omitempty"`
	Target string   `json:"target,omitempty"`
	UUIDs  []string `json:"uuids,omitempty"`

	Outcome Outcome `json:"outcome,omitempty"`
	// Time is when it was stored, in milliseconds since the Unix epoch.
	Time   int64  `json:"time,omitempty"`
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`

	// Exact: the stream resumes by places, not by times. Audit: it reads the
	// truth.
	Exact  bool    `json:"exact,omitempty"`
	Audit  bool    `json:"audit,omitempty"`
	Claims []Claim `json:"claims,omitempty"`

	Message *Message `json:"message,omitempty"`
	Entries []Entry  `json:"entries,omitempty"`
	// Last: no more replies come to this request.
	Last bool `json:"last,omitempty"`

	// Code is the gRPC status a stream ended with; Reason and Info are
	// stream_down_reason and optional_info_cancel, Status return_status.
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	Info   string `json:"info,omitempty"`

	Note string `json:"note,omitempty"`
}

// Claim is what a device says about a room when it opens a stream.
type Claim struct {
	Room    string `json:"room"`
	Updated int64  `json:"updated"`
	Viewed  int64  `json:"viewed"`
	// Seq is the place it has come to; only of a stream that resumes exactly.
	Seq uint64 `json:"seq,omitempty"`
	// Have are uuids of later messages that it does not want again.
	Have []string `json:"have,omitempty"`
}

// Message is what a device was told in one ChatMessageToClient.
type Message struct {
	Room string `json:"room"`
	// Body is the name of what is set in MessageSpecifics. UUID of a
	// new_update_time_message is that of the message it stands for.
	Body     string `json:"body"`
	UUID     string `json:"uuid,omitempty"`
	Time     int64  `json:"time,omitempty"`
	Seq      uint64 `json:"seq,omitempty"`
	Previous uint64 `json:"previous,omitempty"`
	Sender   string `json:"sender,omitempty"`
	// Target is who was kicked, banned, or is described; heir of a left message.
	Target string `json:"target,omitempty"`
	State  string `json:"state,omitempty"`
	Text   string `json:"text,omitempty"`
	// Amount is how much of the text there is: 0, 10 or 20.
	Amount int32 `json:"amount,omitempty"`
	// Lost: the room comes anew because the position was not one of it.
	Lost bool `json:"lost,omitempty"`
}

// Entry is one answer in a reply to a lookup.
type Entry struct {
	UUID   string `json:"uuid"`
	Status string `json:"status,omitempty"`
	Text   string `json:"text,omitempty"`
}

// Bodies that the validators know by name.
const (
	bodyText     = "text_message"
	bodyKicked   = "user_kicked_message"
	bodyBanned   = "user_banned_message"
	bodyJoined   = "different_user_joined_message"
	bodyLeft     = "different_user_left_message"
	bodyCap      = "chat_room_cap_message"
	bodyUpdate   = "new_update_time_message"
	bodyStart    = "this_user_joined_chat_room_start_message"
	bodyMember   = "this_user_joined_chat_room_member_message"
	bodyFinished = "this_user_joined_chat_room_finished_message"
	bodyGone     = "this_user_left_chat_room_message"
	bodyObserved = "update_observed_time_message"
)

// Stored reports whether the message stands for an event of a room's log.
func (m *Message) Stored() bool {
	switch m.Body {
	case bodyStart, bodyMember, bodyFinished, bodyGone, bodyObserved:
		return false
	}
	return true
}

// textOf is what the message with that uuid says, so that whoever gets it can
// check it. Some are longer than what is shown of a message.
func textOf(uuid string) string {
	text := "this is what " + uuid + " says"
	for n := int(uuid[len(uuid)-1]) % 8; n > 0; n-- {
		text += " " + strconv.Itoa(n) + " and once more: " + text[:49]
	}
	return text
}
