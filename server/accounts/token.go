package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/chatstream/chatstream/store"
)

// A token is 24 lower case hexadecimal digits, 96 bits.
//
// It is not stored, only its SHA-256 is, and still the same login has to give
// the same token again. So it is computed:
//
//	argon2id(password, salt) = verifier (stored) | key (never stored)
//	token                    = HMAC-SHA-256(key, account | installation | nonce)[:12]
//
// The nonce is in the session. Who reads the database has nonce, verifier and
// the token's hash, but not the key, and 96 bits are out of reach of guessing;
// the key is there only while somebody who has typed the right password is
// being answered. A session that replaces another one gets a new nonce, so
// that a token once ended never comes back.

const tokenLabel = "chatstream session token 1\x00"

// newNonce is what makes a session's token unlike every other session's.
func newNonce() []byte {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return b
}

// newID draws an account id, or anything else of 96 bits as hexadecimal.
func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// token derives the session's token. Account and installation have one length
// each, so the three parts cannot be shifted into each other.
func (h hashed) token(account, installation string, nonce []byte) string {
	m := hmac.New(sha256.New, h.key[:])
	for _, part := range [][]byte{[]byte(tokenLabel), []byte(account), []byte(installation), nonce} {
		m.Write(part)
	}
	return hex.EncodeToString(m.Sum(nil)[:12])
}

// tokenHash is what a session keeps of its token. Hexadecimal digits are
// accepted in either case, as the original accepts them.
func tokenHash(token string) [32]byte { return sha256.Sum256([]byte(strings.ToLower(token))) }

// loggedOut reports whether there is no session.
func loggedOut(s store.Session) bool { return s.Installation == "" }
