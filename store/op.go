package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// ErrMalformed: what the caller gave could not be kept. It is a mistake in the
// program, not something a client can bring about.
var ErrMalformed = errors.New("malformed")

// MaxAccountBytes is the longest account id a store takes.
const MaxAccountBytes = 255

// StorableRoom and StorableAccount report whether a room or an account can be in
// a store at all. What cannot is not an error to look for: it is not there.
func StorableRoom(id string) bool { return room.ValidID(id) }

// StorableAccount is described at StorableRoom.
func StorableAccount(id string) bool { return id != "" && len(id) <= MaxAccountBytes }

// Check says whether op can be carried out in the room at all.
func (op *Op) Check(roomID string) error {
	switch {
	case !StorableRoom(roomID):
		return fmt.Errorf("%w room id", ErrMalformed)
	case op.UUID != "" && !room.ValidUUID(op.UUID):
		return fmt.Errorf("%w uuid %q", ErrMalformed, op.UUID)
	case op.Decide == nil:
		return fmt.Errorf("%w op: nothing to decide", ErrMalformed)
	}
	return nil
}

// SoundBody reports whether op.Body can be the body of an event.
func (op *Op) SoundBody() bool { return checkBody(op.Body) == nil }

func checkBody(body []byte) error { return proto.Unmarshal(body, new(chatpb.MessageSpecifics)) }

// CheckDrafts says whether what op decided can be stored: all of it, or nothing
// is. Whether the drafts' uuids are in the room already is left to the store.
// sound is what SoundBody has said, if it was asked: a draft with that body is not
// looked into again.
func (op *Op) CheckDrafts(drafts []room.Draft, sound bool) error {
	if op.UUID != "" {
		// Otherwise the uuid would not lead to the event, and the command would
		// be carried out again when it is repeated.
		if d := &drafts[0]; d.UUID != op.UUID || d.Sender != op.Sender || d.Kind != op.Kind {
			return fmt.Errorf("%w draft: not of the op's uuid, sender and kind", ErrMalformed)
		}
	}
	if op.Viewed != 0 && !StorableAccount(op.Sender) {
		return fmt.Errorf("%w sender %q", ErrMalformed, op.Sender)
	}
	for i := range drafts {
		d := &drafts[i]
		switch {
		case len(d.Body) > MaxEventBytes:
			return fmt.Errorf("%d bytes: %w", len(d.Body), ErrTooLarge)
		case !room.ValidUUID(d.UUID):
			return fmt.Errorf("%w uuid %q of a draft", ErrMalformed, d.UUID)
		case !StorableAccount(d.Sender):
			return fmt.Errorf("%w sender %q of a draft", ErrMalformed, d.Sender)
		case (d.Action == room.None) != (d.Target == ""), d.Target != "" && !StorableAccount(d.Target):
			return fmt.Errorf("%w target %q of a draft", ErrMalformed, d.Target)
		}
		if sound && bytes.Equal(d.Body, op.Body) {
			// As checked.
		} else if err := checkBody(d.Body); err != nil {
			return fmt.Errorf("%w body of a draft: %w", ErrMalformed, err)
		}
		for j := range i {
			if drafts[j].UUID == d.UUID {
				return fmt.Errorf("%s: %w", d.UUID, ErrUUIDTaken)
			}
		}
	}
	return nil
}

// FingerprintBytes is how long a fingerprint is.
const FingerprintBytes = 16

// Fingerprint is what a command is recognised by when its uuid comes again: a
// hash of sender, kind and body, so that it is small whatever a body's size.
func (op *Op) Fingerprint() []byte {
	h := sha256.New()
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(op.Sender))
	b = binary.AppendUvarint(b, uint64(len(op.Sender)))
	b = append(b, op.Sender...)
	b = binary.AppendUvarint(b, uint64(op.Kind))
	h.Write(b)
	h.Write(op.Body)
	return h.Sum(b[:0])[:FingerprintBytes]
}
