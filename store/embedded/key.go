package embedded

import (
	"encoding/binary"

	"github.com/chatstream/chatstream/store"
)

// What keys begin with; doc.go has the whole picture.
const (
	keyFormat  = 'v'
	keyEvent   = 'e'
	keyUUID    = 'u'
	keyRoom    = 'r'
	keyMember  = 'm'
	keySeen    = 's'
	keyRoomsOf = 'i'
	keyAccount = 'a'
	keyName    = 'n'
)

// maxPart is the longest text that may stand before another in a key.
const maxPart = store.MaxAccountBytes

// scope begins every key of kind that belongs to owner, and no other key: the
// length in front keeps owners apart of which one is a prefix of the other.
// The owner has at most maxPart bytes; store.Op.CheckDrafts keeps longer ones out.
func scope(kind byte, owner string) []byte {
	return appendScope(make([]byte, 0, 2+len(owner)+40), kind, owner)
}

func appendScope(k []byte, kind byte, owner string) []byte {
	k = append(k, kind, byte(len(owner)))
	return append(k, owner...)
}

func eventKey(roomID string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(scope(keyEvent, roomID), seq)
}

func uuidKey(roomID, uuid string) []byte      { return append(scope(keyUUID, roomID), uuid...) }
func roomKey(roomID string) []byte            { return scope(keyRoom, roomID) }
func memberKey(roomID, account string) []byte { return append(scope(keyMember, roomID), account...) }
func seenKey(roomID, account string) []byte   { return append(scope(keySeen, roomID), account...) }
func roomsOfKey(account, roomID string) []byte {
	return append(scope(keyRoomsOf, account), roomID...)
}
func accountKey(id string) []byte { return append([]byte{keyAccount}, id...) }
func nameKey(name string) []byte  { return append([]byte{keyName}, name...) }

// seqOf reads the sequence number at the end of an event's key.
func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// after is the smallest key larger than all that begin with prefix. A scope
// never ends in 0xff only, since it begins with an ASCII letter.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
