package room

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CleanText removes trailing white space and reports whether what is left may
// be sent: valid UTF-8, 1 to MaxText bytes.
func CleanText(s string) (string, bool) {
	s = strings.TrimRightFunc(s, unicode.IsSpace)
	return s, len(s) > 0 && len(s) <= MaxText && utf8.ValidString(s)
}

// ValidSimpleText reports whether s may be a room's name or password.
func ValidSimpleText(s string) bool {
	return len(s) <= MaxSimpleText && utf8.ValidString(s)
}

// Cut returns the longest prefix of s that has at most limit bytes and ends at
// a rune boundary, and whether that is all of s. (The original cuts inside
// runes; Go's protobuf would refuse to send that.)
func Cut(s string, limit int) (prefix string, whole bool) {
	if len(s) <= limit {
		return s, true
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit], false
}
