package accounts

import (
	"testing"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// BenchmarkCheck is what every command pays.
func BenchmarkCheck(b *testing.B) {
	f := start(b)
	f.create("Ann")
	login := f.login("Ann", phone)
	b.ReportAllocs()
	for b.Loop() {
		if _, status := f.Check(b.Context(), login); status != chatpb.ReturnStatus_SUCCESS {
			b.Fatal(status)
		}
	}
}

// BenchmarkHash is what a login pays for at the default cost.
func BenchmarkHash(b *testing.B) {
	c := newCredential(Config{}.withDefaults().Argon2)
	b.ReportAllocs()
	for b.Loop() {
		c.hash(right)
	}
}
