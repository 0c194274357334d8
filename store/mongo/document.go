package mongo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// The collections, and what is in their documents. Fields that are zero are left
// out where that is marked; a field's name is short because it is stored, and
// sent, with every document.

const (
	eventsName   = "events"
	roomsName    = "rooms"
	membersName  = "members"
	seenName     = "seen"
	accountsName = "accounts"
	metaName     = "meta"
	streamsName  = "streams"
	serversName  = "servers"
)

// eventDocument is one event: the message, the membership change and the raise
// of what its sender has viewed, in one document and so in one atomic write.
type eventDocument struct {
	// ID is room/uuid: a room's index pages lie together, and a uuid is unique
	// within its room.
	ID     string `bson:"_id"`
	Room   string `bson:"r"`
	Seq    int64  `bson:"s"`
	Time   int64  `bson:"t"`
	Kind   int32  `bson:"k"`
	Sender string `bson:"u"`
	Target string `bson:"g,omitempty"`
	Action int32  `bson:"a,omitempty"`
	Body   []byte `bson:"b,omitempty"`
	// Viewed is store.Op.Viewed, for the sender.
	Viewed int64 `bson:"v,omitempty"`
	// Author says which process wrote the event, and for which of its requests:
	// so a process recognises what it wrote itself when it does not know whether
	// it did.
	Author author `bson:"w"`
	// Mark is the fingerprint of a command that a client can repeat.
	Mark []byte `bson:"m,omitempty"`
}

func eventID(roomID, uuid string) string { return roomID + "/" + uuid }

// in is the _id of what belongs to an account in a room; members and seen have it.
func in(roomID, account string) string { return roomID + "/" + account }

// ofRoom selects every _id made by in, and eventID, for the room. '0' follows '/'.
func ofRoom(roomID string) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: roomID + "/"}, {Key: "$lt", Value: roomID + "0"}}}}
}

// record is an event with what only the store knows of it.
type record struct {
	room.Event
	viewed int64
	by     author
	mark   []byte
}

func (e *record) documentID() string { return eventID(e.Room, e.UUID) }

func (e *record) document() eventDocument {
	return eventDocument{
		ID: e.documentID(), Room: e.Room, Seq: int64(e.Seq), Time: e.Time, Kind: int32(e.Kind),
		Sender: e.Sender, Target: e.Target, Action: int32(e.Action), Body: e.Body,
		Viewed: e.viewed, Author: e.by, Mark: e.mark,
	}
}

func (d *eventDocument) record() (record, error) {
	uuid, ok := strings.CutPrefix(d.ID, d.Room+"/")
	if !ok || d.Seq <= 0 || !store.StorableRoom(d.Room) {
		return record{}, fmt.Errorf("%w: document %q of %s is not an event", store.ErrUnavailable, d.ID, eventsName)
	}
	return record{
		Event: room.Event{
			Draft: room.Draft{
				UUID: uuid, Kind: room.Kind(d.Kind), Sender: d.Sender, Target: d.Target, Action: room.Action(d.Action), Body: d.Body,
			},
			Room: d.Room, Seq: uint64(d.Seq), Time: d.Time,
		},
		viewed: d.Viewed, by: d.Author, mark: d.Mark,
	}, nil
}

// author is a process, by a number drawn at random when it opened the store, and
// the number of a request of that process.
type author struct {
	process, request uint64
}

// MarshalBSONValue implements bson.ValueMarshaler: 16 bytes.
func (a author) MarshalBSONValue() (byte, []byte, error) {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), a.process)
	b = binary.BigEndian.AppendUint64(b, a.request)
	t, data, err := bson.MarshalValue(bson.Binary{Data: b})
	return byte(t), data, err
}

// UnmarshalBSONValue implements bson.ValueUnmarshaler. What is not 16 bytes is
// nobody we know.
func (a *author) UnmarshalBSONValue(t byte, data []byte) error {
	*a = author{}
	if _, b, ok := (bson.RawValue{Type: bson.Type(t), Value: data}).BinaryOK(); ok && len(b) == 16 {
		a.process, a.request = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	}
	return nil
}

// roomDocument is a room's snapshot: what the events up to Seq fold to, together
// with the room's documents in members and seen. It is written after them.
type roomDocument struct {
	ID       string `bson:"_id"`
	Name     string `bson:"n"`
	Password string `bson:"p"`
	Created  int64  `bson:"c"`
	Seq      int64  `bson:"s"`
	Time     int64  `bson:"t"`
	Admin    string `bson:"a"`
}

func (d *roomDocument) header() room.Header {
	return room.Header{
		ID: d.ID, Name: d.Name, Password: d.Password, Created: d.Created, Seq: uint64(d.Seq), Time: d.Time, Admin: d.Admin,
	}
}

// memberDocument is a member as after event Seq of the room.
type memberDocument struct {
	ID       string `bson:"_id"`
	Account  string `bson:"u"`
	Name     string `bson:"n"`
	Standing int32  `bson:"st"`
	Position int64  `bson:"p"`
	Changed  int64  `bson:"ch"`
	Since    int64  `bson:"si"`
	Seq      int64  `bson:"s"`
}

func (d *memberDocument) member() room.Member {
	return room.Member{
		Account: d.Account, Name: d.Name, Standing: room.Standing(d.Standing),
		Position: uint64(d.Position), Changed: uint64(d.Changed), Since: d.Since,
	}
}

// seenDocument is when an account was last active in a room, as far as the
// room's snapshot goes, and what it has viewed.
type seenDocument struct {
	ID       string `bson:"_id"`
	Activity int64  `bson:"a,omitempty"`
	Viewed   int64  `bson:"v,omitempty"`
}

type accountDocument struct {
	ID         string          `bson:"_id"`
	Name       string          `bson:"n"`
	Display    string          `bson:"d"`
	Credential []byte          `bson:"c,omitempty"`
	Created    int64           `bson:"cr"`
	Standing   int32           `bson:"st"`
	Session    sessionDocument `bson:"se"`
	// Version counts the changes of Session: who replaces it names the version
	// that he has seen.
	Version int64 `bson:"v"`
}

type sessionDocument struct {
	Installation string `bson:"i"`
	TokenHash    []byte `bson:"h,omitempty"`
	Nonce        []byte `bson:"n,omitempty"`
	Expires      int64  `bson:"e"`
}

func newSessionDocument(s *store.Session) sessionDocument {
	d := sessionDocument{Installation: s.Installation, Nonce: s.Nonce, Expires: s.Expires}
	if s.TokenHash != [32]byte{} {
		d.TokenHash = s.TokenHash[:]
	}
	return d
}

// account is the caller's: d, which may be kept, shares nothing with it.
func (d *accountDocument) account() store.Account {
	a := store.Account{
		ID: d.ID, Name: d.Name, Display: d.Display, Credential: bytes.Clone(d.Credential), Created: d.Created,
		Standing: store.AccountStanding(d.Standing),
		Session: store.Session{
			Installation: d.Session.Installation, Nonce: bytes.Clone(d.Session.Nonce), Expires: d.Session.Expires,
		},
	}
	copy(a.Session.TokenHash[:], d.Session.TokenHash)
	return a
}
