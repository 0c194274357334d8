package room

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var (
	idShape   = regexp.MustCompile(`\A[0-9a-z]{7,8}\z`)
	oidShape  = regexp.MustCompile(`\A[0-9a-fA-F]{24}\z`)
	uuidShape = regexp.MustCompile(`\A[0-9a-zA-Z]{8}(-[0-9a-zA-Z]{4}){3}-[0-9a-zA-Z]{12}\z`)
)

func FuzzIDsHaveTheirShape(f *testing.F) {
	for _, s := range []string{
		"", "abcdefg", "abcdefgh", "abcdefghi", "Abcdefg", "abc-efgh", "0123456789abcdef01234567", "0123456789ABCDEF0123456g",
		"01234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg", "0123456789ab-cdef-0123-456789abcdef0", "äbcdefg",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ValidID(s), idShape.MatchString(s); got != want {
			t.Errorf("ValidID(%q) is %v", s, got)
		}
		if got, want := ValidOID(s), oidShape.MatchString(s); got != want {
			t.Errorf("ValidOID(%q) is %v", s, got)
		}
		if got, want := ValidUUID(s), uuidShape.MatchString(s); got != want {
			t.Errorf("ValidUUID(%q) is %v", s, got)
		}
	})
}

func FuzzCutKeepsWholeRunes(f *testing.F) {
	f.Add("hello", uint16(3))
	f.Add("€€€", uint16(4))
	f.Add("😀", uint16(0))
	f.Add("\x80\x80\x80", uint16(2))
	f.Fuzz(func(t *testing.T, s string, n uint16) {
		limit := int(n)
		got, whole := Cut(s, limit)
		switch {
		case !strings.HasPrefix(s, got) || len(got) > limit:
			t.Errorf("Cut(%q, %d) is %q", s, limit, got)
		case whole != (got == s):
			t.Errorf("Cut(%q, %d) says whole: %v", s, limit, whole)
		case utf8.ValidString(s) && !utf8.ValidString(got):
			t.Errorf("Cut(%q, %d) cuts a rune", s, limit)
		case utf8.ValidString(s) && !whole:
			if _, size := utf8.DecodeRuneInString(s[len(got):]); len(got)+size <= limit {
				t.Errorf("Cut(%q, %d) is %q, and one more would fit", s, limit, got)
			}
		}
	})
}

func FuzzTextsThatAreAccepted(f *testing.F) {
	for _, s := range []string{"", " ", "hello", "hello \n\t", " hello", "\xff", strings.Repeat("x", MaxText) + "  ", strings.Repeat("x", MaxText+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, ok := CleanText(s)
		if !strings.HasPrefix(s, text) || strings.TrimRightFunc(s[len(text):], unicode.IsSpace) != "" || strings.TrimRightFunc(text, unicode.IsSpace) != text {
			t.Errorf("CleanText(%q) is %q", s, text)
		}
		if want := text != "" && len(text) <= MaxText && utf8.ValidString(text); ok != want {
			t.Errorf("CleanText(%q) says %v", s, ok)
		}
		if again, okAgain := CleanText(text); again != text || okAgain != ok {
			t.Errorf("CleanText(%q) is not the same twice", s)
		}
		if got, want := ValidSimpleText(s), len(s) <= MaxSimpleText && utf8.ValidString(s); got != want {
			t.Errorf("ValidSimpleText(%q) is %v", s, got)
		}
	})
}
