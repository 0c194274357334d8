//go:build frames

package frames

import (
	"encoding/binary"
	"strings"

	"golang.org/x/net/http2"
)

// Limits of HTTP/2 as they are before any SETTINGS.
const (
	defaultWindow    = 65_535
	defaultFrameSize = 16_384
	maxWindow        = 1<<31 - 1
)

// appendFrame appends the head of a frame whose payload has n bytes.
func appendFrame(b []byte, n int, t http2.FrameType, flags http2.Flags, stream uint32) []byte {
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(t), byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendSettings(b []byte, settings ...http2.Setting) []byte {
	b = appendFrame(b, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

func appendWindowUpdate(b []byte, stream uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, http2.FrameWindowUpdate, 0, stream), uint32(n))
}

func appendReset(b []byte, stream uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, http2.FrameRSTStream, 0, stream), uint32(code))
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode, why string) []byte {
	b = appendFrame(b, 8+len(why), http2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, why...)
}

// appendHeaders appends block as a HEADERS frame, and as many CONTINUATION
// frames as it takes.
func appendHeaders(b []byte, stream uint32, block []byte, end bool) []byte {
	t, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for {
		part := block[:min(len(block), defaultFrameSize)]
		if block = block[len(part):]; len(block) == 0 {
			flags |= http2.FlagHeadersEndHeaders // the same bit in both
		}
		b = append(appendFrame(b, len(part), t, flags, stream), part...)
		if len(block) == 0 {
			return b
		}
		t, flags = http2.FrameContinuation, 0
	}
}

// appendField appends a header field to a block, as a literal that neither uses
// nor changes the compression's state: so blocks may be made in any order, and
// once for all connections. Field names go in lower case.
func appendField(b []byte, name, value string) []byte {
	b = append(b, 0)
	return appendString(appendString(b, strings.ToLower(name)), value)
}

func appendString(b []byte, s string) []byte {
	const prefix = 1<<7 - 1 // seven bits; the eighth says that it is not Huffman-coded
	if len(s) < prefix {
		return append(append(b, byte(len(s))), s...)
	}
	b = append(b, prefix)
	n := len(s) - prefix
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), s...)
}

// statusOK is the static table's entry for ":status: 200".
const statusOK = 0x88
