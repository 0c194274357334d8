package accounts

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	for _, name := range []string{
		"a", "Ann", "Ann Lee", "O'Brien", "Åsa", "A\u030asa", "李小龍", "مريم", "🙂", "❤\ufe0f", "Ann  Lee",
		strings.Repeat("n", 24), strings.Repeat("é", 12), "x\u0301", "¨", "1", "-",
	} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, word := range map[string]string{
		"":                      "empty",
		strings.Repeat("n", 25): "25 bytes",
		strings.Repeat("é", 13): "26 bytes",
		"a\xff":                 "UTF-8",
		"\xed\xa0\x80":          "UTF-8", // a surrogate
		" a":                    "white space",
		"a ":                    "white space",
		"\ta":                   "white space",
		"a\u3000":               "white space",
		" ":                     "white space",
		"a\nb":                  "U+000A",
		"a\x00b":                "U+0000",
		"a\x7fb":                "U+007F",
		"a\u0085b":              "U+0085",
		"a\u00a0b":              "U+00A0", // no-break space
		"a\u200bb":              "U+200B", // zero width space
		"a\u200db":              "U+200D", // zero width joiner
		"a\u202eb":              "U+202E", // right-to-left override
		"a\u00adb":              "U+00AD", // soft hyphen
		"a\ufeffb":              "U+FEFF",
		"a\u034fb":              "U+034F", // combining grapheme joiner
		"\u3164":                "U+3164", // Hangul filler
		"\u115f":                "U+115F",
		"\u2800":                "U+2800", // blank Braille
		"a\ue000":               "U+E000", // private use
		"\ufe0f":                "seen",
		"\u0301":                "seen",
		"\u0301 \u0301":         "seen",
	} {
		if err := checkName(name); err == nil || !strings.Contains(err.Error(), word) || !strings.HasPrefix(err.Error(), "name ") {
			t.Errorf("%q: %v, want %q", name, err, word)
		}
	}
}

func TestNameKeys(t *testing.T) {
	for _, same := range [][]string{
		{"Ann", "ann", "ANN", "Ａｎｎ", "𝐀𝐧𝐧", "ⓐnn"},
		{"Straße", "STRASSE", "strasse", "STRAẞE"},
		{"Åsa", "A\u030asa", "åsa", "\u212bsa"}, // the last has the Ångström sign
		{"Ann Lee", "ann  lee", "Ann   LEE"},
		{"ﬁn", "FIN", "fin"},
		{"Σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"❤\ufe0f", "❤"},
		{"\u1e9b\u0323", "\u1e69", "ṩ"},
		{"\u1fb3\u0301", "\u03ac\u0345", "\u03b1\u0345\u0301"}, // marks of one letter in any order
	} {
		for _, name := range same[1:] {
			if nameKey(name) != nameKey(same[0]) {
				t.Errorf("%q is not %q: %q and %q", name, same[0], nameKey(name), nameKey(same[0]))
			}
		}
	}
	// It is what an operator sees and looks for in the store.
	for name, want := range map[string]string{"A\u030asa  Ek": "\u00e5sa ek", "STRAßE": "strasse"} {
		if got := nameKey(name); got != want {
			t.Errorf("%q has key %q, want %q", name, got, want)
		}
	}
	distinct := map[string]string{}
	for _, name := range []string{"Ann", "Anne", "Änn", "Аnn" /* Cyrillic A */, "A nn", "A-nn", "A.nn", "🙂", "🙃"} {
		if other, ok := distinct[nameKey(name)]; ok {
			t.Errorf("%q is %q", name, other)
		}
		distinct[nameKey(name)] = name
	}
}

// Characters that differ only in case are one, all of them.
func TestNameKeyFoldsEveryCase(t *testing.T) {
	for r := range unicode.MaxRune {
		if invisible(r) { // most are not assigned
			continue
		}
		key := nameKey("x" + string(r))
		if again := nameKey(key); again != key {
			t.Errorf("%U has key %q, which has %q", r, key, again)
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if got := nameKey("x" + string(other)); got != key {
				t.Errorf("%U has key %q, %U has %q", r, key, other, got)
			}
		}
	}
}

// checkNameRules holds the rules against any name at all.
func checkNameRules(t interface {
	Errorf(string, ...any)
	Helper()
}, name string) {
	t.Helper()
	err := checkName(name)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "name ") {
			t.Errorf("%q: %v does not name the field", name, err)
		}
		return
	}
	if len(name) < 1 || len(name) > MaxName || !utf8.ValidString(name) || strings.TrimSpace(name) != name {
		t.Errorf("%q is accepted", name)
	}
	for _, r := range name {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Zs, r) && r != ' ' {
			t.Errorf("%q is accepted with %U", name, r)
		}
	}
	key := nameKey(name)
	if key == "" || len(key) > 1024 || !utf8.ValidString(key) || strings.TrimSpace(key) != key {
		t.Errorf("%q has key %q", name, key)
	}
	// The key is the name's whole identity: it is its own, and that of every
	// other spelling.
	lower := strings.ToLower(name)
	if strings.Contains(name, "İ") { // Go makes it an i, which is the Turkish reading only
		lower = name
	}
	for _, same := range []string{
		key, lower, strings.ReplaceAll(name, " ", "  "), norm.NFC.String(name), norm.NFD.String(name), norm.NFKC.String(name),
	} {
		if got := nameKey(same); got != key {
			t.Errorf("%q has key %q, but %q has %q", name, key, same, got)
		}
	}
}

func TestNameRules(t *testing.T) {
	awkward := rapid.StringOfN(rapid.RuneFrom(
		[]rune("aAßẞİıΣςσ ﬁﷺK\u212b\u0345\u03b9\u0301\u0323\u3164\u200d\ufe0f\u2800\ufdfa"),
		unicode.L, unicode.M, unicode.Zs, unicode.Cf, unicode.So), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		checkNameRules(t, rapid.OneOf(awkward, rapid.StringN(0, 26, 30)).Draw(t, "name"))
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"Ann", "Straße", "a\u00adb", "\xff", "Ａｎｎ", "\u0345", "ᾳ\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) { checkNameRules(t, name) })
}
