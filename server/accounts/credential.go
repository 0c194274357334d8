package accounts

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// credential is what store.Account.Credential holds: what a password is
// checked against.
//
//	0   1   format: 1
//	1   4   argon2id passes
//	5   4   argon2id memory in KiB
//	9   1   argon2id threads
//	10  16  salt
//	26  32  verifier
type credential struct {
	cost     Argon2
	salt     [16]byte
	verifier [32]byte
}

const (
	credentialFormat = 1
	credentialBytes  = 1 + 4 + 4 + 1 + 16 + 32
)

var errCredential = errors.New("malformed credential")

// newCredential draws a salt. The verifier is yet to be set.
func newCredential(cost Argon2) credential {
	c := credential{cost: cost}
	rand.Read(c.salt[:]) // never fails
	return c
}

func (c credential) encode() []byte {
	b := make([]byte, 0, credentialBytes)
	b = append(b, credentialFormat)
	b = binary.BigEndian.AppendUint32(b, c.cost.Time)
	b = binary.BigEndian.AppendUint32(b, c.cost.MemoryKiB)
	b = append(b, c.cost.Threads)
	b = append(b, c.salt[:]...)
	return append(b, c.verifier[:]...)
}

// decodeCredential's errors do not show what it read.
func decodeCredential(b []byte) (credential, error) {
	if len(b) != credentialBytes {
		return credential{}, fmt.Errorf("%w: %d bytes", errCredential, len(b))
	}
	if b[0] != credentialFormat {
		return credential{}, fmt.Errorf("%w: format %d, known is %d", errCredential, b[0], credentialFormat)
	}
	c := credential{
		cost: Argon2{
			Time:      binary.BigEndian.Uint32(b[1:]),
			MemoryKiB: binary.BigEndian.Uint32(b[5:]),
			Threads:   b[9],
		},
	}
	copy(c.salt[:], b[10:])
	copy(c.verifier[:], b[26:])
	if c.cost.Time == 0 || c.cost.Threads == 0 { // argon2 panics
		return credential{}, fmt.Errorf("%w: no cost", errCredential)
	}
	if err := c.cost.validate(); err != nil {
		return credential{}, fmt.Errorf("%w: %w", errCredential, err)
	}
	return c, nil
}

// hashed is what argon2id makes of a password and a salt. The two halves tell
// nothing about each other: the first is stored, the second never is.
type hashed struct {
	verifier [32]byte
	key      [32]byte
}

// hash is the expensive step: call it inside hashing.do. The same keys make
// different bytes on different systems, so the password is composed first (NFC,
// as RFC 8265 has it).
func (c credential) hash(password string) (h hashed) {
	b := argon2.IDKey(norm.NFC.Bytes([]byte(password)), c.salt[:], c.cost.Time, c.cost.MemoryKiB, c.cost.Threads, 64)
	copy(h.verifier[:], b[:32])
	copy(h.key[:], b[32:])
	return h
}

// accepts reports whether h was made with the right password, in a time that
// does not depend on how right it is.
func (c credential) accepts(h hashed) bool {
	return subtle.ConstantTimeCompare(c.verifier[:], h.verifier[:]) == 1
}
