package room

import "strings"

// Limits that come from the wire contract, in bytes.
const (
	MaxSimpleText = 1023   // room names and passwords
	MaxText       = 10_000 // a text message, after trimming
	MaxTrimmed    = 255    // a text in the form "enough to display"
)

// IDAlphabet is what room ids and generated passwords are made of.
const IDAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

// ValidID reports whether s is a legal room id: 7 or 8 characters of IDAlphabet.
func ValidID(s string) bool {
	if len(s) != 7 && len(s) != 8 {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(IDAlphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// ValidOID reports whether s is a legal account or token id: 24 hexadecimal
// digits of either case.
func ValidOID(s string) bool {
	if len(s) != 24 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

// ValidUUID reports whether s has the shape 8-4-4-4-12. Any ASCII letter or
// digit is accepted between the hyphens, as the original does.
func ValidUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				return false
			}
		}
	}
	return true
}
