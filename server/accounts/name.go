package accounts

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxName is the longest name, in bytes: the original's limit for first names.
const MaxName = 24

// checkName says what is wrong with a name as it was typed.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("name is empty: it must have 1 to 24 bytes")
	case len(name) > MaxName:
		return fmt.Errorf("name has %d bytes: at most %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		return errors.New("name is not valid UTF-8")
	case strings.TrimSpace(name) != name:
		return errors.New("name must not begin or end with white space")
	}
	visible := false
	for _, r := range name {
		if invisible(r) {
			return fmt.Errorf("name must not contain the character %U: it is not printable", r)
		}
		visible = visible || r != ' ' && !unicode.Is(unicode.M, r)
	}
	if !visible {
		return errors.New("name must contain something that can be seen")
	}
	return nil
}

// invisible reports whether r shows nothing, and so would make two names that
// look the same or one that cannot be seen: controls, all white space but the
// ordinary blank (IsPrint refuses those), fillers, and the Braille blank. The
// selectors by which phones ask for a coloured emoji are let through, and
// ignored when names are compared.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || r == '\u2800' ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// nameKey is the form of a name that is unique and that it is found by: two
// names have the same key when they differ only in case, in the width or the
// composition of characters, in variation selectors, or in how many blanks
// separate words. It is Unicode's compatibility caseless matching.
func nameKey(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Variation_Selector, r):
			return -1
		case unicode.Is(unicode.Cherokee, r): // the one script that Fold leaves as it is
			return unicode.ToUpper(r)
		}
		return r
	}, name)
	// Decomposed first: folding a composed character may put what it is made of
	// before a mark that belongs before it.
	name = norm.NFKC.String(cases.Fold().String(norm.NFKD.String(name)))
	return strings.Join(strings.Fields(name), " ")
}
