package embedded

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// Records are protobuf messages, written by hand because every message of the
// system passes here and reflection is what costs most in it. As with any
// protobuf, a field that is zero is left out, a field that is not known is
// skipped, and numbers are never used again. Written out they would be:
//
//	message Event   { int64 time = 1; string uuid = 2; int32 kind = 3; string sender = 4;
//	                  string target = 5; uint32 action = 6; bytes body = 7; }
//	message UUID    { uint64 seq = 1; bytes fingerprint = 2; }
//	message Room    { string name = 1; string password = 2; int64 created = 3; uint64 seq = 4;
//	                  int64 time = 5; string admin = 6; }
//	message Member  { string name = 1; int32 standing = 2; uint64 position = 3; uint64 changed = 4;
//	                  int64 since = 5; }
//	message Seen    { int64 activity = 1; int64 viewed = 2; }
//	message Account { string name = 1; bytes credential = 2; int64 created = 3; uint32 standing = 4;
//	                  Session session = 5; }
//	message Session { string installation = 1; bytes token_hash = 2; bytes nonce = 3; int64 expires = 4; }

// errCorrupt: the bytes are not a record. The disk, or a program other than
// this one, has changed them.
var errCorrupt = fmt.Errorf("%w: record is damaged", store.ErrUnavailable)

func putInt(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func putText[T ~string | ~[]byte](b []byte, field protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(v)))
	return append(b, v...)
}

// fields calls set with each field of a record: n for a number, text (which
// aliases b) for anything else. Other wire types are skipped.
func fields(b []byte, set func(field protowire.Number, n uint64, text []byte)) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errCorrupt
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n < 0 {
				return errCorrupt
			}
			set(field, v, nil)
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n < 0 {
				return errCorrupt
			}
			set(field, 0, v)
		default:
			if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
				return errCorrupt
			}
		}
		b = b[n:]
	}
	return nil
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func encodeEvent(e *room.Event) []byte {
	return appendEvent(make([]byte, 0, len(e.Body)+len(e.UUID)+len(e.Sender)+len(e.Target)+32), e)
}

func appendEvent(b []byte, e *room.Event) []byte {
	b = putInt(b, 1, uint64(e.Time))
	b = putText(b, 2, e.UUID)
	b = putInt(b, 3, uint64(e.Kind))
	b = putText(b, 4, e.Sender)
	b = putText(b, 5, e.Target)
	b = putInt(b, 6, uint64(e.Action))
	return putText(b, 7, e.Body)
}

// decodeEvent reads an event; its room and number are in the key.
func decodeEvent(roomID string, seq uint64, b []byte) (room.Event, error) {
	e := room.Event{Room: roomID, Seq: seq}
	err := fields(b, func(field protowire.Number, n uint64, text []byte) {
		switch field {
		case 1:
			e.Time = int64(n)
		case 2:
			e.UUID = string(text)
		case 3:
			e.Kind = room.Kind(n)
		case 4:
			e.Sender = string(text)
		case 5:
			e.Target = string(text)
		case 6:
			e.Action = room.Action(n)
		case 7:
			e.Body = clone(text)
		}
	})
	if err != nil {
		return room.Event{}, fmt.Errorf("event %d of room %s: %w", seq, roomID, err)
	}
	return e, nil
}

// eventTime reads no more than the time, for searches. It is written first.
func eventTime(b []byte) (int64, error) {
	field, kind, n := protowire.ConsumeTag(b)
	if n < 0 || field != 1 || kind != protowire.VarintType {
		e, err := decodeEvent("", 0, b)
		return e.Time, err
	}
	t, n := protowire.ConsumeVarint(b[n:])
	if n < 0 {
		return 0, errCorrupt
	}
	return int64(t), nil
}

// fingerprint is store.Op.Fingerprint. It is empty for an event that no client can
// repeat.
type fingerprint string

type uuidRecord struct {
	seq  uint64
	mark fingerprint
}

func encodeUUID(r uuidRecord) []byte {
	return appendUUID(make([]byte, 0, 32), r)
}

func appendUUID(b []byte, r uuidRecord) []byte { return putText(putInt(b, 1, r.seq), 2, r.mark) }

func decodeUUID(b []byte) (r uuidRecord, err error) {
	err = fields(b, func(field protowire.Number, n uint64, text []byte) {
		switch field {
		case 1:
			r.seq = n
		case 2:
			r.mark = fingerprint(text)
		}
	})
	return r, err
}

func encodeHeader(h *room.Header) []byte {
	return appendHeader(make([]byte, 0, len(h.Name)+len(h.Password)+len(h.Admin)+40), h)
}

func appendHeader(b []byte, h *room.Header) []byte {
	b = putText(b, 1, h.Name)
	b = putText(b, 2, h.Password)
	b = putInt(b, 3, uint64(h.Created))
	b = putInt(b, 4, h.Seq)
	b = putInt(b, 5, uint64(h.Time))
	return putText(b, 6, h.Admin)
}

func decodeHeader(roomID string, b []byte) (room.Header, error) {
	h := room.Header{ID: roomID}
	err := fields(b, func(field protowire.Number, n uint64, text []byte) {
		switch field {
		case 1:
			h.Name = string(text)
		case 2:
			h.Password = string(text)
		case 3:
			h.Created = int64(n)
		case 4:
			h.Seq = n
		case 5:
			h.Time = int64(n)
		case 6:
			h.Admin = string(text)
		}
	})
	if err != nil {
		return room.Header{}, fmt.Errorf("header of room %s: %w", roomID, err)
	}
	return h, nil
}

func encodeMember(m *room.Member) []byte {
	b := make([]byte, 0, len(m.Name)+40)
	b = putText(b, 1, m.Name)
	b = putInt(b, 2, uint64(m.Standing))
	b = putInt(b, 3, m.Position)
	b = putInt(b, 4, m.Changed)
	return putInt(b, 5, uint64(m.Since))
}

func decodeMember(account string, b []byte) (room.Member, error) {
	m := room.Member{Account: account}
	err := fields(b, func(field protowire.Number, n uint64, text []byte) {
		switch field {
		case 1:
			m.Name = string(text)
		case 2:
			m.Standing = room.Standing(n)
		case 3:
			m.Position = n
		case 4:
			m.Changed = n
		case 5:
			m.Since = int64(n)
		}
	})
	if err != nil {
		return room.Member{}, fmt.Errorf("member %s: %w", account, err)
	}
	return m, nil
}

func encodeSeen(s store.Seen) []byte { return appendSeen(make([]byte, 0, 16), s) }

func appendSeen(b []byte, s store.Seen) []byte {
	return putInt(putInt(b, 1, uint64(s.Activity)), 2, uint64(s.Viewed))
}

func decodeSeen(b []byte) (s store.Seen, err error) {
	err = fields(b, func(field protowire.Number, n uint64, _ []byte) {
		switch field {
		case 1:
			s.Activity = int64(n)
		case 2:
			s.Viewed = int64(n)
		}
	})
	return s, err
}

func encodeAccount(a *store.Account) []byte {
	b := putText(nil, 1, a.Name)
	b = putText(b, 2, a.Credential)
	b = putInt(b, 3, uint64(a.Created))
	b = putInt(b, 4, uint64(a.Standing))
	s := putText(nil, 1, a.Session.Installation)
	if a.Session.TokenHash != [32]byte{} {
		s = putText(s, 2, a.Session.TokenHash[:])
	}
	s = putText(s, 3, a.Session.Nonce)
	s = putInt(s, 4, uint64(a.Session.Expires))
	b = putText(b, 5, s)
	return putText(b, 6, a.Display)
}

func decodeAccount(id string, b []byte) (store.Account, error) {
	a := store.Account{ID: id}
	var session []byte
	err := fields(b, func(field protowire.Number, n uint64, text []byte) {
		switch field {
		case 1:
			a.Name = string(text)
		case 2:
			a.Credential = clone(text)
		case 3:
			a.Created = int64(n)
		case 4:
			a.Standing = store.AccountStanding(n)
		case 5:
			session = text
		case 6:
			a.Display = string(text)
		}
	})
	if err == nil {
		err = fields(session, func(field protowire.Number, n uint64, text []byte) {
			switch field {
			case 1:
				a.Session.Installation = string(text)
			case 2:
				copy(a.Session.TokenHash[:], text)
			case 3:
				a.Session.Nonce = clone(text)
			case 4:
				a.Session.Expires = int64(n)
			}
		})
	}
	if err != nil {
		return store.Account{}, fmt.Errorf("account %s: %w", id, err)
	}
	return a, nil
}
