package engine

import (
	"testing"
	"unsafe"
)

// What fan-out and a turn's beginning write lies on one cache line. Above 512
// bytes Go puts a word before an object, and nothing would lie where it seems to.
func TestStreamFitsItsCacheLines(t *testing.T) {
	var s Stream
	if size := unsafe.Sizeof(s); size > 512 {
		t.Errorf("a stream has %d bytes, 512 at most are laid out as they stand", size)
	}
	const line = 64
	if end := unsafe.Offsetof(s.refs) + unsafe.Sizeof(s.refs); end > line {
		t.Errorf("slot, inbox and refs end at %d, which is on the second line", end)
	}
}
