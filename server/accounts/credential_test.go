package accounts

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"golang.org/x/crypto/argon2"
)

func TestCredential(t *testing.T) {
	c := newCredential(Argon2{Time: 3, MemoryKiB: 64, Threads: 2})
	h := c.hash("password")
	if h.verifier == h.key {
		t.Error("verifier and key are one")
	}
	c.verifier = h.verifier
	got, err := decodeCredential(c.encode())
	if err != nil || got != c {
		t.Errorf("got %+v, %v; want %+v", got, err, c)
	}
	if !got.accepts(got.hash("password")) || got.accepts(got.hash("Password")) || got.accepts(hashed{}) {
		t.Error("accepts the wrong ones")
	}
	other := newCredential(c.cost)
	if other.salt == c.salt {
		t.Error("the same salt twice")
	}
	if other.hash("password") == h {
		t.Error("the salt does not matter")
	}
}

// TestCredentialFormat pins what is on disk, and the hash: accounts outlive
// versions of this program.
func TestCredentialFormat(t *testing.T) {
	c := credential{cost: Argon2{Time: 2, MemoryKiB: 19456, Threads: 1}}
	copy(c.salt[:], "sixteen of bytes")
	c.verifier = c.hash("correct horse").verifier
	want := "01" + "00000002" + "00004c00" + "01" + "7369787465656e206f66206279746573"
	b := hex.EncodeToString(c.encode())
	if b != want+hex.EncodeToString(c.verifier[:]) {
		t.Errorf("got %s", b)
	}
	if sum := argon2.IDKey([]byte("correct horse"), c.salt[:], 2, 19456, 1, 64); !bytes.Equal(sum[:32], c.verifier[:]) {
		t.Errorf("verifier %x, want %x", c.verifier, sum[:32])
	}
}

func TestMalformedCredentials(t *testing.T) {
	good := newCredential(cheap)
	bad := map[string][]byte{
		"nothing": nil,
		"short":   good.encode()[:credentialBytes-1],
		"long":    append(good.encode(), 0),
	}
	for name, change := range map[string]func([]byte){
		"another format": func(b []byte) { b[0] = 2 },
		"no time":        func(b []byte) { copy(b[1:5], make([]byte, 4)) },
		"no threads":     func(b []byte) { b[9] = 0 },
		"much time":      func(b []byte) { b[1] = 0xff },
		"much memory":    func(b []byte) { b[5] = 0xff },
	} {
		b := good.encode()
		change(b)
		bad[name] = b
	}
	for what, b := range bad {
		if _, err := decodeCredential(b); !errors.Is(err, errCredential) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func FuzzCredential(f *testing.F) {
	c := newCredential(cheap)
	f.Add(c.encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCredential(b)
		if err == nil && !bytes.Equal(c.encode(), b) {
			t.Errorf("%x became %x", b, c.encode())
		}
	})
}
