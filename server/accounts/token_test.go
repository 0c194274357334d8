package accounts

import (
	"testing"

	"github.com/chatstream/chatstream/engine/room"
)

// TestTokenDependsOnEverything: whatever differs, the token does.
func TestTokenDependsOnEverything(t *testing.T) {
	const a, b = "00000000000000000000000a", "00000000000000000000000b"
	nonce := newNonce()
	one := hashed{key: [32]byte{1}}
	tokens := map[string]string{}
	for what, token := range map[string]string{
		"":                     one.token(a, phone, nonce),
		"another password":     hashed{key: [32]byte{2}}.token(a, phone, nonce),
		"another account":      one.token(b, phone, nonce),
		"another installation": one.token(a, tablet, nonce),
		"another nonce":        one.token(a, phone, newNonce()),
	} {
		if !room.ValidOID(token) {
			t.Errorf("%s: %q", what, token)
		}
		if other, ok := tokens[token]; ok {
			t.Errorf("%q and %q give the same token", what, other)
		}
		tokens[token] = what
	}
	if again := (hashed{verifier: [32]byte{9}, key: [32]byte{1}}).token(a, phone, nonce); tokens[again] != "" {
		t.Error("not the same token again")
	}
	// Pinned: a new version that derived others would log everybody out.
	if got := (hashed{}).token(a, phone, []byte("nonce")); got != "c13723d7d09934bd34d2b673" {
		t.Errorf("token is %s", got)
	}
}

func TestIDsAreRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if !room.ValidOID(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}
